// SPDX-License-Identifier: GPL-2.0
/*
 * Giving free superblocks back to the system: because it needs memory (the
 * shrinker), because somebody asks for it (BITMEM_TRIM), or because the pool is to
 * be smaller.
 *
 * What may go is *surplus*: a superblock all of which is free, as long as the
 * pool keeps its reserve and every promise. The system counts it as reclaimable.
 *
 * The shrinker counts pages, as the lists do that the core compares it with: so
 * it gives its fair part under light pressure, and all under heavy. It is called
 * under any locks, allocations of our own among them, and therefore only tries
 * the pool's lock.
 */
#include <linux/jiffies.h>
#include <linux/sched.h>

#include "bitmem.h"
#include "compat.h"
#include "trace.h"

/*
 * How long a pool does not grow after the system needed memory; nor, unless a request waits
 * for it, after somebody else asked for it back.
 */
#define BM_GROW_DELAY	(10 * HZ)

/* Superblocks taken off at once, under one hold of the lock. */
#define BM_SHRINK_BATCH	64ul

static struct shrinker *bm_shrinker;

/* Surplus that is on no list any more. */
struct bm_surplus {
	struct list_head whole;
	struct list_head splits;
	unsigned long superblocks;
	unsigned long pages;
};

/* With the pool's lock held: pages of the surplus. */
unsigned long bm_pool_reclaimable(const struct bm_pool *pool)
{
	unsigned long superblocks, free = bm_pool_free(pool), capacity = bm_pool_capacity(pool);
	/* What somebody waits for is as good as promised. */
	unsigned long promised = pool->reserved + pool->wanted;

	/* Nor is a pool to be taken apart before it is put together. */
	if (!pool->ready || capacity <= pool->reserve || free <= promised)
		return 0;
	superblocks = pool->nr_whole[BM_ZEROED] + pool->nr_whole[BM_DIRTY] + pool->nr_idle;
	superblocks = min(superblocks, (capacity - pool->reserve) >> BM_SB_ORDER);
	superblocks = min(superblocks, (free - promised) >> BM_SB_ORDER);
	return superblocks << BM_SB_ORDER;
}

/* Takes one superblock of the surplus off its list, the least useful one first. */
static void bm_surplus_add(struct bm_pool *pool, struct bm_surplus *surplus)
{
	struct bm_split *split = bm_pool_pop_idle(pool);
	enum bm_state state = BM_DIRTY;
	struct page *head;

	if (split) {
		list_add(&split->link, &surplus->splits);
		surplus->superblocks++;
		surplus->pages += split->nr_pages;
		return;
	}
	head = bm_pool_pop_either(pool, &state);
	if (bm_page_poisoned(head)) {
		/* Not to be given back to the system. */
		list_add(&head->lru, &pool->retired);
		bm_page_move(head, state, BM_RETIRED);
		bm_pool_move(pool, BM_SB_PAGES, state, BM_RETIRED);
		pool->news.retired += BM_SB_PAGES;
		return;
	}
	list_add(&head->lru, &surplus->whole);
	bm_superblock_leave(bm_page_superblock(head));
	pool->pages[state] -= BM_SB_PAGES;
	surplus->superblocks++;
	surplus->pages += BM_SB_PAGES;
}

/* With the pool's lock held: takes up to @n superblocks of the surplus. */
static void bm_surplus_take(struct bm_pool *pool, unsigned long n, struct bm_surplus *surplus)
{
	INIT_LIST_HEAD(&surplus->whole);
	INIT_LIST_HEAD(&surplus->splits);
	surplus->superblocks = 0;
	surplus->pages = 0;
	while (surplus->superblocks < n && bm_pool_reclaimable(pool))
		bm_surplus_add(pool, surplus);
}

/* With the pool's lock held: what was taken is not to be missed. */
static void bm_pool_settle(struct bm_pool *pool, const struct bm_surplus *surplus)
{
	unsigned long capacity = bm_pool_capacity(pool);

	if (!surplus->pages)
		return;
	pool->returned += surplus->pages;
	pool->news.shrunk += surplus->pages;
	WRITE_ONCE(pool->target, max(pool->reserve, min(pool->target, capacity)));
	pool->ahead_at = jiffies + BM_GROW_DELAY;
}

