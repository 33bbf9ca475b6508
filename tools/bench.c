// SPDX-License-Identifier: GPL-2.0
/*
 * Rounds go through all kinds of memory by turns, so that what the machine does besides hits all.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "progress.h"
#include "stop.h"

/* Bytes of one read. */
#define CHUNK ((size_t)4 << 20)

static const char *const memory_names[] = {"device", "malloc", "mlock", "hugetlb"};
static const char *const measure_names[] = {"alloc", "touch", "zero", "load", "free"};

const char *bench_memory_name(enum bench_memory memory)
{
	return memory_names[memory];
}

const char *bench_measure_name(enum bench_measure measure)
{
	return measure_names[measure];
}

/* --- the file --- */

/* What a page of the file begins with. */
static uint64_t mark_of(size_t offset)
{
	return (uint64_t)offset * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

static void put_marks(const struct bench *bench, char *data)
{
	for (size_t at = 0; at < bench->size; at += bench->device->info.out_page_size) {
		uint64_t mark = mark_of(at);

		memcpy(data + at, &mark, sizeof(mark));
	}
}

static bool has_marks(const struct bench *bench, const char *data)
{
	for (size_t at = 0; at < bench->size; at += bench->device->info.out_page_size) {
		uint64_t mark = mark_of(at);

		if (memcmp(data + at, &mark, sizeof(mark)) != 0)
			return false;
	}
	return true;
}

/* 0, or -1 with errno. */
static int move(const struct bench *bench, char *data, bool write)
{
	for (size_t done = 0; done < bench->size;) {
		size_t length = bench->size - done < CHUNK ? bench->size - done : CHUNK;
		ssize_t n = write ? pwrite(bench->fd, data + done, length, (off_t)done)
				  : pread(bench->fd, data + done, length, (off_t)done);

		if (n <= 0) {
			errno = n ? errno : EIO;
			return -1;
		}
		done += (size_t)n;
	}
	return 0;
}

/* A file without a name, on the disk; read past the page cache, where that can be. */
static int make_file(struct bench *bench, const char *dir)
{
	char *data = aligned_alloc(bench->device->info.out_page_size, bench->size);
	int err = ENOMEM;

	bench->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (bench->fd < 0)
		err = errno;
	else if (data) {
		memset(data, 0x5A, bench->size);
		put_marks(bench, data);
		err = move(bench, data, true) || fsync(bench->fd) ? errno : 0;
		bench->direct = !fcntl(bench->fd, F_SETFL, O_DIRECT);
	}
	free(data);
	if (!err)
		return 0;
	output_error("%s: %s", dir, strerror(err));
	if (bench->fd >= 0)
		close(bench->fd);
	return -1;
}

/* --- measuring --- */

static void touch(const struct bench *bench, char *data)
{
	for (size_t at = 0; at < bench->size; at += bench->device->info.out_page_size)
		((volatile char *)data)[at] = 1;
}

/* 0, or -1 after saying on stderr what failed. */
static int load(const struct bench *bench, enum bench_memory memory, char *data)
{
	if (move(bench, data, false)) {
		output_error("load: %s: %s", memory_names[memory], strerror(errno));
		return -1;
	}
	return 0;
}

static double since(double *before)
{
	double now = progress_clock();
	double seconds = now - *before;

	*before = now;
	return seconds;
}

/* 0 (it may be missing), or -1 after saying on stderr what failed. */
static int measure(struct bench *bench, enum bench_memory memory, double seconds[BENCH_MEASURES])
{
	double clock = progress_clock();
	struct bench_block *block = bench_get(bench, memory);
	char *data;
	int err;

	if (!block && memory != BENCH_DEVICE) {
		bench->missing[memory] = errno;
		return 0;
	}
	if (!block) {
		output_error("%s: %zu bytes: %s", bench->device->path, bench->size,
			     strerror(errno));
		return -1;
	}
	seconds[BENCH_ALLOC] = since(&clock);
	data = bench_data(block);
	touch(bench, data);
	seconds[BENCH_TOUCH] = since(&clock);
	memset(data, 0, bench->size);
	/* Nobody reads the zeroes, which the compiler must not know. */
	__asm__ volatile("" : : "r"(data) : "memory");
	seconds[BENCH_ZERO] = since(&clock);
	err = load(bench, memory, data);
	seconds[BENCH_LOAD] = since(&clock);
	if (!err && !has_marks(bench, data)) {
		output_error("load: %s: what was read is not what was written",
			     memory_names[memory]);
		err = -1;
	}
	since(&clock);
	bench_put(bench, block);
	seconds[BENCH_FREE] = since(&clock);
	return err;
}

static int compare(const void *a, const void *b)
{
	double first = *(const double *)a;
	double second = *(const double *)b;

	return (first > second) - (first < second);
}

/* @all: a value a round. */
static double median(double *all, size_t n, size_t stride)
{
	double values[BENCH_MAX_ROUNDS];

	for (size_t i = 0; i < n; i++)
		values[i] = all[i * stride];
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static int run_rounds(struct bench *bench, double *all)
{
	const size_t round = (size_t)BENCH_MEMORIES * BENCH_MEASURES;

	for (size_t i = 0; i < bench->rounds; i++) {
		for (enum bench_memory memory = 0; memory < BENCH_MEMORIES; memory++) {
			if (stop_signal())
				return -1;
			if (!bench->missing[memory] &&
			    measure(bench, memory,
				    all + i * round + (size_t)memory * BENCH_MEASURES))
				return -1;
		}
	}
	for (size_t i = 0; i < round; i++)
		bench->seconds[i / BENCH_MEASURES][i % BENCH_MEASURES] =
			median(all + i, bench->rounds, round);
	return 0;
}

int bench_run(struct bench *bench, const char *dir)
{
	double *all = calloc(bench->rounds, sizeof(bench->seconds));
	int err;

	if (!all) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	err = make_file(bench, dir);
	if (!err) {
		err = run_rounds(bench, all);
		close(bench->fd);
	}
	free(all);
	return err;
}
