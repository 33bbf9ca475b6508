/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How tight memory is where a pool takes it from, and where all do together. */
#include <errno.h>

#include "pools.h"

enum bitmem_pressure bm_pool_level(struct bitmem *ctx, unsigned int pool)
{
	struct bm_reading reading;
	enum bitmem_pressure level;

	pthread_mutex_lock(&ctx->keeper.pressure.lock);
	bm_pool_read(ctx, pool, &reading);
	level = bm_level_next(&ctx->pools[pool].level, &reading);
	pthread_mutex_unlock(&ctx->keeper.pressure.lock);
	return level;
}

/* Whether less is left of @a than of @b. What is not known is not tight. */
static bool is_tighter(const struct bm_usage *a, const struct bm_usage *b)
{
	if (!a->total || !b->total)
		return a->total;
	return (double)a->used / (double)a->total > (double)b->used / (double)b->total;
}

void bm_pools_add_readings(const struct bitmem *ctx, struct bm_reading *reading)
{
	const unsigned int n = bm_nr_pools(ctx);
	struct bm_reading one;

	for (unsigned int i = 1; i < n; i++) {
		bm_pool_read(ctx, i, &one);
		if (is_tighter(&one.usage[0], &reading->usage[0]))
			reading->usage[0] = one.usage[0];
		if (one.floor > reading->floor)
			reading->floor = one.floor;
	}
}

int bitmem_pool_pressure(struct bitmem *ctx, unsigned int pool, enum bitmem_pressure *level)
{
	if (!bm_pool_exists(ctx, pool))
		return -ENOENT;
	*level = bm_pool_level(ctx, pool);
	return 0;
}
