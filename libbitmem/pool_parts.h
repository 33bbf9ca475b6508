/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pool.c, which gives memory out, and trim.c, which gives it back to the backend, share.
 *
 * All under the context's lock.
 */
#ifndef BITMEM_POOL_PARTS_H
#define BITMEM_POOL_PARTS_H

#include "context.h"

/* The first of a segment's units, and how many they are. */
static inline uint32_t bm_segment_first(const struct bitmem *ctx, const struct bm_segment *segment)
{
	return (uint32_t)(bm_arena_offset(&ctx->arena, segment->range.addr) >> BM_UNIT_SHIFT);
}

static inline uint32_t bm_segment_units(const struct bm_segment *segment)
{
	return (uint32_t)(segment->range.length >> BM_UNIT_SHIFT);
}

/* The segment that a unit lies in. */
static inline struct bm_segment *bm_segment_at(const struct bitmem *ctx, uint32_t unit)
{
	return ctx->arena.segments[((size_t)unit << BM_UNIT_SHIFT) / ctx->arena.superblock];
}

/* Whether a run is all of its segment. */
static inline bool bm_run_is_segment(const struct bitmem *ctx, uint32_t run,
				     const struct bm_segment *segment)
{
	return ctx->arena.runs[run].n == bm_segment_units(segment);
}

/* --- pool.c --- */

/* Forgets what the frames of @n units were, when nobody looks at it any more. */
void bm_pool_exorcise(struct bitmem *ctx, struct bm_pool *pool, size_t first, size_t n);
/* Takes an empty segment, which is the free run @run, out of the heap. */
void bm_pool_drop(struct bitmem *ctx, struct bm_pool *pool, uint32_t run);
/* What is to be done when @run has become free. */
void bm_pool_freed(struct bitmem *ctx, uint32_t run);

/* --- trim.c --- */

/* Gives the slabs back that have no blocks. */
void bm_pool_drop_slabs(struct bitmem *ctx, struct bm_pool *pool);

#endif /* BITMEM_POOL_PARTS_H */
