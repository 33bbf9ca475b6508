// SPDX-License-Identifier: GPL-2.0
/*
 * Split superblocks: where they stand, and how they come to be and go.
 *
 * Those with free pages stand in buckets by how full they are. Requests take from
 * the fullest, so that the others get a chance to become idle; compaction takes
 * the emptiest, isolates it, and moves what it has into the rest. Idle ones, all
 * of whose pages are free, are joined: a whole superblock takes their place.
 *
 * A page is on a free list of its superblock, or in flight (to be zeroed), or in
 * a buffer (bm_page_allocated()), or in quarantine.
 */
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "bitmem.h"

/* How long after a join found no memory the next one is tried: ever longer. */
#define BM_JOIN_MIN	((unsigned long)HZ)
#define BM_JOIN_MAX	(8ul * HZ)

/* --- lists; the pool's lock is held --- */

static unsigned int bm_split_nr_free(const struct bm_split *split)
{
	return split->nr_free[BM_ZEROED] + split->nr_free[BM_DIRTY];
}

/* Where a split superblock belongs. */
static enum bm_place bm_split_where(const struct bm_split *split)
{
	unsigned int nr_free = bm_split_nr_free(split);

	if (split->isolated)
		return BM_ISOLATED;
	if (!nr_free)
		return BM_NOWHERE;
	if (nr_free == split->nr_pages)
		return BM_IDLE;
	return (split->nr_pages - nr_free) * BM_NR_BUCKETS / split->nr_pages;
}

/* Takes a split superblock from where it stands, before its free pages change. */
static void bm_split_lift(struct bm_split *split)
{
	struct bm_pool *pool = split->base.pool;

	lockdep_assert_held(&pool->lock);
	list_del_init(&split->link);
	if (split->place == BM_IDLE)
		pool->nr_idle--;
	else if (split->place < BM_NR_BUCKETS)
		pool->bucket_free -= bm_split_nr_free(split);
	split->place = BM_NOWHERE;
}

/* Puts it where it belongs now; away, if it has lost its last page. */
static void bm_split_place(struct bm_split *split)
{
	struct bm_pool *pool = split->base.pool;

	if (!split->nr_pages && !split->isolated) {
		bm_superblock_leave(&split->base);
		kfree(split);
		return;
	}
	split->place = bm_split_where(split);
	if (split->place == BM_NOWHERE)
		return;
	/* Of the idle ones, those gathered are to go first. */
	if (split->place == BM_IDLE && !split->gathered)
		list_add_tail(&split->link, &pool->splits[BM_IDLE]);
	else
		list_add(&split->link, &pool->splits[split->place]);
	if (split->place == BM_IDLE)
		pool->nr_idle++;
	else if (split->place < BM_NR_BUCKETS)
		pool->bucket_free += bm_split_nr_free(split);
}

/* Puts a page on a free list of its superblock. Counters of the pool are the caller's. */
void bm_split_add_free(struct bm_split *split, struct page *page, enum bm_state state)
{
	bm_split_lift(split);
	list_add(&page->lru, &split->free[state]);
	split->nr_free[state]++;
	bm_split_place(split);
}

/* Takes a single page off a split superblock's free list, or NULL. Counters are the caller's. */
struct page *bm_pool_pop_page(struct bm_pool *pool, struct bm_split *split, enum bm_state state)
{
	struct page *page;

	lockdep_assert_held(&pool->lock);
	page = list_first_entry_or_null(&split->free[state], struct page, lru);
	if (page) {
		bm_split_lift(split);
		list_del(&page->lru);
		split->nr_free[state]--;
		bm_split_place(split);
	}
	return page;
}

/* A page of @split, in *@state for preference, or only in that one if @exact. */
static struct page *bm_split_pop(struct bm_split *split, enum bm_state *state, bool exact)
{
	if (!exact && !split->nr_free[*state])
		*state = *state == BM_ZEROED ? BM_DIRTY : BM_ZEROED;
	return bm_pool_pop_page(split->base.pool, split, *state);
}

