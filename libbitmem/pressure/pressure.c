/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How tight memory is for a context, and was when last looked at. */
#include "context.h"

/* The kernel tells of a stall once in two seconds at most: it counts for two such times. */
#define STALL_MS 4000

void bm_pressure_init(struct bm_pressure *pressure)
{
	pthread_mutex_init(&pressure->lock, NULL);
}

void bm_pressure_destroy(struct bm_pressure *pressure)
{
	pthread_mutex_destroy(&pressure->lock);
}

enum bitmem_pressure bm_pressure_measure(struct bitmem *ctx)
{
	struct bm_pressure *pressure = &ctx->keeper.pressure;
	struct bm_reading reading;
	enum bitmem_pressure level;

	pthread_mutex_lock(&pressure->lock);
	bm_pressure_read(ctx, &reading);
	if (bm_now_ms() < pressure->stalled_until)
		reading.stalled = true;
	level = bm_level_next(&pressure->level, &reading);
	pthread_mutex_unlock(&pressure->lock);
	return level;
}

void bm_pressure_stalled(struct bitmem *ctx)
{
	struct bm_pressure *pressure = &ctx->keeper.pressure;

	pthread_mutex_lock(&pressure->lock);
	pressure->stalled_until = bm_now_ms() + STALL_MS;
	pthread_mutex_unlock(&pressure->lock);
}

enum bitmem_pressure bitmem_pressure(struct bitmem *ctx)
{
	enum bitmem_pressure level = bm_pressure_measure(ctx);

	bm_keeper_heard(ctx, level);
	return level;
}

const char *bitmem_pressure_name(enum bitmem_pressure level)
{
	static const char *const names[] = { "none", "low", "medium", "high", "critical" };

	return (unsigned int)level < sizeof(names) / sizeof(*names) ? names[level] : NULL;
}
