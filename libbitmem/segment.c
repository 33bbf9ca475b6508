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
	segment->next_counted = segment->ctx->counted;
	segment->link = &segment->ctx->counted;
	if (segment->next_counted)
		segment->next_counted->link = &segment->next_counted;
	segment->ctx->counted = segment;
	pthread_mutex_unlock(&segment->ctx->lock);
}

/* @addr: where it was, or NULL if something of it is there still. */
static void uncount(struct bm_segment *segment, void *addr)
{
	struct bm_counters *counters = &segment->ctx->counters;

	pthread_mutex_lock(&segment->ctx->lock);
	segment->range.addr = addr;
	counters->segments--;
	counters->committed_bytes -= segment->range.length - segment->returned;
	counters->pinned_bytes -= segment->pinned;
	counters->meta_bytes -= bm_meta_size(segment);
	*segment->link = segment->next_counted;
	if (segment->next_counted)
		segment->next_counted->link = segment->link;
	if (!segment->range.outside && segment->range.addr)
		bm_arena_leave(&segment->ctx->arena, segment->range.addr, segment->range.length);
	pthread_mutex_unlock(&segment->ctx->lock);
}

void bm_segments_in_child(struct bitmem *ctx)
{
	if (!ctx->backend->ops->in_child)
		return;
	for (struct bm_segment *s = ctx->counted; s; s = s->next_counted) {
		ctx->backend->ops->in_child(&s->range);
		if (s->pinned <= s->range.pinned)
			continue;
		ctx->counters.pinned_bytes -= s->pinned - s->range.pinned;
		s->pinned = s->range.pinned;
	}
}

/* The record of a segment that is yet to be had. */
static struct bm_segment *segment_record(struct bitmem *ctx, size_t length)
{
	struct bm_segment *segment;

	if (!length || length > PTRDIFF_MAX) {
		errno = length ? ENOMEM : EINVAL;
		return NULL;
	}
	segment = calloc(1, sizeof(*segment));
	if (!segment)
		return NULL;
	atomic_init(&segment->refs, 1);
	segment->range.length = bm_round_up(length, ctx->backend->page_size);
	return segment;
}

/* The same with addresses in the arena, at a multiple of @align. */
static struct bm_segment *segment_alloc(struct bitmem *ctx, size_t length, size_t align)
{
	struct bm_segment *segment = segment_record(ctx, length);

	if (!segment)
		return NULL;
	pthread_mutex_lock(&ctx->lock);
	segment->range.addr = bm_arena_enter(&ctx->arena, segment->range.length, align);
	pthread_mutex_unlock(&ctx->lock);
	if (!segment->range.addr) {
		free(segment);
		errno = ENOMEM;
		return NULL;
	}
	return segment;
}

/* The end of one whose memory could not be had. */
static void segment_abandon(struct bitmem *ctx, struct bm_segment *segment)
{
	if (segment->range.addr) {
		pthread_mutex_lock(&ctx->lock);
		bm_arena_leave(&ctx->arena, segment->range.addr, segment->range.length);
		pthread_mutex_unlock(&ctx->lock);
	}
	free(segment);
}

static void segment_begin(struct bm_segment *segment, struct bitmem *ctx)
{
	segment->ctx = bm_context_ref(ctx);
	segment->pinned = segment->range.pinned;
	count(segment);
	bm_keeper_feed(ctx);
}

struct bm_segment *bm_segment_new(struct bitmem *ctx, const struct bm_where *where, size_t length,
				  size_t align, const char *tag)
{
	struct bm_segment *segment = segment_alloc(ctx, length, align);
	int ret;

	if (!segment)
		return NULL;
	segment->pool = where->pool;
	ret = ctx->backend->ops->map(ctx->backend, where, tag, &segment->range);
	if (ret) {
		segment_abandon(ctx, segment);
		errno = -ret;
		return NULL;
	}
	segment_begin(segment, ctx);
	return segment;
}

/* Ends the making of a segment outside the arena. */
static struct bm_segment *finish_outside(struct bitmem *ctx, struct bm_segment *segment, int ret)
{
	if (ret) {
		free(segment);
		errno = -ret;
		return NULL;
	}
	segment_begin(segment, ctx);
	return segment;
}

struct bm_segment *bm_segment_new_shareable(struct bitmem *ctx, size_t length, const char *tag)
{
	struct bm_backend *backend = ctx->backend;
	const struct bm_where *where = &ctx->pools[0].where;
	struct bm_segment *segment;

	if (!backend->ops->map_shareable)
		return bm_segment_new(ctx, where, length, backend->superblock_size, tag);
	segment = segment_record(ctx, length);
	if (!segment)
		return NULL;
	return finish_outside(ctx, segment, backend->ops->map_shareable(backend, where, tag,
									&segment->range));
}

struct bm_segment *bm_segment_adopt(struct bitmem *ctx, int fd, struct bitmem_error *error)
{
	struct bm_segment *segment = segment_record(ctx, 1);

	if (!segment) {
		bm_error(error, -errno, "out of memory");
		return NULL;
	}
	atomic_init(&segment->shared, true);
	return finish_outside(ctx, segment, ctx->backend->ops->adopt(ctx->backend, fd,
								     &segment->range, error));
}

int bm_segment_share(struct bm_segment *segment)
{
	struct bm_backend *backend = segment->ctx->backend;
	int fd = backend->ops->share(backend, &segment->range);

	if (fd >= 0)
		atomic_store(&segment->shared, true);
	return fd;
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

static int map_each(struct bm_backend *backend, const struct bm_where *where,
		    struct bm_wanted *wanted, size_t n, size_t *failed)
{
	int ret;

	if (n > 1 && backend->ops->map_many)
		return backend->ops->map_many(backend, where, wanted, n, failed);
	for (size_t i = 0; i < n; i++) {
		ret = backend->ops->map(backend, where, wanted[i].tag, &wanted[i].range);
		if (!ret)
			continue;
		*failed = i;
		while (i--)
			backend->ops->unmap(backend, &wanted[i].range);
		return ret;
	}
	return 0;
}

static int prepare(struct bitmem *ctx, struct bm_wanted *wanted)
{
	wanted->segment = segment_alloc(ctx, wanted->length, ctx->backend->superblock_size);
	if (!wanted->segment)
		return -errno;
	wanted->range = wanted->segment->range;
	wanted->length = wanted->range.length;
	return 0;
}

int bm_segments_new(struct bitmem *ctx, struct bm_wanted *wanted, size_t n, size_t *failed)
{
	size_t made;
	int ret = 0;

	for (made = 0; !ret && made < n; made += !ret) {
		*failed = made;
		ret = prepare(ctx, &wanted[made]);
	}
	if (!ret)
		ret = map_each(ctx->backend, &ctx->pools[0].where, wanted, n, failed);
	for (size_t i = 0; i < made; i++) {
		wanted[i].segment->range = wanted[i].range;
		if (ret) {
			segment_abandon(ctx, wanted[i].segment);
			wanted[i].segment = NULL;
			continue;
		}
		segment_begin(wanted[i].segment, ctx);
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

		uncount(segments[i], ranges[i].addr);
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
