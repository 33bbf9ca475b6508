// SPDX-License-Identifier: GPL-2.0
/*
 * Pools: one per NUMA node with memory. This file keeps the lists and the
 * counters; take.c hands pages out, reclaim.c takes them back, worker.c does in
 * the background what need not be done at once.
 *
 * Pages that are off the lists for a moment (to be zeroed, or while a whole
 * superblock becomes a split one or the reverse) still count as free. They are
 * *in flight*: bm_pool_begin() and bm_pool_end() stand around it, and whoever
 * finds a list empty waits for them to come back.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include "bitmem.h"

/* How long after a join found no memory the next one is tried. */
#define BM_JOIN_DELAY	HZ

#define BM_PAGES_TO_MB(pages)	((pages) >> (20 - PAGE_SHIFT))
#define BM_MB_TO_SUPERBLOCKS(mb) ((mb) << (20 - PAGE_SHIFT) >> BM_SB_ORDER)

struct bm_pool *bm_pools;
unsigned int bm_nr_pools;

/* --- the pool's lists; its lock is held --- */

unsigned long bm_pool_free(const struct bm_pool *pool)
{
	return pool->pages[BM_ZEROED] + pool->pages[BM_DIRTY];
}

unsigned long bm_pool_capacity(const struct bm_pool *pool)
{
	unsigned long sum = 0;
	int state;

	for (state = 0; state < BM_NR_STATES; state++)
		sum += pool->pages[state];
	return sum;
}

void bm_pool_move(struct bm_pool *pool, unsigned long npages, enum bm_state from,
		  enum bm_state to)
{
	lockdep_assert_held(&pool->lock);
	pool->pages[from] -= npages;
	pool->pages[to] += npages;
}

static unsigned int bm_split_nr_free(const struct bm_split *split)
{
	return split->nr_free[BM_ZEROED] + split->nr_free[BM_DIRTY];
}

static bool bm_split_idle(const struct bm_split *split)
{
	return bm_split_nr_free(split) == split->nr_pages;
}

/*
 * Requests take from the front of the partial list. Split superblocks that are
 * all free stand at its back, where they are found when a whole one is wanted.
 */
static void bm_pool_place_split(struct bm_pool *pool, struct bm_split *split)
{
	if (!bm_split_nr_free(split))
		list_del_init(&split->link);
	else if (bm_split_idle(split))
		list_move_tail(&split->link, &pool->partial);
	else
		list_move(&split->link, &pool->partial);
}

/* Puts a page or whole superblock on a free list. Counters are the caller's. */
void bm_pool_add_free(struct bm_pool *pool, struct page *page, enum bm_state state)
{
	struct bm_split *split;

	lockdep_assert_held(&pool->lock);
	if (PageCompound(page)) {
		/* Zeroed last in first out: what was just zeroed may still be cached. */
		list_add(&page->lru, &pool->whole[state]);
		pool->nr_whole[state]++;
		return;
	}
	split = bm_page_split(page);
	list_add(&page->lru, &split->free[state]);
	split->nr_free[state]++;
	bm_pool_place_split(pool, split);
}

/* Takes a whole superblock off a free list, or NULL. Counters are the caller's. */
struct page *bm_pool_pop_whole(struct bm_pool *pool, enum bm_state state)
{
	struct page *head;

	lockdep_assert_held(&pool->lock);
	head = list_first_entry_or_null(&pool->whole[state], struct page, lru);
	if (head) {
		list_del(&head->lru);
		pool->nr_whole[state]--;
	}
	return head;
}

/* Takes a single page off a split superblock's free list, or NULL. Counters are the caller's. */
struct page *bm_pool_pop_page(struct bm_pool *pool, struct bm_split *split, enum bm_state state)
{
	struct page *page;

	lockdep_assert_held(&pool->lock);
	page = list_first_entry_or_null(&split->free[state], struct page, lru);
	if (page) {
		list_del(&page->lru);
		split->nr_free[state]--;
		bm_pool_place_split(pool, split);
	}
	return page;
}

