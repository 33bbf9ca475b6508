/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a segment is made of. */
#ifndef BITMEM_SEGMENT_H
#define BITMEM_SEGMENT_H

#include <stdatomic.h>

#include "internal.h"

struct bm_segment {
	struct bitmem *ctx;
	struct bm_range range;
	/* Under ctx->lock: bytes of it that the backend has back, and those pinned now. */
	size_t returned, pinned;
	size_t holes;		/* stretches of what it has back (holes.h) */
	size_t live, tensors;	/* bytes asked for by those that are on it directly */
	uint8_t pool;
	bool unsettled;		/* the backend is to look after what is left of it */
	/* In the context's list of all that are counted, under its lock. */
	struct bm_segment *next_counted, **link;
	atomic_size_t refs;
	/* In a list of segments to be dropped; owned by who took it off the allocator. */
	struct bm_segment *next;
	/* Others may have it: it was sent, or came from another process. */
	atomic_bool shared;
};

#endif /* BITMEM_SEGMENT_H */
