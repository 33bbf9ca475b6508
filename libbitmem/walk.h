/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All live blocks of a context, in the order of their addresses. */
#ifndef BITMEM_WALK_H
#define BITMEM_WALK_H

#include "context.h"

/* A block that is alive. */
struct bm_live {
	void *ptr;
	struct bm_slot *slot;
	size_t bytes;	/* asked for */
	size_t room;	/* what it takes of its pool */
	uint8_t pool;
};

/*
 * Calls @each for all live blocks. With the lock held and all caches claimed. @each may free the
 * block, and nothing else.
 */
void bm_walk(struct bitmem *ctx, void (*each)(struct bitmem *ctx, const struct bm_live *live,
					      void *arg), void *arg);

#endif /* BITMEM_WALK_H */
