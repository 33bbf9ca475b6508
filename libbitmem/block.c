/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small blocks are slots of slabs, larger ones runs, and what does not fit into a segment that
 * is shared, or needs a larger alignment than that has, is a segment of its own.
 *
 * With the lock held a thread uses its own cache without entering it: nobody else does then.
 * What drops the lock on its way (bm_pool_take()) may find the cache emptied afterwards.
 */
#include <errno.h>
#include <string.h>

#include "block.h"
#include "count.h"
#include "runs.h"
#include "track/full.h"
#include "walk.h"

/* Slots that a cache gets at once. */
#define BATCH		40u
/* The same of runs, where the thread has given such ones back. */
#define BATCH_RUNS	4u
/* How often a thread asks for slots of a class before it gets a stack of them. */
#define MISSES		16u

static struct bm_run *run_of(const struct bitmem *ctx, const struct bm_slot *slot)
{
	return &ctx->arena.runs[bm_run_of_slot(&ctx->arena, slot)];
}

static void fill_run(struct bm_run *run, size_t size, uint32_t state)
{
	run->bytes = size;
	bm_slot_fill(&run->slot, state);
}

/*
 * The run that is a block and begins at @ptr, which may be anything; or NULL. The number may be
 * an old one, of a run that changes meanwhile: it does not begin there. (ThreadSanitizer would
 * have all that ever changes a run be atomic for it.)
 */
#ifdef __SANITIZE_THREAD__
__attribute__((no_sanitize("thread")))
#endif
static inline struct bm_run *find_run(const struct bitmem *ctx, const void *ptr)
{
	const size_t offset = bm_arena_offset(&ctx->arena, ptr), unit = offset >> BM_UNIT_SHIFT;
	struct bm_run *run;

	if (unlikely(offset >= ctx->arena.size) || unlikely(offset % BM_UNIT))
		return NULL;
	run = &ctx->arena.runs[ctx->arena.units[unit]];
	if (unlikely(run->first != unit))
		run = &ctx->arena.runs[bm_run_at(&ctx->arena, unit)];
	return likely(run->kind == BM_RUN_BLOCK) ? run : NULL;
}

/* --- allocating, with the lock held --- */

/* Makes sure that nobody looks at what a frame was before. */
static void exorcise(struct bitmem *ctx, struct bm_cache *cache, struct bm_pool *pool,
		     uint32_t run)
{
	struct bm_frame *frame = &ctx->arena.frames[ctx->arena.runs[run].first / BM_FRAME_UNITS];

	if (!bm_frame_is_haunted(frame))
		return;
	bm_caches_claim(ctx, cache);
	bm_frame_forget(&pool->slabs, frame);
	bm_caches_release(ctx, cache);
}

static int grow_slabs(struct bitmem *ctx, struct bm_cache *cache, struct bm_pool *pool,
		      unsigned int class, enum bm_effort effort)
{
	struct bm_run_request rq = {
		.n = bm_slab_units(&pool->slabs, class), .align = BM_FRAME_UNITS,
		.effort = effort,
	};
	int ret = bm_pool_take(ctx, pool, &rq);

	if (ret)
		return ret;
	exorcise(ctx, cache, pool, rq.run);
	ret = bm_slab_make(&pool->slabs, class, rq.run,
			   bm_bin(pool == ctx->pools ? class : BM_NO_STACK));
	if (ret)
		bm_pool_give(ctx, rq.run);
	return ret;
}

/*
 * Has memory come back for slots whose pages were given back; gives up those it cannot have, or may
 * not take.
 */
static size_t commit_slots(struct bitmem *ctx, struct bm_entry *entries, size_t n, size_t size,
			   enum bm_effort effort)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		const size_t first = bm_arena_offset(&ctx->arena, entries[i].ptr);
		const size_t last = first + size - 1;

		if (bm_pool_commit(ctx, first >> BM_UNIT_SHIFT,
				   (last >> BM_UNIT_SHIFT) - (first >> BM_UNIT_SHIFT) + 1, effort))
			bm_pool_give_slot(ctx, &entries[i]);
		else
			entries[kept++] = entries[i];
	}
	return kept;
}

/*
 * Takes up to @n slots, one at least, for which there is room for BATCH. Returns how many, or
 * -errno. Where no memory may come back a few more are looked at for those that have theirs; and
 * if none has, a run that has it becomes a slab, which is the first to be taken from then.
 */
static int take_slots(struct bitmem *ctx, struct bm_cache *cache,
		      const struct bm_block_request *rq, unsigned int class,
		      struct bm_entry *entries, size_t n)
{
	const enum bm_effort effort = (enum bm_effort)rq->effort;
	struct bm_pool *pool = &ctx->pools[rq->pool];
	const size_t size = bm_class_size(class);
	uint32_t user = cache ? cache->number : 0;
	size_t got;
	int ret;

