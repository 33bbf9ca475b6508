/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "../block.h"
#include "../count.h"
#include "../segment.h"
#include "check.h"

/* Keeps the words for the first. */
static __attribute__((format(printf, 2, 3))) void wrong(struct bm_check *check, const char *format,
							 ...)
{
	va_list args;

	if (*check->wrong)
		return;
	va_start(args, format);
	vsnprintf(check->wrong, sizeof(check->wrong), format, args);
	va_end(args);
}

static void expect(struct bm_check *check, const char *what, uint64_t is, uint64_t should)
{
	if (is != should)
		wrong(check, "%s: %" PRIu64 ", and there are %" PRIu64, what, should, is);
}

static void count_live(struct bm_check *check, size_t bytes, size_t room, const char *what,
		       uint32_t first)
{
	check->live++;
	check->live_bytes += bytes;
	if (bytes > room)
		wrong(check, "%s at unit %u: %zu bytes in %zu", what, first, bytes, room);
}

/* Units of something alive all have memory. */
static void see_memory(const struct bitmem *ctx, struct bm_check *check, size_t offset,
		       size_t bytes)
{
	const size_t first = offset >> BM_UNIT_SHIFT;
	const size_t n = bytes ? ((offset + bytes - 1) >> BM_UNIT_SHIFT) - first + 1 : 0;

	if (n && bm_bits_count(ctx->arena.returned, first, n))
		wrong(check, "a live block at unit %zu has no memory", first);
}

static void see_slots(const struct bitmem *ctx, struct bm_check *check, const struct bm_run *run,
		      const struct bm_frame *frame)
{
	const size_t size = bm_class_size(run->class);
	unsigned int nr_free = 0;

	for (unsigned int i = 0; i < frame->nr_slots; i++) {
		const struct bm_slot *slot = &frame->slots[i];
		const uint16_t state = bm_slot_state(slot);

		if (state == BM_SLOT_FREE) {
			nr_free++;
		} else if (bm_state_is_live(state)) {
			count_live(check, slot->size, size, "a slot", run->first);
			see_memory(ctx, check, ((size_t)run->first << BM_UNIT_SHIFT) + i * size,
				   slot->size);
		} else {
			check->idle++;
		}
	}
	if (nr_free != frame->nr_free)
		wrong(check, "slab at unit %u: %u slots are free, and it says %u", run->first,
		      nr_free, frame->nr_free);
}

static void see_slab(const struct bitmem *ctx, struct bm_check *check, uint32_t number)
{
	const struct bm_run *run = &ctx->arena.runs[number];
	const struct bm_frame *frame = &ctx->arena.frames[run->first / BM_FRAME_UNITS];

	if (run->first % BM_FRAME_UNITS || run->n > BM_FRAME_UNITS ||
	    run->class >= BM_NR_CLASSES || !frame->magic || !frame->slots ||
	    bm_slab_run(&ctx->arena, run->first / BM_FRAME_UNITS) != number ||
	    frame->nr_slots * bm_class_size(run->class) > (size_t)run->n << BM_UNIT_SHIFT) {
		wrong(check, "slab at unit %u: it is not one", run->first);
		return;
	}
	see_slots(ctx, check, run, frame);
}

static void see_run(const struct bitmem *ctx, struct bm_check *check, uint32_t number,
		    bool after_free)
{
	const struct bm_run *run = &ctx->arena.runs[number];
	const size_t room = (size_t)run->n << BM_UNIT_SHIFT;

	switch (run->kind) {
	case BM_RUN_FREE:
		check->free[run->pool].units += run->n;
		check->free[run->pool].runs++;
		if (after_free)
			wrong(check, "free run at unit %u: its neighbour is free, too",
			      run->first);
		break;
	case BM_RUN_SLAB:
		see_slab(ctx, check, number);
		break;
	default:
		if (!bm_state_is_live(bm_slot_state(&run->slot))) {
			check->idle++;
			break;
		}
		count_live(check, run->bytes, room, "a run", run->first);
		see_memory(ctx, check, (size_t)run->first << BM_UNIT_SHIFT, room);
	}
}

