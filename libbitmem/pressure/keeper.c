/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper's life: how it is started, woken and stopped, and what becomes of it in
 * a fork(). What it does is in round.c.
 *
 * Invariants, under the lock:
 * - wake is open exactly while running is set; stall may only be then;
 * - after closed, running never becomes set;
 * - who takes memory while the keeper waits for just that finds hungry set: the keeper
 *   sets it first, and then looks at what is held, under ctx->lock.
 */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "context.h"
#include "round.h"

void bm_keeper_init(struct bm_keeper *keeper)
{
	pthread_mutex_init(&keeper->gate, NULL);
	pthread_mutex_init(&keeper->lock, NULL);
	keeper->wake = -1;
	keeper->stall = -1;
	atomic_init(&keeper->hungry, false);
	bm_pressure_init(&keeper->pressure);
	bm_watches_init(&keeper->watches);
	bm_strategy_init(&keeper->strategy);
}

void bm_keeper_destroy(struct bitmem *ctx)
{
	struct bm_keeper *keeper = &ctx->keeper;

	bm_fork_leave(ctx);
	bm_watches_destroy(ctx);
	bm_pressure_destroy(&keeper->pressure);
	pthread_mutex_destroy(&keeper->lock);
	pthread_mutex_destroy(&keeper->gate);
}

/* The thread is gone, or not here. With the lock held. */
static void forget(struct bm_keeper *keeper)
{
	close(keeper->wake);
	if (keeper->stall >= 0)
		close(keeper->stall);
	keeper->wake = -1;
	keeper->stall = -1;
	keeper->running = false;
}

static void *keeper_main(void *arg)
{
	struct bitmem *ctx = arg;
	struct bm_keeper *keeper = &ctx->keeper;

	pthread_setname_np(pthread_self(), "bitmem-keeper");
	if (!bm_rounds(ctx))
		return NULL;
	pthread_mutex_lock(&keeper->lock);
	if (!keeper->detached) {
		pthread_mutex_unlock(&keeper->lock);
		return NULL;
	}
	forget(keeper);
	pthread_mutex_unlock(&keeper->lock);
	bm_context_unref(ctx);
	return NULL;
}

/* With the lock held, which the thread waits for: it finds everything set up. */
static int launch(struct bitmem *ctx)
{
	struct bm_keeper *keeper = &ctx->keeper;
	sigset_t all, old;
	int ret;

	keeper->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (keeper->wake < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&keeper->thread, NULL, keeper_main, ctx);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret) {
		close(keeper->wake);
		keeper->wake = -1;
		return -ret;
	}
	keeper->running = true;
	return 0;
}

/* With the lock held. A counter that is full has woken the thread already. */
static void wake(const struct bm_keeper *keeper)
{
	if (keeper->running)
		eventfd_write(keeper->wake, 1);
}

int bm_keeper_start(struct bitmem *ctx)
{
	struct bm_keeper *keeper = &ctx->keeper;
	int ret = 0;

	pthread_mutex_lock(&keeper->lock);
	if (!keeper->running && !keeper->closed)
		ret = launch(ctx);
	if (!ret)
		atomic_store(&keeper->hungry, false);
	keeper->kicked = true;
	wake(keeper);
	pthread_mutex_unlock(&keeper->lock);
	return ret;
}

bool bm_keeper_holds(struct bitmem *ctx)
{
	bool held;

	pthread_mutex_lock(&ctx->lock);
	held = ctx->counters.committed_bytes != 0;
	pthread_mutex_unlock(&ctx->lock);
	return held;
}

/* Whether memory, once it is held, is anything to the keeper. With the lock held. */
static bool is_wanted(const struct bm_keeper *keeper)
{
	return !keeper->closed && (keeper->strategy.set.flags || keeper->tick_ms);
}

void bm_keeper_changed(struct bitmem *ctx)
{
	struct bm_keeper *keeper = &ctx->keeper;

	pthread_mutex_lock(&keeper->lock);
	if (!keeper->running)
		atomic_store(&keeper->hungry, is_wanted(keeper));
	wake(keeper);
	pthread_mutex_unlock(&keeper->lock);
	/* Memory that came before this has woken nobody. */
	if (bm_keeper_holds(ctx))
		bm_keeper_feed(ctx);
}

void bm_keeper_heard(struct bitmem *ctx, enum bitmem_pressure level)
{
	struct bm_keeper *keeper = &ctx->keeper;

	pthread_mutex_lock(&keeper->lock);
	if (level != keeper->level && (keeper->watches.first ||
				       keeper->strategy.set.flags & BITMEM_RETURN_PRESSURE)) {
		keeper->kicked = true;
		wake(keeper);
	}
	pthread_mutex_unlock(&keeper->lock);
}

void bm_keeper_set_tick(struct bitmem *ctx, unsigned int ms, bm_tick_fn tick)
{
	pthread_mutex_lock(&ctx->keeper.lock);
	ctx->keeper.tick_ms = ms;
	ctx->keeper.tick = tick;
	pthread_mutex_unlock(&ctx->keeper.lock);
	bm_keeper_changed(ctx);
}

void bm_keeper_stop(struct bitmem *ctx)
{
	struct bm_keeper *keeper = &ctx->keeper;
	bool join;

	pthread_mutex_lock(&keeper->lock);
	keeper->closed = true;
	atomic_store(&keeper->hungry, false);
	join = keeper->running && !bm_keeper_is_self(keeper);
	if (keeper->running && !join && !keeper->detached) {
		keeper->detached = true;
		pthread_detach(keeper->thread);
		bm_context_ref(ctx);
	}
	wake(keeper);
	pthread_mutex_unlock(&keeper->lock);
	if (!join)
		return;
	pthread_join(keeper->thread, NULL);
	pthread_mutex_lock(&keeper->lock);
	forget(keeper);
	pthread_mutex_unlock(&keeper->lock);
}

void bm_keeper_before_fork(struct bitmem *ctx)
{
	pthread_mutex_lock(&ctx->keeper.gate);
	pthread_mutex_lock(&ctx->keeper.pressure.lock);
	pthread_mutex_lock(&ctx->keeper.lock);
}

void bm_keeper_after_fork(struct bitmem *ctx)
{
	pthread_mutex_unlock(&ctx->keeper.lock);
	pthread_mutex_unlock(&ctx->keeper.pressure.lock);
	pthread_mutex_unlock(&ctx->keeper.gate);
}

void bm_keeper_in_child(struct bitmem *ctx)
{
	struct bm_keeper *keeper = &ctx->keeper;

	if (keeper->running)
		forget(keeper);
	/* The descriptors were copies; the parent's keeper has its own. */
	bm_watches_forked(&keeper->watches);
	atomic_store(&keeper->hungry, is_wanted(keeper) || keeper->watches.first);
	bm_keeper_after_fork(ctx);
}
