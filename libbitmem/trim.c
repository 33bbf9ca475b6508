/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Giving memory back: slabs and segments that nobody needs, and the pages of what is free in
 * others.
 *
 * The lock is dropped while the backend works. What it works on is nobody else's meanwhile: a
 * free run is claimed, and a slab's free slots are taken. All else may be another thing afterwards,
 * and is looked at again.
 */
#include "holes.h"
#include "pool_parts.h"

void bm_pool_drop_slabs(struct bitmem *ctx, struct bm_pool *pool)
{
	uint32_t run;

	for (unsigned int class = 0; pool->slabs.empty_bytes && class < BM_NR_CLASSES; class++) {
		while ((run = bm_slabs_release(&pool->slabs, class)))
			bm_pool_freed(ctx, run);
	}
}

static bool is_segment(const struct bitmem *ctx, uint32_t run)
{
	return bm_run_is_segment(ctx, run, bm_segment_at(ctx, ctx->arena.runs[run].first));
}

size_t bm_pool_drop_empty(struct bitmem *ctx, struct bm_pool *pool)
{
	const uint64_t before = ctx->dropped;
	uint32_t run;

	bm_pool_drop_slabs(ctx, pool);
	while ((run = bm_heap_last(&pool->heap)) && is_segment(ctx, run))
		bm_pool_drop(ctx, pool, run);
	return (size_t)(ctx->dropped - before);
}

/*
 * Whether all slots of a slab without blocks are idle. The others begin to be; of those that are a
 * page at least it is return_slab() that says so.
 */
static bool age_slab(const struct bm_frame *frame, unsigned int class)
{
	unsigned int idle = 0;

	for (unsigned int i = 0; i < frame->nr_slots; i++) {
		if (frame->slots[i].size == BM_SIZE_IDLE)
			idle++;
		else if (bm_class_size(class) < BM_UNIT)
			frame->slots[i].size = BM_SIZE_IDLE;
	}
	return idle == frame->nr_slots;
}

/* Gives the slabs back that have no blocks and are idle; so is what they leave behind. */
static void drop_idle_slabs(struct bitmem *ctx, struct bm_pool *pool)
{
	for (unsigned int class = 0; pool->slabs.empty_bytes && class < BM_NR_CLASSES; class++) {
		uint32_t number = pool->slabs.first[class], next;

		for (; number; number = next) {
			const struct bm_frame *frame = &ctx->arena.frames[number];
			const struct bm_run *run;

			next = frame->next;
			if (frame->nr_free != frame->nr_slots || !age_slab(frame, class))
				continue;
			run = &ctx->arena.runs[bm_slab_run(&ctx->arena, number)];
			bm_bits_set(ctx->arena.idle, run->first, run->n);
			bm_pool_freed(ctx, bm_slab_release(&pool->slabs, number));
		}
	}
}

/* Gives back the memory of units of one segment that nobody uses, and says so. */
static size_t decommit(struct bitmem *ctx, size_t first, size_t n)
{
	struct bm_segment *segment = bm_segment_at(ctx, (uint32_t)first);
	struct bm_backend *backend = ctx->backend;
	const size_t offset = (first - bm_segment_first(ctx, segment)) << BM_UNIT_SHIFT;
	struct bm_change change = { 0 };

	bm_unlock(ctx);
	pthread_mutex_lock(&ctx->commit_lock);
	backend->ops->decommit(backend, &segment->range, offset, n << BM_UNIT_SHIFT, &change);
	pthread_mutex_unlock(&ctx->commit_lock);
	bm_lock(ctx);
	segment->unsettled = true;
	if (!change.bytes)
		return 0;
	bm_bits_set(ctx->arena.returned, first, n);
	bm_holes_lost(ctx, first, n);
	/* What stayed has its content still. */
	if (change.bytes == n << BM_UNIT_SHIFT)
		bm_bits_clear(ctx->arena.dirty, first, n);
	segment->returned += change.bytes;
	/* What could not be locked again when it came back is not pinned. */
	if (change.pinned > segment->pinned)
		change.pinned = segment->pinned;
	segment->pinned -= change.pinned;
	ctx->counters.committed_bytes -= change.bytes;
	ctx->counters.pinned_bytes -= change.pinned;
	return change.bytes;
}

