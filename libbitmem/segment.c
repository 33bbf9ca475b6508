/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Segments: ranges of memory from the backend, reference-counted.
 *
 * Mapping and unmapping may take long (pages are zeroed and locked), so both
 * are done without the context's lock; the counters follow under it. Memory is
 * counted as held until it is really gone.
 */
#include <errno.h>
#include <stdlib.h>

#include "context.h"
#include "segment.h"

static void count(struct bm_segment *segment)
{
	struct bm_counters *counters = &segment->ctx->counters;

	pthread_mutex_lock(&segment->ctx->lock);
	counters->segments++;
	counters->committed_bytes += segment->range.length;
	counters->pinned_bytes += segment->range.pinned;
	counters->meta_bytes += bm_meta_size(segment);
	pthread_mutex_unlock(&segment->ctx->lock);
}

static void uncount(struct bm_segment *segment)
{
	struct bm_counters *counters = &segment->ctx->counters;

	pthread_mutex_lock(&segment->ctx->lock);
	counters->segments--;
	counters->committed_bytes -= segment->range.length;
	counters->pinned_bytes -= segment->range.pinned;
	counters->meta_bytes -= bm_meta_size(segment);
	pthread_mutex_unlock(&segment->ctx->lock);
}

struct bm_segment *bm_segment_new(struct bitmem *ctx, size_t length, const char *tag)
{
	struct bm_backend *backend = ctx->backend;
	struct bm_segment *segment;
	int ret;

	if (!length || length > PTRDIFF_MAX) {
		errno = length ? ENOMEM : EINVAL;
		return NULL;
	}
	segment = calloc(1, sizeof(*segment));
	if (!segment)
		return NULL;
	ret = backend->ops->map(backend, bm_round_up(length, backend->page_size), tag,
				&segment->range);
	if (ret) {
		free(segment);
		errno = -ret;
		return NULL;
	}
	atomic_init(&segment->refs, 1);
	segment->ctx = bm_context_ref(ctx);
	count(segment);
	return segment;
}

struct bm_segment *bm_segment_ref(struct bm_segment *segment)
{
	atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
	return segment;
}

void bm_segment_unref(struct bm_segment *segment)
{
	struct bitmem *ctx = segment->ctx;

	if (atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) != 1)
		return;
	ctx->backend->ops->unmap(ctx->backend, &segment->range);
	uncount(segment);
	free(segment);
	bm_context_unref(ctx);
}

void *bm_segment_addr(const struct bm_segment *segment)
{
	return segment->range.addr;
}

size_t bm_segment_length(const struct bm_segment *segment)
{
	return segment->range.length;
}
