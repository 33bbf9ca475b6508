/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When free memory goes back, and what went back why. */
#ifndef BITMEM_STRATEGY_H
#define BITMEM_STRATEGY_H

#include <bitmem/pressure.h>

enum bm_reason {
	BM_ON_CALL,
	BM_ON_IDLE,
	BM_ON_PRESSURE,
	BM_ON_PERIOD,
	BM_REASONS,
};

/* Under keeper.lock. */
struct bm_strategy {
	struct bitmem_strategy set;
	struct bitmem_returns returns[BM_REASONS];
};

/* What bm_return_idle() remembers. For the keeper only. */
struct bm_idle {
	uint64_t looked;	/* ms: when free memory was looked at last */
};

void bm_strategy_init(struct bm_strategy *strategy);

/* @bytes went back for @reason. Takes keeper.lock. Returns @bytes. */
size_t bm_strategy_count(struct bitmem *ctx, enum bm_reason reason, size_t bytes);

/* --- idle.c --- */

/*
 * Gives back free memory that was not needed for @idle_ms: since the last call that came so
 * long after the one before. Called several times in that time. Returns the bytes.
 */
size_t bm_return_idle(struct bitmem *ctx, unsigned int idle_ms);

#endif /* BITMEM_STRATEGY_H */
