/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's counters beside what it has, under the lock; and beside what the backend says,
 * which is asked without it. Meanwhile others may make and drop segments, which the backend has a
 * moment before they are counted, and not any more a moment before they are uncounted: so where
 * both do not agree it is tried again, for some seconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../options.h"
#include "../segment.h"
#include "backend_view.h"
#include "check.h"

#define AUDIT_SIZE_1	BM_FIRST_SIZE(struct bitmem_audit, named)
#define TRIES		200
#define PAUSE_NS	10000000

struct audit {
	struct bm_check check;
	struct bitmem_stats stats;
	struct bm_backend_view view;
	struct bm_extent *extents;
	size_t n, room;
};

static int compare_extents(const void *a, const void *b)
{
	const struct bm_extent *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Copies where the segments are, if there is room. */
static void copy_extents(const struct bitmem *ctx, struct audit *a)
{
	a->n = (size_t)ctx->counters.segments;
	if (a->n > a->room)
		return;
	a->n = 0;
	for (const struct bm_segment *s = ctx->counted; s && a->n < a->room; s = s->next_counted)
		a->extents[a->n++] = (struct bm_extent) {
			(uintptr_t)s->range.addr, s->range.length,
		};
}

/* 0; -EUCLEAN if something is wrong in the library's own books; -ENOMEM. */
static int look_inside(struct bitmem *ctx, struct audit *a)
{
	for (;;) {
		bm_lock(ctx);
		bm_caches_claim(ctx, NULL);
		bm_check(ctx, &a->check);
		a->stats = bm_stats_now(ctx);
		copy_extents(ctx, a);
		bm_caches_release(ctx, NULL);
		bm_unlock(ctx);
		if (a->n <= a->room)
			break;
		free(a->extents);
		a->room = 2 * a->n;
		a->extents = calloc(a->room, sizeof(*a->extents));
		if (!a->extents)
			return -ENOMEM;
	}
	if (a->n)
		qsort(a->extents, a->n, sizeof(*a->extents), compare_extents);
	return *a->check.wrong ? -EUCLEAN : 0;
}

static int look_outside(const struct bitmem *ctx, struct audit *a)
{
	int node, fd = bm_backend_device_fd(ctx->backend, &node);

	return fd >= 0 ? bm_device_view(fd, &a->view) : bm_memfd_view(a->extents, a->n, &a->view);
}

/* Whether both say the same. Memory that nobody locked comes when it is touched. */
static bool agree(const struct bitmem *ctx, const struct audit *a)
{
	const struct bm_backend_view *view = &a->view;

	if (view->segments != a->stats.segments)
		return false;
	if (ctx->backend->ops->kind == BITMEM_BACKEND_DEVICE)
		return view->resident == a->stats.committed_bytes &&
		       view->pinned == a->stats.pinned_bytes;
	return view->resident <= a->stats.committed_bytes &&
	       view->pinned >= a->stats.pinned_bytes;
}

static bool is_moving(const struct bitmem_stats *a, const struct bitmem_stats *b)
{
	return a->segments != b->segments || a->committed_bytes != b->committed_bytes ||
	       a->pinned_bytes != b->pinned_bytes;
}

static int compare(struct bitmem *ctx, struct audit *a)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct bitmem_stats last;
	bool moving = false;
	int ret = look_inside(ctx, a);

	for (int i = 0; !ret; i++) {
		ret = look_outside(ctx, a);
		if (ret || agree(ctx, a))
			return ret;
		if (i == TRIES)
			return moving ? -EAGAIN : -EUCLEAN;
		nanosleep(&pause, NULL);
		last = a->stats;
		ret = look_inside(ctx, a);
		moving |= !ret && is_moving(&last, &a->stats);
	}
	return ret;
}

static void fill_in(const struct audit *a, struct bitmem_audit *audit)
{
	const size_t size = audit->size;
	const struct bitmem_audit now = {
		.size = size, .error = audit->error,
		.live = a->stats.live, .live_bytes = a->stats.live_bytes, .views = a->stats.views,
		.segments = a->stats.segments, .committed_bytes = a->stats.committed_bytes,
		.pinned_bytes = a->stats.pinned_bytes,
		.found = a->check.live, .found_bytes = a->check.live_bytes,
		.found_views = a->check.views,
		.backend_segments = a->view.segments, .backend_bytes = a->view.bytes,
		.backend_resident = a->view.resident, .backend_pinned = a->view.pinned,
		.exported = a->view.exported, .named = a->view.named,
	};

	bm_write_sized(audit, size, &now, sizeof(now));
}

static int say(const struct audit *a, struct bitmem_error *error, int code)
{
	if (code == -EUCLEAN && *a->check.wrong)
		return bm_error(error, code, "%s", a->check.wrong);
	if (code == -EUCLEAN)
		return bm_error(error, code, "segments: %" PRIu64 ", committed %" PRIu64
				", pinned %" PRIu64 "; and the backend has %" PRIu64 ", %" PRIu64
				", %" PRIu64, a->stats.segments, a->stats.committed_bytes,
				a->stats.pinned_bytes, a->view.segments, a->view.resident,
				a->view.pinned);
	return bm_error(error, code, "%s", strerror(-code));
}

int bitmem_audit(struct bitmem *ctx, struct bitmem_audit *audit)
{
	struct audit a = { .room = 0 };
	int ret;

	if (audit->size < AUDIT_SIZE_1)
		return -EINVAL;
	if (audit->error)
		*audit->error = (struct bitmem_error) { .code = 0 };
	ret = compare(ctx, &a);
	fill_in(&a, audit);
	free(a.extents);
	return ret ? say(&a, audit->error, ret) : 0;
}