/* Gives back what is not back yet of units that nobody uses, in whole pages. */
static size_t decommit_units(struct bitmem *ctx, size_t first, size_t n)
{
	const size_t page = ctx->backend->page_size >> BM_UNIT_SHIFT;
	const size_t end = (first + n) & ~(page - 1);
	size_t bytes = 0, to;

	first = bm_round_up(first, page);
	while (first < end) {
		first = bm_bits_find(ctx->arena.returned, first, end, false);
		to = bm_bits_find(ctx->arena.returned, first, end, true);
		if (to > first && bm_holes_may_grow(ctx, first, to - first))
			bytes += decommit(ctx, first, to - first);
		first = to;
	}
	return bytes;
}

/* The same, of those that are idle. The others begin to be now. */
static size_t decommit_idle(struct bitmem *ctx, size_t first, size_t n)
{
	const size_t start = first, end = first + n;
	size_t bytes = 0, to;

	for (; first < end; first = to) {
		first = bm_bits_find(ctx->arena.idle, first, end, true);
		to = bm_bits_find(ctx->arena.idle, first, end, false);
		if (to > first)
			bytes += decommit_units(ctx, first, to - first);
	}
	bm_bits_set(ctx->arena.idle, start, n);
	return bytes;
}

/* Whether a run is a segment that has been idle as a whole. */
static bool is_idle_segment(const struct bitmem *ctx, uint32_t run)
{
	const struct bm_run *r = &ctx->arena.runs[run];

	return is_segment(ctx, run) &&
	       bm_bits_count(ctx->arena.idle, r->first, r->n) == r->n;
}

/* The free runs, from the shortest on; others may come and go meanwhile. */
static size_t return_runs(struct bitmem *ctx, struct bm_pool *pool, bool idle)
{
	uint32_t n = 0, first = 0, run;
	uint64_t before;
	size_t bytes = 0;

	while ((run = bm_heap_next(&pool->heap, n, first))) {
		n = ctx->arena.runs[run].n;
		first = ctx->arena.runs[run].first;
		before = ctx->dropped;
		if (idle && is_idle_segment(ctx, run)) {
			bm_pool_drop(ctx, pool, run);
		} else if (bm_bits_count(ctx->arena.returned, first, n) < n) {
			bm_heap_claim(&pool->heap, run);
			bytes += idle ? decommit_idle(ctx, first, n) :
					decommit_units(ctx, first, n);
			before = ctx->dropped;
			bm_pool_freed(ctx, bm_heap_give(&pool->heap, run));
		}
		bytes += ctx->dropped - before;
	}
	return bytes;
}

/* Those of a slab's free slots that are idle; the others begin to be. Returns how many. */
static size_t take_idle(struct bitmem *ctx, struct bm_entry *entries, size_t n)
{
	size_t idle = 0;

	for (size_t i = 0; i < n; i++) {
		if (entries[i].slot->size == BM_SIZE_IDLE) {
			entries[idle++] = entries[i];
			continue;
		}
		entries[i].slot->size = BM_SIZE_IDLE;
		bm_pool_give_slot(ctx, &entries[i]);
	}
	return idle;
}

/* The pages that lie in free slots of one slab, whose slots are taken meanwhile. */
static size_t return_slab(struct bitmem *ctx, struct bm_pool *pool, uint32_t number, size_t size,
			  bool idle)
{
	struct bm_entry entries[BM_FRAME / BM_UNIT];
	size_t n = bm_slab_take(&pool->slabs, number, entries, BM_FRAME / BM_UNIT), bytes = 0;
	uint64_t before;

	if (idle)
		n = take_idle(ctx, entries, n);
	for (size_t i = 0, next; i < n; i = next) {
		const size_t from = bm_arena_offset(&ctx->arena, entries[i].ptr);
		size_t to = from + size;

		for (next = i + 1; next < n; next++, to += size) {
			if (bm_arena_offset(&ctx->arena, entries[next].ptr) != to)
				break;
		}
		if (to >> BM_UNIT_SHIFT > (from + BM_UNIT - 1) >> BM_UNIT_SHIFT)
			bytes += decommit_units(ctx, (from + BM_UNIT - 1) >> BM_UNIT_SHIFT,
						(to >> BM_UNIT_SHIFT) -
						((from + BM_UNIT - 1) >> BM_UNIT_SHIFT));
	}
	pool->slabs.returned |= bytes > 0;
	before = ctx->dropped;
	while (n)
		bm_pool_give_slot(ctx, &entries[--n]);
	return bytes + (ctx->dropped - before);
}

