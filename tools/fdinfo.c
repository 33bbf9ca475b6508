// SPDX-License-Identifier: GPL-2.0
/*
 * fdinfo: lines "KEY:\tVALUE". Keys that are not known are left out, so that a
 * newer module can say more.
 */
#include "fdinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add_buffer(struct held_file *file, const char *value)
{
	struct held_buffer buffer = {0};
	struct held_buffer *list;
	int tag = 0;

	if (sscanf(value, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 "%n", &buffer.id,
		   &buffer.bytes, &buffer.age_ms, &buffer.mappings, &tag) != 4)
		return 0;
	value += tag;
	snprintf(buffer.tag, sizeof(buffer.tag), "%s", *value == ' ' ? value + 1 : value);
	list = reallocarray(file->list, file->n_list + 1, sizeof(*list));
	if (!list)
		return -1;
	list[file->n_list++] = buffer;
	file->list = list;
	return 0;
}

static int take_line(struct held_file *file, char *line)
{
	const struct {
		const char *key;
		uint64_t *value;
	} numbers[] = {
		{"bitmem-file", &file->file},	  {"bitmem-buffers", &file->buffers},
		{"bitmem-bytes", &file->bytes},	  {"bitmem-peak-bytes", &file->peak_bytes},
		{"bitmem-age-ms", &file->age_ms}, {"bitmem-owner", &file->owner},
	};
	char *value = strstr(line, ":\t");

	if (!value)
		return 0;
	*value = '\0';
	value += 2;
	value[strcspn(value, "\n")] = '\0';
	if (!strcmp(line, "bitmem-buffer"))
		return add_buffer(file, value);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!strcmp(line, numbers[i].key))
			*numbers[i].value = strtoull(value, NULL, 10);
	}
	return 0;
}

static FILE *open_at(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	FILE *in;

	if (fd < 0)
		return NULL;
	in = fdopen(fd, "r");
	if (!in)
		close(fd);
	return in;
}

int fdinfo_read(int dirfd, const char *fd, struct held_file *file)
{
	char *line = NULL;
	size_t room = 0;
	int err = 0;
	FILE *in;

	*file = (struct held_file){0};
	in = open_at(dirfd, fd);
	if (!in)
		return -1;
	while (!err && getline(&line, &room, in) > 0)
		err = take_line(file, line);
	free(line);
	fclose(in);
	/* The module counts files from 1. */
	if (!err && file->file)
		return 0;
	free(file->list);
	file->list = NULL;
	errno = err ? ENOMEM : ENODATA;
	return -1;
}