	for (;;) {
		const bool returned = size >= BM_UNIT && unlikely(pool->slabs.returned);

		got = bm_slabs_take(&pool->slabs, class, user, entries,
				    returned && effort == BM_HELD ? BATCH : n);
		if (got && returned)
			got = commit_slots(ctx, entries, got, size, effort);
		while (got > n)
			bm_pool_give_slot(ctx, &entries[--got]);
		if (got)
			return (int)got;
		/* While there are free slots, one's own slab is not worth more memory. */
		if (user && pool->slabs.first[class]) {
			if (grow_slabs(ctx, cache, pool, class, BM_HELD))
				user = 0;
			continue;
		}
		ret = grow_slabs(ctx, cache, pool, class, effort);
		if (ret)
			return ret;
	}
}

static void count_new(struct bitmem *ctx, struct bm_cache *cache)
{
	if (cache)
		cache->filled++;
	else
		ctx->gone_allocs++;
}

/* What is in the cache, or a new one and some more for the cache. */
static int get_slot(struct bitmem *ctx, struct bm_cache *cache, const struct bm_block_request *rq,
		    unsigned int class, struct bm_entry *entry)
{
	struct bm_stack *stack = cache ? &cache->stacks[class] : NULL;
	struct bm_entry entries[BATCH];
	size_t n = 1;
	int got;

	/* What is owned was freed twice, and is forgotten. */
	while (stack && bm_stack_level(stack)) {
		*entry = *--stack->top;
		if (!bm_slot_is_owned(entry->slot))
			return 0;
	}
	/* Who allocates a few and keeps them has no use for one. */
	if (stack && (stack->base || ++stack->misses >= MISSES) &&
	    bm_stack_ready(ctx, stack, bm_class_size(class)))
		n = (size_t)(stack->limit - stack->base) / 2;
	got = take_slots(ctx, cache, rq, class, entries, n < BATCH ? n : BATCH);
	if (got < 0)
		return got;
	*entry = entries[0];
	count_new(ctx, cache);
	while (--got > 0) {
		if (stack && stack->base && stack->top != stack->limit) {
			*stack->top++ = entries[got];
			cache->filled++;
		} else {
			bm_pool_give_slot(ctx, &entries[got]);
		}
	}
	return 0;
}

/* The smallest class that is aligned, or BM_NR_CLASSES. */
static unsigned int class_for(size_t size, size_t align)
{
	unsigned int class = bm_class_of(size);

	while (class < BM_NR_CLASSES && bm_class_size(class) % align)
		class++;
	return class;
}

static void *alloc_slot(struct bitmem *ctx, struct bm_cache *cache,
			const struct bm_block_request *rq, unsigned int class)
{
	struct bm_entry entry;
	int ret = get_slot(ctx, cache, rq, class, &entry);

	if (ret) {
		errno = -ret;
		return NULL;
	}
	bm_count_take(ctx, cache, rq->size);
	bm_slot_fill(entry.slot, rq->state | bm_stamp(ctx));
	entry.slot->size = (uint16_t)rq->size;
	return entry.ptr;
}

/* A run of a class is found by its first unit alone when it is freed. */
static void set_bin(struct bitmem *ctx, uint32_t run, uint16_t bin)
{
	ctx->arena.runs[run].bin = bin;
	ctx->arena.units[ctx->arena.runs[run].first] = run;
}

static void *run_addr(const struct bitmem *ctx, uint32_t run)
{
	return ctx->arena.base + ((size_t)ctx->arena.runs[run].first << BM_UNIT_SHIFT);
}

/* Some more runs like this one for the cache, of memory that the pool holds. */
static void refill_runs(struct bitmem *ctx, struct bm_cache *cache, const struct bm_run *run)
{
	struct bm_run_request rq = { .n = run->n, .align = 1, .effort = BM_HELD };
	struct bm_stack *stack = bm_run_stack(cache, run->bin);

	/* Who allocates a few and keeps them has no use for more. */
	if (!stack->base)
		return;
	stack = bm_runs_make_room(ctx, cache, run);
	for (unsigned int i = 1; stack && stack->top != stack->limit && i < BATCH_RUNS; i++) {
		struct bm_slot *slot;

		if (bm_pool_take(ctx, ctx->pools, &rq))
			break;
		set_bin(ctx, rq.run, run->bin);
		slot = &ctx->arena.runs[rq.run].slot;
		bm_slot_fill(slot, BM_SLOT_CACHED);
		*stack->top++ = (struct bm_entry) { run_addr(ctx, rq.run), slot };
		cache->filled++;
	}
}

