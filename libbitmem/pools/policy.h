/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a request to a pool may go.
 *
 * A policy changes under the context's lock. Whether it is the strict one is read without:
 * who asks while it changes gets the one or the other.
 */
#ifndef BITMEM_POOLS_POLICY_H
#define BITMEM_POOLS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include <bitmem/pools.h>

struct bitmem;
struct bm_block_request;

/* Pools that a context may have. */
#define BM_MAX_POOLS ((unsigned int)BITMEM_MAX_POOLS)

/* What is done for a request before it fails. */
enum bm_effort {
	BM_FULL,	/* everything: others give back what they keep */
	BM_EASY,	/* the backend is asked */
	BM_HELD,	/* nothing: -EAGAIN if the pool does not hold it already */
};

struct bm_policy {
	uint8_t kind;		/* enum bitmem_policy_kind */
	uint8_t level;		/* enum bitmem_pressure */
	uint8_t nr_pools;
	uint8_t pools[BM_MAX_POOLS];
	/* To the other pools' nodes, by number, as the kernel says (nodes.h). */
	uint8_t distances[BM_MAX_POOLS];
	uint32_t turn;		/* whose it is with BITMEM_POLICY_INTERLEAVE; counts up */
};

static inline bool bm_policy_is_strict(const struct bm_policy *policy)
{
	return __atomic_load_n(&policy->kind, __ATOMIC_RELAXED) == BITMEM_POLICY_STRICT;
}

/* A block by a policy that is not strict; NULL with errno. */
void *bm_policy_alloc(struct bitmem *ctx, const struct bm_block_request *request);

#endif /* BITMEM_POOLS_POLICY_H */