/*
 * Takes a single page from the fullest split superblock that has one, or NULL:
 * one in *@state for preference, or only such a one if @exact. Says in *@state
 * which it was. Those that are isolated are asked last.
 */
struct page *bm_pool_pop_single(struct bm_pool *pool, enum bm_state *state, bool exact)
{
	struct bm_split *split;
	struct page *page;
	int i;

	lockdep_assert_held(&pool->lock);
	for (i = BM_NR_BUCKETS - 1; i >= 0; i--) {
		list_for_each_entry(split, &pool->splits[i], link) {
			page = bm_split_pop(split, state, exact);
			if (page)
				return page;
		}
	}
	for (i = BM_IDLE; i <= BM_ISOLATED; i++) {
		list_for_each_entry(split, &pool->splits[i], link) {
			page = bm_split_pop(split, state, exact);
			if (page)
				return page;
		}
	}
	return NULL;
}

/* Forgets a page that was in state @from and is on no list. */
static void bm_split_forget(struct bm_split *split, struct page *page, enum bm_state from)
{
	unsigned long i;

	for (i = 0; i < BM_SB_PAGES; i++) {
		if (split->pages[i] == page)
			WRITE_ONCE(split->pages[i], NULL);
	}
	split->nr_pages--;
	split->base.pages[from]--;
	split->base.pool->split_pages--;
	split->base.pool->gathered -= split->gathered;
	bm_page_set_owner(page, NULL);
}

/* A page that is on no list will never be free again; perhaps @split is gone with it. */
void bm_split_retire(struct bm_split *split, struct page *page, enum bm_state from)
{
	bm_split_lift(split);
	bm_split_forget(split, page, from);
	bm_split_place(split);
}

/* Retires the poisoned ones among the pages of a superblock that is all free and on no list. */
static void bm_split_sift(struct bm_split *split)
{
	struct bm_pool *pool = split->base.pool;
	struct page *page, *next;
	int state;

	for (state = 0; state < BM_NR_FREE; state++) {
		list_for_each_entry_safe(page, next, &split->free[state], lru) {
			if (!bm_page_poisoned(page))
				continue;
			list_move(&page->lru, &pool->retired);
			split->nr_free[state]--;
			bm_split_forget(split, page, state);
			bm_pool_move(pool, 1, state, BM_RETIRED);
			pool->news.retired++;
		}
	}
}

/* Enters a new split superblock as @number; its pages are zeroed and not counted yet. */
static void bm_pool_enter(struct bm_pool *pool, struct bm_split *split, u64 number)
{
	bm_superblock_enter(&split->base, number);
	pool->pages[BM_ZEROED] += split->nr_pages;
	pool->split_pages += split->nr_pages;
	pool->gathered += split->gathered ? split->nr_pages : 0;
	bm_split_place(split);
}

/* Counts a split superblock out that is all free and on no list. */
static void bm_pool_leave(struct bm_pool *pool, struct bm_split *split)
{
	bm_superblock_leave(&split->base);
	pool->pages[BM_ZEROED] -= split->nr_free[BM_ZEROED];
	pool->pages[BM_DIRTY] -= split->nr_free[BM_DIRTY];
	pool->split_pages -= split->nr_pages;
	pool->gathered -= split->gathered ? split->nr_pages : 0;
}

/* Are there @n split superblocks whose pages are all free? */
bool bm_pool_idle_splits(struct bm_pool *pool, unsigned int n)
{
	return pool->nr_idle >= n;
}

/* An idle split superblock for preference a gathered one, taken off its list; or NULL. */
static struct bm_split *bm_pool_lift_idle(struct bm_pool *pool)
{
	struct bm_split *split = list_first_entry_or_null(&pool->splits[BM_IDLE],
							  struct bm_split, link);

	if (split) {
		bm_split_lift(split);
		bm_split_sift(split);
	}
	return split;
}

/* An idle split superblock, counted out, for bm_split_free(); or NULL. */
struct bm_split *bm_pool_pop_idle(struct bm_pool *pool)
{
	struct bm_split *split = bm_pool_lift_idle(pool);

	if (split)
		bm_pool_leave(pool, split);
	return split;
}

