/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the keeper does, round after round: it sees what it is to do, sleeps until
 * some of that is due or somebody wakes it, and does it.
 *
 * struct round is the keeper's own. Timers that nobody needs are off, and without any
 * the keeper sleeps until it is woken: when no memory is held and nobody watches there
 * is nothing to do.
 */
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "block.h"
#include "context.h"
#include "pools/relief.h"
#include "round.h"
#include "source.h"

/* Idle memory is looked for several times in the time after which it is idle. */
#define IDLE_PARTS	4
#define IDLE_MOST_MS	10000

/* Memory that is gone may be back soon: so long the keeper goes on as if it were there. */
#define LINGER_MS	1000

struct timer {
	unsigned int period;	/* ms; 0: off */
	uint64_t due;
};

struct round {
	struct bitmem_strategy set;
	bm_tick_fn tick;
	bool sampling;		/* the pressure matters */
	enum bitmem_pressure level;	/* as last seen */
	uint64_t held_until;	/* when memory was held last, and LINGER_MS */
	uint64_t returned;	/* when memory went back under pressure last */
	int device;		/* polled for POLLPRI; -1 if there is none */
	struct timer sample_timer, pressure_timer, idle_timer, period_timer, tick_timer;
};

/* Has the timer run every @period, first after @delay, unless it does already. */
static void set_timer(struct timer *timer, unsigned int period, unsigned int delay, uint64_t now)
{
	if (timer->period == period)
		return;
	timer->period = period;
	timer->due = now + delay;
}

static bool expired(struct timer *timer, uint64_t now)
{
	if (!timer->period || now < timer->due)
		return false;
	timer->due = now + timer->period;
	return true;
}

static unsigned int idle_period(const struct bitmem_strategy *set)
{
	unsigned int ms = set->idle_ms / IDLE_PARTS;

	if (ms < BITMEM_STRATEGY_MIN_MS)
		return BITMEM_STRATEGY_MIN_MS;
	return ms < IDLE_MOST_MS ? ms : IDLE_MOST_MS;
}

/* Opens or closes what tells of a change while the keeper sleeps. */
static void listen_to(struct bitmem *ctx, struct round *round)
{
	struct bm_keeper *keeper = &ctx->keeper;
	int node, old, stall = -1;

	pthread_mutex_lock(&keeper->gate);
	round->device = -1;
	if (round->sampling) {
		round->device = bm_backend_device_fd(ctx->backend, &node);
		stall = bm_pressure_stall_fd(ctx);
	}
	pthread_mutex_lock(&keeper->lock);
	old = keeper->stall;
	keeper->stall = stall;
	pthread_mutex_unlock(&keeper->lock);
	if (old >= 0)
		close(old);
	pthread_mutex_unlock(&keeper->gate);
}

/* Whether memory is held, or was until just now. If not, who takes some wakes the keeper. */
static bool is_fed(struct bitmem *ctx, struct round *round, uint64_t now)
{
	if (bm_keeper_holds(ctx))
		round->held_until = now + LINGER_MS;
	if (now >= round->held_until)
		return false;
	atomic_store(&ctx->keeper.hungry, false);
	return true;
}

/* Sees what is to be done. False if the context is being closed. */
static bool plan(struct bitmem *ctx, struct round *round)
{
	struct bm_keeper *keeper = &ctx->keeper;
	bool closed, kicked, watched, sampling;
	uint64_t now = bm_now_ms();
	unsigned int flags, tick;

	pthread_mutex_lock(&keeper->lock);
	closed = keeper->closed;
	kicked = keeper->kicked;
	keeper->kicked = false;
	watched = keeper->watches.first;
	round->set = keeper->strategy.set;
	round->tick = keeper->tick;
	tick = keeper->tick_ms;
	flags = round->set.flags;
	atomic_store(&keeper->hungry, !closed && (flags || tick));
	pthread_mutex_unlock(&keeper->lock);

	if (!is_fed(ctx, round, now))
		flags = tick = 0;
	sampling = watched || flags & BITMEM_RETURN_PRESSURE;
	if (!closed && sampling != round->sampling) {
		round->sampling = sampling;
		listen_to(ctx, round);
	}
	set_timer(&round->sample_timer, sampling ? round->set.sample_ms : 0, 0, now);
	if (kicked)
		round->sample_timer.due = now;
	if (!(flags & BITMEM_RETURN_PRESSURE))
		round->pressure_timer.period = 0;
	set_timer(&round->idle_timer, flags & BITMEM_RETURN_IDLE ? idle_period(&round->set) : 0,
		  0, now);
	set_timer(&round->period_timer, flags & BITMEM_RETURN_PERIODIC ? round->set.period_ms : 0,
		  round->set.period_ms, now);
	set_timer(&round->tick_timer, tick, tick, now);
	return !closed;
}

