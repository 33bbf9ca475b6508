// SPDX-License-Identifier: GPL-2.0
/*
 * One kernel thread a pool. It fills the pool, zeroes dirty pages, tries again to
 * claim pages in quarantine, and joins split superblocks that are all free. Each
 * step handles a little and looks again, so that a long fill does not hold up
 * the rest.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/topology.h>

#include "bitmem.h"

/* How often quarantine is looked through: soon at first, then ever more rarely. */
#define BM_RECHECK_MIN	msecs_to_jiffies(10)
#define BM_RECHECK_MAX	msecs_to_jiffies(250)

/* How long after a fill fell short the next try is made. */
#define BM_REFILL_DELAY	(10 * HZ)

/* Single pages to zero in one step. */
#define BM_ZERO_PAGES	64

/* Split superblocks left as they are although all their pages are free. */
#define BM_SPARE_SPLITS	1

struct bm_worker {
	unsigned long recheck_at, recheck_delay;
	unsigned long refill_at;
	bool refill_short;
	bool join;
};

static void bm_fill_done(struct bm_pool *pool, unsigned long capacity)
{
	bool first;

	spin_lock(&pool->lock);
	first = pool->filling;
	WRITE_ONCE(pool->filling, false);
	spin_unlock(&pool->lock);
	if (!first)
		return;
	/* The rest of this thread's work can wait for whoever has something to do. */
	set_user_nice(current, 10);
	if (capacity < pool->target)
		pr_warn("node %d: %lu of %lu superblocks: no more memory\n", pool->node,
			capacity >> BM_SB_ORDER, pool->target >> BM_SB_ORDER);
	else
		pr_info("node %d: %lu superblocks\n", pool->node, capacity >> BM_SB_ORDER);
	bm_pools_wake();
}

/* Adds a superblock if the pool lacks one. True if there may be more to do. */
static bool bm_fill_step(struct bm_pool *pool, struct bm_worker *w)
{
	unsigned long capacity;
	struct page *head;

	spin_lock(&pool->lock);
	capacity = bm_pool_capacity(pool);
	spin_unlock(&pool->lock);
	if (capacity + BM_SB_PAGES > pool->target) {
		w->refill_short = false;
		bm_fill_done(pool, capacity);
		return false;
	}
	if (w->refill_short && time_before(jiffies, w->refill_at))
		return false;

	head = bm_whole_alloc(pool, __GFP_RETRY_MAYFAIL);
	if (!head) {
		w->refill_short = true;
		w->refill_at = jiffies + BM_REFILL_DELAY;
		bm_fill_done(pool, capacity);
		return false;
	}
	spin_lock(&pool->lock);
	pool->pages[BM_ZEROED] += BM_SB_PAGES;
	bm_pool_add_free(pool, head, BM_ZEROED);
	spin_unlock(&pool->lock);
	bm_pools_wake();
	return true;
}

/* Takes dirty work off the lists: a whole superblock, or some single pages of one split one. */
static void bm_zero_begin(struct bm_pool *pool, struct list_head *list)
{
	struct bm_split *split;
	struct page *page;
	int n = 0;

	lockdep_assert_held(&pool->lock);
	page = bm_pool_pop_whole(pool, BM_DIRTY);
	if (page) {
		list_add(&page->lru, list);
		return;
	}
	list_for_each_entry(split, &pool->partial, link) {
		if (!split->nr_free[BM_DIRTY])
			continue;
		/* The last pop may take @split off the partial list: leave the loop after it. */
		while (n++ < BM_ZERO_PAGES && (page = bm_pool_pop_page(pool, split, BM_DIRTY)))
			list_add(&page->lru, list);
		return;
	}
}

