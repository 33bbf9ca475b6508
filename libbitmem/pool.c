/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request that is not served from a free run gets a new segment, or waits for the one that
 * another is about to get, and then tries again: others may have been faster. Before it gives up,
 * all caches of the context are emptied, and then all that is free in the process goes back
 * (pools/relief.h).
 */
#include <errno.h>

#include "holes.h"
#include "pool_parts.h"
#include "pools/relief.h"

void bm_pool_init(struct bm_pool *pool, struct bm_arena *arena, uint8_t number,
		  const struct bm_where *where)
{
	bm_heap_init(&pool->heap, arena, number);
	bm_slabs_init(&pool->slabs, &pool->heap);
	pool->where = *where;
	pool->where.pool = number;
	pool->spare = NULL;
	pool->growing = false;
}

/* Says of all of a segment's places that they are @segment's, or nobody's. */
static void set_places(struct bitmem *ctx, const struct bm_segment *range,
		       struct bm_segment *segment)
{
	const size_t superblock = ctx->arena.superblock;
	size_t place = bm_arena_offset(&ctx->arena, range->range.addr) / superblock;
	size_t n = bm_round_up(range->range.length, superblock) / superblock;

	while (n--)
		ctx->arena.segments[place++] = segment;
}

void bm_pool_exorcise(struct bitmem *ctx, struct bm_pool *pool, size_t first, size_t n)
{
	bool claimed = false;

	for (size_t i = first / BM_FRAME_UNITS; i <= (first + n - 1) / BM_FRAME_UNITS; i++) {
		if (!bm_frame_is_haunted(&ctx->arena.frames[i]))
			continue;
		if (!claimed)
			bm_caches_claim(ctx, NULL);
		claimed = true;
		bm_frame_forget(&pool->slabs, &ctx->arena.frames[i]);
	}
	if (claimed)
		bm_caches_release(ctx, NULL);
}

/* Takes a segment that is not in the heap any more off the books. */
static void doom(struct bitmem *ctx, struct bm_pool *pool, struct bm_segment *segment)
{
	const uint32_t first = bm_segment_first(ctx, segment), n = bm_segment_units(segment);

	bm_pool_exorcise(ctx, pool, first, n);
	bm_holes_forget(segment);
	set_places(ctx, segment, NULL);
	bm_bits_clear(ctx->arena.returned, first, n);
	bm_bits_clear(ctx->arena.dirty, first, n);
	bm_bits_clear(ctx->arena.idle, first, n);
	bm_arena_forget(&ctx->arena, segment->range.addr, segment->range.length);
	segment->next = ctx->doomed;
	ctx->doomed = segment;
	ctx->dropped += segment->range.length - segment->returned;
}

/* A segment for @bytes, as a reference of the caller's. Drops the lock. */
static struct bm_segment *segment_new(struct bitmem *ctx, struct bm_pool *pool, size_t bytes,
				      size_t align, const char *tag)
{
	struct bm_segment *segment;

	bm_unlock(ctx);
	segment = bm_segment_new(ctx, &pool->where, bytes, align, *ctx->tag ? ctx->tag : tag);
	bm_lock(ctx);
	return segment;
}

/* One at a time: what one gets will do for all those that wait. Drops the lock. */
static int grow(struct bitmem *ctx, struct bm_pool *pool)
{
	struct bm_segment *segment;

	if (pool->growing) {
		pthread_cond_wait(&ctx->grown, &ctx->lock);
		return 0;
	}
	pool->growing = true;
	segment = segment_new(ctx, pool, ctx->segment_size, ctx->arena.superblock, "blocks");
	pool->growing = false;
	pthread_cond_broadcast(&ctx->grown);
	if (!segment)
		return -errno;
	set_places(ctx, segment, segment);
	bm_heap_add(&pool->heap, bm_segment_first(ctx, segment), bm_segment_units(segment));
	return 0;
}

