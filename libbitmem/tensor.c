/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tensors: an element type and a shape on memory, reference-counted.
 *
 * A tensor owns a block, owns a part of a segment, or is a view: a view holds
 * the tensor that owns the memory, never another view, so that chains of views
 * keep nothing else alive. What the tensor holds, holds the context.
 *
 * A record (record.h) is a word of state, a place, and words:
 *
 *	block		its place is the block's, in BM_ALIGN_MIN bytes from the arena's base;
 *			the shape
 *	far block	where that is too far for a place: two words, the data's address first;
 *			the shape
 *	segment, view	two words: where the data is, and the segment or the tensor; the shape
 *
 * The place of the latter two is where in code they were made, as in a slot's state, and when.
 * They are made and ended under the lock: from then until then their kind is in the state.
 *
 * The number of dimensions follows from how many words there are. The state is changed by
 * atomic operations (tensor.h). What else there is to a few tensors lies beside (side.h).
 */
#include <errno.h>
#include <string.h>

#include "block.h"
#include "count.h"
#include "pools/tensor.h"
#include "runs.h"
#include "side.h"
#include "site.h"
#include "tensor.h"
#include "track/full.h"

#undef bitmem_tensor_new
#undef bitmem_tensor_empty
#undef bitmem_tensor_view

/* Makes a record a tensor with one reference. */
static void fill_in(struct bm_record *record, enum tensor_kind kind, enum bitmem_dtype dtype,
		    unsigned int ndims, const uint64_t *shape)
{
	const unsigned int extra = kind == TENSOR_BLOCK ? 0 : EXTRA_WORDS;

	for (unsigned int i = 0; i < ndims; i++)
		record->words[extra + i] = shape[i];
	__atomic_store_n(&record->state, REF | (uint32_t)kind << KIND_SHIFT |
			 (uint32_t)dtype, __ATOMIC_RELEASE);
}

/* --- records: the thread's own without the lock, else the context's --- */

static struct bm_record *pop_record(struct bm_cache *cache, unsigned int words)
{
	struct bm_record *record = cache->records[words];

	if (likely(record)) {
		cache->records[words] = record->next;
		cache->nr_records[words]--;
	}
	return record;
}

static struct bm_record *take_record(struct bitmem *ctx, unsigned int words)
{
	struct bm_cache *cache = bm_cache_get(ctx);
	struct bm_record *record;

	bm_lock(ctx);
	record = bm_record_take(ctx, cache, words);
	bm_unlock(ctx);
	if (!record)
		errno = ENOMEM;
	return record;
}

static void push_record(struct bm_cache *cache, struct bm_record *record)
{
	const unsigned int words = bm_record_page(record)->words;

	record->next = cache->records[words];
	cache->records[words] = record;
	cache->nr_records[words]++;
}

static __attribute__((noinline)) void give_record(struct bitmem *ctx, struct bm_record *record)
{
	struct bm_cache *cache = bm_cache_last;
	bool done = bm_cache_enter(cache, ctx) &&
		    cache->nr_records[bm_record_page(record)->words] < BM_RECORDS_MAX;

	if (done)
		push_record(cache, record);
	bm_cache_leave(cache);
	if (done)
		return;
	bm_lock(ctx);
	bm_record_give(ctx, record);
	bm_unlock(ctx);
}

/* --- tensors with a block --- */

static struct bitmem_tensor *finish(struct bitmem *ctx, struct bm_record *record, void *ptr,
				    enum bitmem_dtype dtype, unsigned int ndims,
				    const uint64_t *shape)
{
	record->place = (uint32_t)(bm_arena_offset(&ctx->arena, ptr) / BM_ALIGN_MIN);
	fill_in(record, TENSOR_BLOCK, dtype, ndims, shape);
	return (struct bitmem_tensor *)record;
}

/* A block for a tensor, whatever it takes. */
static void *get_block(struct bitmem *ctx, const struct bm_block_request *rq)
{
	struct bm_cache *cache = bm_cache_last;
	void *ptr = NULL;

	if (bm_cache_enter(cache, ctx) && rq->size > BM_SLAB_MAX && bm_is_cached_run(rq->size) &&
	    !bm_runs_take(ctx, cache, rq->size, rq->state, &ptr))
		ptr = NULL;
	bm_cache_leave(cache);
	if (!ptr)
		return bm_block_alloc(ctx, rq);
	return rq->zeroed ? memset(ptr, 0, rq->size) : ptr;
}

