/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's structures, all of them looked at, and counted.
 *
 * With the lock held and all caches claimed. Others may be in the middle of what drops the
 * lock: then a run or slot is neither live nor in a cache nor free, and a page that has memory
 * may still be said to have none. Nothing else is uncertain.
 */
#ifndef BITMEM_TRACK_CHECK_H
#define BITMEM_TRACK_CHECK_H

#include "../context.h"

/* What there is, and the first thing that was found wrong. */
struct bm_check {
	uint64_t live, live_bytes, views;
	uint64_t segments, committed_bytes, pinned_bytes;
	uint64_t idle;		/* slots and runs in caches, or on their way */
	struct {
		uint64_t units, runs;
	} free[BM_MAX_POOLS];
	char wrong[200];	/* empty if nothing is */
};

void bm_check(struct bitmem *ctx, struct bm_check *check);

#endif /* BITMEM_TRACK_CHECK_H */
