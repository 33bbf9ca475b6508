/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Those who want to be told of a level of pressure.
 *
 * Only the keeper tells, and it tells everybody of one level before it looks for the
 * next: so each hears of all changes, once and in order. keeper.lock guards the
 * list; while a callback runs the lock is free, and anybody may change the list.
 * So the keeper keeps no pointer into it meanwhile, but the id at which it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "context.h"

struct bm_watch {
	struct bm_watch *next;
	uint64_t id;
	enum bitmem_pressure min_level, seen;
	bitmem_pressure_fn callback;
	void *arg;
};

void bm_watches_init(struct bm_watches *watches)
{
	pthread_cond_init(&watches->done, NULL);
}

/* Takes a watch off its list, and frees it. With the keeper's lock held. */
static void end(struct bitmem *ctx, struct bm_watch **link)
{
	struct bm_watch *watch = *link;

	*link = watch->next;
	pthread_mutex_lock(&ctx->lock);
	ctx->counters.meta_bytes -= bm_meta_size(watch);
	pthread_mutex_unlock(&ctx->lock);
	free(watch);
}

void bm_watches_destroy(struct bitmem *ctx)
{
	struct bm_watches *watches = &ctx->keeper.watches;

	while (watches->first)
		end(ctx, &watches->first);
	pthread_cond_destroy(&watches->done);
}

void bm_watches_forked(struct bm_watches *watches)
{
	watches->running = 0;
	pthread_cond_init(&watches->done, NULL);
}

static struct bm_watch **find(struct bm_watches *watches, uint64_t id)
{
	struct bm_watch **link = &watches->first;

	while (*link && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

/* The first watch behind @id that is to be told of @level; those passed over have seen it. */
static struct bm_watch *next_to_tell(struct bm_watches *watches, uint64_t id,
				     enum bitmem_pressure level)
{
	struct bm_watch *watch;

	for (watch = watches->first; watch; watch = watch->next) {
		enum bitmem_pressure before = watch->seen;

		if (watch->id <= id)
			continue;
		watch->seen = level;
		if (level != before && (level >= watch->min_level || before >= watch->min_level))
			return watch;
	}
	return NULL;
}

bool bm_watches_tell(struct bitmem *ctx, enum bitmem_pressure level)
{
	struct bm_watches *watches = &ctx->keeper.watches;
	pthread_mutex_t *lock = &ctx->keeper.lock;
	struct bm_watch *watch;
	pid_t here = getpid();
	uint64_t id = 0;

	pthread_mutex_lock(lock);
	while (!ctx->keeper.closed && (watch = next_to_tell(watches, id, level))) {
		bitmem_pressure_fn callback = watch->callback;
		void *arg = watch->arg;

		id = watch->id;
		watches->running = id;
		pthread_mutex_unlock(lock);
		callback(ctx, level, arg);
		if (getpid() != here)
			return false;
		pthread_mutex_lock(lock);
		watches->running = 0;
		pthread_cond_broadcast(&watches->done);
	}
	pthread_mutex_unlock(lock);
	return true;
}

int bitmem_pressure_watch(struct bitmem *ctx, enum bitmem_pressure min_level,
			  bitmem_pressure_fn callback, void *arg, uint64_t *id)
{
	struct bm_watches *watches = &ctx->keeper.watches;
	struct bm_watch *watch;
	int ret;

	if (min_level < BITMEM_PRESSURE_LOW || min_level > BITMEM_PRESSURE_CRITICAL || !callback ||
	    !id)
		return -EINVAL;
	watch = malloc(sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	*watch = (struct bm_watch){ .min_level = min_level, .callback = callback, .arg = arg };
	pthread_mutex_lock(&ctx->keeper.lock);
	watch->id = ++watches->last_id;
	*id = watch->id;
	*find(watches, 0) = watch;
	pthread_mutex_lock(&ctx->lock);
	ctx->counters.meta_bytes += bm_meta_size(watch);
	pthread_mutex_unlock(&ctx->lock);
	pthread_mutex_unlock(&ctx->keeper.lock);
	ret = bm_keeper_start(ctx);
	if (ret)
		bitmem_pressure_unwatch(ctx, *id);
	return ret;
}

int bitmem_pressure_unwatch(struct bitmem *ctx, uint64_t id)
{
	struct bm_watches *watches = &ctx->keeper.watches;
	pthread_mutex_t *lock = &ctx->keeper.lock;
	struct bm_watch **link;
	int ret = 0;

	pthread_mutex_lock(lock);
	/* No watch has the id 0. */
	link = find(watches, id);
	if (*link)
		end(ctx, link);
	else
		ret = -ENOENT;
	while (!ret && watches->running == id && !bm_keeper_is_self(&ctx->keeper))
		pthread_cond_wait(&watches->done, lock);
	pthread_mutex_unlock(lock);
	return ret;
}
