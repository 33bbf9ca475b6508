/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Marks: what was alive, by place and by when it was allocated.
 *
 * With a mark an epoch begins, which the mark keeps from being put together with the one before
 * (clock.h). So what a later mark has of a lower serial is what this one had, too.
 */
#ifndef BITMEM_TRACK_MARK_H
#define BITMEM_TRACK_MARK_H

#include "place.h"

/* What was allocated from one place in one epoch. */
struct bm_part {
	uint32_t place;
	uint64_t serial;
	uint64_t count, bytes, views;
};

struct bitmem_mark {
	uint64_t context, serial;
	struct bm_pin *pin;
	struct bm_places places;
	struct bm_part *parts;	/* by place, and then serial */
	size_t n;
	struct bitmem_sum sum;
};

#endif /* BITMEM_TRACK_MARK_H */