/* Whether a frame has a slab of that pool and class with free slots, whatever it had before. */
static bool is_listed(const struct bitmem *ctx, const struct bm_pool *pool, uint32_t number,
		      unsigned int class)
{
	const struct bm_frame *frame = &ctx->arena.frames[number];
	const struct bm_run *run;

	if (!number || !frame->magic || !frame->nr_free)
		return false;
	run = &ctx->arena.runs[bm_slab_run(&ctx->arena, number)];
	return run->class == class && &ctx->pools[run->pool] == pool;
}

/*
 * Of slabs whose slots are a page at least, as many as there are: one that was looked at may come
 * to the end of the list.
 */
static size_t return_slabs(struct bitmem *ctx, struct bm_pool *pool, bool idle)
{
	size_t bytes = 0;

	for (unsigned int class = bm_class_of(BM_UNIT); class < BM_NR_CLASSES; class++) {
		const size_t size = bm_class_size(class);
		uint32_t number = pool->slabs.first[class], next;
		size_t left = 0;

		for (next = number; next; next = ctx->arena.frames[next].next)
			left++;
		for (; number && left; left--) {
			next = ctx->arena.frames[number].next;
			bytes += return_slab(ctx, pool, number, size, idle);
			/* The lists may have changed meanwhile: then the rest has to wait. */
			number = is_listed(ctx, pool, next, class) ? next : 0;
		}
	}
	return bytes;
}

/* What slabs left behind, in all segments of the pool. */
static void exorcise_all(struct bitmem *ctx, struct bm_pool *pool)
{
	for (size_t place = 0; place < ctx->arena.end_place; place++) {
		const struct bm_segment *segment = ctx->arena.segments[place];
		uint32_t run;

		if (!segment || (place && segment == ctx->arena.segments[place - 1]))
			continue;
		run = bm_run_at(&ctx->arena, bm_segment_first(ctx, segment));
		if (&ctx->pools[ctx->arena.runs[run].pool] == pool)
			bm_pool_exorcise(ctx, pool, bm_segment_first(ctx, segment),
					 bm_segment_units(segment));
	}
}

/*
 * Has the backend look after what is left of segments that memory was taken from. One that is
 * dropped meanwhile leaves addresses with nothing to look after; nobody makes holes.
 */
static void settle(struct bitmem *ctx)
{
	const struct bm_backend *backend = ctx->backend;

	if (!backend->ops->settle)
		return;
	for (size_t place = 0; place < ctx->arena.end_place; place++) {
		struct bm_segment *segment = ctx->arena.segments[place];
		struct bm_range range;

		if (!segment || !segment->unsettled)
			continue;
		segment->unsettled = false;
		range = segment->range;
		bm_unlock(ctx);
		pthread_mutex_lock(&ctx->commit_lock);
		backend->ops->settle(backend, &range);
		pthread_mutex_unlock(&ctx->commit_lock);
		bm_lock(ctx);
	}
}

size_t bm_pool_return(struct bitmem *ctx, struct bm_pool *pool, bool idle)
{
	const uint64_t before = ctx->dropped;
	size_t bytes;

	if (idle)
		drop_idle_slabs(ctx, pool);
	else
		bm_pool_drop_slabs(ctx, pool);
	bytes = (size_t)(ctx->dropped - before);
	exorcise_all(ctx, pool);
	bytes += return_slabs(ctx, pool, idle);
	bytes += return_runs(ctx, pool, idle);
	settle(ctx);
	return bytes;
}
