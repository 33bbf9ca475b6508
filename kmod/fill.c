// SPDX-License-Identifier: GPL-2.0
/*
 * Filling and growing, superblock by superblock, in the pool's worker.
 *
 * A pool fills up to its target. Growing is raising the target: one superblock at
 * a time, while the level says that little is free or a request waits for more,
 * up to the pool's maximum, and not soon after the system needed memory back.
 *
 * Where the system has no memory in one piece of a superblock's size, the pool
 * is filled with split ones, gathered from single pages. These serve requests as
 * well, only slower, and are joined when there are such pieces again.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/math.h>
#include <linux/sched.h>
#include <linux/topology.h>

#include "bitmem.h"
#include "trace.h"

/* How long after a fill fell short the next try is made. */
#define BM_REFILL_DELAY	(10 * HZ)

/* How long single pages are gathered before a whole superblock is tried for again. */
#define BM_WHOLE_DELAY	HZ

/* --- steps; the pool's lock is held --- */

static unsigned long bm_pool_unreserved(const struct bm_pool *pool)
{
	unsigned long free = bm_pool_free(pool);

	return free > pool->reserved ? free - pool->reserved : 0;
}

/* The target that is a superblock more than what there is, or is to be. */
static unsigned long bm_pool_next_target(const struct bm_pool *pool)
{
	return max(pool->target, round_down(bm_pool_capacity(pool), BM_SB_PAGES)) + BM_SB_PAGES;
}

/* Would the pool be larger if it could? */
static bool bm_pool_wants_growth(const struct bm_pool *pool)
{
	return pool->ready && bm_pool_next_target(pool) <= pool->max &&
	       (pool->level != BITMEM_LEVEL_NONE || bm_pool_unreserved(pool) < pool->wanted);
}

/* When it may: not soon after memory was given back, but for who waits sooner than ahead. */
static unsigned long bm_pool_growth_at(const struct bm_pool *pool)
{
	if (bm_pool_unreserved(pool) < pool->wanted || time_before(pool->ahead_at, pool->grow_at))
		return pool->grow_at;
	return pool->ahead_at;
}

/* Is a superblock missing? Raises the target if the pool is to grow. */
static bool bm_pool_lacks(struct bm_pool *pool, struct bm_fill *fill)
{
	unsigned long capacity = bm_pool_capacity(pool);

	fill->ahead = fill->growing && bm_pool_unreserved(pool) >= pool->wanted;
	if (capacity + BM_SB_PAGES <= pool->target)
		return true;
	if (!bm_pool_wants_growth(pool) || time_before(jiffies, bm_pool_growth_at(pool)))
		return false;
	WRITE_ONCE(pool->target, bm_pool_next_target(pool));
	WRITE_ONCE(pool->filling, true);
	fill->growing = true;
	fill->ahead = bm_pool_unreserved(pool) >= pool->wanted;
	return capacity + BM_SB_PAGES <= pool->target;
}

/* Ends a fill. True if it was the first one. */
static bool bm_fill_end(struct bm_pool *pool, struct bm_fill *fill)
{
	bool first = !pool->ready;

	pool->ready = true;
	pool->wanted = 0;
	WRITE_ONCE(pool->filling, false);
	fill->growing = false;
	fill->gathering = false;
	return first;
}

/* --- steps --- */

static void bm_fill_report(const struct bm_pool *pool, unsigned long capacity,
			   unsigned long target)
{
	/* The rest of this thread's work can wait for whoever has something to do. */
	set_user_nice(current, 10);
	if (capacity + BM_SB_PAGES <= target)
		pr_warn("node %d, %u bits: %lu of %lu superblocks: no more memory\n", pool->node,
			pool->width, capacity >> BM_SB_ORDER, target >> BM_SB_ORDER);
	else
		pr_info("node %d, %u bits: %lu superblocks\n", pool->node, pool->width,
			capacity >> BM_SB_ORDER);
}

/* Adds a superblock, whole if there is one to be had. False if there is no memory. */
static bool bm_fill_add(struct bm_pool *pool, struct bm_fill *fill)
{
	struct page *head;

	/* Growing before anybody asked is not to cost others what they use. */
	if (fill->ahead)
		head = bm_whole_alloc(pool, BM_EFFORT_SPARE);
	else if (!fill->gathering)
		head = bm_whole_alloc(pool, BM_EFFORT_ALL);
	else if (!time_before(jiffies, fill->whole_at))
		head = bm_whole_alloc(pool, BM_EFFORT_SOME);
	else
		return !bm_pool_gather(pool, BM_EFFORT_SOME);
	if (head) {
		fill->gathering = false;
		bm_pool_lock(pool);
		bm_pool_add_whole(pool, head, pool->next_number++);
		bm_pool_unlock(pool);
		return true;
	}
	fill->gathering = true;
	fill->whole_at = jiffies + BM_WHOLE_DELAY;
	if (bm_pool_gather(pool, fill->ahead ? BM_EFFORT_SPARE : BM_EFFORT_SOME))
		return false;
	if (!fill->warned)
		pr_warn("node %d, %u bits: no memory in one piece: made of single pages\n",
			pool->node, pool->width);
	fill->warned = true;
	return true;
}

