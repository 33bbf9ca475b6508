/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The latest events, under the context's lock. */
#ifndef BITMEM_TRACK_RING_H
#define BITMEM_TRACK_RING_H

#include <bitmem/track.h>

struct bm_event {
	uint64_t time_ns;
	const void *ptr;
	size_t bytes;
	int32_t thread;
	uint16_t number;	/* of its entry in the depot, 0: none */
	uint8_t kind;		/* enum bitmem_trace_kind */
};

struct bm_ring_buffer {
	struct bm_event *events;	/* BITMEM_TRACE_MAX of them */
	uint64_t total;			/* ever added: the next is at total % BITMEM_TRACE_MAX */
};

/* 0 or -ENOMEM. */
int bm_ring_begin(struct bm_ring_buffer *ring);
void bm_ring_fini(struct bm_ring_buffer *ring);
void bm_ring_add(struct bm_ring_buffer *ring, enum bitmem_trace_kind kind, const void *ptr,
		 size_t bytes, unsigned int number);

#endif /* BITMEM_TRACK_RING_H */
