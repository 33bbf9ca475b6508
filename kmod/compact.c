// SPDX-License-Identifier: GPL-2.0
/*
 * Compaction: the used pages of the emptiest split superblocks move into the gaps
 * of the fuller ones, whosever they are, until nothing more can be gained. The
 * superblocks emptied that way become whole again.
 *
 * A page's index leads to its buffer. By the time it is looked at, the page may
 * have left that buffer, or not have got there yet: the buffer's table decides,
 * under buf->change. That is only tried for, so that one buffer that is being
 * changed does not hold up the rest.
 */
#include <linux/jiffies.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "slot.h"
#include "trace.h"

/**
 * struct bm_compaction - a COMPACT under way
 * @pool: the pool
 * @budget: pages that may still be copied
 * @moved: pages copied
 * @skipped: pages that could not be moved
 * @until: when to stop waiting for what is busy (jiffies)
 * @batch: old pages on their way back
 */
struct bm_compaction {
	struct bm_pool *pool;
	unsigned long budget;
	unsigned long moved;
	unsigned long skipped;
	unsigned long until;
	struct bm_batch batch;
};

/* The buffer of a used single page, with a reference and buf->change held; or NULL. */
static struct bm_buffer *bm_page_buffer(struct page *page, unsigned long *index)
{
	u64 pgoff = READ_ONCE(page_folio(page)->index);
	struct bm_buffer *buf = bm_offset_find(pgoff << PAGE_SHIFT);

	if (!buf)
		return NULL;
	*index = pgoff - (buf->offset >> PAGE_SHIFT);
	if (mutex_trylock(&buf->change)) {
		struct bm_slot *slot = &buf->slots[*index >> BM_SB_ORDER];

		if (*index < buf->npages && slot->pages &&
		    slot->pages[*index & (BM_SB_PAGES - 1)] == page)
			return buf;
		mutex_unlock(&buf->change);
	}
	bm_buffer_put(buf);
	return NULL;
}

/* The @i'th page of a split superblock if it is in a buffer, or NULL. */
static struct page *bm_split_used(const struct bm_split *split, unsigned long i)
{
	struct page *page = READ_ONCE(split->pages[i]);

	return page && bm_page_allocated(page) ? page : NULL;
}

/* Moves one used page of a superblock that is being emptied. False if there is no room. */
static bool bm_compact_page(struct bm_compaction *c, struct page *page)
{
	struct bm_buffer *buf;
	struct page *fresh;
	unsigned long index;
	int ret;

	buf = bm_page_buffer(page, &index);
	if (!buf) {
		c->skipped++;
		return true;
	}
	fresh = bm_pool_take_partial(c->pool);
	if (!fresh)
		goto out;
	do {
		ret = bm_relocate_page(buf, index, fresh);
	} while (ret == -EBUSY && !buf->fixed && bm_relocate_pause(c->until));
	if (ret) {
		c->skipped++;
		bm_batch_add(&c->batch, fresh);
	} else {
		c->moved++;
		c->budget--;
		bm_batch_add(&c->batch, page);
	}
out:
	mutex_unlock(&buf->change);
	bm_buffer_put(buf);
	return fresh;
}

/* Empties a split superblock as far as it goes. False if there is no more room or budget. */
static bool bm_compact_split(struct bm_compaction *c, struct bm_split *split)
{
	bool more = true;
	unsigned long i;

	for (i = 0; i < BM_SB_PAGES && more; i++) {
		struct page *page = bm_split_used(split, i);

		if (!page)
			continue;
		more = c->budget && !fatal_signal_pending(current) && bm_compact_page(c, page);
		cond_resched();
	}
	bm_batch_flush(&c->batch);
	return more;
}

/*
 * Keeps single pages from being zeroed: a gap in flight is no room for anything, and
 * looks like a page in use. Waits for what is in flight now.
 */
static void bm_compact_begin(struct bm_pool *pool)
{
	unsigned int done, inflight;

	bm_pool_lock(pool);
	pool->compacting++;
	inflight = pool->inflight;
	done = pool->done;
	bm_pool_unlock(pool);
	while (inflight-- && !bm_pool_wait(pool, done))
		done++;
}

static void bm_compact_end(struct bm_pool *pool)
{
	bm_pool_lock(pool);
	pool->compacting--;
	pool->packed = true;
	bm_pool_unlock(pool);
	bm_worker_kick(pool);
}

/**
 * bm_pool_compact() - pack a pool's single pages
 * @pool: the pool
 * @arg: the budget; the outputs are filled in
 *
 * Return: 0, or -EINTR if the caller is being killed.
 */
int bm_pool_compact(struct bm_pool *pool, struct bitmem_compact *arg)
{
	struct bm_compaction c = {
		.pool = pool,
		.budget = arg->budget ? arg->budget >> PAGE_SHIFT : ULONG_MAX,
		.until = jiffies + BM_RELOCATE_WAIT,
	};
	unsigned long freed = 0;
	struct bm_split *split, *next;
	LIST_HEAD(done);
	bool more = true;

	bm_batch_init(&c.batch, BM_ALLOCATED);
	bm_compact_begin(pool);
	while (more && c.budget && (split = bm_pool_isolate(pool))) {
		/* Not to be chosen again before the end. */
		list_add(&split->work, &done);
		more = bm_compact_split(&c, split);
	}
	list_for_each_entry_safe(split, next, &done, work) {
		if (bm_pool_putback(pool, split))
			freed += BM_SB_PAGES;
	}
	/* Before the worker gets at their pages, to zero them for nothing. */
	while (!bm_pool_join(pool))
		cond_resched();
	bm_compact_end(pool);
	bm_pool_moved(pool, c.moved);
	trace_bitmem_compact(pool, c.moved, freed, c.skipped);
	arg->out_moved = (u64)c.moved << PAGE_SHIFT;
	arg->out_freed = (u64)freed << PAGE_SHIFT;
	arg->out_skipped = (u64)c.skipped << PAGE_SHIFT;
	if (c.moved)
		bm_event_compacted(pool, arg);
	return fatal_signal_pending(current) ? -EINTR : 0;
}
