// SPDX-License-Identifier: GPL-2.0
/*
 * Pools: one per NUMA node with memory, and one more where devices with 32
 * address bits are to be served. This file keeps the lock, the counters and the
 * list of whole superblocks; split.c keeps the split ones. take.c hands pages
 * out, reclaim.c takes them back, fill.c gets new ones, shrink.c gives them back
 * to the system, and worker.c does in the background what need not be done at once.
 *
 * Pages that are off the lists for a moment (to be zeroed, or while a whole
 * superblock becomes a split one or the reverse) still count as free. They are
 * *in flight*: bm_pool_begin() and bm_pool_end() stand around it, and whoever
 * finds a list empty waits for them to come back.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "bitmem.h"

struct bm_pool *bm_pools;
unsigned int bm_nr_pools;

/* --- the lock --- */

void bm_pool_lock(struct bm_pool *pool)
	__acquires(&pool->lock)
{
	spin_lock(&pool->lock);
}

/*
 * Drops the lock, and tells whoever has to know what changed under it: the
 * system's figure of reclaimable memory, those who wait for something in flight,
 * and, if the pressure level is another one, everybody who asked for that.
 */
void bm_pool_unlock(struct bm_pool *pool)
	__releases(&pool->lock)
{
	unsigned long reclaimable = bm_pool_reclaimable(pool);
	long delta = reclaimable - pool->reclaimable;
	unsigned long free = bm_pool_free(pool);
	bool changed = bm_level_update(pool);
	enum bitmem_level level = pool->level;
	bool ended = pool->ended;

	WRITE_ONCE(pool->reclaimable, reclaimable);
	pool->ended = false;
	spin_unlock(&pool->lock);
	if (delta)
		mod_node_page_state(NODE_DATA(pool->node), NR_KERNEL_MISC_RECLAIMABLE, delta);
	if (ended)
		wake_up_all(&pool->wait);
	if (changed)
		bm_level_changed(pool, level, free);
}

/* --- counters and lists; the lock is held --- */

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
	WRITE_ONCE(pool->pages[from], pool->pages[from] - npages);
	WRITE_ONCE(pool->pages[to], pool->pages[to] + npages);
}

/* Puts a page or whole superblock on a free list. Counters are the caller's. */
void bm_pool_add_free(struct bm_pool *pool, struct page *page, enum bm_state state)
{
	lockdep_assert_held(&pool->lock);
	if (PageCompound(page)) {
		/* Zeroed last in first out: what was just zeroed may still be cached. */
		list_add(&page->lru, &pool->whole[state]);
		pool->nr_whole[state]++;
		bm_page_superblock(page)->busy = false;
	} else {
		bm_split_add_free(bm_page_split(page), page, state);
	}
}

/* Enters a new whole superblock, which is zeroed, as @number. */
void bm_pool_add_whole(struct bm_pool *pool, struct page *head, u64 number)
{
	bm_superblock_enter(bm_page_superblock(head), number);
	pool->pages[BM_ZEROED] += BM_SB_PAGES;
	bm_pool_add_free(pool, head, BM_ZEROED);
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
		bm_page_superblock(head)->busy = true;
	}
	return head;
}

/* The same from either list, that of *@state for preference. Says in *@state which it was. */
struct page *bm_pool_pop_either(struct bm_pool *pool, enum bm_state *state)
{
	if (!pool->nr_whole[*state])
		*state = *state == BM_ZEROED ? BM_DIRTY : BM_ZEROED;
	return bm_pool_pop_whole(pool, *state);
}

/*
 * Retires a page or whole superblock that is on no list. Takes the lock. Says so
 * to people here, to programs through the worker.
 */
void bm_pool_retire(struct bm_pool *pool, struct page *page, enum bm_state from)
{
	unsigned long npages = bm_page_count(page);

	pr_warn("node %d: %lu pages retired: hardware poison\n", pool->node, npages);
	bm_pool_lock(pool);
	if (PageCompound(page))
		bm_page_move(page, from, BM_RETIRED);
	else
		bm_split_retire(bm_page_split(page), page, from);
	list_add(&page->lru, &pool->retired);
	bm_pool_move(pool, npages, from, BM_RETIRED);
	pool->news.retired += npages;
	bm_pool_unlock(pool);
	bm_worker_kick(pool);
}

