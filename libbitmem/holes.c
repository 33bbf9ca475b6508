/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "holes.h"
#include "pool_parts.h"

/* Where the kernel does not say, what it has if nobody changed it. */
#define MAPPINGS	65530
/* Holes are at most that part of it. */
#define PART		8
/* Units of a large hole. */
#define LARGE		16

static atomic_size_t nr_holes;

size_t bm_holes_max(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long long mappings = MAPPINGS;

	if (file) {
		if (fscanf(file, "%llu", &mappings) != 1)
			mappings = MAPPINGS;
		fclose(file);
	}
	return mappings < PART ? 1 : (size_t)(mappings / PART);
}

static bool is_hole(const struct bitmem *ctx, size_t unit)
{
	return bm_bits_count(ctx->arena.returned, unit, 1);
}

/* How many holes begin or end at those units, which are one kind of thing. */
static int neighbours(const struct bitmem *ctx, size_t first, size_t n)
{
	const struct bm_segment *segment = bm_segment_at(ctx, (uint32_t)first);
	const size_t begin = bm_segment_first(ctx, segment);
	const size_t end = begin + bm_segment_units(segment);

	return (first > begin && is_hole(ctx, first - 1)) +
	       (first + n < end && is_hole(ctx, first + n));
}

static void add(struct bm_segment *segment, int n)
{
	segment->holes += (size_t)n;
	atomic_fetch_add(&nr_holes, (size_t)n);
}

bool bm_holes_may_grow(const struct bitmem *ctx, size_t first, size_t n)
{
	const size_t max = ctx->backend->max_holes;

	return !max || neighbours(ctx, first, n) ||
	       atomic_load(&nr_holes) < (n < LARGE ? max / 2 : max);
}

void bm_holes_lost(struct bitmem *ctx, size_t first, size_t n)
{
	if (ctx->backend->max_holes)
		add(bm_segment_at(ctx, (uint32_t)first), 1 - neighbours(ctx, first, n));
}

void bm_holes_got(struct bitmem *ctx, size_t first, size_t n)
{
	if (ctx->backend->max_holes)
		add(bm_segment_at(ctx, (uint32_t)first), neighbours(ctx, first, n) - 1);
}

void bm_holes_forget(struct bm_segment *segment)
{
	atomic_fetch_sub(&nr_holes, segment->holes);
	segment->holes = 0;
}
