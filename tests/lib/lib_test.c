/* SPDX-License-Identifier: GPL-2.0 */
/* What the library's tests share; see lib_test.h. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <bitmem/bitmem.h>

struct bitmem *test_open(size_t segment_size);
bool test_no_device(void);
struct bitmem_stats test_stats(struct bitmem *ctx);
uint64_t test_committed(struct bitmem *ctx);
bool test_stats_equal(const struct bitmem_stats *a, const struct bitmem_stats *b);
bool test_all_are(const void *ptr, unsigned char value, size_t length);
bool test_is_mapped(const void *ptr);
void test_warm_up(struct bitmem *ctx);
int test_fds(void);
size_t test_status(const char *name);
bool test_leaks(void);
double test_cpu_ms(void);
bool test_sanitized(void);

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

void test_warm_up(struct bitmem *ctx)
{
	bitmem_free(ctx, bitmem_alloc(ctx, 1, 0));
	bitmem_trim(ctx);
}

struct bitmem_stats test_stats(struct bitmem *ctx)
{
	struct bitmem_stats stats = { .size = sizeof(stats) };

	if (bitmem_stats(ctx, &stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

uint64_t test_committed(struct bitmem *ctx)
{
	return test_stats(ctx).committed_bytes;
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
	struct iovec remote = { .iov_base = (void *)(uintptr_t)ptr, .iov_len = 1 };
	char byte;
	struct iovec local = { .iov_base = &byte, .iov_len = 1 };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
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

bool test_thread_sanitized(void)
{
#ifdef __SANITIZE_THREAD__
	return true;
#else
	return false;
#endif
}

bool test_valgrind(void)
{
	return getenv("BITMEM_TEST_VALGRIND");
}

bool test_sanitized(void)
{
#ifdef __SANITIZE_ADDRESS__
	return true;
#else
	return test_thread_sanitized();
#endif
}

double test_cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

bool test_leaks(void)
{
	return __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check();
}