/* Zeroes a little. True if there may be more to do. */
static bool bm_zero_step(struct bm_pool *pool)
{
	struct page *page, *next;
	unsigned long zeroed = 0;
	LIST_HEAD(list);

	spin_lock(&pool->lock);
	if (pool->pages[BM_DIRTY])
		bm_zero_begin(pool, &list);
	if (!list_empty(&list))
		bm_pool_begin(pool);
	spin_unlock(&pool->lock);
	if (list_empty(&list))
		return false;

	list_for_each_entry_safe(page, next, &list, lru) {
		if (!bm_page_poisoned(page)) {
			bm_page_zero(page);
			zeroed += bm_page_count(page);
		} else {
			list_del(&page->lru);
			bm_pool_retire(pool, page, BM_DIRTY);
		}
	}

	spin_lock(&pool->lock);
	list_for_each_entry_safe(page, next, &list, lru) {
		list_del(&page->lru);
		bm_pool_add_free(pool, page, BM_ZEROED);
	}
	bm_pool_move(pool, zeroed, BM_DIRTY, BM_ZEROED);
	bm_pool_end(pool);
	spin_unlock(&pool->lock);
	wake_up_all(&pool->wait);
	return true;
}

/* Makes one superblock whole again if enough are split for nothing. True if there was one. */
static bool bm_join_step(struct bm_pool *pool, struct bm_worker *w)
{
	spin_lock(&pool->lock);
	w->join = bm_pool_idle_splits(pool, BM_SPARE_SPLITS + 1);
	spin_unlock(&pool->lock);
	return w->join && !bm_pool_join(pool);
}

/* Looks through quarantine if it is time. */
static void bm_recheck_step(struct bm_pool *pool, struct bm_worker *w)
{
	if (!READ_ONCE(pool->pages[BM_QUARANTINED])) {
		w->recheck_delay = 0;
		return;
	}
	if (w->recheck_delay && time_before(jiffies, w->recheck_at))
		return;
	if (!bm_quarantine_recheck(pool) || !w->recheck_delay)
		w->recheck_delay = BM_RECHECK_MIN;
	else
		w->recheck_delay = min(2 * w->recheck_delay, BM_RECHECK_MAX);
	w->recheck_at = jiffies + w->recheck_delay;
}

/* How long the worker may sleep when it has nothing to do. */
static long bm_worker_timeout(struct bm_pool *pool, const struct bm_worker *w)
{
	long timeout = MAX_SCHEDULE_TIMEOUT;

	if (w->refill_short)
		timeout = max_t(long, w->refill_at - jiffies, 1);
	if (w->join)
		timeout = min(timeout, max_t(long, READ_ONCE(pool->join_at) - jiffies, 1));
	if (READ_ONCE(pool->pages[BM_QUARANTINED]))
		timeout = min(timeout, max_t(long, w->recheck_at - jiffies, 1));
	return timeout;
}

static int bm_worker(void *data)
{
	struct bm_pool *pool = data;
	struct bm_worker w = { 0 };

	while (!kthread_should_stop()) {
		unsigned int kicks = atomic_read(&pool->kicks);
		bool more = bm_fill_step(pool, &w);

		more |= bm_zero_step(pool);
		more |= bm_join_step(pool, &w);
		bm_recheck_step(pool, &w);
		if (more)
			cond_resched();
		else
			wait_event_interruptible_timeout(pool->kick,
							 kthread_should_stop() ||
							 atomic_read(&pool->kicks) != kicks,
							 bm_worker_timeout(pool, &w));
	}
	return 0;
}

/* Wakes the worker: there is something new for it. */
void bm_worker_kick(struct bm_pool *pool)
{
	atomic_inc(&pool->kicks);
	wake_up(&pool->kick);
}

/* Starts the pool's worker on the pool's own CPUs, if it has any. */
int bm_worker_start(struct bm_pool *pool)
{
	const struct cpumask *cpus = cpumask_of_node(pool->node);
	struct task_struct *task;

	task = kthread_create_on_node(bm_worker, pool, pool->node, "bitmem/%d", pool->node);
	if (IS_ERR(task))
		return PTR_ERR(task);
	if (!cpumask_empty(cpus))
		set_cpus_allowed_ptr(task, cpus);
	pool->worker = task;
	wake_up_process(task);
	return 0;
}

void bm_worker_stop(struct bm_pool *pool)
{
	if (pool->worker)
		kthread_stop(pool->worker);
}