void bm_pool_retire(struct bm_pool *pool, struct page *page, enum bm_state from)
{
	unsigned long npages = bm_page_count(page);

	pr_warn("node %d: %lu pages retired: hardware poison\n", pool->node, npages);
	spin_lock(&pool->lock);
	list_add(&page->lru, &pool->retired);
	bm_pool_move(pool, npages, from, BM_RETIRED);
	spin_unlock(&pool->lock);
}

/* --- work in flight --- */

/* With the pool's lock held: what is about to leave the lists will be back. */
void bm_pool_begin(struct bm_pool *pool)
{
	lockdep_assert_held(&pool->lock);
	pool->inflight++;
}

/* With the pool's lock held: it is back. The caller wakes pool->wait after unlocking. */
void bm_pool_end(struct bm_pool *pool)
{
	lockdep_assert_held(&pool->lock);
	pool->inflight--;
	WRITE_ONCE(pool->done, pool->done + 1);
}

/* Waits for one piece of work in flight. 0, or -EINTR if the caller is being killed. */
int bm_pool_wait(struct bm_pool *pool, unsigned int done)
{
	return wait_event_killable(pool->wait, READ_ONCE(pool->done) != done) ? -EINTR : 0;
}

/* --- whole to split and back --- */

/* Takes any whole superblock off its list into flight, a dirty one for preference, or NULL. */
static struct page *bm_pool_begin_whole(struct bm_pool *pool, enum bm_state *state)
{
	struct page *head;

	spin_lock(&pool->lock);
	*state = pool->nr_whole[BM_DIRTY] ? BM_DIRTY : BM_ZEROED;
	head = bm_pool_pop_whole(pool, *state);
	if (head)
		bm_pool_begin(pool);
	spin_unlock(&pool->lock);
	if (!head || !bm_page_poisoned(head))
		return head;

	/* Not to be given back to the system. */
	bm_pool_retire(pool, head, *state);
	spin_lock(&pool->lock);
	bm_pool_end(pool);
	spin_unlock(&pool->lock);
	wake_up_all(&pool->wait);
	return NULL;
}

/*
 * Makes sure that there is a split superblock with free pages, by taking a whole
 * one apart: a dirty one for preference, as the new pages come zeroed. 0 if it
 * is worth looking again, or -ENOMEM.
 */
int bm_pool_convert(struct bm_pool *pool)
{
	struct bm_split *split = bm_split_new(pool);
	struct page *head = NULL;
	enum bm_state state;
	bool used = false;

	if (!split)
		return -ENOMEM;
	mutex_lock(&pool->convert);
	if (list_empty_careful(&pool->partial))
		head = bm_pool_begin_whole(pool, &state);
	if (!head)
		goto out;

	if (bm_split_fill(split)) {
		bm_page_release(head);
	} else {
		/* No memory besides: get back what this one gives. */
		bm_page_release(head);
		if (!bm_split_fill(split))
			bm_split_gather(split);
	}

	spin_lock(&pool->lock);
	pool->pages[state] -= BM_SB_PAGES;
	pool->pages[BM_ZEROED] += split->nr_pages;
	pool->split_pages += split->nr_pages;
	bm_pool_place_split(pool, split);
	bm_pool_end(pool);
	/* Once the lock is dropped it may be joined, and gone. */
	used = split->nr_pages;
	spin_unlock(&pool->lock);
	wake_up_all(&pool->wait);
	bm_worker_kick(pool);
out:
	mutex_unlock(&pool->convert);
	if (!used)
		kfree(split);
	return 0;
}

/* Are there @n split superblocks whose pages are all free? */
bool bm_pool_idle_splits(struct bm_pool *pool, unsigned int n)
{
	struct bm_split *split;

	lockdep_assert_held(&pool->lock);
	list_for_each_entry_reverse(split, &pool->partial, link) {
		if (!n || !bm_split_idle(split))
			break;
		n--;
	}
	return !n;
}

