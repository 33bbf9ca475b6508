// SPDX-License-Identifier: GPL-2.0
/*
 * Taking pages back.
 *
 * Pages that leave a buffer (or wait in quarantine) are claimed one by one and
 * collected, so that the pool's lock is taken once for many. Who is claimed
 * becomes dirty; who is not, because a DMA or a pin outlived the mapping, goes
 * to quarantine, where the worker tries again. Nothing here sleeps for long or
 * fails: it runs when a file is closed.
 */
#include <linux/sched.h>

#include "bitmem.h"
#include "trace.h"

/* Pages or superblocks to collect before the pool's lock is taken. */
#define BM_BATCH	256

/* An empty batch for pages that leave state @from. */
void bm_batch_init(struct bm_batch *batch, enum bm_state from)
{
	batch->pool = NULL;
	batch->from = from;
	batch->to = BM_DIRTY;
	batch->count = 0;
	INIT_LIST_HEAD(&batch->claimed);
	INIT_LIST_HEAD(&batch->busy);
}

/* Puts everything collected on the pool's lists, and empties the batch. */
void bm_batch_flush(struct bm_batch *batch)
{
	struct bm_pool *pool = batch->pool;
	unsigned long claimed = 0, busy = 0;
	struct page *page, *next;

	if (!pool)
		return;
	list_for_each_entry(page, &batch->busy, lru)
		busy += bm_page_count(page);

	bm_pool_lock(pool);
	list_for_each_entry_safe(page, next, &batch->claimed, lru) {
		list_del(&page->lru);
		claimed += bm_page_count(page);
		bm_page_move(page, batch->from, batch->to);
		bm_pool_add_free(pool, page, batch->to);
	}
	list_for_each_entry(page, &batch->busy, lru)
		bm_page_move(page, batch->from, BM_QUARANTINED);
	list_splice_init(&batch->busy, &pool->quarantine);
	bm_pool_move(pool, claimed, batch->from, batch->to);
	bm_pool_move(pool, busy, batch->from, BM_QUARANTINED);
	if (batch->from == BM_ALLOCATED)
		pool->news.quarantined += busy;
	bm_pool_unlock(pool);
	/* There is something to zero, or something new to look after. */
	if (claimed || batch->from == BM_ALLOCATED)
		bm_worker_kick(pool);

	if (batch->from == BM_QUARANTINED)
		busy = 0;
	else
		claimed = 0;
	if (busy || claimed)
		trace_bitmem_quarantine(pool->node, busy, claimed);
	batch->pool = NULL;
	batch->count = 0;
}

/* Collects a whole superblock or a single page. */
void bm_batch_add(struct bm_batch *batch, struct page *page)
{
	struct bm_pool *pool = bm_page_pool(page);

	if (batch->pool != pool || batch->count >= BM_BATCH) {
		bm_batch_flush(batch);
		cond_resched();
	}
	batch->pool = pool;
	batch->count++;
	list_add(&page->lru, bm_page_claim(page) ? &batch->claimed : &batch->busy);
}

/* Tries once more to claim what is in quarantine. True if something is still there. */
bool bm_quarantine_recheck(struct bm_pool *pool)
{
	struct page *page, *next;
	struct bm_batch batch;
	LIST_HEAD(list);
	bool left;

	bm_batch_init(&batch, BM_QUARANTINED);
	bm_pool_lock(pool);
	list_splice_init(&pool->quarantine, &list);
	bm_pool_unlock(pool);
	list_for_each_entry_safe(page, next, &list, lru) {
		list_del(&page->lru);
		/* Whoever found the poison may keep a reference for ever. */
		if (bm_page_poisoned(page))
			bm_pool_retire(pool, page, BM_QUARANTINED);
		else
			bm_batch_add(&batch, page);
	}
	bm_batch_flush(&batch);
	bm_pool_lock(pool);
	left = !list_empty(&pool->quarantine);
	bm_pool_unlock(pool);
	return left;
}
