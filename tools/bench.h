/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device's memory beside what a program would use without it.
 */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"

enum bench_memory {
	BENCH_DEVICE,
	BENCH_MALLOC,
	BENCH_MLOCK,   /* malloc() and mlock() */
	BENCH_HUGETLB, /* mmap() of huge pages that were reserved */
	BENCH_MEMORIES,
};

enum bench_measure {
	BENCH_ALLOC, /* until it is mapped */
	BENCH_TOUCH, /* a byte a page is written to */
	BENCH_ZERO,  /* all of it is written to again */
	BENCH_LOAD,  /* a file is read into it */
	BENCH_FREE,
	BENCH_MEASURES,
};

#define BENCH_MAX_ROUNDS 1000

struct bench {
	const struct device *device;
	size_t size;
	unsigned int rounds;
	/* The file that is read, what it holds known. */
	int fd;
	bool direct;
	/* Seconds, the median of the rounds. */
	double seconds[BENCH_MEMORIES][BENCH_MEASURES];
	/* 0, or the errno for which the memory is not to be had. */
	int missing[BENCH_MEMORIES];
};

const char *bench_memory_name(enum bench_memory memory);
const char *bench_measure_name(enum bench_measure measure);

/* Memory of the kind, or NULL with errno. */
struct bench_block;
struct bench_block *bench_get(const struct bench *bench, enum bench_memory memory);
char *bench_data(const struct bench_block *block);
void bench_put(const struct bench *bench, struct bench_block *block);

/*
 * Measures. 0, or -1 after saying on stderr what failed, or because a signal came. Memory other
 * than the device's may be missing.
 */
int bench_run(struct bench *bench, const char *dir);

#endif /* TOOLS_BENCH_H */
