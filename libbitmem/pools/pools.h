/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library's parts know of a context's pools.
 *
 * Pools are added under the context's lock, and then counted by nr_pools: what is below that
 * number stays, and where its memory is does not change. So nr_pools may be read without.
 */
#ifndef BITMEM_POOLS_POOLS_H
#define BITMEM_POOLS_POOLS_H

#include "../context.h"

static inline unsigned int bm_nr_pools(const struct bitmem *ctx)
{
	return __atomic_load_n(&ctx->nr_pools, __ATOMIC_ACQUIRE);
}

static inline bool bm_pool_exists(const struct bitmem *ctx, unsigned int pool)
{
	return pool < bm_nr_pools(ctx);
}

/* --- reading.c --- */

/* The figures for a pool. No lock is needed. */
void bm_pool_read(const struct bitmem *ctx, unsigned int pool, struct bm_reading *reading);

/* --- pressure.c --- */

/* Measures how tight memory is for a pool. No lock may be held but a keeper's gate. */
enum bitmem_pressure bm_pool_level(struct bitmem *ctx, unsigned int pool);

/* Adds the figures of the pools but the first: the tightest count. No lock is needed. */
void bm_pools_add_readings(const struct bitmem *ctx, struct bm_reading *reading);

#endif /* BITMEM_POOLS_POOLS_H */
