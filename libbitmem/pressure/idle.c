/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Free memory that is not needed, piece by piece.
 *
 * Nobody notes when a piece becomes free, which would cost those who free it. Instead all that
 * is free is marked when it is looked at, and what is taken loses its mark: what still has it
 * when it is looked at again was not needed in between, and goes.
 *
 * Marks are bits for the units of free runs, and what free slots say of themselves. In a
 * thread's cache the last in is the first out: so what was not needed lies at the
 * bottom of its stack.
 */
#include "../context.h"
#include "../runs.h"

/* How many at the bottom of a stack have their mark still; the others get one. */
static size_t age(struct bm_stack *stack)
{
	const size_t n = bm_stack_level(stack);
	size_t idle = 0;

	for (size_t i = 1; i <= n; i++) {
		struct bm_slot *slot = stack->base[i].slot;

		if (idle == i - 1 && bm_slot_state(slot) == BM_SLOT_IDLE)
			idle++;
		else if (!bm_slot_is_owned(slot))
			__atomic_store_n(&slot->state, BM_SLOT_IDLE, __ATOMIC_RELAXED);
	}
	return idle;
}

/* What is given back to the pool was idle already. */
static void mark(struct bitmem *ctx, const struct bm_stack *stack, size_t n, bool runs)
{
	for (size_t i = 1; i <= n; i++) {
		struct bm_slot *slot = stack->base[i].slot;
		const struct bm_run *run;

		if (!runs) {
			slot->size = BM_SIZE_IDLE;
			continue;
		}
		run = &ctx->arena.runs[bm_run_of_slot(&ctx->arena, slot)];
		bm_bits_set(ctx->arena.idle, run->first, run->n);
	}
}

/* With the lock held and the cache claimed. */
static void return_cache(struct bitmem *ctx, struct bm_cache *cache)
{
	size_t n;

	for (unsigned int i = 0; i < BM_NR_CLASSES; i++) {
		n = age(&cache->stacks[i]);
		mark(ctx, &cache->stacks[i], n, false);
		bm_stack_flush(ctx, cache, &cache->stacks[i], n);
	}
	for (unsigned int i = 1; i < BM_NR_RUN_CLASSES; i++) {
		n = age(&cache->runs[i]);
		mark(ctx, &cache->runs[i], n, true);
		bm_runs_flush(ctx, cache, &cache->runs[i], n);
	}
}

size_t bm_return_idle(struct bitmem *ctx, unsigned int idle_ms)
{
	struct bm_idle *idle = &ctx->keeper.idle;
	const uint64_t now = bm_now_ms();
	uint64_t before;
	size_t bytes;

	if (idle->looked && now - idle->looked < idle_ms)
		return 0;
	idle->looked = now;
	bm_lock(ctx);
	before = ctx->dropped;
	bm_caches_claim(ctx, NULL);
	for (struct bm_cache *cache = ctx->caches; cache; cache = cache->next_of_context)
		return_cache(ctx, cache);
	bm_caches_release(ctx, NULL);
	bytes = (size_t)(ctx->dropped - before);	/* bm_pool_return() counts its own */
	for (unsigned int i = 0; i < ctx->nr_pools; i++)
		bytes += bm_pool_return(ctx, &ctx->pools[i], true);
	bm_unlock(ctx);
	return bytes;
}
