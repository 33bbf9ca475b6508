/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Points of a workload at which memory is measured, before and after a trim.
 */
#ifndef BENCH_SPACE_H
#define BENCH_SPACE_H

#include <bitmem/bitmem.h>
#include <stdbool.h>
#include <stdint.h>

#include "footprint.h"

struct allocator;

/* One reading; beyond the baseline, never less than 0. */
struct space {
	struct footprint outside;
	struct bitmem_stats stats;
};

struct point {
	const char *name;
	/* Blocks, and the bytes that were asked for, as the harness counts them. */
	uint64_t live, live_bytes;
	bool trimmed;
	struct space before, after;
};

#define POINTS 4

struct spaces {
	struct footprint base;
	/* bitmem's own figures once it was opened. */
	struct bitmem_stats base_stats;
	struct point points[POINTS];
	unsigned int count;
};

void space_read(const struct spaces *spaces, const struct allocator *allocator,
		struct space *space);

#endif /* BENCH_SPACE_H */
