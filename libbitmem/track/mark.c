/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "mark.h"
#include "snapshot.h"

static int compare_held(const void *a, const void *b)
{
	const struct bm_held *x = a, *y = b;

	if (x->live.place != y->live.place)
		return x->live.place > y->live.place ? 1 : -1;
	return (x->serial > y->serial) - (x->serial < y->serial);
}

static bool is_same(const struct bm_held *a, const struct bm_held *b)
{
	return a->live.place == b->live.place && a->serial == b->serial;
}

static size_t count_parts(const struct bm_held *held, size_t n)
{
	size_t parts = 0;

	for (size_t i = 0; i < n; i++)
		parts += !i || !is_same(&held[i - 1], &held[i]);
	return parts;
}

static void add_part(struct bitmem_mark *mark, const struct bm_held *held)
{
	mark->parts[mark->n++] = (struct bm_part) {
		.place = (uint32_t)(held->live.place - mark->places.places),
		.serial = held->serial,
	};
}

static void add(struct bitmem_mark *mark, const struct bitmem_live *live)
{
	struct bm_part *part = &mark->parts[mark->n - 1];

	bm_sum_add(&mark->sum, live);
	if (live->kind == BITMEM_LIVE_VIEW) {
		part->views++;
		return;
	}
	part->count++;
	part->bytes += live->bytes;
}

/* Makes a mark of a snapshot, whose places it takes. 0 or -ENOMEM. */
static int sum_up(struct bitmem_mark *mark, struct bitmem_snapshot *snapshot)
{
	if (snapshot->n)
		qsort(snapshot->held, snapshot->n, sizeof(*snapshot->held), compare_held);
	mark->parts = calloc(count_parts(snapshot->held, snapshot->n) + 1, sizeof(*mark->parts));
	if (!mark->parts)
		return -ENOMEM;
	mark->context = snapshot->context;
	mark->serial = snapshot->serial;
	mark->places = snapshot->places;
	snapshot->places = (struct bm_places) { 0 };
	for (size_t i = 0; i < snapshot->n; i++) {
		if (!i || !is_same(&snapshot->held[i - 1], &snapshot->held[i]))
			add_part(mark, &snapshot->held[i]);
		add(mark, &snapshot->held[i].live);
	}
	return 0;
}

struct bitmem_mark *bitmem_mark(struct bitmem *ctx)
{
	struct bitmem_mark *mark = calloc(1, sizeof(*mark));
	struct bm_pin *pin = bm_pin_new();
	struct bitmem_snapshot *snapshot;
	int ret;

	if (!mark || !pin) {
		free(mark);
		free(pin);
		errno = ENOMEM;
		return NULL;
	}
	snapshot = bm_capture(ctx, &(struct bm_capture) { .pin = pin });
	if (!snapshot) {
		ret = -errno;
		bm_pin_unref(pin);
		free(mark);
		errno = -ret;
		return NULL;
	}
	mark->pin = pin;
	ret = sum_up(mark, snapshot);
	bitmem_snapshot_free(snapshot);
	if (!ret)
		return mark;
	bitmem_mark_free(mark);
	errno = -ret;
	return NULL;
}

void bitmem_mark_free(struct bitmem_mark *mark)
{
	if (!mark)
		return;
	bm_pin_unref(mark->pin);
	bm_places_destroy(&mark->places);
	free(mark->parts);
	free(mark);
}

struct bitmem_sum bitmem_mark_sum(const struct bitmem_mark *mark)
{
	return mark->sum;
}
