/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block allocator: first fit in order of address, with coalescing.
 *
 * Small requests share segments of one size; a request that is larger than such
 * a segment gets one of its own, exact to the page. One empty shared segment is
 * kept for the next request; any other goes back to the backend at once.
 *
 * Invariants, under ctx->lock:
 * - the spans are those of span.h: they cover each segment, free neighbours are
 *   merged, so a segment is empty exactly when one free span covers it;
 * - beyond segment->touched a segment was never handed out and is zero. What is
 *   before it is zeroed when it is handed out again, after the lock is dropped:
 *   the block already belongs to the caller then.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "context.h"
#include "segment.h"
#include "span.h"

struct bm_blocks {
	struct bm_spans spans;
	size_t segment_size;
	size_t spare;	/* shared segments that are empty: 0 or 1 */
	bool closed;	/* keep no spare */
};

/* What a request turned into. */
struct request {
	size_t size, length, align;
	enum bm_owner owner;
	size_t meta;
	bool shared;
	/* The result, and how much of it is to be zeroed. */
	void *ptr;
	size_t dirty;
};

struct bm_blocks *bm_blocks_new(size_t segment_size)
{
	struct bm_blocks *blocks = calloc(1, sizeof(*blocks));

	if (blocks)
		blocks->segment_size = segment_size;
	return blocks;
}

void bm_blocks_delete(struct bm_blocks *blocks)
{
	free(blocks);
}

size_t bm_blocks_meta(const struct bm_blocks *blocks)
{
	return bm_meta_size(blocks);
}

static struct bm_span *span_new(struct bitmem *ctx, struct bm_segment *segment, uintptr_t start,
				size_t length)
{
	struct bm_span *span = calloc(1, sizeof(*span));

	if (!span)
		return NULL;
	span->segment = segment;
	span->start = start;
	span->length = length;
	span->owner = BM_OWNER_NONE;
	ctx->counters.meta_bytes += bm_meta_size(span);
	return span;
}

static void span_delete(struct bitmem *ctx, struct bm_span *span)
{
	ctx->counters.meta_bytes -= bm_meta_size(span);
	free(span);
}

static bool is_empty(const struct bm_span *span)
{
	return span->owner == BM_OWNER_NONE && span->length == span->segment->range.length;
}

/* Takes an empty segment off the books; the caller drops it after the lock. */
static struct bm_segment *forget(struct bitmem *ctx, struct bm_span *span)
{
	struct bm_segment *segment = span->segment;

	bm_spans_erase(&ctx->blocks->spans, span);
	span_delete(ctx, span);
	return segment;
}

/* Adds @next behind @span, which has been made shorter by as much. */
static void split(struct bm_blocks *blocks, struct bm_span *span, struct bm_span *next)
{
	span->length -= next->length;
	bm_span_changed(span);
	bm_spans_insert(&blocks->spans, next);
}

/* Merges @next into @span, its neighbour. */
static void merge(struct bitmem *ctx, struct bm_span *span, struct bm_span *next)
{
	bm_spans_erase(&ctx->blocks->spans, next);
	span->length += next->length;
	bm_span_changed(span);
	span_delete(ctx, next);
}

static bool can_merge(const struct bm_span *a, const struct bm_span *b)
{
	return a && b && a->segment == b->segment && a->owner == BM_OWNER_NONE &&
	       b->owner == BM_OWNER_NONE;
}

/* Cuts the request out of a free span; NULL, and no change, if a record cannot be had. */
static struct bm_span *carve(struct bitmem *ctx, struct bm_span *span, const struct request *rq)
{
	uintptr_t start = bm_round_up(span->start, rq->align);
	size_t gap = start - span->start, rest = span->length - gap - rq->length;
	struct bm_span *tail = NULL, *block = span;

	if (rest) {
		tail = span_new(ctx, span->segment, start + rq->length, rest);
		if (!tail)
			return NULL;
	}
	if (gap) {
		block = span_new(ctx, span->segment, start, rq->length);
		if (!block) {
			if (tail)
				span_delete(ctx, tail);
			return NULL;
		}
	}
	if (tail)
		split(ctx->blocks, span, tail);
	if (gap)
		split(ctx->blocks, span, block);
	return block;
}

/* Serves the request from @span, which has room for it. Under the lock. */
static bool take(struct bitmem *ctx, struct bm_span *span, struct request *rq)
{
	struct bm_segment *segment = span->segment;
	bool spare = rq->shared && is_empty(span);
	size_t offset, end;

	span = carve(ctx, span, rq);
	if (!span)
		return false;
	if (spare)
		ctx->blocks->spare--;
	span->owner = rq->owner;
	span->slack = (uint32_t)(span->length - rq->size);
	bm_span_changed(span);
	bm_count_alloc(&ctx->counters, rq->size, rq->meta);

	rq->ptr = (void *)span->start;
	offset = span->start - (uintptr_t)segment->range.addr;
	end = offset + span->length;
	if (offset < segment->touched)
		rq->dirty = (end < segment->touched ? end : segment->touched) - offset;
	if (end > segment->touched)
		segment->touched = end;
	return true;
}

/* Puts a fresh segment on the books, as one free span. Under the lock. */
static struct bm_span *add(struct bitmem *ctx, struct bm_segment *segment, bool shared)
{
	struct bm_span *span = span_new(ctx, segment, (uintptr_t)segment->range.addr,
					segment->range.length);

	if (!span)
		return NULL;
	bm_spans_insert(&ctx->blocks->spans, span);
	if (shared)
		ctx->blocks->spare++;
	return span;
}

/*
 * Serves the request from a fresh segment; or, if somebody made room meanwhile,
 * from an old one. Returns the segment if it is not needed.
 */