static void *alloc_run(struct bitmem *ctx, struct bm_cache *cache,
		       const struct bm_block_request *rq, bool *clean)
{
	struct bm_run_request run = {
		.n = bm_units_of(rq->size),
		.align = rq->align > BM_UNIT ? (uint32_t)(rq->align >> BM_UNIT_SHIFT) : 1,
		.effort = (enum bm_effort)rq->effort,
	};
	const unsigned int class = rq->pool ? 0 : bm_run_class_of(run.n);
	int ret;

	*clean = false;
	run.run = 0;
	if (class)
		run.n = bm_run_class_units(class);
	if (class && cache && run.align == 1)
		run.run = bm_runs_pop(ctx, cache, class, rq->size);
	if (!run.run) {
		ret = bm_pool_take(ctx, &ctx->pools[rq->pool], &run);
		if (ret) {
			errno = -ret;
			return NULL;
		}
		*clean = run.clean;
		count_new(ctx, cache);
		if (class)
			set_bin(ctx, run.run, bm_run_bin(class));
		if (class && cache && run.align == 1)
			refill_runs(ctx, cache, &ctx->arena.runs[run.run]);
	}
	bm_count_take(ctx, cache, rq->size);
	fill_run(&ctx->arena.runs[run.run], rq->size, rq->state | bm_stamp(ctx));
	return run_addr(ctx, run.run);
}

static void *alloc_direct(struct bitmem *ctx, struct bm_cache *cache,
			  const struct bm_block_request *rq)
{
	uint32_t run;
	int ret = bm_pool_take_direct(ctx, &ctx->pools[rq->pool], rq->size, rq->align,
				      (enum bm_effort)rq->effort, &run);

	if (ret) {
		errno = -ret;
		return NULL;
	}
	count_new(ctx, cache);
	bm_count_take(ctx, cache, rq->size);
	fill_run(&ctx->arena.runs[run], rq->size, rq->state | bm_stamp(ctx));
	return run_addr(ctx, run);
}