/* A tensor on a block, which is freed if there can be none. NULL with errno. */
static struct bitmem_tensor *tensor_on_block(struct bitmem *ctx, void *ptr,
					     enum bitmem_dtype dtype, unsigned int ndims,
					     const uint64_t *shape)
{
	struct bm_record *record;
	bool near;

	if (!ptr)
		return NULL;
	near = bm_arena_offset(&ctx->arena, ptr) < ctx->near_size;
	record = take_record(ctx, near ? ndims : ndims + EXTRA_WORDS);
	if (!record) {
		bm_block_free(ctx, ptr, BM_SLOT_TENSOR);
		errno = ENOMEM;
		return NULL;
	}
	if (near)
		return finish(ctx, record, ptr, dtype, ndims, shape);
	record->words[0] = (uintptr_t)ptr;
	fill_in(record, TENSOR_FAR_BLOCK, dtype, ndims, shape);
	return (struct bitmem_tensor *)record;
}

static __attribute__((noinline)) struct bitmem_tensor *
block_tensor_slow(struct bitmem *ctx, const struct bm_block_request *rq, enum bitmem_dtype dtype,
		  unsigned int ndims, const uint64_t *shape)
{
	return tensor_on_block(ctx, get_block(ctx, rq), dtype, ndims, shape);
}

struct bitmem_tensor *bm_tensor_in_pool(struct bitmem *ctx, unsigned int pool,
					enum bitmem_dtype dtype, unsigned int ndims,
					const uint64_t *shape, unsigned int site, bool zeroed)
{
	struct bm_block_request rq = {
		.align = BM_ALIGN_MIN, .pool = pool, .state = (uint16_t)(BM_SLOT_TENSOR | site),
		.zeroed = zeroed,
	};
	int ret = tensor_size(dtype, ndims, shape, &rq.size);

	if (ret) {
		errno = -ret;
		return NULL;
	}
	return tensor_on_block(ctx, bm_block_alloc(ctx, &rq), dtype, ndims, shape);
}

int bm_tensor_check_own(const struct bitmem_tensor *tensor, bool *alone)
{
	const uint32_t state = state_of(tensor);

	if (state < REF)
		return -ESTALE;
	*alone = state < 2 * REF;
	return kind_of(state) == TENSOR_VIEW ? -EINVAL : 0;
}

int bm_tensor_set_block(struct bitmem_tensor *tensor, void *ptr)
{
	const struct bitmem *ctx = context_of(tensor);
	const size_t offset = bm_arena_offset(&ctx->arena, ptr);

	if (kind_of(state_of(tensor)) == TENSOR_FAR_BLOCK)
		tensor->record.words[0] = (uintptr_t)ptr;
	else if (offset >= ctx->near_size)
		return -ENOMEM;
	else
		tensor->record.place = (uint32_t)(offset / BM_ALIGN_MIN);
	return 0;
}

/* From a cache that was entered, if it is near. NULL, and no change, else. */
static void *take_near(struct bitmem *ctx, struct bm_cache *cache,
		       const struct bm_block_request *rq)
{
	const struct bm_stack *stack = (const struct bm_stack *)((const char *)cache +
		ctx->bins[(rq->size + BM_ALIGN_MIN - 1) / BM_ALIGN_MIN]);
	void *ptr;

	if (unlikely(bm_arena_offset(&ctx->arena, stack->top[-1].ptr) >= ctx->near_size))
		return NULL;
	return likely(bm_cache_take(ctx, cache, rq->size, rq->state, &ptr)) ? ptr : NULL;
}

static struct bitmem_tensor *block_tensor(struct bitmem *ctx, enum bitmem_dtype dtype,
					  unsigned int ndims, const uint64_t *shape,
					  unsigned int site, bool zeroed)
{
	struct bm_block_request rq = {
		.align = BM_ALIGN_MIN, .state = (uint16_t)(BM_SLOT_TENSOR | site), .zeroed = zeroed,
	};
	struct bm_cache *cache = bm_cache_last;
	struct bm_record *record = NULL;
	void *ptr = NULL;
	int ret = tensor_size(dtype, ndims, shape, &rq.size);

	if (ret) {
		errno = -ret;
		return NULL;
	}
	if (likely(bm_cache_enter(cache, ctx)) && rq.size <= BM_SLAB_MAX) {
		record = pop_record(cache, ndims);
		if (likely(record)) {
			ptr = take_near(ctx, cache, &rq);
			if (unlikely(!ptr))
				push_record(cache, record);
		}
	}
	bm_cache_leave(cache);
	if (unlikely(!ptr))
		return block_tensor_slow(ctx, &rq, dtype, ndims, shape);
	if (zeroed)
		memset(ptr, 0, rq.size);
	return finish(ctx, record, ptr, dtype, ndims, shape);
}

struct bitmem_tensor *bitmem_tensor_new_at(struct bitmem *ctx, enum bitmem_dtype dtype,
					   unsigned int ndims, const uint64_t *shape,
					   struct bitmem_site *site)
{
	return block_tensor(ctx, dtype, ndims, shape, bm_site_number(site), true);
}