/*
 * Turns a split superblock whose pages are all free back into a whole one. 0,
 * -ENOENT if there is none, -ENOMEM if there is no memory for the whole one now
 * or was none a moment ago. One that lacks pages is only given back where a whole
 * one would be more than the pool is to have.
 */
int bm_pool_join(struct bm_pool *pool)
{
	struct bm_split *split;
	struct page *head;
	bool over;

	spin_lock(&pool->lock);
	if (!bm_pool_idle_splits(pool, 1) || time_before(jiffies, pool->join_at)) {
		spin_unlock(&pool->lock);
		return list_empty_careful(&pool->partial) ? -ENOENT : -ENOMEM;
	}
	split = list_last_entry(&pool->partial, struct bm_split, link);
	list_del_init(&split->link);
	bm_pool_begin(pool);
	spin_unlock(&pool->lock);

	head = bm_whole_alloc(pool, __GFP_NORETRY);

	spin_lock(&pool->lock);
	over = bm_pool_capacity(pool) - split->nr_pages + BM_SB_PAGES > pool->target;
	if (head) {
		pool->pages[BM_ZEROED] -= split->nr_free[BM_ZEROED];
		pool->pages[BM_DIRTY] -= split->nr_free[BM_DIRTY];
		pool->split_pages -= split->nr_pages;
		if (!over) {
			pool->pages[BM_ZEROED] += BM_SB_PAGES;
			bm_pool_add_free(pool, head, BM_ZEROED);
		}
	} else {
		pool->join_at = jiffies + BM_JOIN_DELAY;
		bm_pool_place_split(pool, split);
	}
	bm_pool_end(pool);
	spin_unlock(&pool->lock);
	wake_up_all(&pool->wait);
	if (!head)
		return -ENOMEM;
	if (over)
		bm_page_release(head);
	bm_split_free(split);
	return 0;
}

/* --- all pools --- */

/* Pages that all pools shall have. */
unsigned long bm_pools_target(void)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++)
		sum += READ_ONCE(bm_pools[i].target);
	return sum;
}

/* Fills in the out_* members, all taken at one instant. */
void bm_pool_info(struct bm_pool *pool, struct bitmem_pool_info *info)
{
	info->out_node = pool->node;
	info->out_width = 64;
	info->__out_reserved = 0;
	spin_lock(&pool->lock);
	info->out_state = pool->filling ? BITMEM_POOL_FILLING : 0;
	info->out_target = (u64)pool->target << PAGE_SHIFT;
	info->out_capacity = (u64)bm_pool_capacity(pool) << PAGE_SHIFT;
	info->out_zeroed = (u64)pool->pages[BM_ZEROED] << PAGE_SHIFT;
	info->out_dirty = (u64)pool->pages[BM_DIRTY] << PAGE_SHIFT;
	info->out_allocated = (u64)pool->pages[BM_ALLOCATED] << PAGE_SHIFT;
	info->out_quarantined = (u64)pool->pages[BM_QUARANTINED] << PAGE_SHIFT;
	info->out_retired = (u64)pool->pages[BM_RETIRED] << PAGE_SHIFT;
	info->out_largest = (u64)(pool->nr_whole[BM_ZEROED] + pool->nr_whole[BM_DIRTY]) *
			    BM_SB_SIZE;
	info->out_split = (u64)pool->split_pages << PAGE_SHIFT;
	info->out_buffers = pool->buffers;
	info->out_allocs = pool->allocs;
	info->out_fallbacks = pool->fallbacks;
	info->out_failures = pool->failures;
	spin_unlock(&pool->lock);
}

static void bm_pool_init(struct bm_pool *pool, unsigned int index, int node)
{
	pool->node = node;
	pool->index = index;
	pool->join_at = jiffies;
	mutex_init(&pool->convert);
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->whole[BM_ZEROED]);
	INIT_LIST_HEAD(&pool->whole[BM_DIRTY]);
	INIT_LIST_HEAD(&pool->partial);
	INIT_LIST_HEAD(&pool->quarantine);
	INIT_LIST_HEAD(&pool->retired);
	init_waitqueue_head(&pool->wait);
	init_waitqueue_head(&pool->kick);
}