/* Has memory come back for units of one segment none of which has any. */
static int commit(struct bitmem *ctx, size_t first, size_t n)
{
	struct bm_segment *segment = bm_segment_at(ctx, (uint32_t)first);
	const size_t offset = (first - bm_segment_first(ctx, segment)) << BM_UNIT_SHIFT;
	struct bm_backend *backend = ctx->backend;
	struct bm_change change = { 0 };
	int ret;

	bm_unlock(ctx);
	ret = backend->ops->commit(backend, &segment->range, offset, n << BM_UNIT_SHIFT, &change);
	bm_lock(ctx);
	if (ret)
		return ret;
	bm_bits_clear(ctx->arena.returned, first, n);
	bm_holes_got(ctx, first, n);
	/* Who has it back is about to use it. */
	bm_bits_set(ctx->arena.dirty, first, n);
	segment->returned -= change.bytes;
	segment->pinned += change.pinned;
	ctx->counters.committed_bytes += change.bytes;
	ctx->counters.pinned_bytes += change.pinned;
	return 0;
}

/* One at a time: two runs, or slots, may share a page, which comes back once. */
int bm_pool_commit(struct bitmem *ctx, size_t first, size_t n, enum bm_effort effort)
{
	const size_t page = ctx->backend->page_size >> BM_UNIT_SHIFT;
	const size_t end = bm_round_up(first + n, page);
	size_t to;
	int ret = 0;

	first &= ~(page - 1);
	if (likely(bm_bits_find(ctx->arena.returned, first, end, true) == end))
		return 0;
	if (effort == BM_HELD)
		return -EAGAIN;
	bm_unlock(ctx);
	pthread_mutex_lock(&ctx->commit_lock);
	bm_lock(ctx);
	for (; !ret && first < end; first = to) {
		first = bm_bits_find(ctx->arena.returned, first, end, true);
		to = bm_bits_find(ctx->arena.returned, first, end, false);
		if (to > first)
			ret = commit(ctx, first, to - first);
	}
	pthread_mutex_unlock(&ctx->commit_lock);
	return ret;
}

void bm_pool_drop(struct bitmem *ctx, struct bm_pool *pool, uint32_t run)
{
	struct bm_segment *segment = bm_segment_at(ctx, ctx->arena.runs[run].first);

	bm_heap_remove(&pool->heap, run);
	if (pool->spare == segment)
		pool->spare = NULL;
	doom(ctx, pool, segment);
}

/* The free run that a segment is, if it is one. */
static uint32_t whole_run(const struct bitmem *ctx, const struct bm_segment *segment)
{
	uint32_t run = bm_run_at(&ctx->arena, bm_segment_first(ctx, segment));

	if (ctx->arena.runs[run].kind != BM_RUN_FREE || !bm_run_is_segment(ctx, run, segment))
		return 0;
	return run;
}

void bm_pool_freed(struct bitmem *ctx, uint32_t run)
{
	struct bm_pool *pool = &ctx->pools[ctx->arena.runs[run].pool];
	struct bm_segment *segment = bm_segment_at(ctx, ctx->arena.runs[run].first);

	if (!bm_run_is_segment(ctx, run, segment))
		return;
	if (atomic_load(&ctx->closed) ||
	    (pool->spare && pool->spare != segment && whole_run(ctx, pool->spare)))
		bm_pool_drop(ctx, pool, run);
	else
		pool->spare = segment;
}

static int try_take(struct bitmem *ctx, struct bm_pool *pool, struct bm_run_request *rq)
{
	size_t first;
	int ret;

	for (;;) {
		rq->run = bm_heap_take(&pool->heap, rq->n, rq->align);
		if (rq->run)
			break;
		ret = rq->effort == BM_HELD ? -EAGAIN : grow(ctx, pool);
		if (ret)
			return ret;
	}
	first = ctx->arena.runs[rq->run].first;
	rq->clean = bm_bits_find(ctx->arena.dirty, first, first + rq->n, true) == first + rq->n;
	ret = bm_pool_commit(ctx, first, rq->n, rq->effort);
	if (ret)
		bm_pool_give(ctx, rq->run);
	return ret;
}