/* --- whole to split and back --- */

/* Takes any whole superblock off its list into flight, a dirty one for preference, or NULL. */
static struct page *bm_pool_begin_whole(struct bm_pool *pool, enum bm_state *state)
{
	struct page *head;

	*state = BM_DIRTY;
	bm_pool_lock(pool);
	head = bm_pool_pop_either(pool, state);
	if (head)
		bm_pool_begin(pool);
	bm_pool_unlock(pool);
	if (!head || !bm_page_poisoned(head))
		return head;

	/* Not to be given back to the system. */
	bm_pool_retire(pool, head, *state);
	bm_pool_lock(pool);
	bm_pool_end(pool);
	bm_pool_unlock(pool);
	return NULL;
}

/* May a request take single pages without converting anything? A glance. */
static bool bm_pool_has_singles(struct bm_pool *pool)
{
	bool any;

	bm_pool_lock(pool);
	any = pool->bucket_free || pool->nr_idle;
	bm_pool_unlock(pool);
	return any;
}

/*
 * Makes sure that there is a split superblock with free pages, by taking a whole
 * one apart: a dirty one for preference, as the new pages come zeroed. 0 if it
 * is worth looking again, or -ENOMEM: also if the system kept what the whole one
 * gave, so that one request does not cost more than one superblock.
 */
int bm_pool_convert(struct bm_pool *pool)
{
	struct bm_split *split = bm_split_new(pool);
	struct bm_superblock *whole;
	struct page *head = NULL;
	enum bm_state state;
	bool used = false;

	if (!split)
		return -ENOMEM;
	mutex_lock(&pool->convert);
	if (!bm_pool_has_singles(pool))
		head = bm_pool_begin_whole(pool, &state);
	if (!head)
		goto out;

	whole = bm_page_superblock(head);
	if (bm_split_fill(split)) {
		bm_page_release(head);
	} else {
		/* No memory besides: get back what this one gives. */
		bm_page_release(head);
		if (!bm_split_fill(split))
			bm_split_gather(split, BM_EFFORT_SOME);
	}

	/* Once the lock is dropped it may be joined, and gone. */
	used = split->nr_pages;
	bm_pool_lock(pool);
	pool->pages[state] -= BM_SB_PAGES;
	bm_superblock_leave(whole);
	pool->packed = false;
	if (used)
		bm_pool_enter(pool, split, whole->number);
	bm_pool_end(pool);
	bm_pool_unlock(pool);
	kfree(whole);
	bm_worker_kick(pool);
out:
	mutex_unlock(&pool->convert);
	if (!used)
		kfree(split);
	return used || !head ? 0 : -ENOMEM;
}

/* Enters the whole superblock that takes the place of an idle split one. */
static void bm_pool_join_done(struct bm_pool *pool, struct bm_split *split, struct page *head)
{
	bm_pool_leave(pool, split);
	bm_pool_add_whole(pool, head, split->base.number);
	pool->join_delay = 0;
}

/*
 * Ends an attempt that came to nothing. @freed: the split one has no pages any more; @other
 * takes its place, or NULL if not even single pages could be had.
 */
static void bm_pool_join_failed(struct bm_pool *pool, struct bm_split *split, bool freed,
				struct bm_split *other)
{
	/* Also if the split one is lost: the next one would go the same way. */
	pool->join_delay = clamp(2 * pool->join_delay, BM_JOIN_MIN, BM_JOIN_MAX);
	WRITE_ONCE(pool->join_at, jiffies + pool->join_delay);
	split->base.busy = false;
	if (freed)
		bm_pool_leave(pool, split);
	else
		bm_split_place(split);
	if (other)
		bm_pool_enter(pool, other, split->base.number);
}

/* A split superblock of single pages from anywhere on the node, all of them; or NULL. */
static struct bm_split *bm_split_gathered(struct bm_pool *pool, gfp_t effort)
{
	struct bm_split *split = bm_split_new(pool);

	if (!split)
		return NULL;
	bm_split_gather(split, effort);
	if (split->nr_pages == BM_SB_PAGES)
		return split;
	/* The node is down to its last pages: others need them more. */
	bm_split_free(split);
	return NULL;
}

