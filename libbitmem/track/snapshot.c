/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is to ask of a snapshot. It is constant, so by several threads at once. */
#include <errno.h>
#include <stdlib.h>

#include "../hash.h"
#include "snapshot.h"

struct bitmem_snapshot *bitmem_snapshot(struct bitmem *ctx)
{
	return bm_capture(ctx, &(struct bm_capture) { .since = 0 });
}

void bitmem_snapshot_free(struct bitmem_snapshot *snapshot)
{
	if (!snapshot)
		return;
	bm_places_destroy(&snapshot->places);
	free(snapshot->tags.tagged);
	free(snapshot->held);
	free(snapshot->handles);
	free(snapshot);
}

int bitmem_snapshot_stats(const struct bitmem_snapshot *snapshot, struct bitmem_stats *stats)
{
	return bm_stats_copy(&snapshot->stats, stats);
}

size_t bitmem_snapshot_count(const struct bitmem_snapshot *snapshot)
{
	return snapshot->n;
}

const struct bitmem_live *bitmem_snapshot_get(const struct bitmem_snapshot *snapshot, size_t i)
{
	return i < snapshot->n ? &snapshot->held[i].live : NULL;
}

/* --- keys --- */

/* Places of one snapshot lie in an array, each once. */
uint64_t bitmem_by_place(const struct bitmem_live *live, void *arg)
{
	(void)arg;
	return (uintptr_t)live->place;
}

uint64_t bitmem_by_dtype(const struct bitmem_live *live, void *arg)
{
	(void)arg;
	return live->dtype;
}

uint64_t bitmem_by_pool(const struct bitmem_live *live, void *arg)
{
	(void)arg;
	return live->pool;
}

uint64_t bitmem_by_tag(const struct bitmem_live *live, void *arg)
{
	(void)arg;
	return live->tag ? bm_hash_of_text(live->tag) : 0;
}

uint64_t bitmem_by_kind(const struct bitmem_live *live, void *arg)
{
	(void)arg;
	return live->kind;
}

uint64_t bitmem_by_size(const struct bitmem_live *live, void *arg)
{
	(void)arg;
	return live->bytes ? UINT64_C(1) << (63 - __builtin_clzll(live->bytes)) : 0;
}

/* --- groups --- */

void bm_sum_add(struct bitmem_sum *sum, const struct bitmem_live *live)
{
	if (live->kind == BITMEM_LIVE_VIEW) {
		sum->views++;
	} else {
		sum->count++;
		sum->bytes += live->bytes;
	}
	if (live->max_age_ns >= sum->max_oldest_ns) {
		sum->max_oldest_ns = live->max_age_ns;
		sum->min_oldest_ns = live->min_age_ns;
	}
}

struct keyed {
	uint64_t key;
	const struct bitmem_live *live;
};

static int compare_keyed(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	if (x->key != y->key)
		return x->key > y->key ? 1 : -1;
	return (x->live > y->live) - (x->live < y->live);
}

static size_t sum_up(const struct keyed *keyed, size_t n, struct bitmem_group *groups)
{
	size_t made = 0;

	for (size_t i = 0; i < n; i++) {
		if (!i || keyed[i].key != keyed[i - 1].key)
			groups[made++] = (struct bitmem_group) {
				.key = keyed[i].key, .example = keyed[i].live,
			};
		bm_sum_add(&groups[made - 1].sum, keyed[i].live);
	}
	return made;
}

static size_t count_keys(const struct keyed *keyed, size_t n)
{
	size_t keys = 0;

	for (size_t i = 0; i < n; i++)
		keys += !i || keyed[i].key != keyed[i - 1].key;
	return keys;
}

int bitmem_snapshot_group(const struct bitmem_snapshot *snapshot, bitmem_key_fn key, void *arg,
			  struct bitmem_group **groups, size_t *n)
{
	struct bitmem_group *made;
	struct keyed *keyed;

	if (!key || !groups || !n)
		return -EINVAL;
	if (!snapshot->n) {
		*groups = NULL;
		*n = 0;
		return 0;
	}
	keyed = calloc(snapshot->n, sizeof(*keyed));
	if (!keyed)
		return -ENOMEM;
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct bitmem_live *live = &snapshot->held[i].live;

		keyed[i] = (struct keyed) { key(live, arg), live };
	}
	qsort(keyed, snapshot->n, sizeof(*keyed), compare_keyed);
	made = calloc(count_keys(keyed, snapshot->n), sizeof(*made));
	if (made) {
		*n = sum_up(keyed, snapshot->n, made);
		*groups = made;
	}
	free(keyed);
	return made ? 0 : -ENOMEM;
}