static void bm_pool_release(struct page *page)
{
	list_del(&page->lru);
	if (!bm_page_poisoned(page))
		bm_page_release(page);
	cond_resched();
}

/*
 * Gives a pool's memory back to the system; no buffer is left. Pages that are
 * still pinned lose our reference only: the last pin frees them. Poisoned ones
 * keep it, so that nobody ever gets them again.
 */
static void bm_pool_exit(struct bm_pool *pool)
{
	struct bm_split *split, *next_split;
	struct page *page, *next;
	int state;

	list_for_each_entry_safe(page, next, &pool->quarantine, lru) {
		split = PageCompound(page) ? NULL : bm_page_split(page);
		bm_pool_release(page);
		if (split)
			bm_split_lose_page(split);
	}
	list_for_each_entry_safe(page, next, &pool->retired, lru) {
		split = PageCompound(page) ? NULL : bm_page_split(page);
		list_del(&page->lru);
		if (split)
			bm_split_lose_page(split);
	}
	for (state = 0; state < BM_NR_FREE; state++) {
		list_for_each_entry_safe(page, next, &pool->whole[state], lru)
			bm_pool_release(page);
	}
	list_for_each_entry_safe(split, next_split, &pool->partial, link) {
		bm_split_free(split);
		cond_resched();
	}
}

/*
 * Shares @pool_mb out over the pools: one figure is the total, several are one
 * for each node with memory, in their order.
 */
static int bm_pools_set_targets(const unsigned long *pool_mb, unsigned int n)
{
	unsigned long limit = BM_PAGES_TO_MB(totalram_pages() / 10 * 9), sum = 0;
	unsigned int i;

	if (n > 1 && n != bm_nr_pools) {
		pr_err("pool_mb: %u values for %u nodes with memory\n", n, bm_nr_pools);
		return -EINVAL;
	}
	for (i = 0; i < n; i++) {
		if (pool_mb[i] > limit || sum + pool_mb[i] > limit) {
			pr_err("pool_mb: %lu is more than 90 %% of memory\n", pool_mb[i]);
			return -EINVAL;
		}
		sum += pool_mb[i];
	}
	for (i = 0; i < bm_nr_pools; i++) {
		unsigned long superblocks = BM_MB_TO_SUPERBLOCKS(n > 1 ? pool_mb[i] : sum);

		if (n == 1)
			superblocks = superblocks / bm_nr_pools +
				      (i < superblocks % bm_nr_pools);
		/* Other people need some of each node, too. */
		if (superblocks * BM_SB_PAGES > node_present_pages(bm_pools[i].node) / 10 * 9) {
			pr_err("pool_mb: more than 90 %% of the memory of node %d\n",
			       bm_pools[i].node);
			return -EINVAL;
		}
		bm_pools[i].target = superblocks * BM_SB_PAGES;
		bm_pools[i].filling = superblocks;
	}
	return 0;
}

void bm_pools_exit(void)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++)
		bm_worker_stop(&bm_pools[i]);
	for (i = 0; i < bm_nr_pools; i++)
		bm_pool_exit(&bm_pools[i]);
	kfree(bm_pools);
}

/* Sets the pools up and starts to fill them. */
int bm_pools_init(const unsigned long *pool_mb, unsigned int n)
{
	unsigned int i = 0;
	int node, ret;

	bm_pools = kcalloc(num_node_state(N_MEMORY), sizeof(*bm_pools), GFP_KERNEL);
	if (!bm_pools)
		return -ENOMEM;
	for_each_node_state(node, N_MEMORY)
		bm_pool_init(&bm_pools[i], i, node), i++;
	bm_nr_pools = i;
	ret = bm_pools_set_targets(pool_mb, n);
	for (i = 0; i < bm_nr_pools && !ret; i++)
		ret = bm_worker_start(&bm_pools[i]);
	if (ret)
		bm_pools_exit();
	return ret;
}
