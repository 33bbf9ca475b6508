/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spans: runs of bytes in segments, free or in use, in a tree ordered by address.
 *
 * The spans of a segment cover it without gap or overlap, and no two free ones
 * are neighbours in it. Every span knows the longest free one below it, so that
 * first fit, look-up, insertion and removal all take logarithmic time.
 */
#ifndef BITMEM_SPAN_H
#define BITMEM_SPAN_H

#include "block.h"

struct bm_span {
	struct bm_span *left, *right, *parent;
	struct bm_segment *segment;
	uintptr_t start; /* never changes while the span is in a tree */
	size_t length;
	size_t largest;	/* length of the longest free span in this subtree, 0 if none */
	uint32_t slack; /* in use: length less the bytes asked for */
	enum bm_owner owner;
};

struct bm_spans {
	struct bm_span *root;
};

void bm_spans_insert(struct bm_spans *spans, struct bm_span *span);
void bm_spans_erase(struct bm_spans *spans, struct bm_span *span);

/* To be called after a change of length or owner of a span that is in a tree. */
void bm_span_changed(struct bm_span *span);

/* The span that starts at @start, or NULL. */
struct bm_span *bm_spans_find(const struct bm_spans *spans, uintptr_t start);

/* The first free span that has room for @length bytes at a multiple of @align, or NULL. */
struct bm_span *bm_spans_fit(const struct bm_spans *spans, size_t length, size_t align);

/* In order of address; NULL at the end. */
struct bm_span *bm_spans_first(const struct bm_spans *spans);
struct bm_span *bm_span_next(const struct bm_span *span);
struct bm_span *bm_span_prev(const struct bm_span *span);

#endif /* BITMEM_SPAN_H */
