/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks: what bitmem_alloc() gives out and tensors get their memory from.
 *
 * The fast paths are inline here, for both. They take and give slots of the calling thread's
 * cache, between bm_cache_enter() and bm_cache_leave(), and do everything else, and all that
 * is not as usual, under the lock (block.c).
 *
 * Who frees a block clears the bit of its owner, and only if it was set is it his to give
 * back: what is freed twice, or as somebody else's, changes nothing.
 */
#ifndef BITMEM_BLOCK_H
#define BITMEM_BLOCK_H

#include "context.h"

/* What a block is asked for with. */
struct bm_block_request {
	size_t size, align;
	unsigned int pool;
	uint16_t state;		/* of its slot: owner and site */
	bool zeroed;
	uint8_t effort;		/* enum bm_effort, for bm_block_alloc_in() */
};

/* A block from where the pool's policy lets it come from; NULL with errno. */
void *bm_block_alloc(struct bitmem *ctx, const struct bm_block_request *request);
/* A block from that pool alone; NULL with errno. */
void *bm_block_alloc_in(struct bitmem *ctx, const struct bm_block_request *request);

/* Frees what belongs to @owner. -EINVAL, and no change, if @ptr is no such block. */
int bm_block_free(struct bitmem *ctx, void *ptr, uint16_t owner);

/*
 * The slot of the block that begins at @ptr, and bytes that it has room for; NULL if none
 * does. Who does not own the block holds the lock.
 */
struct bm_slot *bm_block_slot(const struct bitmem *ctx, const void *ptr, size_t *room);

/* The pool that it is from. With the lock held. */
unsigned int bm_block_pool(const struct bitmem *ctx, const void *ptr, const struct bm_slot *slot);

/* Bytes that were asked for. */
size_t bm_slot_bytes(const struct bitmem *ctx, const struct bm_slot *slot);

/* Frees all blocks of bitmem_alloc(). With the lock held, no caches. */
void bm_blocks_release(struct bitmem *ctx);

/* Clears the owner's bit. Whether it was set: then the slot is the caller's. */
static inline bool bm_slot_clear(struct bm_slot *slot, uint16_t owner)
{
#if defined(__SANITIZE_THREAD__)
	return __atomic_fetch_and(&slot->state, (uint16_t)~owner, __ATOMIC_ACQ_REL) & owner;
#elif defined(__x86_64__)
	bool was;

	/* The compiler needs three instructions, and a register. */
	__asm__ volatile("btrw %[bit], %[state]"
			 : "=@ccc"(was), [state] "+m"(slot->state)
			 : [bit] "ri"((uint16_t)__builtin_ctz(owner))
			 : "memory");
	return was;
#else
	const uint16_t state = bm_slot_state(slot);

	__atomic_store_n(&slot->state, (uint16_t)(state & ~owner), __ATOMIC_RELAXED);
	return state & owner;
#endif
}

/*
 * Takes @size bytes off the credit. False if there is too little: then somebody who looks may see
 * less than none for a moment, which he does not take for none. (In one instruction, where the
 * compiler needs five.)
 */
static inline bool bm_cache_spend(struct bm_cache *cache, size_t size)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	bool below;

	__asm__("subq %[size], %[credit]"
		: "=@ccs"(below), [credit] "+m"(cache->credit)
		: [size] "r"(size));
	if (likely(!below))
		return true;
	__asm__("addq %[size], %[credit]" : [credit] "+m"(cache->credit) : [size] "r"(size)
		: "cc");
	return false;
#else
	const int64_t credit = cache->credit - (int64_t)size;

	if (likely(credit >= 0))
		bm_owner_set(&cache->credit, credit);
	return credit >= 0;
#endif
}

/*
 * bm_slot_fill() with the stamp, in halves: as slots are six bytes apart, four bytes often
 * lie across eight, and AMD's processors lost more time on that store than on all the rest.
 */
static inline void bm_slot_stamp(const struct bitmem *ctx, struct bm_slot *slot, uint32_t state)
{
#ifdef __SANITIZE_THREAD__
	bm_slot_fill(slot, state | bm_stamp(ctx));
#else
	__atomic_store_n(&slot->state, (uint16_t)(state | ctx->stamp_state), __ATOMIC_RELAXED);
	__atomic_store_n(&slot->time, ctx->stamp_time, __ATOMIC_RELAXED);
#endif
}

/*
 * Takes a slot of a cache that was entered, for @size bytes in all. False, and no change, if it is
 * not that easy.
 */