/* --- work in flight --- */

/* With the pool's lock held: what is about to leave the lists will be back. */
void bm_pool_begin(struct bm_pool *pool)
{
	lockdep_assert_held(&pool->lock);
	pool->inflight++;
}

/* With the pool's lock held: it is back. Dropping the lock wakes those who wait. */
void bm_pool_end(struct bm_pool *pool)
{
	lockdep_assert_held(&pool->lock);
	pool->inflight--;
	pool->ended = true;
	WRITE_ONCE(pool->done, pool->done + 1);
}

/* Waits for one piece of work in flight. 0, or -EINTR if the caller is being killed. */
int bm_pool_wait(struct bm_pool *pool, unsigned int done)
{
	return wait_event_killable(pool->wait, READ_ONCE(pool->done) != done) ? -EINTR : 0;
}

/* --- figures --- */

/**
 * bm_pools_max() - what the pools can ever have
 * @width: address bits, 32 or 64
 *
 * Return: pages that all pools of this width may grow to. Nobody can get more.
 */
unsigned long bm_pools_max(unsigned int width)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (bm_pools[i].width == width)
			sum += READ_ONCE(bm_pools[i].max);
	}
	return sum;
}

/**
 * bm_pools_have_width() - is there a pool for a device?
 * @width: address bits that it has
 *
 * Return: whether some pool's memory is all within its reach.
 */
bool bm_pools_have_width(unsigned int width)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (bm_pools[i].width <= width)
			return true;
	}
	return false;
}

/* Counts what was copied from one place to another. */
void bm_pool_moved(struct bm_pool *pool, unsigned long npages)
{
	bm_pool_lock(pool);
	pool->moved += npages;
	bm_pool_unlock(pool);
}

static u64 bm_bytes(unsigned long npages)
{
	return (u64)npages << PAGE_SHIFT;
}

/* Fills in the out_* members, all taken at one instant. */
void bm_pool_info(struct bm_pool *pool, struct bitmem_pool_info *info)
{
	info->out_node = pool->node;
	info->out_width = pool->width;
	bm_pool_lock(pool);
	info->out_state = pool->filling ? BITMEM_POOL_FILLING : 0;
	info->out_level = pool->level;
	info->out_target = bm_bytes(pool->target);
	info->out_capacity = bm_bytes(bm_pool_capacity(pool));
	info->out_zeroed = bm_bytes(pool->pages[BM_ZEROED]);
	info->out_dirty = bm_bytes(pool->pages[BM_DIRTY]);
	info->out_allocated = bm_bytes(pool->pages[BM_ALLOCATED]);
	info->out_quarantined = bm_bytes(pool->pages[BM_QUARANTINED]);
	info->out_retired = bm_bytes(pool->pages[BM_RETIRED]);
	info->out_largest = (pool->nr_whole[BM_ZEROED] + pool->nr_whole[BM_DIRTY]) *
			    (u64)BM_SB_SIZE;
	info->out_split = bm_bytes(pool->split_pages);
	info->out_buffers = pool->buffers;
	info->out_allocs = pool->allocs;
	info->out_fallbacks = pool->fallbacks;
	info->out_failures = pool->failures;
	info->out_max = bm_bytes(pool->max);
	info->out_reserve = bm_bytes(pool->reserve);
	info->out_low = bm_bytes(pool->low);
	info->out_high = bm_bytes(pool->high);
	info->out_emergency = bm_bytes(pool->emergency);
	info->out_gathered = bm_bytes(pool->gathered);
	info->out_reclaimable = bm_bytes(pool->reclaimable);
	info->out_returned = bm_bytes(pool->returned);
	info->out_moved = bm_bytes(pool->moved);
	bm_pool_unlock(pool);
}

/* --- life --- */

