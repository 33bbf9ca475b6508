/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exact counters without a shared one: how much is alive, and the most there ever was.
 *
 *	live = peak - spare - sum of the caches' credit
 *
 * A thread that allocates spends its credit, one that frees earns it. Who runs out gets some
 * from the spare; when nobody has any, live is the peak, and what is allocated then raises
 * it. So the peak is exact at every instant, though nobody keeps it up to date.
 *
 * Blocks are counted as frees, and as what threads got from slabs and do not have any more:
 *
 *	allocs = frees + filled - flushed - slots in the cache
 */
#ifndef BITMEM_COUNT_H
#define BITMEM_COUNT_H

#include "context.h"

struct bm_totals {
	uint64_t live_bytes, peak_bytes;
	uint64_t allocs, frees;
};

/*
 * Has others leave the credit that is needed for @bytes, if they do anything soon, so that they
 * need not be stopped for it. With the lock held, which it drops.
 */
void bm_count_await(struct bitmem *ctx, struct bm_cache *cache, size_t bytes);

/*
 * With the lock held: @bytes more or less are alive. @cache is the caller's, or NULL. That a block
 * was allocated is counted by whoever took it.
 */
void bm_count_take(struct bitmem *ctx, struct bm_cache *cache, size_t bytes);
void bm_count_give(struct bitmem *ctx, struct bm_cache *cache, size_t bytes);

/* With the lock held and all caches claimed. */
struct bm_totals bm_count_totals(const struct bitmem *ctx);

#endif /* BITMEM_COUNT_H */
