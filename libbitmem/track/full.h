/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The level "full": of each allocation its stack, and a ring of the latest events.
 *
 * At this level threads have no caches, so that everything is done under the context's lock; only
 * stacks are taken without it, before. Instead of its site's, a slot has the number of an
 * entry of the depot, which knows the site.
 *
 * At other levels each of these is a comparison, on paths that take the lock anyway.
 */
#ifndef BITMEM_TRACK_FULL_H
#define BITMEM_TRACK_FULL_H

#include <bitmem/track.h>

#include "../context.h"
#include "depot.h"
#include "ring.h"

struct bm_full {
	struct bm_depot depot;
	struct bm_ring_buffer ring;
};

/* NULL if there is no memory. */
struct bm_full *bm_full_new(struct bitmem *ctx);
void bm_full_delete(struct bm_full *full);

/* Takes the caller's stack. No lock may be held. */
void bm_frames_take(struct bm_frames *frames);

static inline void bm_full_capture(const struct bitmem *ctx, struct bm_frames *frames)
{
	if (unlikely(ctx->track.full))
		bm_frames_take(frames);
}

/* With the lock held: what a slot gets instead of its owner and site. */
static inline uint16_t bm_full_state(struct bitmem *ctx, uint16_t state,
				     const struct bm_frames *frames)
{
	if (likely(!ctx->track.full))
		return state;
	return (uint16_t)((state & ~BM_SLOT_SITE) |
			  bm_depot_number(&ctx->track.full->depot, state & BM_SLOT_SITE, frames));
}

/* With the lock held. */
static inline void bm_full_event(struct bitmem *ctx, enum bitmem_trace_kind kind, const void *ptr,
				 size_t bytes, uint32_t state)
{
	if (unlikely(ctx->track.full))
		bm_ring_add(&ctx->track.full->ring, kind, ptr, bytes, state & BM_SLOT_SITE);
}

#endif /* BITMEM_TRACK_FULL_H */