static void bm_pool_init(unsigned int width, int node)
{
	struct bm_pool *pool = &bm_pools[bm_nr_pools];
	int i;

	pool->node = node;
	pool->width = width;
	pool->index = bm_nr_pools++;
	pool->zone = width == 32 ? GFP_DMA32 : 0;
	pool->join_at = jiffies;
	pool->grow_at = jiffies;
	pool->ahead_at = jiffies;
	mutex_init(&pool->convert);
	spin_lock_init(&pool->lock);
	for (i = 0; i < BM_NR_FREE; i++)
		INIT_LIST_HEAD(&pool->whole[i]);
	for (i = 0; i < BM_NR_PLACES; i++)
		INIT_LIST_HEAD(&pool->splits[i]);
	pool->superblocks = RB_ROOT;
	INIT_LIST_HEAD(&pool->quarantine);
	INIT_LIST_HEAD(&pool->retired);
	init_waitqueue_head(&pool->wait);
	init_waitqueue_head(&pool->kick);
}

/* Takes a page or whole superblock out of a pool that ends; the system gets it if @have. */
static void bm_pool_release(struct page *page, bool have)
{
	struct bm_superblock *whole = PageCompound(page) ? bm_page_superblock(page) : NULL;

	list_del_init(&page->lru);
	if (have)
		bm_page_release(page);
	else
		bm_page_set_owner(page, NULL);
	kfree(whole);
	cond_resched();
}

/*
 * Gives a pool's memory back to the system; no buffer is left. Pages that are
 * still pinned lose our reference only: the last pin frees them. Retired ones
 * keep it, so that nobody ever gets them again.
 */
static void bm_pool_exit(struct bm_pool *pool)
{
	struct bm_split *split, *next_split;
	struct page *page, *next;
	int i;

	list_for_each_entry_safe(page, next, &pool->quarantine, lru) {
		split = PageCompound(page) ? NULL : bm_page_split(page);
		bm_pool_release(page, !bm_page_poisoned(page));
		if (split)
			bm_split_lose_page(split);
	}
	list_for_each_entry_safe(page, next, &pool->retired, lru)
		bm_pool_release(page, false);
	for (i = 0; i < BM_NR_FREE; i++) {
		list_for_each_entry_safe(page, next, &pool->whole[i], lru)
			bm_pool_release(page, !bm_page_poisoned(page));
	}
	for (i = 0; i < BM_NR_PLACES; i++) {
		list_for_each_entry_safe(split, next_split, &pool->splits[i], link) {
			bm_split_free(split);
			cond_resched();
		}
	}
	mod_node_page_state(NODE_DATA(pool->node), NR_KERNEL_MISC_RECLAIMABLE,
			    -(long)pool->reclaimable);
}

void bm_pools_exit(void)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++)
		bm_worker_stop(&bm_pools[i]);
	for (i = 0; i < bm_nr_pools; i++)
		bm_pool_exit(&bm_pools[i]);
	kfree(bm_pools);
	bm_nr_pools = 0;
}

/*
 * Has the node memory that an allocation with @gfp gets? Lower zones serve where the one
 * asked for is empty. A node may have nothing but movable memory, which is not for us.
 */
static bool bm_node_has(int node, gfp_t gfp)
{
	int zone;

	for (zone = gfp_zone(gfp); zone >= 0; zone--) {
		if (zone_managed_pages(&NODE_DATA(node)->node_zones[zone]) >= BM_SB_PAGES)
			return true;
	}
	return false;
}

/* Sets the pools up and starts to fill them. */
int bm_pools_init(const struct bm_params *params)
{
	unsigned int i;
	int node, ret;

	/* Nodes may come online meanwhile. */
	bm_pools = kcalloc(2 * nr_node_ids, sizeof(*bm_pools), GFP_KERNEL);
	if (!bm_pools)
		return -ENOMEM;
	for_each_node_state(node, N_MEMORY) {
		if (bm_node_has(node, GFP_KERNEL))
			bm_pool_init(64, node);
	}
	for_each_node_state(node, N_MEMORY) {
		if (params->dma32_mb && IS_ENABLED(CONFIG_ZONE_DMA32) &&
		    bm_node_has(node, GFP_DMA32))
			bm_pool_init(32, node);
	}
	ret = bm_pools_set_sizes(params);
	for (i = 0; i < bm_nr_pools && !ret; i++)
		ret = bm_worker_start(&bm_pools[i]);
	if (ret)
		bm_pools_exit();
	return ret;
}