static struct bm_segment *take_fresh(struct bitmem *ctx, struct bm_segment *segment,
				     struct request *rq)
{
	struct bm_blocks *blocks = ctx->blocks;
	struct bm_span *span = NULL;

	if (rq->shared)
		span = bm_spans_fit(&blocks->spans, rq->length, rq->align);
	if (span) {
		take(ctx, span, rq);
		return segment;
	}
	span = add(ctx, segment, rq->shared);
	if (!span)
		return segment;
	if (!rq->shared)
		rq->length = span->length;
	if (take(ctx, span, rq))
		return NULL;
	if (rq->shared)
		blocks->spare--;
	return forget(ctx, span);
}

static void grow(struct bitmem *ctx, struct request *rq)
{
	size_t length = rq->shared ? ctx->blocks->segment_size : rq->length;
	struct bm_segment *segment = bm_segment_new(ctx, length, rq->shared ? "blocks" : "block");

	if (!segment)
		return;
	pthread_mutex_lock(&ctx->lock);
	segment = take_fresh(ctx, segment, rq);
	pthread_mutex_unlock(&ctx->lock);
	if (segment)
		bm_segment_unref(segment);
}

void *bm_block_alloc(struct bitmem *ctx, size_t size, size_t align, enum bm_owner owner,
		     size_t meta)
{
	struct request rq = { .size = size, .align = align, .owner = owner, .meta = meta };
	struct bm_span *span = NULL;

	if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	rq.length = bm_round_up(size ? size : 1, BM_ALIGN_MIN);
	rq.shared = rq.length <= ctx->blocks->segment_size;
	if (rq.shared) {
		pthread_mutex_lock(&ctx->lock);
		span = bm_spans_fit(&ctx->blocks->spans, rq.length, rq.align);
		if (span)
			take(ctx, span, &rq);
		pthread_mutex_unlock(&ctx->lock);
	}
	if (!span)
		grow(ctx, &rq);
	if (!rq.ptr) {
		errno = ENOMEM;
		return NULL;
	}
	if (rq.dirty)
		memset(rq.ptr, 0, rq.dirty);
	return rq.ptr;
}

/*
 * Frees a span in use. Returns its segment if that is to be dropped after the
 * lock; else NULL.
 */
static struct bm_segment *release(struct bitmem *ctx, struct bm_span *span, size_t meta)
{
	struct bm_blocks *blocks = ctx->blocks;
	struct bm_span *next = bm_span_next(span), *prev = bm_span_prev(span);

	bm_count_free(&ctx->counters, span->length - span->slack, meta);
	span->owner = BM_OWNER_NONE;
	bm_span_changed(span);
	if (can_merge(span, next))
		merge(ctx, span, next);
	if (can_merge(prev, span)) {
		merge(ctx, prev, span);
		span = prev;
	}
	if (!is_empty(span))
		return NULL;
	if (span->length == blocks->segment_size && !blocks->spare && !blocks->closed) {
		blocks->spare = 1;
		return NULL;
	}
	return forget(ctx, span);
}

static struct bm_span *find(struct bitmem *ctx, const void *ptr, enum bm_owner owner)
{
	struct bm_span *span = bm_spans_find(&ctx->blocks->spans, (uintptr_t)ptr);

	return span && span->owner == owner ? span : NULL;
}

int bm_block_free(struct bitmem *ctx, void *ptr, enum bm_owner owner, size_t meta)
{
	struct bm_segment *dropped = NULL;
	struct bm_span *span;

	pthread_mutex_lock(&ctx->lock);
	span = find(ctx, ptr, owner);
	if (span)
		dropped = release(ctx, span, meta);
	pthread_mutex_unlock(&ctx->lock);
	if (dropped)
		bm_segment_unref(dropped);
	return span ? 0 : -EINVAL;
}

size_t bm_block_usable(struct bitmem *ctx, const void *ptr, enum bm_owner owner)
{
	struct bm_span *span;
	size_t length;

	pthread_mutex_lock(&ctx->lock);
	span = find(ctx, ptr, owner);
	length = span ? span->length : 0;
	pthread_mutex_unlock(&ctx->lock);
	return length;
}

size_t bm_blocks_trim(struct bitmem *ctx)
{
	struct bm_blocks *blocks = ctx->blocks;
	struct bm_segment *segment = NULL;
	size_t bytes = 0;

	pthread_mutex_lock(&ctx->lock);
	if (blocks->spare) {
		segment = forget(ctx, bm_spans_fit(&blocks->spans, blocks->segment_size,
						   BM_ALIGN_MIN));
		blocks->spare = 0;
	}
	pthread_mutex_unlock(&ctx->lock);
	if (segment) {
		bytes = segment->range.length;
		bm_segment_unref(segment);
	}
	return bytes;
}

/* Frees every block of BM_OWNER_USER. Returns the list of segments to be dropped. */
static struct bm_segment *release_users(struct bitmem *ctx)
{
	struct bm_span *span, *next;
	struct bm_segment *list = NULL;

	for (span = bm_spans_first(&ctx->blocks->spans); span; span = next) {
		struct bm_segment *segment;

		next = bm_span_next(span);
		if (span->owner != BM_OWNER_USER)
			continue;
		/* The span behind may be merged into this one: it is free, so skip it. */
		while (next && next->owner == BM_OWNER_NONE)
			next = bm_span_next(next);
		segment = release(ctx, span, 0);
		if (segment) {
			segment->next = list;
			list = segment;
		}
	}
	return list;
}

void bm_blocks_close(struct bitmem *ctx)
{
	struct bm_segment *list;

	pthread_mutex_lock(&ctx->lock);
	ctx->blocks->closed = true;
	list = release_users(ctx);
	pthread_mutex_unlock(&ctx->lock);
	bm_segments_unref(list);
	bm_blocks_trim(ctx);
}
