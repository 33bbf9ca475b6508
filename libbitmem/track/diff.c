/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two marks beside each other, and rows of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../options.h"
#include "mark.h"

/* The first version's size. */
#define GROWTH_SIZE_1 BM_FIRST_SIZE(struct bitmem_growth, pauses)

/* The parts of one place after the other. */
struct cursor {
	const struct bitmem_mark *mark;
	size_t at;
};

static const struct bitmem_place *place_at(const struct cursor *c)
{
	if (c->at == c->mark->n)
		return NULL;
	return &c->mark->places.places[c->mark->parts[c->at].place];
}

/* Passes over the parts of the place that it is at, and sums up those from @serial on. */
static struct bm_part pass(struct cursor *c, uint64_t serial)
{
	const struct bm_part *parts = c->mark->parts;
	const uint32_t place = parts[c->at].place;
	struct bm_part sum = { .place = place };

	for (; c->at < c->mark->n && parts[c->at].place == place; c->at++) {
		if (parts[c->at].serial < serial)
			continue;
		sum.count += parts[c->at].count;
		sum.bytes += parts[c->at].bytes;
		sum.views += parts[c->at].views;
	}
	return sum;
}

/* What became of the next place of either. False at the end. */
static bool next_change(struct cursor *before, struct cursor *after, struct bitmem_change *change)
{
	const struct bitmem_place *old = place_at(before), *new = place_at(after);
	int order = !old ? 1 : !new ? -1 : bm_place_compare(old, new);
	struct bm_part was = { 0 }, is = { 0 }, added = { 0 };
	struct cursor again = *after;

	if (!old && !new)
		return false;
	if (order <= 0)
		was = pass(before, 0);
	if (order >= 0) {
		is = pass(after, 0);
		added = pass(&again, before->mark->serial);
	}
	*change = (struct bitmem_change) {
		.place = order < 0 ? old : new,
		.added = added.count, .added_bytes = added.bytes, .added_views = added.views,
		.gone = was.count + added.count - is.count,
		.gone_bytes = was.bytes + added.bytes - is.bytes,
		.gone_views = was.views + added.views - is.views,
		.count = is.count, .bytes = is.bytes, .views = is.views,
	};
	return true;
}

static bool is_change(const struct bitmem_change *c)
{
	return c->added || c->added_views || c->gone || c->gone_views;
}

static int compare_changes(const void *a, const void *b)
{
	const struct bitmem_change *x = a, *y = b;

	if (x->added_bytes != y->added_bytes)
		return x->added_bytes < y->added_bytes ? 1 : -1;
	if (x->added != y->added)
		return x->added < y->added ? 1 : -1;
	return bm_place_compare(x->place, y->place);
}

int bitmem_mark_diff(const struct bitmem_mark *before, const struct bitmem_mark *after,
		     struct bitmem_change **changes, size_t *n)
{
	struct cursor old = { .mark = before }, new = { .mark = after };
	struct bitmem_change *made, change;
	size_t count = 0;

	if (!before || !after || !changes || !n || before->context != after->context ||
	    before->serial > after->serial)
		return -EINVAL;
	made = calloc((size_t)before->places.n + after->places.n + 1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	while (next_change(&old, &new, &change)) {
		if (is_change(&change))
			made[count++] = change;
	}
	qsort(made, count, sizeof(*made), compare_changes);
	if (!count) {
		free(made);
		made = NULL;
	}
	*changes = made;
	*n = count;
	return 0;
}

/* --- growth --- */

void bitmem_growth_init_sized(struct bitmem_growth *growth, size_t size)
{
	const struct bitmem_growth defaults = { .size = size };

	bm_write_sized(growth, size, &defaults, sizeof(defaults));
}

static int read_growth(const struct bitmem_growth *from, struct bitmem_growth *growth)
{
	struct bitmem_error *nowhere = NULL;

	bitmem_growth_init(growth);
	return bm_read_sized(growth, sizeof(*growth), from, GROWTH_SIZE_1, "growth", &nowhere);
}

/* What a mark has of a place. */
static struct bm_part part_of(const struct bitmem_mark *mark, const struct bitmem_place *place)
{
	struct cursor c = { .mark = mark };
	size_t low = 0, high = mark->n;

	while (low < high) {
		c.at = low + (high - low) / 2;
		if (bm_place_compare(place_at(&c), place) < 0)
			low = c.at + 1;
		else
			high = c.at;
	}
	c.at = low;
	if (!place_at(&c) || bm_place_compare(place_at(&c), place))
		return (struct bm_part) { 0 };
	return pass(&c, 0);
}

static bool is_suspect(const struct bitmem_mark *const *marks, size_t n,
		       const struct bitmem_growth *growth, const struct bitmem_place *place)
{
	const struct bm_part first = part_of(marks[0], place);
	struct bm_part last = first;
	unsigned int pauses = 0;

	for (size_t i = 1; i < n; i++) {
		const struct bm_part now = part_of(marks[i], place);

		if (now.count < last.count || now.bytes < last.bytes || now.views < last.views)
			return false;
		pauses += now.count == last.count && now.bytes == last.bytes &&
			  now.views == last.views;
		last = now;
	}
	return pauses <= growth->pauses && last.bytes - first.bytes >= growth->min_bytes &&
	       last.count - first.count + last.views - first.views >= growth->min_count;
}

int bitmem_suspects(const struct bitmem_mark *const *marks, size_t n,
		    const struct bitmem_growth *growth, struct bitmem_change **changes,
		    size_t *n_changes)
{
	struct bitmem_growth set;
	size_t kept = 0;
	int ret;

	if (!marks || n < 3 || read_growth(growth, &set))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!marks[i] || (i && (marks[i]->context != marks[0]->context ||
					marks[i]->serial <= marks[i - 1]->serial)))
			return -EINVAL;
	}
	ret = bitmem_mark_diff(marks[0], marks[n - 1], changes, n_changes);
	if (ret)
		return ret;
	for (size_t i = 0; i < *n_changes; i++) {
		if (is_suspect(marks, n, &set, (*changes)[i].place))
			(*changes)[kept++] = (*changes)[i];
	}
	*n_changes = kept;
	if (!kept) {
		free(*changes);
		*changes = NULL;
	}
	return 0;
}
