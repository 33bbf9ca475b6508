/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks come in the order of their addresses, from the slots; which of them are whose tensors is
 * known by the records, and found by address. A record may be missing, of a tensor that a thread is
 * just making or dropping.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../count.h"
#include "../segment.h"
#include "../walk.h"
#include "snapshot.h"

/* More than what was there when it was looked. */
#define SLACK	64u

struct capture {
	struct bitmem_snapshot *snapshot;
	const struct bm_capture *request;
	uint64_t now;
};

/*
 * Room for one more, unless it is too old. Two threads that freed a block at the same moment were
 * both counted (arena.h): then there may be more than was said, and the last is left out.
 */
static struct bm_held *next(struct bitmem *ctx, const struct capture *c, uint32_t stamp)
{
	const struct bm_clock *clock = &ctx->track.clock;
	const uint16_t epoch = (uint16_t)(stamp >> 16);
	struct bm_held *held = &c->snapshot->held[c->snapshot->n];

	if (clock->epochs[epoch].serial < c->request->since ||
	    c->snapshot->n == c->snapshot->room)
		return NULL;
	c->snapshot->n++;
	held->serial = clock->epochs[epoch].serial;
	held->number = (uint16_t)(stamp & BM_SLOT_SITE);
	bm_places_want(&c->snapshot->places, held->number);
	bm_clock_age(clock, epoch, c->now, &held->live.min_age_ns, &held->live.max_age_ns);
	return held;
}

static void take_block(struct bitmem *ctx, const struct bm_live *live, void *arg)
{
	const uint16_t state = bm_slot_state(live->slot);
	struct bm_held *held = next(ctx, arg, (uint32_t)live->slot->time << 16 | state);

	if (!held)
		return;
	held->live.ptr = live->ptr;
	held->live.bytes = live->bytes;
	held->live.room = live->room;
	held->live.pool = live->pool;
	held->live.kind = state & BM_SLOT_BLOCK ? BITMEM_LIVE_BLOCK : BITMEM_LIVE_TENSOR;
}

/* The pool of the memory that a view shows; 0 where it is from none. */
static unsigned int pool_of(const struct bitmem *ctx, const struct bm_tensor_look *look)
{
	const size_t offset = bm_arena_offset(&ctx->arena, look->data);
	const struct bm_segment *segment = NULL;

	if (!look->segment && offset < ctx->arena.size)
		segment = ctx->arena.segments[offset / ctx->arena.superblock];
	return segment ? segment->pool : 0;
}

static void take_record(struct bitmem *ctx, struct bm_record *record, void *arg)
{
	const struct capture *c = arg;
	struct bm_tensor_look look;
	struct bm_held *held;

	if (!bm_tensor_look(record, &look))
		return;
	if (!look.foreign) {
		if (c->snapshot->n_handles < c->snapshot->room)
			c->snapshot->handles[c->snapshot->n_handles++] = (struct bm_handle) {
				look.data, look.tensor, look.dtype,
			};
		return;
	}
	held = next(ctx, c, *look.stamp);
	if (!held)
		return;
	held->live.ptr = look.data;
	held->live.bytes = look.bytes;
	held->live.room = look.view ? 0 : look.bytes;
	held->live.pool = pool_of(ctx, &look);
	held->live.kind = look.view ? BITMEM_LIVE_VIEW : BITMEM_LIVE_TENSOR;
	held->live.dtype = look.dtype;
	held->live.tensor = look.tensor;
	if (look.segment)
		held->live.flags = BITMEM_LIVE_SEGMENT |
			(atomic_load(&look.segment->shared) ? BITMEM_LIVE_SHARED : 0);
}

/* With the lock held and all caches claimed, and room enough. */
static int fill(struct bitmem *ctx, struct bitmem_snapshot *snapshot,
		const struct bm_capture *request)
{
	struct capture c = { .snapshot = snapshot, .request = request };
	int ret = request->pin ? bm_clock_begin(ctx, request->pin) : 0;

	if (ret)
		return ret;
	c.now = bm_clock_now();
	snapshot->context = ctx->number;
	snapshot->serial = ctx->track.clock.serial;
	snapshot->stats = bm_stats_now(ctx);
	bm_walk(ctx, take_block, &c);
	bm_records_each(ctx, take_record, &c);
	bm_tags_take(ctx, &snapshot->tags);
	return 0;
}

