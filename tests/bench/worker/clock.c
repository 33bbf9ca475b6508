// SPDX-License-Identifier: GPL-2.0
#include "clock.h"

#include <stddef.h>

#include "histogram.h"

uint64_t clock_overhead(void)
{
	struct histogram *histogram = histogram_new();
	uint64_t start, overhead;
	unsigned int i;

	for (i = 0; i < 10000; i++) {
		start = clock_ns();
		histogram_add(histogram, clock_ns() - start);
	}
	overhead = (uint64_t)histogram_quantile(histogram, 0.5);
	histogram_free(histogram);
	return overhead;
}
