/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots: what was alive, copied under the lock with all caches claimed, and made sense of
 * afterwards. Memory for it is had before, for as much as there was a moment ago and some more.
 */
#ifndef BITMEM_TRACK_SNAPSHOT_H
#define BITMEM_TRACK_SNAPSHOT_H

#include "place.h"
#include "tags.h"

struct bm_held {
	struct bitmem_live live;	/* first: it is what is given out */
	uint64_t serial;		/* of the epoch that it was allocated in */
	uint16_t number;		/* of its place */
};

/* A tensor that has a block. */
struct bm_handle {
	const void *data;
	const struct bitmem_tensor *tensor;
	enum bitmem_dtype dtype;
};

struct bitmem_snapshot {
	uint64_t context;	/* its number */
	uint64_t serial;	/* of the epoch that began then; only of a mark's */
	struct bitmem_stats stats;
	struct bm_places places;
	struct bm_tags tags;
	struct bm_held *held;
	size_t n, room;
	struct bm_handle *handles;	/* until it is finished */
	size_t n_handles;
};

/* What is asked for. */
struct bm_capture {
	uint64_t since;		/* only what has this serial or a higher one */
	struct bm_pin *pin;	/* not NULL: begins an epoch, which keeps it */
};

/* NULL with errno. */
struct bitmem_snapshot *bm_capture(struct bitmem *ctx, const struct bm_capture *request);

/* Adds something alive to a sum. */
void bm_sum_add(struct bitmem_sum *sum, const struct bitmem_live *live);

#endif /* BITMEM_TRACK_SNAPSHOT_H */
