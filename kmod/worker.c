// SPDX-License-Identifier: GPL-2.0
/*
 * One kernel thread a pool. It fills the pool, zeroes dirty pages, tries again to
 * claim pages in quarantine, joins split superblocks that are all free, gives back
 * what is above the target, and tells the world what happened. Each step handles a
 * little and looks again, so that a long fill does not hold up the rest.
 *
 * Zeroing ahead of requests is to be felt by nobody else. The thread is nice, it
 * works for a while and then rests as long, so that it takes half of one CPU and
 * of what memory bandwidth that can use at most, and leaves the caches alone. Who
 * needs memory earlier zeroes it himself.
 */
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/topology.h>

#include "bitmem.h"
#include "trace.h"

/* How often quarantine is looked through: soon at first, then ever more rarely. */
#define BM_RECHECK_MIN	msecs_to_jiffies(10)
#define BM_RECHECK_MAX	msecs_to_jiffies(250)

/* Single pages to zero in one step. */
#define BM_ZERO_PAGES	64

/* How long to zero before a rest of the same length. */
#define BM_ZERO_BURST	(10 * NSEC_PER_MSEC)

/* Split superblocks left as they are although all their pages are free: until a COMPACT. */
#define BM_SPARE_SPLITS	1

struct bm_worker {
	struct bm_fill fill;
	unsigned long recheck_at, recheck_delay;
	unsigned long zero_at;
	u64 zero_ns;
	bool resting;
	bool join;
	enum bitmem_level told;
};

/* Takes dirty work off the lists: a whole superblock, or some single pages of one split one. */
static void bm_zero_begin(struct bm_pool *pool, struct list_head *list)
{
	struct bm_split *split;
	struct page *page;
	int i, n = 0;

	lockdep_assert_held(&pool->lock);
	page = bm_pool_pop_whole(pool, BM_DIRTY);
	if (page) {
		list_add(&page->lru, list);
		return;
	}
	/* Compaction is to find every gap, and overwrites what it fills. */
	if (pool->compacting)
		return;
	for (i = 0; i <= BM_IDLE; i++) {
		list_for_each_entry(split, &pool->splits[i], link) {
			if (!split->nr_free[BM_DIRTY])
				continue;
			/* A pop moves @split to another list: leave the loop after it. */
			while (n++ < BM_ZERO_PAGES &&
			       (page = bm_pool_pop_page(pool, split, BM_DIRTY)))
				list_add(&page->lru, list);
			return;
		}
	}
}

/* Zeroes what bm_zero_begin() took, but for what is poisoned. Returns pages. */
static unsigned long bm_zero_list(struct bm_pool *pool, struct list_head *list)
{
	struct page *page, *next;
	unsigned long zeroed = 0;

	list_for_each_entry_safe(page, next, list, lru) {
		if (!bm_page_poisoned(page)) {
			bm_page_zero_aside(page);
			zeroed += bm_page_count(page);
		} else {
			list_del(&page->lru);
			bm_pool_retire(pool, page, BM_DIRTY);
		}
	}
	return zeroed;
}

/* Counts the time that zeroing took, and ordains a rest after a while of it. */
static void bm_zero_pace(struct bm_worker *w, u64 ns)
{
	w->zero_ns += ns;
	if (w->zero_ns < BM_ZERO_BURST)
		return;
	w->zero_at = jiffies + nsecs_to_jiffies(w->zero_ns) + 1;
	w->zero_ns = 0;
	w->resting = true;
}

/* Zeroes a little. True if there may be more to do. */
static bool bm_zero_step(struct bm_pool *pool, struct bm_worker *w)
{
	ktime_t start = ktime_get();
	struct page *page, *next;
	unsigned long zeroed;
	LIST_HEAD(list);
	u64 ns;

	if (w->resting && time_before(jiffies, w->zero_at))
		return false;
	w->resting = false;
	bm_pool_lock(pool);
	if (pool->pages[BM_DIRTY])
		bm_zero_begin(pool, &list);
	if (!list_empty(&list))
		bm_pool_begin(pool);
	bm_pool_unlock(pool);
	if (list_empty(&list))
		return false;

	zeroed = bm_zero_list(pool, &list);

	bm_pool_lock(pool);
	list_for_each_entry_safe(page, next, &list, lru) {
		list_del(&page->lru);
		bm_page_move(page, BM_DIRTY, BM_ZEROED);
		bm_pool_add_free(pool, page, BM_ZEROED);
	}
	bm_pool_move(pool, zeroed, BM_DIRTY, BM_ZEROED);
	bm_pool_end(pool);
	bm_pool_unlock(pool);
	ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	trace_bitmem_zero(pool, zeroed, ns);
	bm_zero_pace(w, ns);
	return true;
}

/* Tells netlink's listeners what happened since it last did. */
static void bm_news_step(struct bm_pool *pool, struct bm_worker *w)
{
	enum bitmem_level level;
	struct bm_news news;

	bm_pool_lock(pool);
	level = pool->level;
	news = pool->news;
	pool->news = (struct bm_news) { 0 };
	bm_pool_unlock(pool);
	if (level != w->told)
		bm_event_level(pool, level);
	w->told = level;
	if (news.quarantined)
		bm_event_quarantine(pool, (u64)news.quarantined << PAGE_SHIFT);
	if (news.retired)
		bm_event_retired(pool, (u64)news.retired << PAGE_SHIFT);
	if (news.shrunk)
		bm_event_shrunk(pool, (u64)news.shrunk << PAGE_SHIFT);
}

/* Makes one superblock whole again if enough are split for nothing. True if there was one. */
static bool bm_join_step(struct bm_pool *pool, struct bm_worker *w)
{
	bm_pool_lock(pool);
	w->join = bm_pool_idle_splits(pool, pool->gathered || pool->packed ? 1 :
				      BM_SPARE_SPLITS + 1);
	bm_pool_unlock(pool);
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
	long timeout = bm_fill_timeout(pool, &w->fill);

	if (w->resting)
		timeout = min(timeout, max_t(long, w->zero_at - jiffies, 1));
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
		bool more = bm_fill_step(pool, &w.fill);

		more |= bm_pool_shed(pool);
		more |= bm_zero_step(pool, &w);
		more |= bm_join_step(pool, &w);
		bm_news_step(pool, &w);
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

	task = kthread_create_on_node(bm_worker, pool, pool->node, "bitmem%s/%d",
				      pool->width == 32 ? "32" : "", pool->node);
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
