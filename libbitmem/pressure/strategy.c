/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When free memory goes back, and what went back why. keeper.lock guards both; it
 * is not held while memory goes.
 */
#include <errno.h>
#include <string.h>

#include "context.h"
#include "options.h"

/* The first versions' sizes. */
#define STRATEGY_SIZE_1 BM_FIRST_SIZE(struct bitmem_strategy, sample_ms)
#define STATS_SIZE_1 BM_FIRST_SIZE(struct bitmem_strategy_stats, on_period)

#define FLAGS (BITMEM_RETURN_IDLE | BITMEM_RETURN_PRESSURE | BITMEM_RETURN_PERIODIC)

void bitmem_strategy_init_sized(struct bitmem_strategy *strategy, size_t size)
{
	const struct bitmem_strategy defaults = {
		.size = size,
		.flags = BITMEM_RETURN_IDLE | BITMEM_RETURN_PRESSURE,
		.level = BITMEM_PRESSURE_MEDIUM,
		.pressure_ms = 10000,
		.idle_ms = 60000,
		.period_ms = 60000,
		.sample_ms = 1000,
	};

	bm_write_sized(strategy, size, &defaults, sizeof(defaults));
}

void bm_strategy_init(struct bm_strategy *strategy)
{
	bitmem_strategy_init(&strategy->set);
	strategy->set.flags = 0;
}

static int check_ms(const struct bitmem_strategy *strategy, const char *name, unsigned int ms)
{
	if (ms >= BITMEM_STRATEGY_MIN_MS)
		return 0;
	return bm_error(strategy->error, -EINVAL, "strategy.%s: %u is less than %u", name, ms,
			BITMEM_STRATEGY_MIN_MS);
}

static int check(const struct bitmem_strategy *strategy)
{
	int ret;

	if (strategy->flags & ~FLAGS)
		return bm_error(strategy->error, -EINVAL, "strategy.flags: %#x is not known",
				strategy->flags & ~FLAGS);
	if (strategy->level < BITMEM_PRESSURE_LOW || strategy->level > BITMEM_PRESSURE_CRITICAL)
		return bm_error(strategy->error, -EINVAL,
				"strategy.level: %d is no level of pressure",
				(int)strategy->level);
	ret = check_ms(strategy, "pressure_ms", strategy->pressure_ms);
	if (!ret)
		ret = check_ms(strategy, "idle_ms", strategy->idle_ms);
	if (!ret)
		ret = check_ms(strategy, "period_ms", strategy->period_ms);
	if (!ret)
		ret = check_ms(strategy, "sample_ms", strategy->sample_ms);
	return ret;
}

/* Copies the caller's strategy; what it does not know stays at the default. */
static int read_strategy(const struct bitmem_strategy *from, struct bitmem_strategy *strategy)
{
	int ret;

	bitmem_strategy_init(strategy);
	ret = bm_read_options(strategy, from, STRATEGY_SIZE_1, "strategy");
	if (ret)
		return ret;
	return check(strategy);
}

int bitmem_set_strategy(struct bitmem *ctx, const struct bitmem_strategy *strategy)
{
	struct bitmem_strategy set;
	int ret = read_strategy(strategy, &set);

	/* The keeper comes first, as that can fail. It does nothing that is not set. */
	if (!ret && set.flags && bm_keeper_holds(ctx)) {
		ret = bm_keeper_start(ctx);
		if (ret)
			bm_error(set.error, ret, "the keeper cannot be started: %s",
				 strerror(-ret));
	}
	if (ret)
		return ret;
	set.error = NULL;
	pthread_mutex_lock(&ctx->keeper.lock);
	ctx->keeper.strategy.set = set;
	pthread_mutex_unlock(&ctx->keeper.lock);
	bm_keeper_changed(ctx);
	return 0;
}

int bitmem_get_strategy(struct bitmem *ctx, struct bitmem_strategy *strategy)
{
	struct bitmem_error *error;
	struct bitmem_strategy set;
	size_t size = strategy->size;

	if (size < STRATEGY_SIZE_1)
		return -EINVAL;
	error = strategy->error;
	pthread_mutex_lock(&ctx->keeper.lock);
	set = ctx->keeper.strategy.set;
	pthread_mutex_unlock(&ctx->keeper.lock);
	set.size = size;
	set.error = error;
	bm_write_sized(strategy, size, &set, sizeof(set));
	return 0;
}

size_t bm_strategy_count(struct bitmem *ctx, enum bm_reason reason, size_t bytes)
{
	struct bitmem_returns *returns = &ctx->keeper.strategy.returns[reason];

	pthread_mutex_lock(&ctx->keeper.lock);
	returns->runs++;
	returns->bytes += bytes;
	pthread_mutex_unlock(&ctx->keeper.lock);
	return bytes;
}

int bitmem_strategy_stats(struct bitmem *ctx, struct bitmem_strategy_stats *stats)
{
	struct bitmem_returns returns[BM_REASONS];
	struct bitmem_strategy_stats now;
	size_t size = stats->size;

	if (size < STATS_SIZE_1)
		return -EINVAL;
	pthread_mutex_lock(&ctx->keeper.lock);
	memcpy(returns, ctx->keeper.strategy.returns, sizeof(returns));
	pthread_mutex_unlock(&ctx->keeper.lock);
	now = (struct bitmem_strategy_stats){
		.size = size,
		.on_call = returns[BM_ON_CALL],
		.on_idle = returns[BM_ON_IDLE],
		.on_pressure = returns[BM_ON_PRESSURE],
		.on_period = returns[BM_ON_PERIOD],
	};
	bm_write_sized(stats, size, &now, sizeof(now));
	return 0;
}
