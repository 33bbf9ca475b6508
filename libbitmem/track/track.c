/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A context's tracking: how it begins and ends. */
#include <errno.h>
#include <stdlib.h>

#include "../context.h"
#include "full.h"

int bm_track_open(struct bitmem *ctx)
{
	int ret = bm_clock_init(ctx);

	if (ret)
		return ret;
	if (ctx->tracking == BITMEM_TRACKING_FULL) {
		ctx->track.full = bm_full_new(ctx);
		if (!ctx->track.full) {
			bm_clock_destroy(ctx);
			return -ENOMEM;
		}
	}
	if (ctx->track.leaks.path)
		ctx->counters.meta_bytes += bm_meta_size(ctx->track.leaks.path);
	if (ctx->track.leaks.wanted)
		bm_leaks_at_exit();
	return 0;
}

void bm_track_destroy(struct bitmem *ctx)
{
	if (ctx->track.full)
		bm_full_delete(ctx->track.full);
	bm_clock_destroy(ctx);
	bm_pin_unref(ctx->track.own_pin);
}

void bm_track_in_child(struct bitmem *ctx)
{
	struct bm_pin *pin = bm_pin_new();

	/* Where nothing can be told apart, nothing is told of. */
	ctx->track.own_serial = UINT64_MAX;
	if (!pin)
		return;
	if (bm_clock_begin(ctx, pin)) {
		free(pin);
		return;
	}
	bm_pin_unref(ctx->track.own_pin);
	ctx->track.own_pin = pin;
	ctx->track.own_serial = ctx->track.clock.serial;
}