/*
 * Turns a split superblock whose pages are all free back into a whole one. 0,
 * -ENOENT if there is none, -ENOMEM if there is no memory for the whole one now
 * or was none a moment ago. One that has lost pages is made whole, too, which may
 * bring the pool above its target by less than a superblock. If somebody else was
 * faster to get what the split one gave, single pages take its place; without even
 * those the pool is short of that much, to be filled again.
 */
int bm_pool_join(struct bm_pool *pool)
{
	struct bm_split *split = NULL, *other = NULL;
	gfp_t effort = BM_EFFORT_SOME;
	bool freed = false;
	struct page *head;
	int ret = -ENOENT;

	bm_pool_lock(pool);
	if (pool->nr_idle)
		ret = -ENOMEM;
	if (pool->nr_idle && !time_before(jiffies, pool->join_at)) {
		split = bm_pool_lift_idle(pool);
		split->base.busy = true;
		bm_pool_begin(pool);
	}
	bm_pool_unlock(pool);
	if (!split)
		return ret;

	/* What had to be gathered is worth as much as a fill, if nobody waits for it. */
	if (split->gathered && current == pool->worker)
		effort = BM_EFFORT_ALL;
	head = bm_whole_alloc(pool, effort);
	if (!head) {
		/* No memory besides: get back what this one gives. */
		freed = bm_split_free_block(split);
		if (freed)
			head = bm_whole_alloc(pool, effort);
		if (freed && !head)
			other = bm_split_gathered(pool, BM_EFFORT_SOME);
	}

	bm_pool_lock(pool);
	if (head)
		bm_pool_join_done(pool, split, head);
	else
		bm_pool_join_failed(pool, split, freed, other);
	bm_pool_end(pool);
	bm_pool_unlock(pool);
	if (freed)
		kfree(split);
	else if (head)
		bm_split_free(split);
	return head ? 0 : -ENOMEM;
}

/* Adds a split superblock of single pages from anywhere on the node. 0 or -ENOMEM. */
int bm_pool_gather(struct bm_pool *pool, gfp_t effort)
{
	struct bm_split *split = bm_split_gathered(pool, effort);

	if (!split)
		return -ENOMEM;
	bm_pool_lock(pool);
	bm_pool_enter(pool, split, pool->next_number++);
	bm_pool_unlock(pool);
	return 0;
}

/* --- for compaction --- */

/**
 * bm_pool_isolate() - take a split superblock off the lists, to empty it
 * @pool: the pool
 *
 * Takes the emptiest one that has pages in use, if the other ones have room for
 * these. Nobody gets a page of it any more unless there is no other left. Its
 * pages that are to be moved are those with bm_page_allocated().
 *
 * Return: what bm_pool_putback() has to be called with, or NULL.
 */
struct bm_split *bm_pool_isolate(struct bm_pool *pool)
{
	struct bm_split *split = NULL;
	unsigned int nr_free;
	int i;

	bm_pool_lock(pool);
	for (i = 0; i < BM_NR_BUCKETS && !split; i++)
		split = list_first_entry_or_null(&pool->splits[i], struct bm_split, link);
	if (split) {
		nr_free = bm_split_nr_free(split);
		if (pool->bucket_free - nr_free < split->nr_pages - nr_free) {
			split = NULL;
		} else {
			bm_split_lift(split);
			split->isolated = true;
			bm_split_place(split);
		}
	}
	bm_pool_unlock(pool);
	return split;
}

/*
 * Ends what bm_pool_isolate() began. Returns whether all pages of the superblock are
 * free; it may be gone afterwards.
 */
bool bm_pool_putback(struct bm_pool *pool, struct bm_split *split)
{
	bool idle;

	bm_pool_lock(pool);
	bm_split_lift(split);
	split->isolated = false;
	idle = bm_split_where(split) == BM_IDLE;
	bm_split_place(split);
	bm_pool_unlock(pool);
	/* There may be something to join. */
	bm_worker_kick(pool);
	return idle;
}
