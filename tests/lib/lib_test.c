/* SPDX-License-Identifier: GPL-2.0 */
/* What the library's tests share; see lib_test.h. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bitmem/bitmem.h>

struct bitmem *test_open(size_t segment_size);
bool test_no_device(void);
struct bitmem_stats test_stats(struct bitmem *ctx);
bool test_stats_equal(const struct bitmem_stats *a, const struct bitmem_stats *b);
bool test_all_are(const void *ptr, unsigned char value, size_t length);
bool test_is_mapped(const void *ptr);
int test_fds(void);
size_t test_status(const char *name);
bool test_leaks(void);

/* There with -fsanitize=address only. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

struct bitmem *test_open(size_t segment_size)
{
	struct bitmem_options options;
	struct bitmem_error error;
	struct bitmem *ctx;
	int code;

	bitmem_options_init(&options);
	options.segment_size = segment_size;
	options.error = &error;
	ctx = bitmem_open(&options);
	if (!ctx) {
		code = errno;
		printf("# bitmem_open: %s\n", error.text);
		errno = code;
	}
	return ctx;
}

bool test_no_device(void)
{
	const char *backend = getenv("BITMEM_BACKEND");

	return backend && !strcmp(backend, "device") &&
	       (errno == ENOENT || errno == ENXIO || errno == ENODEV || errno == EACCES);
}

struct bitmem_stats test_stats(struct bitmem *ctx)
{
	struct bitmem_stats stats = { .size = sizeof(stats) };

	if (bitmem_stats(ctx, &stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

bool test_stats_equal(const struct bitmem_stats *a, const struct bitmem_stats *b)
{
	return !memcmp(a, b, sizeof(*a));
}

bool test_all_are(const void *ptr, unsigned char value, size_t length)
{
	const unsigned char *bytes = ptr;

	return !length || (bytes[0] == value && !memcmp(bytes, bytes + 1, length - 1));
}

bool test_is_mapped(const void *ptr)
{
	uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	unsigned char vec;

	return !mincore((void *)((uintptr_t)ptr & ~(page_size - 1)), 1, &vec);
}

int test_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

size_t test_status(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t kib = SIZE_MAX, length = strlen(name);
	char line[256];

	if (!file)
		return SIZE_MAX;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, length) && line[length] == ':')
			kib = strtoul(line + length + 1, NULL, 10);
	}
	fclose(file);
	return kib == SIZE_MAX ? kib : kib * 1024;
}

bool test_leaks(void)
{
	return __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check();
}