/* Milliseconds to the next timer; -1 if all are off. */
static int time_left(const struct round *round)
{
	const struct timer *timers[] = { &round->sample_timer, &round->pressure_timer,
					 &round->idle_timer, &round->period_timer,
					 &round->tick_timer };
	uint64_t now = bm_now_ms(), left = INT_MAX;
	bool any = false;

	for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++) {
		if (!timers[i]->period)
			continue;
		any = true;
		if (timers[i]->due <= now)
			return 0;
		if (timers[i]->due - now < left)
			left = timers[i]->due - now;
	}
	return any ? (int)left : -1;
}

/* Sleeps. What the kernel tells meanwhile makes it look at the pressure at once. */
static void wait_for_work(struct bitmem *ctx, struct round *round)
{
	struct bm_keeper *keeper = &ctx->keeper;
	eventfd_t count;
	struct pollfd fds[] = {
		{ .fd = keeper->wake, .events = POLLIN },
		{ .fd = round->device, .events = POLLPRI },
		{ .fd = keeper->stall, .events = POLLPRI },
	};

	/* Nobody else changes the two descriptors while this thread lives. */
	if (poll(fds, sizeof(fds) / sizeof(*fds), time_left(round)) <= 0)
		return;
	if (fds[0].revents)
		eventfd_read(keeper->wake, &count);
	if (fds[1].revents) {
		/* Before it is measured: a change after that is told again. */
		if (fds[1].revents != POLLPRI || !bm_pools_acknowledge(round->device))
			round->device = -1;
		round->sample_timer.due = 0;
	}
	if (fds[2].revents & POLLPRI) {
		bm_pressure_stalled(ctx);
		round->sample_timer.due = 0;
	}
	/* The group is gone. */
	if (fds[2].revents & ~POLLPRI) {
		pthread_mutex_lock(&keeper->lock);
		close(keeper->stall);
		keeper->stall = -1;
		pthread_mutex_unlock(&keeper->lock);
	}
}

/* Measures; has memory go back on a rise, and again while the pressure lasts. */
static void sample(struct bitmem *ctx, struct round *round, uint64_t now)
{
	enum bitmem_pressure level = bm_pressure_measure(ctx);
	uint64_t since = now - round->returned;
	unsigned int again = 0;

	if (round->set.flags & BITMEM_RETURN_PRESSURE && level >= round->set.level)
		again = round->set.pressure_ms;
	set_timer(&round->pressure_timer, again, since < again ? again - (unsigned int)since : 0,
		  now);
	if (level > round->level)
		round->pressure_timer.due = now;
	round->level = level;
	pthread_mutex_lock(&ctx->keeper.lock);
	ctx->keeper.level = level;
	pthread_mutex_unlock(&ctx->keeper.lock);
}

/* Does what is due. True if the pressure was measured. */
static bool work(struct bitmem *ctx, struct round *round)
{
	uint64_t now = bm_now_ms();
	bool sampled, pressed;

	pthread_mutex_lock(&ctx->keeper.gate);
	sampled = expired(&round->sample_timer, now);
	if (sampled)
		sample(ctx, round, now);
	pressed = expired(&round->pressure_timer, now);
	if (pressed) {
		round->returned = now;
		bm_strategy_count(ctx, BM_ON_PRESSURE, bm_trim(ctx));
	}
	if (expired(&round->idle_timer, now))
		bm_strategy_count(ctx, BM_ON_IDLE, bm_return_idle(ctx, round->set.idle_ms));
	if (expired(&round->period_timer, now))
		bm_strategy_count(ctx, BM_ON_PERIOD, bm_trim(ctx));
	if (expired(&round->tick_timer, now))
		round->tick(ctx);
	/* It is awake anyway, and knows the time. */
	bm_lock(ctx);
	bm_clock_tick(ctx);
	bm_unlock(ctx);
	pthread_mutex_unlock(&ctx->keeper.gate);
	/* Their locks are not for who holds one of this context's. */
	if (pressed)
		bm_relieve_others(ctx);
	return sampled;
}

bool bm_rounds(struct bitmem *ctx)
{
	struct round round = { .device = -1 };

	while (plan(ctx, &round)) {
		wait_for_work(ctx, &round);
		if (work(ctx, &round) && !bm_watches_tell(ctx, round.level))
			return false;
	}
	return true;
}