struct bitmem_tensor *bitmem_tensor_empty_at(struct bitmem *ctx, enum bitmem_dtype dtype,
					     unsigned int ndims, const uint64_t *shape,
					     struct bitmem_site *site)
{
	return block_tensor(ctx, dtype, ndims, shape, bm_site_number(site), false);
}

struct bitmem_tensor *bitmem_tensor_new(struct bitmem *ctx, enum bitmem_dtype dtype,
					unsigned int ndims, const uint64_t *shape)
{
	return block_tensor(ctx, dtype, ndims, shape,
			    bm_site_of_caller(__builtin_return_address(0)), true);
}

struct bitmem_tensor *bitmem_tensor_empty(struct bitmem *ctx, enum bitmem_dtype dtype,
					  unsigned int ndims, const uint64_t *shape)
{
	return block_tensor(ctx, dtype, ndims, shape,
			    bm_site_of_caller(__builtin_return_address(0)), false);
}

struct bitmem_tensor *bm_tensor_new(struct bitmem *ctx, enum bitmem_dtype dtype,
				    unsigned int ndims, const uint64_t *shape, unsigned int site,
				    bool zeroed)
{
	return block_tensor(ctx, dtype, ndims, shape, site, zeroed);
}

/* --- tensors on other memory --- */

/*
 * A record of a tensor at @data, which @holder keeps, that @site asked for. NULL with errno, else
 * with the lock held: it is filled in and counted at once.
 */
static struct bm_record *foreign_record(struct bitmem *ctx, unsigned int ndims, void *data,
					void *holder, unsigned int site)
{
	struct bm_frames frames;
	struct bm_record *record;

	bm_full_capture(ctx, &frames);
	record = take_record(ctx, ndims + EXTRA_WORDS);
	if (!record)
		return NULL;
	record->words[0] = (uintptr_t)data;
	record->words[1] = (uintptr_t)holder;
	bm_lock(ctx);
	record->place = bm_full_state(ctx, (uint16_t)site, &frames) | bm_stamp(ctx);
	return record;
}

struct bitmem_tensor *bm_tensor_on_segment(struct bitmem *ctx, struct bm_segment *segment,
					   size_t offset, size_t bytes, enum bitmem_dtype dtype,
					   unsigned int ndims, const uint64_t *shape,
					   unsigned int site)
{
	struct bm_record *record = foreign_record(ctx, ndims, (char *)segment->range.addr + offset,
						  segment, site);

	if (!record)
		return NULL;
	bm_segment_ref(segment);
	fill_in(record, TENSOR_SEGMENT, dtype, ndims, shape);
	bm_count_take(ctx, NULL, bytes);
	segment->live += bytes;
	segment->tensors++;
	ctx->gone_allocs++;
	bm_full_event(ctx, BITMEM_TRACE_TENSOR, (char *)segment->range.addr + offset, bytes,
		      record->place);
	bm_unlock(ctx);
	return (struct bitmem_tensor *)record;
}

struct bitmem *bm_tensor_context(const struct bitmem_tensor *tensor)
{
	return context_of(tensor);
}

struct bm_segment *bm_tensor_segment(const struct bitmem_tensor *tensor)
{
	if (kind_of(state_of(tensor)) == TENSOR_VIEW)
		tensor = holder_of(tensor);
	return kind_of(state_of(tensor)) == TENSOR_SEGMENT ? holder_of(tensor) : NULL;
}

struct bitmem_tensor *bm_tensor_view(struct bitmem_tensor *tensor, enum bitmem_dtype dtype,
				     unsigned int ndims, const uint64_t *shape, size_t offset,
				     unsigned int site)
{
	const size_t room = bytes_of(tensor);
	struct bitmem *ctx = context_of(tensor);
	struct bitmem_tensor *owner = tensor;
	struct bm_record *record;
	size_t bytes;
	char *data;
	int ret;

	if (kind_of(state_of(tensor)) == TENSOR_VIEW)
		owner = holder_of(tensor);
	ret = tensor_size(dtype, ndims, shape, &bytes);
	if (!is_live(tensor))
		ret = -ESTALE;
	else if (!ret && (offset > room || bytes > room - offset))
		ret = -EINVAL;
	if (!ret && !bm_tensor_try_ref(owner))
		ret = -ESTALE;
	if (ret) {
		errno = -ret;
		return NULL;
	}
	data = (char *)data_of(tensor) + offset;
	record = foreign_record(ctx, ndims, data, owner, site);
	if (!record) {
		bitmem_tensor_unref(owner);
		errno = ENOMEM;
		return NULL;
	}
	fill_in(record, TENSOR_VIEW, dtype, ndims, shape);
	ctx->counters.views++;
	bm_full_event(ctx, BITMEM_TRACE_VIEW, data, bytes, record->place);
	bm_unlock(ctx);
	return (struct bitmem_tensor *)record;
}

