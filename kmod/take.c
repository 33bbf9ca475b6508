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
#include <linux/math.h>
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

/* May @req, whose caller is near @node, be served by @pool? */
bool bm_pool_eligible(const struct bm_pool *pool, const struct bm_request *req, int node)
{
	return pool->width == req->width && (!req->bind || pool->node == node);
}

/* Superblocks that are free as a whole, or may be in a moment. */
static unsigned long bm_pool_pieces(const struct bm_pool *pool)
{
	return pool->nr_whole[BM_ZEROED] + pool->nr_whole[BM_DIRTY] + pool->nr_idle +
	       pool->inflight;
}

/* What a request may have of the pool, with its lock held. */
static unsigned long bm_pool_available(const struct bm_pool *pool, const struct bm_request *req)
{
	unsigned long free = req->nowait ? pool->pages[BM_ZEROED] : bm_pool_free(pool);
	unsigned long capacity = bm_pool_capacity(pool), promised = pool->reserved;

	/* It takes one piece: there must be one, or a hope for one. */
	if (req->contig && !pool->nr_whole[BM_ZEROED] && !pool->nr_whole[BM_DIRTY] &&
	    (req->sure || !bm_pool_pieces(pool)))
		return 0;
	/* What a demotion has borrowed is for demotions only, and goes back in one piece. */
	if (!req->single && capacity > pool->max)
		promised += min(round_down(capacity - pool->max, BM_SB_PAGES),
				bm_pool_pieces(pool) << BM_SB_ORDER);
	return free > promised ? free - promised : 0;
}

/* Reserves up to @npages, or none if there are less than @min. Returns how many. */
static unsigned long bm_pool_reserve(struct bm_pool *pool, const struct bm_request *req,
				     unsigned long npages, unsigned long min)
{
	unsigned long avail;

	bm_pool_lock(pool);
	avail = min(bm_pool_available(pool, req), npages);
	if (avail < min)
		avail = 0;
	pool->reserved += avail;
	bm_pool_unlock(pool);
	return avail;
}

void bm_pool_unreserve(struct bm_pool *pool, unsigned long npages)
{
	bm_pool_lock(pool);
	pool->reserved -= npages;
	bm_pool_unlock(pool);
}

/* The pool to try after those in @tried: the nearest to @node. */
static struct bm_pool *bm_pools_nearest(const struct bm_request *req, int node,
					const unsigned long *tried)
{
	struct bm_pool *best = NULL;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		struct bm_pool *pool = &bm_pools[i];

		if (test_bit(i, tried) || !bm_pool_eligible(pool, req, node))
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
	DECLARE_BITMAP(tried, 2 * MAX_NUMNODES) = { 0 };
	unsigned long left = req->npages;
	struct bm_pool *pool;

	while (left && (pool = bm_pools_nearest(req, node, tried))) {
		unsigned long got = bm_pool_reserve(pool, req, left, min);

		set_bit(pool->index, tried);
		share[pool->index] += got;
		left -= got;
	}
	return left;
}

static bool bm_pools_filling(const struct bm_request *req, int node)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (bm_pool_eligible(&bm_pools[i], req, node) && READ_ONCE(bm_pools[i].filling))
			return true;
	}
	return false;
}

/* Counts a request that the pools it might have come from could not serve. */
void bm_pools_refuse(const struct bm_request *req)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		struct bm_pool *pool = &bm_pools[i];

		if (!bm_pool_eligible(pool, req, req->node))
			continue;
		bm_pool_lock(pool);
		pool->failures++;
		bm_pool_unlock(pool);
		bm_event_exhausted(pool, (u64)req->npages << PAGE_SHIFT);
	}
}

/*
 * Reserves all pages from one pool, or else spread over several. 0, or with
 * nothing reserved -ENOMEM, or -EAGAIN if the request would have to wait to know.
 * Whoever spreads holds pages for a moment that it may have to give up again; the
 * mutex keeps others from being refused because of that.
 */
