// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/self/smaps, mapping by mapping. Of programs and libraries only what was
 * written counts (their data): which of their other pages happen to be resident is
 * nobody's doing. Pages that were freed with MADV_FREE do not count: the kernel
 * takes them as soon as it wants them. Huge pages are not in Rss and are added.
 */
#include "footprint.h"

#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 16];

struct reader {
	int fd;
	size_t at, end;
	bool is_file;
	struct footprint *footprint;
};

static uint64_t value_of(const char *line, const char *key)
{
	size_t length = strlen(key);

	return strncmp(line, key, length) ? 0 : strtoull(line + length, NULL, 10) * 1024;
}

/* A mapping's first line: "start-end perms offset device inode path". */
static bool is_header(const char *line)
{
	return strspn(line, "0123456789abcdef") && line[strspn(line, "0123456789abcdef")] == '-';
}

static bool is_disk_file(const char *line)
{
	const char *path = strchr(line, '/');

	return path && strncmp(path, "/memfd:", 7) && strncmp(path, "/dev/", 5) &&
	       strncmp(path, "/anon_hugepage", 14) && strncmp(path, "/SYSV", 5);
}

static void take_line(struct reader *reader, const char *line)
{
	uint64_t anonymous = value_of(line, "Anonymous:");

	if (is_header(line)) {
		reader->is_file = is_disk_file(line);
		return;
	}
	reader->footprint->anonymous += anonymous;
	if (reader->is_file) {
		reader->footprint->resident += anonymous;
		return;
	}
	reader->footprint->resident += value_of(line, "Rss:") + value_of(line, "Shared_Hugetlb:") +
				       value_of(line, "Private_Hugetlb:");
	reader->footprint->resident -= value_of(line, "LazyFree:");
}

/* The next line, without its end; NULL after the last. */
static char *next_line(struct reader *reader)
{
	char *line, *end;
	ssize_t got;

	for (;;) {
		line = buffer + reader->at;
		end = memchr(line, '\n', reader->end - reader->at);
		if (end) {
			*end = 0;
			reader->at = (size_t)(end - buffer) + 1;
			return line;
		}
		memmove(buffer, line, reader->end - reader->at);
		reader->end -= reader->at;
		reader->at = 0;
		got = read(reader->fd, buffer + reader->end, sizeof(buffer) - reader->end);
		if (got < 0)
			err(1, "/proc/self/smaps");
		if (!got)
			return NULL;
		reader->end += (size_t)got;
	}
}

void footprint_read(struct footprint *footprint)
{
	struct reader reader = {
		.fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC),
		.footprint = footprint,
	};
	const char *line;

	if (reader.fd < 0)
		err(1, "/proc/self/smaps");
	memset(footprint, 0, sizeof(*footprint));
	while ((line = next_line(&reader)))
		take_line(&reader, line);
	close(reader.fd);
}
