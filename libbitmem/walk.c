/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run that is freed on the way may take its free neighbours in. So where the next one begins
 * is found before: free runs are never neighbours, and one that is free is passed over.
 */
#include "block.h"
#include "walk.h"

struct walk {
	struct bitmem *ctx;
	void (*each)(struct bitmem *ctx, const struct bm_live *live, void *arg);
	void *arg;
};

static void walk_slab(const struct walk *walk, uint32_t number)
{
	struct bitmem *ctx = walk->ctx;
	const struct bm_frame *frame = &ctx->arena.frames[number];
	const struct bm_run *run = &ctx->arena.runs[bm_slab_run(&ctx->arena, number)];
	struct bm_live live = {
		.ptr = ctx->arena.base + ((size_t)number << BM_FRAME_SHIFT),
		.slot = frame->slots, .room = bm_class_size(run->class), .pool = run->pool,
	};

	/* With its last slot that is not free a slab may go. */
	for (unsigned int used = frame->nr_slots - frame->nr_free; used;) {
		used -= bm_slot_state(live.slot) != BM_SLOT_FREE;
		if (bm_state_is_live(bm_slot_state(live.slot))) {
			live.bytes = live.slot->size;
			walk->each(ctx, &live, walk->arg);
		}
		live.slot++;
		live.ptr = (char *)live.ptr + live.room;
	}
}

static void walk_run(const struct walk *walk, struct bm_run *run)
{
	const struct bm_live live = {
		.ptr = walk->ctx->arena.base + ((size_t)run->first << BM_UNIT_SHIFT),
		.slot = &run->slot, .bytes = run->bytes,
		.room = (size_t)run->n << BM_UNIT_SHIFT, .pool = run->pool,
	};

	if (run->kind == BM_RUN_SLAB)
		walk_slab(walk, run->first / (uint32_t)BM_FRAME_UNITS);
	else if (run->kind == BM_RUN_BLOCK && bm_state_is_live(bm_slot_state(&run->slot)))
		walk->each(walk->ctx, &live, walk->arg);
}

static void walk_segment(const struct walk *walk, size_t unit, size_t end)
{
	const struct bm_arena *arena = &walk->ctx->arena;
	uint32_t run;

	while (unit < end) {
		run = bm_run_at(arena, unit);
		unit += arena->runs[run].n;
		if (unit < end) {
			const struct bm_run *next = &arena->runs[bm_run_at(arena, unit)];

			unit += next->kind == BM_RUN_FREE ? next->n : 0;
		}
		walk_run(walk, &walk->ctx->arena.runs[run]);
	}
}

void bm_walk(struct bitmem *ctx, void (*each)(struct bitmem *ctx, const struct bm_live *live,
					      void *arg), void *arg)
{
	const struct walk walk = { .ctx = ctx, .each = each, .arg = arg };
	size_t place = 0, n, unit;

	for (; place < ctx->arena.end_place; place += n) {
		const struct bm_segment *segment = ctx->arena.segments[place];

		n = 1;
		if (!segment)
			continue;
		unit = bm_arena_offset(&ctx->arena, segment->range.addr) >> BM_UNIT_SHIFT;
		n = bm_round_up(segment->range.length, ctx->arena.superblock) /
		    ctx->arena.superblock;
		walk_segment(&walk, unit, unit + (segment->range.length >> BM_UNIT_SHIFT));
	}
}
