// SPDX-License-Identifier: GPL-2.0
/*
 * Handing pages out.
 *
 * A request first *reserves* its pages, all or none, and only then *takes* them
 * one superblock or page at a time. A reservation is a promise: free pages never
 * fall below what is reserved, so two requests can not starve each other half
 * way.
 *
 * A promise is broken only when the system takes memory away between freeing a
 * whole superblock and allocating its split replacement, or when a page turns
 * out to be poisoned. Then the request fails with ENOMEM, and gives all back.
 */
#include <linux/nodemask.h>
#include <linux/sched/signal.h>
#include <linux/topology.h>

#include "bitmem.h"

/*
 * How often a request waits for work in flight in the hope of a whole superblock
 * before it makes do with single pages.
 */
#define BM_TAKE_WAITS	8

/* Requests that wait for a fill sleep here until the generation moves on. */
static DECLARE_WAIT_QUEUE_HEAD(bm_fill_wait);
static atomic_t bm_fill_gen = ATOMIC_INIT(0);

void bm_pools_wake(void)
{
	/* What the fill did is seen by whoever sees the new generation. */
	smp_mb__before_atomic();
	atomic_inc(&bm_fill_gen);
	wake_up_all(&bm_fill_wait);
}

/* Reserves up to @npages, or none if there are less than @min. Returns how many. */
static unsigned long bm_pool_reserve(struct bm_pool *pool, unsigned long npages,
				     unsigned long min)
{
	unsigned long avail = 0;

	spin_lock(&pool->lock);
	if (bm_pool_free(pool) > pool->reserved)
		avail = min(bm_pool_free(pool) - pool->reserved, npages);
	if (avail < min)
		avail = 0;
	pool->reserved += avail;
	spin_unlock(&pool->lock);
	return avail;
}

void bm_pool_unreserve(struct bm_pool *pool, unsigned long npages)
{
	spin_lock(&pool->lock);
	pool->reserved -= npages;
	spin_unlock(&pool->lock);
}

/* The pool to try after those in @tried: the nearest to @node. */
static struct bm_pool *bm_pools_nearest(int node, const unsigned long *tried)
{
	struct bm_pool *best = NULL;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		struct bm_pool *pool = &bm_pools[i];

		if (test_bit(i, tried))
			continue;
		if (!best || node_distance(node, pool->node) < node_distance(node, best->node))
			best = pool;
	}
	return best;
}

/* One round over the pools, nearest first, taking @min pages or more from each. */
static unsigned long bm_pools_try(const struct bm_request *req, int node, unsigned long min,
				  unsigned long *share)
{
	DECLARE_BITMAP(tried, MAX_NUMNODES) = { 0 };
	unsigned long left = req->npages;
	struct bm_pool *pool;

	while (left && (pool = bm_pools_nearest(node, tried))) {
		unsigned long got;

		set_bit(pool->index, tried);
		if (req->bind && pool->node != node)
			break;
		got = bm_pool_reserve(pool, left, min);
		share[pool->index] += got;
		left -= got;
	}
	return left;
}

static bool bm_pools_filling(const struct bm_request *req, int node)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (req->bind && bm_pools[i].node != node)
			continue;
		if (READ_ONCE(bm_pools[i].filling))
			return true;
	}
	return false;
}

/* Counts a request that the pools it might have come from could not serve. */
void bm_pools_refuse(const struct bm_request *req)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (req->bind && bm_pools[i].node != req->node)
			continue;
		spin_lock(&bm_pools[i].lock);
		bm_pools[i].failures++;
		spin_unlock(&bm_pools[i].lock);
	}
}

/*
 * Reserves all pages from one pool, or else spread over several: true, or false
 * with nothing reserved. Whoever spreads holds pages for a moment that it may have
 * to give up again; the mutex keeps others from being refused because of that.
 */
static bool bm_pools_reserve_now(const struct bm_request *req, int node, unsigned long *share)
{
	static DEFINE_MUTEX(spread);
	unsigned long left;
	unsigned int i;

	if (!bm_pools_try(req, node, req->npages, share))
		return true;
	mutex_lock(&spread);
	left = bm_pools_try(req, node, req->npages, share);
	if (left && !req->bind && bm_nr_pools > 1)
		left = bm_pools_try(req, node, 1, share);
	for (i = 0; left && i < bm_nr_pools; i++) {
		bm_pool_unreserve(&bm_pools[i], share[i]);
		share[i] = 0;
	}
	mutex_unlock(&spread);
	return !left;
}

