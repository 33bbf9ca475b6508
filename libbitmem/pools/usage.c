/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a pool's memory is used for: looked up in segments, runs and slots, with the lock held
 * and all caches claimed. So it is one instant's, and does not depend on anybody's counting.
 *
 * A piece that went back is part of a run or slot that nobody uses: it is subtracted there.
 * What should have gone and did not is marked as gone (trim.c), and is found as the
 * difference to what the backend said.
 */
#include <errno.h>
#include <string.h>

#include "../block.h"
#include "../options.h"
#include "pools.h"

/* The first version's size. */
#define USAGE_SIZE_1 BM_FIRST_SIZE(struct bitmem_pool_usage, external_fragmentation)

static uint64_t bytes_of(size_t units)
{
	return (uint64_t)units << BM_UNIT_SHIFT;
}

/* Bytes of a run that are marked as gone. */
static uint64_t gone(const struct bitmem *ctx, const struct bm_run *run)
{
	return bytes_of(bm_bits_count(ctx->arena.returned, run->first, run->n));
}

static void add_slab(const struct bitmem *ctx, const struct bm_run *run,
		     struct bitmem_pool_usage *u)
{
	const struct bm_frame *frame = &ctx->arena.frames[run->first / BM_FRAME_UNITS];
	const size_t size = bm_class_size(run->class);
	uint64_t free = 0, cached = 0, missing = gone(ctx, run), part;

	for (unsigned int i = 0; i < frame->nr_slots; i++) {
		const uint16_t state = bm_slot_state(&frame->slots[i]);

		if (bm_state_is_live(state)) {
			u->blocks++;
			u->live += frame->slots[i].size;
			u->room += size;
		} else if (state == BM_SLOT_FREE) {
			free += size;
		} else {
			cached += size;
		}
	}
	/* Of slots that are on their way to or from a cache some may have none, too. */
	part = missing < free ? missing : free;
	u->free_slots += free - part;
	u->cached += cached - (missing - part);
	u->slack += bytes_of(run->n) - (uint64_t)frame->nr_slots * size;
}

static void add_run(const struct bitmem *ctx, const struct bm_run *run,
		    struct bitmem_pool_usage *u)
{
	const uint64_t bytes = bytes_of(run->n);

	if (run->kind == BM_RUN_SLAB) {
		add_slab(ctx, run, u);
	} else if (run->kind == BM_RUN_FREE) {
		u->free += bytes - gone(ctx, run);
		u->free_runs++;
		u->free_run_bytes += bytes;
		if (u->largest_free_run < bytes)
			u->largest_free_run = bytes;
	} else if (bm_state_is_live(bm_slot_state(&run->slot))) {
		u->blocks++;
		u->live += run->bytes;
		u->room += bytes;
	} else {
		u->cached += bytes - gone(ctx, run);
	}
}

/* A segment that blocks are allocated from. */
static void add_runs(const struct bitmem *ctx, const struct bm_segment *segment,
		     struct bitmem_pool_usage *u)
{
	size_t unit = bm_arena_offset(&ctx->arena, segment->range.addr) >> BM_UNIT_SHIFT;
	const size_t n = segment->range.length >> BM_UNIT_SHIFT, end = unit + n;

	u->kept += bytes_of(bm_bits_count(ctx->arena.returned, unit, n)) - segment->returned;
	while (unit < end) {
		const struct bm_run *run = &ctx->arena.runs[bm_run_at(&ctx->arena, unit)];

		add_run(ctx, run, u);
		unit += run->n;
	}
}

static bool has_blocks(const struct bitmem *ctx, const struct bm_segment *segment)
{
	const size_t offset = bm_arena_offset(&ctx->arena, segment->range.addr);

	return offset < ctx->arena.size &&
	       ctx->arena.segments[offset / ctx->arena.superblock] == segment;
}

static void add_segment(const struct bitmem *ctx, const struct bm_segment *segment,
			struct bitmem_pool_usage *u)
{
	const uint64_t held = segment->range.length - segment->returned;

	u->committed += held;
	if (has_blocks(ctx, segment)) {
		u->returned += segment->returned;
		add_runs(ctx, segment, u);
	} else if (segment->tensors) {
		u->blocks += segment->tensors;
		u->live += segment->live;
		u->room += held;
	} else {
		u->moving += held;
	}
}

static double part_of(uint64_t part, uint64_t all, double none)
{
	return all ? (double)part / (double)all : none;
}

static void finish(struct bitmem_pool_usage *u)
{
	u->free += u->free_slots;
	u->utilisation = part_of(u->live, u->committed, 1);
	u->internal_fragmentation = 1 - part_of(u->live, u->room, 1);
	u->external_fragmentation = 1 - part_of(u->largest_free_run, u->free_run_bytes, 1);
}

int bitmem_pool_usage(struct bitmem *ctx, unsigned int pool, struct bitmem_pool_usage *usage)
{
	const size_t size = usage->size;
	struct bitmem_pool_usage now = { .size = size };

	if (size < USAGE_SIZE_1)
		return -EINVAL;
	if (pool != BITMEM_ALL_POOLS && !bm_pool_exists(ctx, pool))
		return -ENOENT;
	bm_lock(ctx);
	bm_caches_claim(ctx, NULL);
	for (const struct bm_segment *s = ctx->counted; s; s = s->next_counted) {
		if (pool == BITMEM_ALL_POOLS || s->pool == pool)
			add_segment(ctx, s, &now);
	}
	bm_caches_release(ctx, NULL);
	bm_unlock(ctx);
	finish(&now);
	bm_write_sized(usage, size, &now, sizeof(now));
	return 0;
}