/* The runs of a segment cover it, one after the other. */
static void see_segment(const struct bitmem *ctx, struct bm_check *check,
			const struct bm_segment *segment)
{
	const size_t start = bm_arena_offset(&ctx->arena, segment->range.addr) >> BM_UNIT_SHIFT;
	const size_t end = start + (segment->range.length >> BM_UNIT_SHIFT);
	bool after_free = false;
	size_t unit = start;

	while (unit < end) {
		const uint32_t number = bm_run_at(&ctx->arena, unit);
		const struct bm_run *run = &ctx->arena.runs[number];

		if (!number || run->kind == BM_RUN_NONE || !run->n || run->n > end - unit ||
		    run->pool >= ctx->nr_pools) {
			wrong(check, "unit %zu: no run begins there", unit);
			return;
		}
		see_run(ctx, check, number, after_free);
		after_free = run->kind == BM_RUN_FREE;
		unit += run->n;
	}
	if (bm_bits_count(ctx->arena.returned, start, end - start) << BM_UNIT_SHIFT <
	    segment->returned)
		wrong(check, "segment at unit %zu: %zu bytes went back, of fewer pages", start,
		      segment->returned);
}

static void see_segments(struct bitmem *ctx, struct bm_check *check)
{
	const struct bm_segment *last = NULL;

	for (const struct bm_segment *s = ctx->counted; s; s = s->next_counted) {
		check->segments++;
		check->committed_bytes += s->range.length - s->returned;
		check->pinned_bytes += s->pinned;
	}
	for (size_t place = 0; place < ctx->arena.end_place; place++) {
		const struct bm_segment *segment = ctx->arena.segments[place];

		if (segment && segment != last)
			see_segment(ctx, check, segment);
		last = segment;
	}
}

static void see_record(struct bitmem *ctx, struct bm_record *record, void *arg)
{
	struct bm_check *check = arg;
	struct bm_tensor_look look;
	const struct bm_slot *slot;
	size_t room;

	if (!bm_tensor_look(record, &look))
		return;
	if (look.view) {
		check->views++;
	} else if (look.foreign) {
		check->live++;
		check->live_bytes += look.bytes;
	} else {
		slot = bm_block_slot(ctx, look.data, &room);
		if (!slot || !(bm_slot_state(slot) & BM_SLOT_TENSOR) ||
		    bm_slot_bytes(ctx, slot) != look.bytes)
			wrong(check, "tensor %p: %p is no block of its",
			      (const void *)look.tensor, look.data);
	}
}

static void see_pools(const struct bitmem *ctx, struct bm_check *check)
{
	for (unsigned int i = 0; i < ctx->nr_pools; i++) {
		expect(check, "units of free runs", check->free[i].units,
		       ctx->pools[i].heap.free_units);
		expect(check, "free runs", check->free[i].runs, ctx->pools[i].heap.nr_free);
	}
}

static uint64_t cached(const struct bitmem *ctx)
{
	uint64_t n = 0;

	for (const struct bm_cache *cache = ctx->caches; cache; cache = cache->next_of_context)
		n += bm_cache_level(cache);
	return n;
}

void bm_check(struct bitmem *ctx, struct bm_check *check)
{
	const struct bm_totals totals = bm_count_totals(ctx);

	*check = (struct bm_check) { 0 };
	see_segments(ctx, check);
	bm_records_each(ctx, see_record, check);
	see_pools(ctx, check);
	expect(check, "blocks and tensors", check->live, totals.allocs - totals.frees);
	expect(check, "their bytes", check->live_bytes, totals.live_bytes);
	expect(check, "views", check->views, ctx->counters.views);
	expect(check, "segments", check->segments, ctx->counters.segments);
	expect(check, "committed bytes", check->committed_bytes, ctx->counters.committed_bytes);
	expect(check, "pinned bytes", check->pinned_bytes, ctx->counters.pinned_bytes);
	if (cached(ctx) > check->idle)
		wrong(check, "caches: %" PRIu64 " blocks, and %" PRIu64 " are nobody's",
		      cached(ctx), check->idle);
}
