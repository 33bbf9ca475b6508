/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random numbers that are the same in every run and under every allocator.
 */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline uint32_t random_below(struct random *random, uint32_t limit)
{
	return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

/* Uniform in its logarithm: as many between 1 and 2 KiB as between 1 and 2 MiB. */
static inline uint32_t random_size(struct random *random, uint32_t min, uint32_t max)
{
	double at = (double)(random_next(random) >> 11) * 0x1p-53;

	return (uint32_t)(min * exp2(at * log2((double)max / min)));
}

#endif /* BENCH_RANDOM_H */