static int bm_pools_reserve_now(const struct bm_request *req, int node, unsigned long *share)
{
	static DEFINE_MUTEX(spread);
	unsigned long left;
	unsigned int i;

	if (!bm_pools_try(req, node, req->npages, share))
		return 0;
	if (!req->nowait)
		mutex_lock(&spread);
	else if (!mutex_trylock(&spread))
		return -EAGAIN;
	left = bm_pools_try(req, node, req->npages, share);
	if (left && !req->bind && !req->contig)
		left = bm_pools_try(req, node, 1, share);
	for (i = 0; left && i < bm_nr_pools; i++) {
		if (share[i])
			bm_pool_unreserve(&bm_pools[i], share[i]);
		share[i] = 0;
	}
	mutex_unlock(&spread);
	return left ? -ENOMEM : 0;
}

/* Would a request that could not have what is zeroed find enough if it waited? */
static bool bm_pools_later(const struct bm_request *req, int node)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		struct bm_pool *pool = &bm_pools[i];

		if (!bm_pool_eligible(pool, req, node))
			continue;
		bm_pool_lock(pool);
		sum += pool->filling ? pool->max : bm_pool_free(pool);
		bm_pool_unlock(pool);
	}
	return sum >= req->npages;
}

/**
 * bm_pools_reserve() - promise a request its pages
 * @req: what is asked for
 * @share: zeroed; gets how many come from which pool, by the pool's index
 *
 * They come from one pool if one has them all, and else from several; all or
 * none. Waits for pools that are filling, and has them grow if they may; but not
 * for a request that is @quiet.
 *
 * Return: 0; -ENOMEM; -EINTR if the caller is being killed; -EAGAIN if @req may
 * not wait and would have to.
 */
