/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a context has for tracking, besides what the allocator keeps of each block.
 *
 * All under the context's lock, but for what does not change.
 */
#ifndef BITMEM_TRACK_TRACK_H
#define BITMEM_TRACK_TRACK_H

#include <sys/types.h>

#include <bitmem/track.h>

#include "clock.h"
#include "leaks.h"

struct bm_full;

struct bm_track {
	struct bm_clock clock;
	struct bm_full *full;	/* at that level (full.h) */
	struct bm_leaks leaks;	/* does not change */
	/* After a fork() in the child: what has a serial below this is the parent's. */
	uint64_t own_serial;
	struct bm_pin *own_pin;
};

/* 0 or -errno. The level of tracking is known, but nobody else the context. */
int bm_track_open(struct bitmem *ctx);
void bm_track_destroy(struct bitmem *ctx);

/* After a fork(), in the child, with the lock held and nobody in a cache. */
void bm_track_in_child(struct bitmem *ctx);

#endif /* BITMEM_TRACK_TRACK_H */
