/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper: a context's thread for what is to be done by itself.
 *
 * Locks, in the order in which they are taken:
 *
 *   relief.c's -> fork.c's list -> gate -> pressure.lock -> lock -> ctx->lock
 *
 * Of several contexts only fork() holds gates or what follows, in the list's order: whoever
 * else holds one of them takes none of another context's, and drops no reference on one.
 *
 * gate		held by the keeper while it gives memory back, measures, or opens and
 *		closes descriptors, never during a callback: who holds it knows that the
 *		keeper is not in the middle of anything. fork() takes it.
 * lock		guards everything of struct bm_keeper that does not say otherwise, the
 *		watches and the strategy. Nothing that takes long is done under it.
 */
#ifndef BITMEM_KEEPER_H
#define BITMEM_KEEPER_H

#include <pthread.h>
#include <stdatomic.h>

#include "pressure.h"
#include "strategy.h"
#include "watch.h"

typedef void (*bm_tick_fn)(struct bitmem *ctx);

struct bm_keeper {
	pthread_mutex_t gate, lock;
	pthread_t thread;	/* if running */
	bool running;
	bool closed;		/* for good: the thread ends, and none is started */
	bool detached;		/* nobody joins the thread: it cleans up */
	bool kicked;		/* the pressure is to be looked at now */
	int wake;		/* eventfd that the thread polls, if running */
	int stall;		/* polled for stalls; -1 if there is none */
	enum bitmem_pressure level;	/* what was seen last */
	unsigned int tick_ms;	/* 0: no tick */
	bm_tick_fn tick;
	/* It does not run, or sleeps, until memory is held. Read without the lock. */
	atomic_bool hungry;
	struct bm_pressure pressure;	/* has a lock of its own */
	struct bm_watches watches;
	struct bm_strategy strategy;
	struct bm_idle idle;	/* the thread's */
	/* In the list of fork.c, under its lock. */
	struct bitmem *next, **link;
};

/* --- keeper.c --- */

void bm_keeper_init(struct bm_keeper *keeper);
void bm_keeper_destroy(struct bitmem *ctx);

/*
 * Starts the keeper unless it runs, and has it look at everything now. No lock may be held.
 * 0 or -errno.
 */
int bm_keeper_start(struct bitmem *ctx);

/* Whether the context holds memory, in use or free. */
bool bm_keeper_holds(struct bitmem *ctx);

/* The strategy or the tick is another: the keeper, if it runs, does by that from now on. */
void bm_keeper_changed(struct bitmem *ctx);

/* Somebody measured @level: if it is news to the keeper, it looks for itself. */
void bm_keeper_heard(struct bitmem *ctx, enum bitmem_pressure level);

/* Has the keeper call @tick every @ms while the context holds memory, under the gate; 0: never. */
void bm_keeper_set_tick(struct bitmem *ctx, unsigned int ms, bm_tick_fn tick);

/*
 * Ends the keeper, for good. Waits until it is gone; if the keeper itself calls this, in
 * a callback, it goes after that, and has a reference on the context until then.
 */
void bm_keeper_stop(struct bitmem *ctx);

/* Whether this thread is the keeper. With the lock held. */
static inline bool bm_keeper_is_self(const struct bm_keeper *keeper)
{
	return keeper->running && pthread_equal(keeper->thread, pthread_self());
}

/* --- fork.c --- */

/*
 * Has fork() take the locks of contexts that enter. Once, after all that is to be locked after
 * those has said so: who comes last is first. 0 or a positive errno.
 */
int bm_fork_set_up(void);

/* fork() finds the context's locks free from now on. */
void bm_fork_enter(struct bitmem *ctx);
void bm_fork_leave(struct bitmem *ctx);

/* Around a fork(): takes all locks; gives them back; and there is no keeper in the child. */
void bm_keeper_before_fork(struct bitmem *ctx);
void bm_keeper_after_fork(struct bitmem *ctx);
void bm_keeper_in_child(struct bitmem *ctx);

#endif /* BITMEM_KEEPER_H */