static inline bool bm_cache_take(const struct bitmem *ctx, struct bm_cache *cache, size_t size,
				 uint32_t state, void **ptr)
{
	struct bm_stack *stack;
	struct bm_entry *entry;
	struct bm_slot *slot;

	stack = (struct bm_stack *)((char *)cache + ctx->bins[(size + BM_ALIGN_MIN - 1) /
							      BM_ALIGN_MIN]);
	entry = stack->top;
	slot = entry[-1].slot;
	*ptr = entry[-1].ptr;
	/* Below the first there is one that is nobody's; and one may be somebody else's, too. */
	if (unlikely(bm_slot_is_owned(slot)) || unlikely(!bm_cache_spend(cache, size)))
		return false;
	stack->top--;
	bm_slot_stamp(ctx, slot, state);
	slot->size = (uint16_t)size;
	return true;
}

/* Whether a block of @size bytes, that is no slot, may be in a cache. */
static inline bool bm_is_cached_run(size_t size)
{
	return size <= (size_t)BM_CACHED_UNITS << BM_UNIT_SHIFT;
}

/* As bm_cache_take() does, for such a one. */
static inline bool bm_cache_take_run(const struct bitmem *ctx, struct bm_cache *cache, size_t size,
				     uint32_t state, void **ptr)
{
	struct bm_stack *stack;
	struct bm_entry *entry;
	struct bm_slot *slot;

	stack = bm_run_stack(cache, ctx->run_bins[(size + BM_UNIT - 1) >> BM_UNIT_SHIFT]);
	entry = stack->top;
	slot = entry[-1].slot;
	*ptr = entry[-1].ptr;
	if (unlikely(bm_slot_is_owned(slot)) || unlikely(!bm_cache_spend(cache, size)))
		return false;
	stack->top--;
	bm_slot_run(slot)->bytes = size;
	bm_slot_fill(slot, state | bm_stamp(ctx));
	return true;
}

/*
 * The run that may be cached and begins at @offset in the arena, which may be anywhere in it, and
 * the place of its stack. The number may be an old one, of a run that changes meanwhile: it does
 * not begin there, or nobody owns it. (ThreadSanitizer would have all that ever changes a run
 * be atomic for it.)
 */
#ifdef __SANITIZE_THREAD__
__attribute__((noinline, no_sanitize("thread"), unused))
#else
inline
#endif
static bool bm_find_cached(const struct bm_arena *arena, size_t offset, struct bm_run **run,
			   uint16_t *bin)
{
	/* What lies within a unit is above the numbers of units, and no run begins there. */
	const uint64_t place = offset >> BM_UNIT_SHIFT | offset << (64 - BM_UNIT_SHIFT);

	*run = &arena->runs[arena->units[(uint32_t)place]];
	*bin = (*run)->bin;
	return likely((*run)->first == place);
}

/* The end of bm_cache_give() for what is in the arena, but no slot. */
static inline bool bm_cache_give_run(const struct bitmem *ctx, struct bm_cache *cache, void *ptr,
				     uint16_t owner)
{
	const size_t offset = bm_arena_offset(&ctx->arena, ptr);
	struct bm_stack *stack;
	struct bm_entry *top;
	struct bm_run *run;
	uint16_t bin;

	if (unlikely(!bm_find_cached(&ctx->arena, offset, &run, &bin)))
		return false;
	stack = bm_run_stack(cache, bin);
	top = stack->top;
	if (unlikely(top == stack->limit) || unlikely(!bm_slot_clear(&run->slot, owner)))
		return false;
	top->ptr = ptr;
	top->slot = &run->slot;
	stack->top++;
	bm_owner_add(&cache->credit, (int64_t)run->bytes);
	bm_owner_add(&cache->frees, 1);
	return true;
}

/* The same for a slot of a slab. */
static inline bool bm_cache_give_slot(struct bm_cache *cache, const struct bm_frame *frame,
				      struct bm_slot *slot, void *ptr, uint16_t owner)
{
	struct bm_stack *stack = (struct bm_stack *)((char *)cache + frame->bin);
	struct bm_entry *top = stack->top;

	if (unlikely(top == stack->limit) || unlikely(!bm_slot_clear(slot, owner)))
		return false;
	/* It is the next one to be used, and that to be written to. */
	__builtin_prefetch(ptr, 1);
	top->ptr = ptr;
	top->slot = slot;
	stack->top++;
	bm_owner_add(&cache->credit, slot->size);
	bm_owner_add(&cache->frees, 1);
	return true;
}

/* Frees a block into a cache that was entered. False, and no change, if it is not that easy. */
static inline bool bm_cache_give(const struct bitmem *ctx, struct bm_cache *cache, void *ptr,
				 uint16_t owner)
{
	const size_t offset = bm_arena_offset(&ctx->arena, ptr);
	const struct bm_frame *frame;
	struct bm_slot *slot;

	if (unlikely(offset >= ctx->arena.size))
		return false;
	frame = bm_frame_at(&ctx->arena, offset);
	if (unlikely(!bm_frame_slot(frame, offset, &slot)))
		return bm_cache_give_run(ctx, cache, ptr, owner);
	return bm_cache_give_slot(cache, frame, slot, ptr, owner);
}

#endif /* BITMEM_BLOCK_H */
