/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Times of batches, in nanoseconds: exact below 512, then 512 steps to the octave,
 * so that 2 % of a difference can be told. What is used of it is small enough to
 * disturb the caches little.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS	  9
#define HISTOGRAM_STEPS	  (1u << HISTOGRAM_BITS)
#define HISTOGRAM_OCTAVES 40

struct histogram {
	uint64_t count;
	uint32_t buckets[HISTOGRAM_OCTAVES * HISTOGRAM_STEPS];
};

struct histogram *histogram_new(void);
void histogram_free(struct histogram *histogram);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value that a share @q of the times does not exceed; 0 if there are none. */
double histogram_quantile(const struct histogram *histogram, double q);

static inline unsigned int histogram_bucket(uint64_t value)
{
	unsigned int octave;

	if (value < HISTOGRAM_STEPS)
		return (unsigned int)value;
	octave = 63 - (unsigned int)__builtin_clzll(value) - HISTOGRAM_BITS + 1;
	if (octave >= HISTOGRAM_OCTAVES)
		return HISTOGRAM_OCTAVES * HISTOGRAM_STEPS - 1;
	/* The leading bit is what the octave says: the bits below it are the step. */
	return octave * HISTOGRAM_STEPS +
	       ((unsigned int)(value >> (octave - 1)) & (HISTOGRAM_STEPS - 1));
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->buckets[histogram_bucket(value)]++;
	histogram->count++;
}

#endif /* BENCH_HISTOGRAM_H */