/* Frees what was taken. May be called while the system is short of memory. */
static void bm_surplus_free(struct bm_surplus *surplus)
{
	struct bm_split *split, *next_split;
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &surplus->whole, lru) {
		list_del(&page->lru);
		bm_whole_release(page);
	}
	list_for_each_entry_safe(split, next_split, &surplus->splits, link)
		bm_split_free(split);
}

/**
 * bm_pool_trim() - give surplus back
 * @pool: the pool
 * @superblocks: how many at most
 *
 * The pool's target falls with its capacity, so that it does not fill again.
 *
 * Return: pages given back.
 */
unsigned long bm_pool_trim(struct bm_pool *pool, unsigned long superblocks)
{
	struct bm_surplus surplus;
	unsigned long sum = 0;

	while (superblocks) {
		bm_pool_lock(pool);
		bm_surplus_take(pool, min(superblocks, BM_SHRINK_BATCH), &surplus);
		bm_pool_settle(pool, &surplus);
		bm_pool_unlock(pool);
		if (!surplus.superblocks)
			break;
		bm_surplus_free(&surplus);
		superblocks -= surplus.superblocks;
		sum += surplus.pages;
		cond_resched();
	}
	if (sum) {
		trace_bitmem_shrink(pool, sum, true);
		bm_worker_kick(pool);
	}
	return sum;
}

/* Gives a superblock back if the pool has more than its target. True if there was one. */
bool bm_pool_shed(struct bm_pool *pool)
{
	struct bm_surplus surplus;

	bm_pool_lock(pool);
	bm_surplus_take(pool, bm_pool_capacity(pool) >= pool->target + BM_SB_PAGES, &surplus);
	bm_pool_unlock(pool);
	bm_surplus_free(&surplus);
	return surplus.superblocks;
}

/* --- the shrinker --- */

static unsigned long bm_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (bm_pools[i].node == sc->nid)
			sum += READ_ONCE(bm_pools[i].reclaimable);
	}
	return sum ?: SHRINK_EMPTY;
}

/* Superblocks of one pool, as many as are wanted. Returns pages. */
static unsigned long bm_shrink_pool(struct bm_pool *pool, unsigned long superblocks)
{
	struct bm_surplus surplus;

	/* A pool that grows is not to do so at its own expense. */
	if (current == pool->worker || !spin_trylock(&pool->lock))
		return 0;
	bm_surplus_take(pool, superblocks, &surplus);
	bm_pool_settle(pool, &surplus);
	if (surplus.pages)
		pool->grow_at = pool->ahead_at;
	bm_pool_unlock(pool);
	bm_surplus_free(&surplus);
	if (surplus.pages) {
		trace_bitmem_shrink(pool, surplus.pages, false);
		bm_worker_kick(pool);
	}
	return surplus.pages;
}

static unsigned long bm_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long freed = 0, want = max(sc->nr_to_scan, BM_SB_PAGES);
	unsigned int i;

	for (i = 0; i < bm_nr_pools && freed + BM_SB_PAGES <= want; i++) {
		if (bm_pools[i].node == sc->nid)
			freed += bm_shrink_pool(&bm_pools[i], (want - freed) >> BM_SB_ORDER);
	}
	return freed ?: SHRINK_STOP;
}

/* From here on, until bm_shrink_exit(), the system may take surplus. */
int bm_shrink_init(void)
{
	bm_shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE, "bitmem");
	if (!bm_shrinker)
		return -ENOMEM;
	bm_shrinker->count_objects = bm_shrink_count;
	bm_shrinker->scan_objects = bm_shrink_scan;
	/* The core hands out work in this measure. */
	bm_shrinker->batch = BM_SB_PAGES;
	return bm_shrinker_register(bm_shrinker, "bitmem");
}

void bm_shrink_exit(void)
{
	shrinker_free(bm_shrinker);
}
