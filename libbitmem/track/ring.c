/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"

int bm_ring_begin(struct bm_ring_buffer *ring)
{
	ring->events = calloc(BITMEM_TRACE_MAX, sizeof(*ring->events));
	ring->total = 0;
	return ring->events ? 0 : -ENOMEM;
}

void bm_ring_fini(struct bm_ring_buffer *ring)
{
	free(ring->events);
}

void bm_ring_add(struct bm_ring_buffer *ring, enum bitmem_trace_kind kind, const void *ptr,
		 size_t bytes, unsigned int number)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ring->events[ring->total++ % BITMEM_TRACE_MAX] = (struct bm_event) {
		.time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
		.ptr = ptr, .bytes = bytes, .thread = gettid(), .number = (uint16_t)number,
		.kind = (uint8_t)kind,
	};
}