/*
 * Reserves a request's pages: from one pool if one has them all, spread over
 * several otherwise, all or none. @share, zeroed, says how many from which.
 */
int bm_pools_reserve(const struct bm_request *req, unsigned long *share)
{
	int node = req->node == BITMEM_NODE_ANY ? numa_mem_id() : req->node;

	for (;;) {
		/* The generation first: a fill that ends after this moves it on. */
		int gen = atomic_read_acquire(&bm_fill_gen);
		bool filling = bm_pools_filling(req, node);

		if (bm_pools_reserve_now(req, node, share))
			return 0;
		if (!filling)
			break;
		if (wait_event_killable(bm_fill_wait, atomic_read(&bm_fill_gen) != gen))
			return -EINTR;
	}
	bm_pools_refuse(req);
	return -ENOMEM;
}

/*
 * Makes a page just popped from the free list of @state the caller's. Called
 * with the pool's lock held, which it drops. False if the page is poisoned: then
 * it is retired, and the reservation stands.
 */
static bool bm_pool_hand_out(struct bm_pool *pool, struct page *page, enum bm_state state)
	__releases(&pool->lock)
{
	unsigned long npages = bm_page_count(page);

	bm_pool_move(pool, npages, state, BM_ALLOCATED);
	pool->reserved -= npages;
	spin_unlock(&pool->lock);
	if (!bm_page_poisoned(page)) {
		if (state != BM_ZEROED)
			bm_page_zero(page);
		return true;
	}

	bm_pool_retire(pool, page, BM_ALLOCATED);
	spin_lock(&pool->lock);
	pool->reserved += npages;
	spin_unlock(&pool->lock);
	return false;
}

/*
 * Takes a whole superblock that the caller has reserved, zeroed. NULL if there
 * are only single pages; ERR_PTR(-EINTR). The reservation stands unless a
 * superblock is returned.
 */
struct page *bm_pool_take_whole(struct bm_pool *pool)
{
	unsigned int waits = 0;

	for (;;) {
		enum bm_state state = BM_ZEROED;
		unsigned int done;
		struct page *head;
		bool inflight;

		spin_lock(&pool->lock);
		head = bm_pool_pop_whole(pool, state);
		if (!head) {
			state = BM_DIRTY;
			head = bm_pool_pop_whole(pool, state);
		}
		if (head) {
			if (bm_pool_hand_out(pool, head, state))
				return head;
			continue;
		}
		inflight = pool->inflight;
		done = pool->done;
		spin_unlock(&pool->lock);

		if (!bm_pool_join(pool))
			continue;
		if (!inflight || waits++ == BM_TAKE_WAITS)
			return NULL;
		if (bm_pool_wait(pool, done))
			return ERR_PTR(-EINTR);
	}
}

/* A free single page and its state; NULL if no split superblock has one. */
static struct page *bm_pool_pop_any_page(struct bm_pool *pool, enum bm_state *state)
{
	struct bm_split *split = list_first_entry_or_null(&pool->partial, struct bm_split, link);

	if (!split)
		return NULL;
	*state = split->nr_free[BM_ZEROED] ? BM_ZEROED : BM_DIRTY;
	return bm_pool_pop_page(pool, split, *state);
}

/*
 * Takes a single page that the caller has reserved, zeroed. ERR_PTR(-ENOMEM) or
 * ERR_PTR(-EINTR). The reservation stands unless a page is returned.
 */
struct page *bm_pool_take_page(struct bm_pool *pool)
{
	for (;;) {
		enum bm_state state;
		unsigned int done;
		bool whole, inflight;
		struct page *page;
		int ret;

		spin_lock(&pool->lock);
		page = bm_pool_pop_any_page(pool, &state);
		if (page) {
			if (bm_pool_hand_out(pool, page, state))
				return page;
			continue;
		}
		whole = pool->nr_whole[BM_ZEROED] || pool->nr_whole[BM_DIRTY];
		inflight = pool->inflight;
		done = pool->done;
		spin_unlock(&pool->lock);

		if (whole)
			ret = bm_pool_convert(pool);
		else if (inflight)
			ret = bm_pool_wait(pool, done);
		else
			ret = -ENOMEM;
		if (ret)
			return ERR_PTR(ret);
	}
}
