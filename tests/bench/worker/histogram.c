// SPDX-License-Identifier: GPL-2.0
#include "histogram.h"

#include "pages.h"

#define BUCKETS (HISTOGRAM_OCTAVES * HISTOGRAM_STEPS)

struct histogram *histogram_new(void)
{
	return pages_new(sizeof(struct histogram));
}

void histogram_free(struct histogram *histogram)
{
	pages_free(histogram, sizeof(*histogram));
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	unsigned int i;

	for (i = 0; i < BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	into->count += from->count;
}

/* The middle of what falls into a bucket. */
static double value_of(unsigned int bucket)
{
	unsigned int octave = bucket / HISTOGRAM_STEPS, step = bucket % HISTOGRAM_STEPS;

	if (!octave)
		return step;
	return (double)((uint64_t)(HISTOGRAM_STEPS + step) << (octave - 1)) +
	       (double)((1ull << (octave - 1)) - 1) / 2;
}

double histogram_quantile(const struct histogram *histogram, double q)
{
	double wanted = q * (double)histogram->count;
	uint64_t seen = 0;
	unsigned int i;

	for (i = 0; i < BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen && (double)seen >= wanted)
			return value_of(i);
	}
	return 0;
}