/* What this and other contexts keep for later may be what is missing. Drops the lock. */
static void relieve(struct bitmem *ctx)
{
	bm_unlock(ctx);
	bm_relieve(ctx);
	bm_lock(ctx);
}

int bm_pool_take(struct bitmem *ctx, struct bm_pool *pool, struct bm_run_request *rq)
{
	int ret = try_take(ctx, pool, rq);

	if (ret == -ENOMEM && rq->effort == BM_FULL && !atomic_load(&ctx->closed)) {
		bm_caches_flush(ctx, NULL);
		bm_pool_drop_slabs(ctx, pool);
		ret = try_take(ctx, pool, rq);
	}
	if (ret == -ENOMEM && rq->effort == BM_FULL) {
		relieve(ctx);
		ret = try_take(ctx, pool, rq);
	}
	if (ret)
		return ret;
	bm_bits_set(ctx->arena.dirty, ctx->arena.runs[rq->run].first, rq->n);
	bm_bits_clear(ctx->arena.idle, ctx->arena.runs[rq->run].first, rq->n);
	return 0;
}

int bm_pool_take_direct(struct bitmem *ctx, struct bm_pool *pool, size_t bytes, size_t align,
			enum bm_effort effort, uint32_t *run)
{
	struct bm_segment *segment;

	if (effort == BM_HELD)
		return -EAGAIN;
	if (align < ctx->arena.superblock)
		align = ctx->arena.superblock;
	segment = segment_new(ctx, pool, bytes, align, "block");
	if (!segment && errno == ENOMEM && effort == BM_FULL) {
		/* What caches and empty segments hold may be what is missing. */
		relieve(ctx);
		segment = segment_new(ctx, pool, bytes, align, "block");
	}
	if (!segment)
		return -errno;
	set_places(ctx, segment, segment);
	*run = bm_heap_add_block(&pool->heap, bm_segment_first(ctx, segment),
				 bm_segment_units(segment));
	bm_bits_set(ctx->arena.dirty, bm_segment_first(ctx, segment), bm_segment_units(segment));
	return 0;
}

void bm_pool_give(struct bitmem *ctx, uint32_t run)
{
	struct bm_pool *pool = &ctx->pools[ctx->arena.runs[run].pool];
	struct bm_segment *segment = bm_segment_at(ctx, ctx->arena.runs[run].first);

	if (bm_run_is_segment(ctx, run, segment) && segment->range.length != ctx->segment_size) {
		bm_heap_remove_block(&pool->heap, run);
		doom(ctx, pool, segment);
		return;
	}
	bm_pool_freed(ctx, bm_heap_give(&pool->heap, run));
}

struct bm_segment *bm_pool_own_segment(const struct bitmem *ctx, const void *ptr)
{
	const uint32_t unit = (uint32_t)(bm_arena_offset(&ctx->arena, ptr) >> BM_UNIT_SHIFT);
	struct bm_segment *segment = bm_segment_at(ctx, unit);

	return segment->range.addr == ptr && segment->range.length != ctx->segment_size ? segment :
											   NULL;
}

void bm_pool_change(struct bitmem *ctx, const void *ptr, unsigned int pool)
{
	struct bm_segment *segment = bm_pool_own_segment(ctx, ptr);

	const uint32_t run = bm_run_at(&ctx->arena, bm_segment_first(ctx, segment));

	ctx->arena.runs[run].pool = (uint8_t)pool;
	segment->pool = (uint8_t)pool;
}

void bm_pool_give_slot(struct bitmem *ctx, const struct bm_entry *entry)
{
	const size_t number = bm_arena_offset(&ctx->arena, entry->ptr) >> BM_FRAME_SHIFT;
	uint32_t run = bm_slab_run(&ctx->arena, number);

	run = bm_slabs_give(&ctx->pools[ctx->arena.runs[run].pool].slabs, entry,
			    !atomic_load_explicit(&ctx->closed, memory_order_relaxed));
	if (run)
		bm_pool_freed(ctx, run);
}