/* There was no memory for target @tried. Growth gives up; a fill is tried again later. */
static void bm_fill_fell_short(struct bm_pool *pool, struct bm_fill *fill, unsigned long tried)
{
	unsigned long capacity, target;
	bool first;

	fill->retry_at = jiffies + BM_REFILL_DELAY;
	bm_pool_lock(pool);
	capacity = bm_pool_capacity(pool);
	target = pool->target;
	fill->short_of = fill->growing ? 0 : tried;
	if (fill->growing)
		WRITE_ONCE(pool->target, max(pool->reserve, target - BM_SB_PAGES));
	pool->grow_at = fill->retry_at;
	first = bm_fill_end(pool, fill);
	bm_pool_unlock(pool);
	if (first)
		bm_fill_report(pool, capacity, target);
	bm_pools_wake();
}

/* Adds a superblock if the pool lacks one. True if there may be more to do. */
bool bm_fill_step(struct bm_pool *pool, struct bm_fill *fill)
{
	bool lacks, first = false, ended = false;
	unsigned long capacity, target;

	bm_pool_lock(pool);
	lacks = bm_pool_lacks(pool, fill);
	capacity = bm_pool_capacity(pool);
	target = pool->target;
	if (!lacks) {
		fill->short_of = 0;
		ended = pool->filling || !pool->ready;
		first = bm_fill_end(pool, fill);
	}
	bm_pool_unlock(pool);
	if (first)
		bm_fill_report(pool, capacity, target);
	if (ended)
		bm_pools_wake();
	/* A new target is worth a try at once. */
	if (!lacks || (fill->short_of == target && time_before(jiffies, fill->retry_at)))
		return false;

	if (!bm_fill_add(pool, fill)) {
		bm_fill_fell_short(pool, fill, target);
		return false;
	}
	trace_bitmem_fill(pool, capacity + BM_SB_PAGES, target, fill->gathering);
	bm_pools_wake();
	return true;
}

/* How long there is nothing to fill, in jiffies. */
long bm_fill_timeout(struct bm_pool *pool, const struct bm_fill *fill)
{
	long timeout = MAX_SCHEDULE_TIMEOUT;

	if (fill->short_of)
		timeout = max_t(long, fill->retry_at - jiffies, 1);
	bm_pool_lock(pool);
	if (bm_pool_wants_growth(pool))
		timeout = min(timeout, max_t(long, bm_pool_growth_at(pool) - jiffies, 1));
	bm_pool_unlock(pool);
	return timeout;
}

/* --- requests that ask for growth --- */

/* Pages that a pool could give if it grew to its limit; 0 if it may not grow. */
static unsigned long bm_pool_potential(struct bm_pool *pool)
{
	unsigned long capacity, sum = 0;

	bm_pool_lock(pool);
	capacity = bm_pool_capacity(pool);
	if (pool->ready && capacity + BM_SB_PAGES <= pool->max &&
	    !time_before(jiffies, pool->grow_at))
		sum = bm_pool_unreserved(pool) + pool->max - capacity;
	bm_pool_unlock(pool);
	return sum;
}

/* Has the pool grow until @npages are free that nobody was promised; as far as it can. */
static void bm_pool_ask(struct bm_pool *pool, const struct bm_request *req)
{
	bm_pool_lock(pool);
	/* Single pages are of no use to who wants one piece: it takes a new one. */
	pool->wanted = max(pool->wanted,
			   req->npages + (req->contig ? bm_pool_unreserved(pool) : 0));
	WRITE_ONCE(pool->filling, true);
	bm_pool_unlock(pool);
	bm_worker_kick(pool);
}

/*
 * Asks for growth, for a request that found too little: of the nearest pool that
 * can grow enough, or else of all. True if it is worth waiting for.
 */
bool bm_pools_ask(const struct bm_request *req, int node)
{
	struct bm_pool *best = NULL;
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		struct bm_pool *pool = &bm_pools[i];
		unsigned long potential;

		if (!bm_pool_eligible(pool, req, node))
			continue;
		potential = bm_pool_potential(pool);
		sum += potential;
		if (potential >= req->npages &&
		    (!best || node_distance(node, pool->node) < node_distance(node, best->node)))
			best = pool;
	}
	if (best) {
		bm_pool_ask(best, req);
		return true;
	}
	if (sum < req->npages || req->contig)
		return false;
	for (i = 0; i < bm_nr_pools; i++) {
		if (bm_pool_eligible(&bm_pools[i], req, node) && bm_pool_potential(&bm_pools[i]))
			bm_pool_ask(&bm_pools[i], req);
	}
	return true;
}
