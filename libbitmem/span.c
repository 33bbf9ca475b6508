/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree of spans: a treap, ordered by address, whose heap order is a hash of
 * the address. It needs no stored balance and stays balanced whatever the order
 * of insertions. Not locked: the allocator holds its context's lock.
 */
#include <stdbool.h>

#include "context.h"
#include "span.h"

/* The finalizer of splitmix64: a bijection that spreads every bit. */
static uint64_t priority(const struct bm_span *span)
{
	uint64_t x = span->start;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static void update(struct bm_span *span)
{
	size_t largest = span->owner == BM_OWNER_NONE ? span->length : 0;

	if (span->left && largest < span->left->largest)
		largest = span->left->largest;
	if (span->right && largest < span->right->largest)
		largest = span->right->largest;
	span->largest = largest;
}

/* Where the tree points to @span. */
static struct bm_span **link_of(struct bm_spans *spans, struct bm_span *span)
{
	if (!span->parent)
		return &spans->root;
	return span->parent->left == span ? &span->parent->left : &span->parent->right;
}

/* Exchanges @span with its parent, keeping the order of addresses. */
static void rotate_up(struct bm_spans *spans, struct bm_span *span)
{
	struct bm_span *parent = span->parent, **link = link_of(spans, parent);
	struct bm_span **inner = parent->left == span ? &span->right : &span->left;
	struct bm_span **outer = parent->left == span ? &parent->left : &parent->right;

	*outer = *inner;
	if (*inner)
		(*inner)->parent = parent;
	*inner = parent;
	span->parent = parent->parent;
	parent->parent = span;
	*link = span;
	update(parent);
	update(span);
}

void bm_span_changed(struct bm_span *span)
{
	for (; span; span = span->parent)
		update(span);
}

void bm_spans_insert(struct bm_spans *spans, struct bm_span *span)
{
	struct bm_span **link = &spans->root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = span->start < parent->start ? &parent->left : &parent->right;
	}
	span->left = NULL;
	span->right = NULL;
	span->parent = parent;
	*link = span;
	bm_span_changed(span);
	while (span->parent && priority(span->parent) < priority(span))
		rotate_up(spans, span);
}

void bm_spans_erase(struct bm_spans *spans, struct bm_span *span)
{
	while (span->left || span->right) {
		struct bm_span *child = span->left;

		if (!child || (span->right && priority(child) < priority(span->right)))
			child = span->right;
		rotate_up(spans, child);
	}
	*link_of(spans, span) = NULL;
	bm_span_changed(span->parent);
}

struct bm_span *bm_spans_find(const struct bm_spans *spans, uintptr_t start)
{
	struct bm_span *span = spans->root;

	while (span && span->start != start)
		span = start < span->start ? span->left : span->right;
	return span;
}

static bool has_room(const struct bm_span *span, size_t length, size_t align)
{
	size_t skip = bm_round_up(span->start, align) - span->start;

	return span->owner == BM_OWNER_NONE && skip <= span->length &&
	       length <= span->length - skip;
}

static struct bm_span *fit_below(struct bm_span *span, size_t length, size_t align)
{
	struct bm_span *found;

	if (!span || span->largest < length)
		return NULL;
	found = fit_below(span->left, length, align);
	if (found)
		return found;
	if (has_room(span, length, align))
		return span;
	return fit_below(span->right, length, align);
}

struct bm_span *bm_spans_fit(const struct bm_spans *spans, size_t length, size_t align)
{
	return fit_below(spans->root, length, align);
}

struct bm_span *bm_spans_first(const struct bm_spans *spans)
{
	struct bm_span *span = spans->root;

	while (span && span->left)
		span = span->left;
	return span;
}

struct bm_span *bm_span_next(const struct bm_span *span)
{
	const struct bm_span *from = span;

	if (span->right) {
		for (span = span->right; span->left; )
			span = span->left;
		return (struct bm_span *)span;
	}
	for (span = span->parent; span && span->right == from; span = span->parent)
		from = span;
	return (struct bm_span *)span;
}

struct bm_span *bm_span_prev(const struct bm_span *span)
{
	const struct bm_span *from = span;

	if (span->left) {
		for (span = span->left; span->right; )
			span = span->right;
		return (struct bm_span *)span;
	}
	for (span = span->parent; span && span->left == from; span = span->parent)
		from = span;
	return (struct bm_span *)span;
}