/* Room for @n, of which @tags have a tag. 0 or -ENOMEM. */
static int make_room(struct bitmem_snapshot *snapshot, size_t n, size_t tags)
{
	free(snapshot->held);
	free(snapshot->handles);
	snapshot->room = n;
	snapshot->held = calloc(n, sizeof(*snapshot->held));
	snapshot->handles = calloc(n, sizeof(*snapshot->handles));
	if (bm_tags_room(&snapshot->tags, tags))
		return -ENOMEM;
	return snapshot->held && snapshot->handles ? 0 : -ENOMEM;
}

/* What there is, when nobody is in a cache. */
static size_t needed(struct bitmem *ctx)
{
	const struct bm_totals totals = bm_count_totals(ctx);

	return (size_t)(totals.allocs - totals.frees + ctx->counters.views);
}

/* 0; -errno; 1 if more room is needed, as much as *@n, and *@tags. */
static int try_fill(struct bitmem *ctx, struct bitmem_snapshot *snapshot,
		    const struct bm_capture *request, size_t *n, size_t *tags)
{
	int ret = 1;

	bm_lock(ctx);
	bm_clock_tick(ctx);
	bm_caches_claim(ctx, NULL);
	*n = needed(ctx);
	*tags = bm_tags_needed(ctx);
	if (*n <= snapshot->room && *tags <= snapshot->tags.room)
		ret = fill(ctx, snapshot, request);
	bm_caches_release(ctx, NULL);
	bm_unlock(ctx);
	return ret;
}

static int take(struct bitmem *ctx, struct bitmem_snapshot *snapshot,
		const struct bm_capture *request)
{
	size_t n = 0, tags = 0, extra = SLACK;
	int ret = 1;

	/* Threads that allocate all the while are caught up with. */
	while (ret == 1) {
		ret = make_room(snapshot, n + extra, tags ? tags + extra : 0);
		if (!ret)
			ret = try_fill(ctx, snapshot, request, &n, &tags);
		extra *= 2;
	}
	return ret;
}

/* --- afterwards --- */

static int compare_handles(const void *a, const void *b)
{
	const char *const x = ((const struct bm_handle *)a)->data;
	const char *const y = ((const struct bm_handle *)b)->data;

	return (x > y) - (x < y);
}

static int compare_held(const void *a, const void *b)
{
	const struct bitmem_live *x = a, *y = b;

	if ((x->kind == BITMEM_LIVE_VIEW) != (y->kind == BITMEM_LIVE_VIEW))
		return x->kind == BITMEM_LIVE_VIEW ? 1 : -1;
	return ((const char *)x->ptr > (const char *)y->ptr) -
	       ((const char *)x->ptr < (const char *)y->ptr);
}

static void find_types(struct bitmem_snapshot *s)
{
	size_t h = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct bitmem_live *live = &s->held[i].live;

		if (live->kind != BITMEM_LIVE_TENSOR || live->tensor)
			continue;
		while (h < s->n_handles && (const char *)s->handles[h].data <
					   (const char *)live->ptr)
			h++;
		if (h == s->n_handles || s->handles[h].data != live->ptr)
			continue;
		live->tensor = s->handles[h].tensor;
		live->dtype = s->handles[h].dtype;
	}
}

static int finish(struct bitmem *ctx, struct bitmem_snapshot *s)
{
	int ret = bm_places_make(&s->places, ctx);

	if (ret)
		return ret;
	if (s->n_handles)
		qsort(s->handles, s->n_handles, sizeof(*s->handles), compare_handles);
	if (s->n)
		qsort(s->held, s->n, sizeof(*s->held), compare_held);
	find_types(s);
	free(s->handles);
	s->handles = NULL;
	bm_tags_settle(&s->tags);
	for (size_t i = 0; i < s->n; i++) {
		struct bitmem_live *live = &s->held[i].live;

		live->place = &s->places.places[bm_places_of(&s->places, s->held[i].number)];
		live->tag = bm_tags_of(&s->tags, live->tensor);
	}
	bm_places_settle(&s->places);
	return 0;
}

struct bitmem_snapshot *bm_capture(struct bitmem *ctx, const struct bm_capture *request)
{
	struct bitmem_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	int ret = -ENOMEM;

	if (snapshot && !bm_places_init(&snapshot->places)) {
		ret = take(ctx, snapshot, request);
		if (!ret)
			ret = finish(ctx, snapshot);
	}
	if (!ret)
		return snapshot;
	bitmem_snapshot_free(snapshot);
	errno = -ret;
	return NULL;
}
