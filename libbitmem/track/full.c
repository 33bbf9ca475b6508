/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stacks are taken by the unwinder that every compiler's run-time library has. */
#include <stdlib.h>
#include <unwind.h>

#include "full.h"

struct bm_full *bm_full_new(struct bitmem *ctx)
{
	struct bm_full *full = calloc(1, sizeof(*full));

	if (!full)
		return NULL;
	if (bm_ring_begin(&full->ring)) {
		free(full);
		return NULL;
	}
	bm_depot_init(&full->depot, &ctx->counters.meta_bytes);
	ctx->counters.meta_bytes += bm_meta_size(full) + bm_meta_size(full->ring.events);
	return full;
}

void bm_full_delete(struct bm_full *full)
{
	bm_depot_destroy(&full->depot);
	bm_ring_fini(&full->ring);
	free(full);
}

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
	struct bm_frames *frames = arg;
	const void *address = (const void *)(uintptr_t)_Unwind_GetIP(context);

	/* One more than are kept: the first is left out. */
	if (frames->n == BM_DEPTH + 1 || !address)
		return _URC_END_OF_STACK;
	frames->address[frames->n++] = address;
	return _URC_NO_REASON;
}

__attribute__((noinline)) void bm_frames_take(struct bm_frames *frames)
{
	frames->n = 0;
	_Unwind_Backtrace(step, frames);
	/* The first is this function. */
	if (frames->n) {
		frames->n--;
		memmove(frames->address, frames->address + 1,
			frames->n * sizeof(*frames->address));
	}
}

uint64_t bitmem_stacks_lost(struct bitmem *ctx)
{
	uint64_t lost = 0;

	bm_lock(ctx);
	if (ctx->track.full)
		lost = ctx->track.full->depot.lost;
	bm_unlock(ctx);
	return lost;
}
