// SPDX-License-Identifier: GPL-2.0
/*
 * Pressure levels: how little of a pool is free, with hysteresis.
 *
 * A level is worked out whenever the pool's lock is dropped, which is all the
 * time, so it must be cheap; those who want to know of a change are told when the
 * lock is free: pollers here, the listeners of netlink by the pool's worker.
 *
 * Whoever polls learns of a change by the generation, which moves on after it.
 */
#include <linux/poll.h>

#include "bitmem.h"
#include "trace.h"

static DECLARE_WAIT_QUEUE_HEAD(bm_level_wait);
static atomic_t bm_level_gen = ATOMIC_INIT(0);

/* The level that so many free pages make of the last one. */
static enum bitmem_level bm_level_next(const struct bm_pool *pool, unsigned long free)
{
	if (free < pool->emergency)
		return BITMEM_LEVEL_EMERGENCY;
	if (pool->level == BITMEM_LEVEL_EMERGENCY && free < pool->low)
		return BITMEM_LEVEL_EMERGENCY;
	if (free < pool->low)
		return BITMEM_LEVEL_LOW;
	if (pool->level != BITMEM_LEVEL_NONE && free < pool->high)
		return BITMEM_LEVEL_LOW;
	return BITMEM_LEVEL_NONE;
}

/* With the pool's lock held: brings its level up to date. True if it is another one now. */
bool bm_level_update(struct bm_pool *pool)
{
	enum bitmem_level level;

	/* Until the pool is full for the first time nobody misses anything. */
	if (!pool->ready)
		return false;
	level = bm_level_next(pool, bm_pool_free(pool));
	if (level == pool->level)
		return false;
	WRITE_ONCE(pool->level, level);
	return true;
}

/* Tells everybody, without the lock. */
void bm_level_changed(struct bm_pool *pool, enum bitmem_level level, unsigned long free)
{
	trace_bitmem_pressure(pool, level, free);
	/* Who sees the new generation sees the new level, too. */
	smp_mb__before_atomic();
	atomic_inc(&bm_level_gen);
	wake_up_interruptible_all(&bm_level_wait);
	bm_worker_kick(pool);
}

/**
 * bm_level_generation() - how often levels have changed
 *
 * Return: a figure that differs whenever a level has changed since. Levels read
 * after it are as new as it is.
 */
unsigned int bm_level_generation(void)
{
	return atomic_read_acquire(&bm_level_gen);
}

/**
 * bm_level_now() - how tight memory is
 *
 * Return: the highest level of any pool.
 */
enum bitmem_level bm_level_now(void)
{
	enum bitmem_level level = BITMEM_LEVEL_NONE;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++)
		level = max(level, READ_ONCE(bm_pools[i].level));
	return level;
}

/**
 * bm_level_poll() - poll() for a change of level
 * @filp: the file polled
 * @wait: where to wait
 * @seen: the generation that its owner knows
 *
 * Return: EPOLLPRI if there was a change since.
 */
__poll_t bm_level_poll(struct file *filp, struct poll_table_struct *wait, unsigned int seen)
{
	poll_wait(filp, &bm_level_wait, wait);
	return bm_level_generation() != seen ? EPOLLPRI : 0;
}
