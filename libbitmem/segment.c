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

/* Segments given back to the backend at once. */
#define BATCH ((size_t)64)

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

/* A segment whose range is yet to come. */
static struct bm_segment *segment_alloc(size_t length)
{
	struct bm_segment *segment;

	if (!length || length > PTRDIFF_MAX) {
		errno = length ? ENOMEM : EINVAL;
		return NULL;
	}
	segment = calloc(1, sizeof(*segment));
	if (segment)
		atomic_init(&segment->refs, 1);
	return segment;
}

static void set_range(struct bm_segment *segment, struct bitmem *ctx, const struct bm_range *range)
{
	segment->range = *range;
	segment->ctx = bm_context_ref(ctx);
	count(segment);
}

struct bm_segment *bm_segment_new(struct bitmem *ctx, size_t length, const char *tag)
{
	struct bm_backend *backend = ctx->backend;
	struct bm_segment *segment = segment_alloc(length);
	struct bm_range range;
	int ret;

	if (!segment)
		return NULL;
	ret = backend->ops->map(backend, bm_round_up(length, backend->page_size), tag, &range);
	if (ret) {
		free(segment);
		errno = -ret;
		return NULL;
	}
	set_range(segment, ctx, &range);
	return segment;
}

static void unmap_each(struct bm_backend *backend, struct bm_range *ranges, size_t n)
{
	if (n > 1 && backend->ops->unmap_many) {
		backend->ops->unmap_many(backend, ranges, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		backend->ops->unmap(backend, &ranges[i]);
}

static int map_each(struct bm_backend *backend, struct bm_wanted *wanted, size_t n, size_t *failed)
{
	int ret;

	if (n > 1 && backend->ops->map_many)
		return backend->ops->map_many(backend, wanted, n, failed);
	for (size_t i = 0; i < n; i++) {
		ret = backend->ops->map(backend, wanted[i].length, wanted[i].tag,
					&wanted[i].range);
		if (!ret)
			continue;
		*failed = i;
		while (i--)
			backend->ops->unmap(backend, &wanted[i].range);
		return ret;
	}
	return 0;
}

static int prepare(const struct bitmem *ctx, struct bm_wanted *wanted)
{
	wanted->segment = segment_alloc(wanted->length);
	if (!wanted->segment)
		return -errno;
	wanted->length = bm_round_up(wanted->length, ctx->backend->page_size);
	return 0;
}

int bm_segments_new(struct bitmem *ctx, struct bm_wanted *wanted, size_t n, size_t *failed)
{
	size_t made;
	int ret = 0;

	for (made = 0; !ret && made < n; made++) {
		*failed = made;
		ret = prepare(ctx, &wanted[made]);
	}
	if (!ret)
		ret = map_each(ctx->backend, wanted, n, failed);
	for (size_t i = 0; i < made; i++) {
		if (!ret) {
			set_range(wanted[i].segment, ctx, &wanted[i].range);
			continue;
		}
		free(wanted[i].segment);
		wanted[i].segment = NULL;
	}
	return ret;
}

struct bm_segment *bm_segment_ref(struct bm_segment *segment)
{
	atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed);
	return segment;
}

/* Gives back what nobody has a reference on any more, BATCH at most. All are of one context. */
static void release(struct bm_segment *const *segments, size_t n)
{
	struct bm_range ranges[BATCH];

	for (size_t i = 0; i < n; i++)
		ranges[i] = segments[i]->range;
	if (n)
		unmap_each(segments[0]->ctx->backend, ranges, n);
	for (size_t i = 0; i < n; i++) {
		struct bitmem *ctx = segments[i]->ctx;

		uncount(segments[i]);
		free(segments[i]);
		bm_context_unref(ctx);
	}
}

/* Whether that was the last reference. */
static bool drop(struct bm_segment *segment)
{
	return atomic_fetch_sub_explicit(&segment->refs, 1, memory_order_acq_rel) == 1;
}

void bm_segment_unref(struct bm_segment *segment)
{
	if (drop(segment))
		release(&segment, 1);
}

void bm_segments_unref(struct bm_segment *list)
{
	struct bm_segment *gone[BATCH];
	size_t n = 0;

	while (list) {
		struct bm_segment *next = list->next;

		if (drop(list))
			gone[n++] = list;
		if (n == BATCH || !next) {
			release(gone, n);
			n = 0;
		}
		list = next;
	}
}

void *bm_segment_addr(const struct bm_segment *segment)
{
	return segment->range.addr;
}

size_t bm_segment_length(const struct bm_segment *segment)
{
	return segment->range.length;
}