int bm_pools_reserve(const struct bm_request *req, unsigned long *share)
{
	int node = req->node == BITMEM_NODE_ANY ? numa_mem_id() : req->node;
	bool asked = false;
	int ret;

	for (;;) {
		/* The generation first: a fill that ends after this moves it on. */
		int gen = atomic_read_acquire(&bm_fill_gen);
		bool filling = bm_pools_filling(req, node);

		ret = bm_pools_reserve_now(req, node, share);
		if (ret != -ENOMEM || req->quiet)
			return ret;
		if (req->nowait && bm_pools_later(req, node))
			return -EAGAIN;
		if (!filling) {
			/* More pages do not make a piece of memory that has none. */
			if (req->nowait || (req->sure && asked))
				break;
			/* Growth either gets somewhere or is given up for a while. */
			if (!bm_pools_ask(req, node))
				break;
			asked = true;
			continue;
		}
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
	bm_page_move(page, state, BM_ALLOCATED);
	pool->reserved -= npages;
	bm_pool_unlock(pool);
	if (!bm_page_poisoned(page))
		return true;

	bm_pool_retire(pool, page, BM_ALLOCATED);
	bm_pool_lock(pool);
	pool->reserved += npages;
	bm_pool_unlock(pool);
	return false;
}

/* Which pages suit a request best. */
static enum bm_state bm_request_state(const struct bm_request *req)
{
	return req->raw ? BM_DIRTY : BM_ZEROED;
}

/* Makes a page that had been in @state what @req wants. */
static void bm_request_prepare(const struct bm_request *req, struct page *page,
			       enum bm_state state)
{
	if (state != BM_ZEROED && !req->raw)
		bm_page_zero(page);
}

/* Takes a whole superblock for @req, or NULL; only a zeroed one if it may not wait. */
static struct page *bm_pool_try_whole(struct bm_pool *pool, const struct bm_request *req)
{
	for (;;) {
		enum bm_state state = bm_request_state(req);
		struct page *head;

		bm_pool_lock(pool);
		if (req->nowait)
			head = bm_pool_pop_whole(pool, state);
		else
			head = bm_pool_pop_either(pool, &state);
		if (!head) {
			bm_pool_unlock(pool);
			return NULL;
		}
		if (!bm_pool_hand_out(pool, head, state))
			continue;
		bm_request_prepare(req, head, state);
		return head;
	}
}

/**
 * bm_pool_take_whole() - take a whole superblock that the caller has reserved
 * @pool: where from
 * @req: what for. If it may not wait, only what is zeroed already is taken
 *
 * The reservation stands unless a superblock is returned.
 *
 * Return: it, zeroed unless @req is for raw pages; NULL if there are only single
 * pages; ERR_PTR(-EINTR); ERR_PTR(-EAGAIN) if @req may not wait and there might be
 * one later.
 */
struct page *bm_pool_take_whole(struct bm_pool *pool, const struct bm_request *req)
{
	unsigned int waits = 0;

	for (;;) {
		struct page *head = bm_pool_try_whole(pool, req);
		unsigned int done, inflight;
		bool later, again;

		if (head)
			return head;
		bm_pool_lock(pool);
		later = pool->nr_whole[BM_DIRTY] || pool->inflight || pool->nr_idle;
		again = pool->nr_whole[BM_DIRTY] || pool->nr_whole[BM_ZEROED];
		inflight = pool->inflight;
		done = pool->done;
		bm_pool_unlock(pool);

		if (req->nowait)
			return later ? ERR_PTR(-EAGAIN) : NULL;
		/* It came back since. */
		if (again)
			continue;
		if (!bm_pool_join(pool))
			continue;
		if (!inflight || waits++ == BM_TAKE_WAITS)
			return NULL;
		if (bm_pool_wait(pool, done))
			return ERR_PTR(-EINTR);
	}
}

/* Where single pages may come from when there are none. */
struct bm_lack {
	bool whole;
	bool inflight;
	unsigned int done;
};

/*
 * A single page for @req, only a zeroed one if it may not wait. Or NULL, and what there was
 * instead at that moment: later it may have become single pages.
 */
static struct page *bm_pool_try_page(struct bm_pool *pool, const struct bm_request *req,
				     struct bm_lack *lack)
{
	for (;;) {
		enum bm_state state = bm_request_state(req);
		struct page *page;

		bm_pool_lock(pool);
		page = bm_pool_pop_single(pool, &state, req->nowait);
		if (!page) {
			lack->whole = pool->nr_whole[BM_ZEROED] || pool->nr_whole[BM_DIRTY];
			lack->inflight = pool->inflight;
			lack->done = pool->done;
			bm_pool_unlock(pool);
			return NULL;
		}
		if (!bm_pool_hand_out(pool, page, state))
			continue;
		bm_request_prepare(req, page, state);
		return page;
	}
}

/**
 * bm_pool_take_page() - take a single page that the caller has reserved
 * @pool: where from
 * @req: what for. If it may not wait, only what is zeroed already is taken
 *
 * The reservation stands unless a page is returned.
 *
 * Return: it, zeroed unless @req is for raw pages; ERR_PTR(-ENOMEM);
 * ERR_PTR(-EINTR); ERR_PTR(-EAGAIN) if @req may not wait and there is none at once.
 */
struct page *bm_pool_take_page(struct bm_pool *pool, const struct bm_request *req)
{
	for (;;) {
		struct bm_lack lack;
		struct page *page = bm_pool_try_page(pool, req, &lack);
		int ret;

		if (page)
			return page;
		if (req->nowait)
			return ERR_PTR(-EAGAIN);
		if (lack.whole)
			ret = bm_pool_convert(pool);
		else if (lack.inflight)
			ret = bm_pool_wait(pool, lack.done);
		else
			ret = -ENOMEM;
		if (ret)
			return ERR_PTR(ret);
	}
}

/**
 * bm_pool_take_partial() - take a page to move something to
 * @pool: where from
 *
 * The page comes from the fullest of the split superblocks that have pages in
 * use, and has old content: all of it is to be overwritten. Nothing is reserved
 * for it before, and what is reserved for others is left alone.
 *
 * Return: it, or NULL.
 */
struct page *bm_pool_take_partial(struct bm_pool *pool)
{
	for (;;) {
		enum bm_state state = BM_DIRTY;
		struct page *page = NULL;

		bm_pool_lock(pool);
		if (pool->bucket_free && bm_pool_free(pool) > pool->reserved)
			page = bm_pool_pop_single(pool, &state, false);
		if (!page) {
			bm_pool_unlock(pool);
			return NULL;
		}
		pool->reserved++;
		if (bm_pool_hand_out(pool, page, state))
			return page;
		bm_pool_unreserve(pool, 1);
	}
}
