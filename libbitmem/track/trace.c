/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The latest events as a copy: what is in the ring, under the lock, and the places after that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "full.h"
#include "place.h"

struct bitmem_trace {
	struct bm_places places;
	struct bitmem_trace_event *events;
	size_t n;
	uint64_t lost;
};

/* The oldest first. */
static void copy(struct bitmem *ctx, struct bm_event *events, struct bitmem_trace *trace)
{
	const struct bm_ring_buffer *ring = &ctx->track.full->ring;
	uint64_t first;

	bm_lock(ctx);
	trace->n = ring->total < BITMEM_TRACE_MAX ? (size_t)ring->total : BITMEM_TRACE_MAX;
	trace->lost = ring->total - trace->n;
	first = trace->lost;
	for (size_t i = 0; i < trace->n; i++)
		events[i] = ring->events[(first + i) % BITMEM_TRACE_MAX];
	bm_unlock(ctx);
}

static int make(struct bitmem *ctx, struct bm_event *events, struct bitmem_trace *trace)
{
	int ret;

	copy(ctx, events, trace);
	for (size_t i = 0; i < trace->n; i++)
		bm_places_want(&trace->places, events[i].number);
	ret = bm_places_make(&trace->places, ctx);
	if (ret)
		return ret;
	for (size_t i = 0; i < trace->n; i++) {
		const uint32_t place = bm_places_of(&trace->places, events[i].number);

		trace->events[i] = (struct bitmem_trace_event) {
			.kind = (enum bitmem_trace_kind)events[i].kind,
			.thread = events[i].thread, .time_ns = events[i].time_ns,
			.ptr = events[i].ptr, .bytes = events[i].bytes,
			.place = &trace->places.places[place],
		};
	}
	bm_places_settle(&trace->places);
	return 0;
}

struct bitmem_trace *bitmem_trace(struct bitmem *ctx)
{
	struct bitmem_trace *trace;
	struct bm_event *events;
	int ret = -ENOMEM;

	if (!ctx->track.full) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	trace = calloc(1, sizeof(*trace));
	events = calloc(BITMEM_TRACE_MAX, sizeof(*events));
	if (trace)
		trace->events = calloc(BITMEM_TRACE_MAX, sizeof(*trace->events));
	if (trace && events && trace->events && !bm_places_init(&trace->places))
		ret = make(ctx, events, trace);
	free(events);
	if (!ret)
		return trace;
	bitmem_trace_free(trace);
	errno = -ret;
	return NULL;
}

void bitmem_trace_free(struct bitmem_trace *trace)
{
	if (!trace)
		return;
	bm_places_destroy(&trace->places);
	free(trace->events);
	free(trace);
}

size_t bitmem_trace_count(const struct bitmem_trace *trace)
{
	return trace->n;
}

uint64_t bitmem_trace_lost(const struct bitmem_trace *trace)
{
	return trace->lost;
}

const struct bitmem_trace_event *bitmem_trace_get(const struct bitmem_trace *trace, size_t i)
{
	return i < trace->n ? &trace->events[i] : NULL;
}
