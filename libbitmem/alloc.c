/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public interface of blocks: the usual case without a lock, else block.c. */
#include <errno.h>

#include "block.h"
#include "runs.h"
#include "site.h"

#undef bitmem_alloc
#undef bitmem_zalloc

static bool is_valid(size_t size, size_t align)
{
	return size && !(align & (align - 1)) && align <= BM_ALIGN_DIRECT;
}

/*
 * For the compiler, where each instruction counts. Arguments stay where they came, if they are
 * asked for there where a path ends; what is returned is where it has to be; and of ends that are
 * alike, each with a number, none is jumped to from another.
 */
#if defined(__x86_64__)
#define ENDS_WITH(value, number, ...) \
	__asm__ volatile("" : "+a"(value) : "i"(number), __VA_ARGS__)
#else
#define ENDS_WITH(value, number, ...) ((void)(value))
#endif

/* Whatever it takes. */
static void *alloc_checked(struct bitmem *ctx, size_t size, size_t align, unsigned int site,
			   bool zeroed)
{
	const struct bm_block_request rq = {
		.size = size,
		.align = align < BM_ALIGN_MIN ? BM_ALIGN_MIN : align,
		.state = (uint16_t)(BM_SLOT_BLOCK | site),
		.zeroed = zeroed,
	};
	struct bm_cache *cache = bm_cache_last;
	bool taken = false;
	void *ptr;

	if (!is_valid(size, align)) {
		errno = EINVAL;
		return NULL;
	}
	if (bm_cache_enter(cache, ctx)) {
		if (size <= BM_SLAB_MAX)
			taken = align <= BM_ALIGN_MIN &&
				bm_cache_take(ctx, cache, size, rq.state, &ptr);
		else if (bm_is_cached_run(size))
			taken = align <= BM_UNIT &&
				bm_runs_take(ctx, cache, size, rq.state, &ptr);
	}
	bm_cache_leave(cache);
	if (!taken)
		return bm_block_alloc(ctx, &rq);
	return zeroed ? memset(ptr, 0, size) : ptr;
}

static __attribute__((noinline)) void *alloc_slow(struct bitmem *ctx, size_t size,
						  struct bitmem_site *site, size_t align)
{
	return alloc_checked(ctx, size, align, bm_site_number(site), false);
}

/*
 * What is not as usual is called last and with the same arguments, or nearly: nothing needs to
 * be saved.
 */
void *bitmem_alloc_default_at(struct bitmem *ctx, size_t size, struct bitmem_site *site)
{
	struct bm_cache *cache = bm_cache_last;
	uint32_t state;
	void *ptr;

	if (unlikely(size > BM_SLAB_MAX))
		goto large;
	if (unlikely(!bm_cache_enter(cache, ctx)))
		goto slow;
	state = __atomic_load_n(&site->state, __ATOMIC_RELAXED);
	if (unlikely(!state))
		goto slow;
	if (unlikely(!bm_cache_take(ctx, cache, size, state, &ptr)))
		goto slow;
	bm_cache_leave(cache);
	ENDS_WITH(ptr, 1, "D"(ctx), "S"(size), "d"(site));
	return ptr;

large:
	if (unlikely(!bm_is_cached_run(size)))
		return alloc_slow(ctx, size, site, BM_ALIGN_MIN);
	if (unlikely(!bm_cache_enter(cache, ctx)))
		goto slow;
	state = __atomic_load_n(&site->state, __ATOMIC_RELAXED);
	if (unlikely(!state))
		goto slow;
	if (unlikely(!bm_cache_take_run(ctx, cache, size, state, &ptr)))
		goto slow;
	bm_cache_leave(cache);
	ENDS_WITH(ptr, 2, "D"(ctx), "S"(size), "d"(site));
	return ptr;

slow:
	bm_cache_leave(cache);
	return alloc_slow(ctx, size, site, BM_ALIGN_MIN);
}

void *bitmem_alloc_at(struct bitmem *ctx, size_t size, size_t align, struct bitmem_site *site)
{
	if (likely(!(align & ~BM_ALIGN_MIN)))
		return bitmem_alloc_default_at(ctx, size, site);
	return alloc_slow(ctx, size, site, align);
}

void *bitmem_zalloc_at(struct bitmem *ctx, size_t size, size_t align, struct bitmem_site *site)
{
	return alloc_checked(ctx, size, align, bm_site_number(site), true);
}

void *bitmem_alloc(struct bitmem *ctx, size_t size, size_t align)
{
	return alloc_checked(ctx, size, align, bm_site_of_caller(__builtin_return_address(0)),
			     false);
}

void *bitmem_zalloc(struct bitmem *ctx, size_t size, size_t align)
{
	return alloc_checked(ctx, size, align, bm_site_of_caller(__builtin_return_address(0)),
			     true);
}

static __attribute__((noinline)) int free_slow(struct bitmem *ctx, void *ptr)
{
	return ptr ? bm_block_free(ctx, ptr, BM_SLOT_BLOCK) : 0;
}

int bitmem_free(struct bitmem *ctx, void *ptr)
{
	struct bm_cache *cache = bm_cache_last;
	const size_t offset = bm_arena_offset(&ctx->arena, ptr);
	struct bm_frame *frame;
	struct bm_slot *slot;
	int ret = 0;

	if (unlikely(!bm_cache_enter(cache, ctx)) || unlikely(offset >= ctx->arena.size))
		goto slow;
	frame = bm_frame_at(&ctx->arena, offset);
	if (unlikely(!bm_frame_slot(frame, offset, &slot)))
		goto run;
	if (unlikely(!bm_cache_give_slot(cache, frame, slot, ptr, BM_SLOT_BLOCK)))
		goto slow;
	bm_cache_leave(cache);
	ENDS_WITH(ret, 1, "D"(ctx), "S"(ptr));
	return ret;

run:
	if (unlikely(!bm_cache_give_run(ctx, cache, ptr, BM_SLOT_BLOCK)))
		goto slow;
	bm_cache_leave(cache);
	ENDS_WITH(ret, 2, "D"(ctx), "S"(ptr));
	return ret;

slow:
	bm_cache_leave(cache);
	return free_slow(ctx, ptr);
}

size_t bitmem_usable_size(struct bitmem *ctx, const void *ptr)
{
	const struct bm_slot *slot;
	size_t room = 0;

	bm_lock(ctx);
	slot = bm_block_slot(ctx, ptr, &room);
	if (!slot || !(bm_slot_state(slot) & BM_SLOT_BLOCK))
		room = 0;
	bm_unlock(ctx);
	return room;
}

size_t bitmem_trim(struct bitmem *ctx)
{
	return bm_strategy_count(ctx, BM_ON_CALL, bm_trim(ctx));
}

size_t bm_trim(struct bitmem *ctx)
{
	uint64_t before;
	size_t bytes;

	bm_lock(ctx);
	ctx->heir = false;
	before = ctx->dropped;
	bm_caches_flush(ctx, NULL);
	bytes = (size_t)(ctx->dropped - before);
	for (unsigned int i = 0; i < ctx->nr_pools; i++) {
		bytes += bm_pool_drop_empty(ctx, &ctx->pools[i]);
		bytes += bm_pool_return(ctx, &ctx->pools[i], false);
	}
	bm_unlock(ctx);
	return bytes;
}
