/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the block allocator keeps in a segment. */
#ifndef BITMEM_SEGMENT_H
#define BITMEM_SEGMENT_H

#include <stdatomic.h>

#include "internal.h"

struct bm_segment {
	struct bitmem *ctx;
	struct bm_range range;
	atomic_size_t refs;
	/* Bytes from the start that were ever handed out, the rest is zero. Under ctx->lock. */
	size_t touched;
	/* In a list of segments to be dropped; owned by who took it off the allocator. */
	struct bm_segment *next;
};

#endif /* BITMEM_SEGMENT_H */