void *bm_block_alloc_in(struct bitmem *ctx, const struct bm_block_request *request)
{
	struct bm_cache *cache = request->pool ? NULL : bm_cache_get(ctx);
	struct bm_block_request rq = *request;
	unsigned int class = BM_NR_CLASSES;
	struct bm_frames frames;
	bool clean = false;
	void *ptr;

	if (rq.size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	if (rq.size <= BM_SLAB_MAX && rq.align <= BM_SLAB_MAX)
		class = class_for(rq.size ? rq.size : 1, rq.align);
	bm_full_capture(ctx, &frames);
	bm_lock(ctx);
	bm_count_await(ctx, cache, rq.size);
	ctx->forked = false;
	ctx->heir = false;
	bm_clock_tick(ctx);
	rq.state = bm_full_state(ctx, rq.state, &frames);
	if (class < BM_NR_CLASSES) {
		ptr = alloc_slot(ctx, cache, &rq, class);
	} else if (rq.size <= ctx->segment_size && rq.align <= ctx->arena.superblock) {
		ptr = alloc_run(ctx, cache, &rq, &clean);
	} else {
		ptr = alloc_direct(ctx, cache, &rq);
		clean = true;
	}
	if (ptr)
		bm_full_event(ctx, rq.state & BM_SLOT_BLOCK ? BITMEM_TRACE_ALLOC :
			      BITMEM_TRACE_TENSOR, ptr, rq.size, rq.state);
	bm_unlock(ctx);
	if (ptr && rq.zeroed && !clean)
		memset(ptr, 0, rq.size);
	return ptr;
}

void *bm_block_alloc(struct bitmem *ctx, const struct bm_block_request *request)
{
	if (likely(bm_policy_is_strict(&ctx->pools[request->pool].policy)))
		return bm_block_alloc_in(ctx, request);
	return bm_policy_alloc(ctx, request);
}

/* --- freeing, with the lock held --- */

struct bm_slot *bm_block_slot(const struct bitmem *ctx, const void *ptr, size_t *room)
{
	const size_t offset = bm_arena_offset(&ctx->arena, ptr);
	const struct bm_frame *frame;
	struct bm_slot *slot;
	struct bm_run *run;

	if (offset >= ctx->arena.size)
		return NULL;
	frame = bm_frame_at(&ctx->arena, offset);
	if (bm_frame_slot(frame, offset, &slot)) {
		run = &ctx->arena.runs[bm_slab_run(&ctx->arena, offset >> BM_FRAME_SHIFT)];
		*room = bm_class_size(run->class);
		return slot;
	}
	run = find_run(ctx, ptr);
	if (!run)
		return NULL;
	*room = (size_t)run->n << BM_UNIT_SHIFT;
	return &run->slot;
}

/* Whether a slot is a run's. */
static bool is_run(const struct bitmem *ctx, const struct bm_slot *slot)
{
	return (uintptr_t)slot - (uintptr_t)ctx->arena.runs <
	       (size_t)ctx->arena.nr_runs * sizeof(struct bm_run);
}

size_t bm_slot_bytes(const struct bitmem *ctx, const struct bm_slot *slot)
{
	return is_run(ctx, slot) ? run_of(ctx, slot)->bytes : slot->size;
}

/* The stack that the block goes to, with room for it; NULL if it goes back at once. */
static struct bm_stack *make_room(struct bitmem *ctx, struct bm_cache *cache,
				  const struct bm_slot *slot, size_t room)
{
	struct bm_stack *stack;

	if (!is_run(ctx, slot)) {
		stack = &cache->stacks[bm_class_of(room)];
		if (!bm_stack_ready(ctx, stack, room))
			return NULL;
		if (stack->top == stack->limit)
			bm_stack_flush(ctx, cache, stack, bm_stack_level(stack) / 2);
		return stack;
	}
	return bm_runs_make_room(ctx, cache, run_of(ctx, slot));
}

unsigned int bm_block_pool(const struct bitmem *ctx, const void *ptr, const struct bm_slot *slot)
{
	const size_t number = bm_arena_offset(&ctx->arena, ptr) >> BM_FRAME_SHIFT;

	if (is_run(ctx, slot))
		return run_of(ctx, slot)->pool;
	return ctx->arena.runs[bm_slab_run(&ctx->arena, number)].pool;
}

/* Gives back a block whose owner's bit the caller cleared. */
static void give_back(struct bitmem *ctx, struct bm_cache *cache, void *ptr, struct bm_slot *slot,
		      size_t room)
{
	struct bm_stack *stack;

	if (bm_block_pool(ctx, ptr, slot))
		cache = NULL;
	bm_count_give(ctx, cache, bm_slot_bytes(ctx, slot));
	stack = cache ? make_room(ctx, cache, slot, room) : NULL;
	if (cache)
		bm_owner_set(&cache->frees, cache->frees + 1);
	else
		ctx->gone_frees++;
	if (stack) {
		*stack->top++ = (struct bm_entry) { ptr, slot };
		return;
	}
	if (cache)
		cache->flushed++;
	if (is_run(ctx, slot))
		bm_pool_give(ctx, bm_run_of_slot(&ctx->arena, slot));
	else
		bm_pool_give_slot(ctx, &(struct bm_entry) { ptr, slot });
}

/* What cannot be a block of the context is no reason to give a thread a cache. */
static int bad_free(struct bitmem *ctx, const void *ptr)
{
	if (ctx->track.full) {
		bm_lock(ctx);
		bm_full_event(ctx, BITMEM_TRACE_BAD_FREE, ptr, 0, 0);
		bm_unlock(ctx);
	}
	return -EINVAL;
}

int bm_block_free(struct bitmem *ctx, void *ptr, uint16_t owner)
{
	struct bm_cache *cache;
	struct bm_slot *slot;
	int ret = -EINVAL;
	size_t room;

	if (bm_arena_offset(&ctx->arena, ptr) >= ctx->arena.size)
		return bad_free(ctx, ptr);
	if (bm_runs_give(ctx, ptr, owner))
		return 0;
	cache = bm_cache_get(ctx);
	bm_lock(ctx);
	slot = bm_block_slot(ctx, ptr, &room);
	if (slot && bm_slot_clear(slot, owner)) {
		bm_full_event(ctx, owner == BM_SLOT_BLOCK ? BITMEM_TRACE_FREE :
			      BITMEM_TRACE_TENSOR_END, ptr, bm_slot_bytes(ctx, slot),
			      bm_slot_state(slot));
		give_back(ctx, cache, ptr, slot, room);
		if (cache)
			bm_records_bound(ctx, cache);
		ret = 0;
	} else {
		bm_full_event(ctx, BITMEM_TRACE_BAD_FREE, ptr, 0, 0);
	}
	bm_unlock(ctx);
	return ret;
}

static void release(struct bitmem *ctx, const struct bm_live *live, void *arg)
{
	(void)arg;
	if (bm_slot_clear(live->slot, BM_SLOT_BLOCK))
		give_back(ctx, NULL, live->ptr, live->slot, live->room);
}

void bm_blocks_release(struct bitmem *ctx)
{
	bm_walk(ctx, release, NULL);
}
