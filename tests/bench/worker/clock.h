/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/*
 * What two readings with nothing between them differ by, in the median: taken off
 * each time that is measured.
 */
uint64_t clock_overhead(void);

#endif /* BENCH_CLOCK_H */