struct bitmem_tensor *bitmem_tensor_view_at(struct bitmem_tensor *tensor, enum bitmem_dtype dtype,
					    unsigned int ndims, const uint64_t *shape,
					    size_t offset, struct bitmem_site *site)
{
	return bm_tensor_view(tensor, dtype, ndims, shape, offset, bm_site_number(site));
}

struct bitmem_tensor *bitmem_tensor_view(struct bitmem_tensor *tensor, enum bitmem_dtype dtype,
					 unsigned int ndims, const uint64_t *shape, size_t offset)
{
	return bm_tensor_view(tensor, dtype, ndims, shape, offset,
			      bm_site_of_caller(__builtin_return_address(0)));
}

/* --- references --- */

struct bitmem_tensor *bitmem_tensor_ref(struct bitmem_tensor *tensor)
{
	if (!tensor || likely(bm_tensor_try_ref(tensor)))
		return tensor;
	errno = ESTALE;
	return NULL;
}

static void end_block(struct bitmem *ctx, struct bitmem_tensor *tensor)
{
	struct bm_cache *cache = bm_cache_last;
	void *data = data_of(tensor);
	bool entered, done = false;

	entered = bm_cache_enter(cache, ctx);
	if (likely(entered)) {
		push_record(cache, &tensor->record);
		done = bm_cache_give(ctx, cache, data, BM_SLOT_TENSOR);
	}
	bm_cache_leave(cache);
	if (likely(done))
		return;
	if (!entered)
		give_record(ctx, &tensor->record);
	bm_block_free(ctx, data, BM_SLOT_TENSOR);
}

static void end_foreign(struct bitmem *ctx, struct bitmem_tensor *tensor, enum tensor_kind kind)
{
	const size_t bytes = bytes_of(tensor);
	const bool view = kind == TENSOR_VIEW;
	struct bm_segment *segment;
	void *holder = holder_of(tensor);

	bm_lock(ctx);
	bm_full_event(ctx, view ? BITMEM_TRACE_VIEW_END : BITMEM_TRACE_TENSOR_END,
		      data_of(tensor), bytes, tensor->record.place);
	if (view) {
		ctx->counters.views--;
	} else {
		segment = holder;
		segment->live -= bytes;
		segment->tensors--;
		bm_count_give(ctx, NULL, bytes);
		ctx->gone_frees++;
	}
	__atomic_store_n(&tensor->record.state, 0, __ATOMIC_RELAXED);
	bm_record_give(ctx, &tensor->record);
	bm_unlock(ctx);
	if (view)
		bitmem_tensor_unref(holder);
	else
		bm_segment_unref(holder);
}

/* The end of one that has no block of its own, or something beside its record. */
static __attribute__((noinline)) void end_other(struct bitmem *ctx, struct bitmem_tensor *tensor,
						uint32_t state)
{
	const enum tensor_kind kind = kind_of(state);
	const bool closed = kind != TENSOR_VIEW &&
			    atomic_load_explicit(&ctx->closed, memory_order_acquire);

	/* Before its record may become another tensor's. */
	if (state & MARKED)
		bm_side_drop(ctx, tensor);
	if (state & OTHER_KIND)
		end_foreign(ctx, tensor, kind);
	else
		end_block(ctx, tensor);
	if (closed)
		bm_context_unref(ctx);
}

/* Drops a reference. Whether it was the last; false for a handle that is stale. */
static bool drop(struct bitmem_tensor *tensor)
{
	uint32_t state = state_of(tensor);

	do {
		if (unlikely(state < REF || state & REFS_STUCK))
			return false;
	} while (!__atomic_compare_exchange_n(&tensor->record.state, &state, state - REF, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return state < 2 * REF;
}

void bitmem_tensor_unref(struct bitmem_tensor *tensor)
{
	struct bitmem *ctx;
	uint32_t state;
	bool closed;

	if (!tensor || !drop(tensor))
		return;
	ctx = context_of(tensor);
	state = state_of(tensor);
	if (unlikely(state & (OTHER_KIND | MARKED))) {
		end_other(ctx, tensor, state);
		return;
	}
	closed = atomic_load_explicit(&ctx->closed, memory_order_acquire);
	end_block(ctx, tensor);
	if (unlikely(closed))
		bm_context_unref(ctx);
}

void bitmem_tensor_unrefp(struct bitmem_tensor **tensor)
{
	bitmem_tensor_unref(*tensor);
	*tensor = NULL;
}
