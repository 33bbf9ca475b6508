// SPDX-License-Identifier: GPL-2.0
/*
 * Moving pages under their users: addresses and contents stay as they are.
 *
 * With buf->change held, so that the buffer's table is ours, and nothing fixed:
 * buf->lock is taken for writing, so that faults wait; the range is unmapped; the
 * old pages are claimed, which fails if anything but us still has them (a pin, or
 * a fault that got its page a moment ago and has not mapped it yet); then they
 * are copied, and the table is changed. Whoever touches the range next faults on
 * the new page.
 *
 * New pages are allocated before, old ones freed after all this. A claim that
 * fails is tried again for a short while with the lock dropped: a GUP of several
 * pages may hold the first one while its fault on the second waits for our lock.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "slot.h"

/* Lets others go on before another try. False when it is time to give up. */
bool bm_relocate_pause(unsigned long until)
{
	if (time_after_eq(jiffies, until) || fatal_signal_pending(current))
		return false;
	usleep_range(100, 500);
	return true;
}

static struct page *bm_slot_page(const struct bm_slot *slot, unsigned long j)
{
	if (slot->head)
		return slot->head + j;
	return slot->pages ? slot->pages[j] : NULL;
}

/* Are all pages of a slot ours alone, and sound? With buf->lock held, and it unmapped. */
static int bm_slot_claim(const struct bm_buffer *buf, unsigned long i)
{
	const struct bm_slot *slot = &buf->slots[i];
	unsigned long j;

	if (slot->head) {
		if (bm_page_poisoned(slot->head))
			return -EHWPOISON;
		return bm_page_claim(slot->head) ? 0 : -EBUSY;
	}
	for (j = 0; j < bm_slot_pages(buf, i); j++) {
		struct page *page = slot->pages[j];

		if (!page)
			continue;
		if (bm_page_poisoned(page))
			return -EHWPOISON;
		if (!bm_page_claim(page))
			return -EBUSY;
	}
	return 0;
}

/* Counts the pages of a slot as the buffer's, or no longer. */
static void bm_slot_share(struct bm_buffer *buf, unsigned long i, const struct bm_slot *slot,
			  int sign)
{
	unsigned long j;

	if (slot->head)
		bm_share_add(buf, slot->head, sign);
	for (j = 0; slot->pages && j < bm_slot_pages(buf, i); j++) {
		if (slot->pages[j])
			bm_share_add(buf, slot->pages[j], sign);
	}
}

/* The pool of some page of a slot that has one. */
static struct bm_pool *bm_slot_pool(const struct bm_buffer *buf, unsigned long i,
				    const struct bm_slot *slot)
{
	unsigned long j = 0;

	if (slot->head)
		return bm_page_pool(slot->head);
	while (j < bm_slot_pages(buf, i) - 1 && !slot->pages[j])
		j++;
	return bm_page_pool(slot->pages[j]);
}

/* Copies what @to has room for. Returns pages. */
static unsigned long bm_slot_copy(const struct bm_buffer *buf, unsigned long i,
				  const struct bm_slot *to)
{
	unsigned long j, n = 0;

	for (j = 0; j < bm_slot_pages(buf, i); j++) {
		struct page *from = bm_slot_page(&buf->slots[i], j);
		struct page *page = bm_slot_page(to, j);

		if (!from || !page)
			continue;
		copy_highpage(page, from);
		n++;
		cond_resched();
	}
	return n;
}

/**
 * bm_slot_replace() - put other pages in place of all that a slot has
 * @buf: the buffer, with buf->change held
 * @i: the slot
 * @fresh: the new pages; on success the old ones are left here, to be released
 * @until: when to give up (jiffies)
 *
 * The content goes over. What @fresh has no page for is not committed afterwards.
 *
 * Return: 0; -EBUSY if something refers to a page, -EHWPOISON if one is poisoned.
 */
int bm_slot_replace(struct bm_buffer *buf, unsigned long i, struct bm_slot *fresh,
		    unsigned long until)
{
	struct bm_slot *slot = &buf->slots[i];
	unsigned long moved = 0;
	int ret;

	if (buf->fixed)
		return -EBUSY;
	do {
		down_write(&buf->lock);
		bm_unmap(buf, i << BM_SB_ORDER, bm_slot_pages(buf, i));
		ret = bm_slot_claim(buf, i);
		if (!ret) {
			moved = bm_slot_copy(buf, i, fresh);
			swap(*slot, *fresh);
		}
		up_write(&buf->lock);
	} while (ret == -EBUSY && bm_relocate_pause(until));
	if (ret)
		return ret;
	bm_slot_share(buf, i, fresh, -1);
	bm_slot_share(buf, i, slot, 1);
	bm_pool_moved(bm_slot_pool(buf, i, slot), moved);
	return 0;
}

static void bm_slot_drop(const struct bm_buffer *buf, unsigned long i, struct bm_slot *slot)
{
	struct bm_batch batch;

	bm_batch_init(&batch, BM_ALLOCATED);
	bm_slot_release(buf, i, slot, &batch);
	bm_batch_flush(&batch);
}

/* Takes what @src->need says for slot @i and moves it there. The rest of the slot goes. */
static int bm_slot_move(struct bm_buffer *buf, unsigned long i, struct bm_source *src,
			unsigned long until)
{
	struct bm_slot fresh = { NULL, NULL };
	int ret = bm_slot_take(buf, i, src, &fresh);

	if (!ret)
		ret = bm_slot_replace(buf, i, &fresh, until);
	/* What was taken in vain, or what it took the place of. */
	bm_slot_drop(buf, i, &fresh);
	return ret;
}

/* A request for pages of one pool, that does not count as refused. */
static struct bm_request bm_request_from(const struct bm_pool *pool, unsigned long npages)
{
	return (struct bm_request){
		.npages = npages,
		.node = pool->node,
		.width = pool->width,
		.bind = true,
		.quiet = true,
		.raw = true,
	};
}

/**
 * bm_demote() - decommit part of a whole superblock
 * @buf: the buffer, with buf->change held
 * @i: the slot, which has a whole superblock
 * @from: first page of it to decommit
 * @to: the page after the last
 * @until: when to give up (jiffies)
 *
 * The rest moves to single pages, and the superblock goes back to its pool. If
 * the pool has no pages for that, it gets some from the system for the while.
 *
 * Return: 0 or -errno.
 */
int bm_demote(struct bm_buffer *buf, unsigned long i, unsigned long from, unsigned long to,
	      unsigned long until)
{
	struct bm_pool *pool = bm_page_pool(buf->slots[i].head);
	struct bm_request req = bm_request_from(pool, BM_SB_PAGES - (to - from));
	struct bm_source src;
	int ret;

	if (buf->fixed)
		return -EBUSY;
	req.single = true;
	ret = bm_source_open(&src, &req);
	if (ret == -ENOMEM && !bm_pool_gather(pool, BM_EFFORT_SOME))
		ret = bm_source_open(&src, &req);
	if (ret)
		return ret;
	bitmap_fill(src.need, BM_SB_PAGES);
	bitmap_clear(src.need, from, to - from);
	ret = bm_slot_move(buf, i, &src, until);
	bm_source_close(&src);
	return ret;
}

/**
 * bm_promote() - make a whole superblock of a slot's single pages
 * @buf: the buffer, with buf->change held
 * @i: the slot
 * @until: when to give up (jiffies)
 *
 * Page tables that map it by single pages stay as fine as they are until the
 * range is mapped anew.
 *
 * Return: 0; -ENODATA if the slot is not full of single pages; -errno.
 */
int bm_promote(struct bm_buffer *buf, unsigned long i, unsigned long until)
{
	struct bm_request req;
	struct bm_source src;
	int ret;

	if (buf->fixed)
		return -EBUSY;
	if (!buf->slots[i].pages || bm_slot_pages(buf, i) < BM_SB_PAGES ||
	    bm_slot_resident(buf, i, 0, BM_SB_PAGES) < BM_SB_PAGES)
		return -ENODATA;
	req = bm_request_from(bm_page_pool(buf->slots[i].pages[0]), BM_SB_PAGES);
	req.contig = true;
	ret = bm_source_open(&src, &req);
	if (ret)
		return ret;
	bitmap_fill(src.need, BM_SB_PAGES);
	ret = bm_slot_move(buf, i, &src, until);
	bm_source_close(&src);
	return ret;
}

/**
 * bm_relocate_page() - put another page in place of a single one
 * @buf: the buffer, with buf->change held
 * @index: which of its pages, a single one
 * @page: the new page; its old content does not matter
 *
 * Return: 0, and the old page is the caller's; -EBUSY or -EHWPOISON, and the new
 * one still is.
 */
int bm_relocate_page(struct bm_buffer *buf, unsigned long index, struct page *page)
{
	struct page **entry = &buf->slots[index >> BM_SB_ORDER].pages[index & (BM_SB_PAGES - 1)];
	int ret = -EBUSY;

	if (buf->fixed)
		return ret;
	if (bm_page_poisoned(*entry))
		return -EHWPOISON;
	down_write(&buf->lock);
	bm_unmap(buf, index, 1);
	if (bm_page_claim(*entry)) {
		copy_highpage(page, *entry);
		bm_page_place(buf, page, index);
		*entry = page;
		ret = 0;
	}
	up_write(&buf->lock);
	return ret;
}

/* --- to another node --- */

/* Marks the pages of slot @i that are not on @node. Returns how many. */
static unsigned long bm_slot_away(const struct bm_buffer *buf, unsigned long i, int node,
				  unsigned long *need)
{
	unsigned long j;

	bitmap_zero(need, BM_SB_PAGES);
	for (j = 0; j < bm_slot_pages(buf, i); j++) {
		struct page *page = bm_slot_page(&buf->slots[i], j);

		if (page && page_to_nid(page) != node)
			__set_bit(j, need);
	}
	return bitmap_weight(need, BM_SB_PAGES);
}

/*
 * Moves one slot. All its single pages move if some have to: what is there and
 * here would have to be kept apart otherwise. Returns pages that came to @node, or
 * -errno.
 */
static long bm_slot_migrate(struct bm_buffer *buf, unsigned long i, int node,
			    struct bm_source *src, unsigned long until)
{
	unsigned long away = bm_slot_away(buf, i, node, src->need), j;
	int ret;

	if (!away)
		return 0;
	for (j = 0; j < bm_slot_pages(buf, i); j++) {
		if (bm_slot_page(&buf->slots[i], j))
			__set_bit(j, src->need);
	}
	ret = bm_slot_move(buf, i, src, until);
	return ret ?: away;
}

/* Pages of slots that have some on another node than @node. */
static unsigned long bm_buffer_away(const struct bm_buffer *buf, int node, unsigned long *need)
{
	unsigned long i, n = 0;

	for (i = 0; i < bm_buffer_slots(buf); i++) {
		if (bm_slot_away(buf, i, node, need))
			n += bm_slot_resident(buf, i, 0, bm_slot_pages(buf, i));
	}
	return n;
}

static int bm_migrate_slots(struct bm_buffer *buf, int node, struct bm_source *src,
			    unsigned long *moved, unsigned long *skipped)
{
	unsigned long i, until = jiffies + BM_RELOCATE_WAIT;
	long ret;

	for (i = 0; i < bm_buffer_slots(buf); i++) {
		ret = bm_slot_migrate(buf, i, node, src, until);
		if (ret == -EINTR)
			return ret;
		/* One piece, which is all there is to move, and no place for it. */
		if (ret == -ESTALE)
			return -ENOMEM;
		if (ret >= 0)
			*moved += ret;
		else
			*skipped += bm_slot_away(buf, i, node, src->need);
		cond_resched();
	}
	return 0;
}

/**
 * bm_buffer_migrate() - move a buffer to another node
 * @buf: the buffer
 * @node: the node, which has a pool of the buffer's width
 * @arg: where to say what was moved and what was not
 *
 * Return: 0 or -errno, as BITMEM_MIGRATE has it.
 */
int bm_buffer_migrate(struct bm_buffer *buf, int node, struct bitmem_migrate *arg)
{
	struct bm_request req = { .node = node, .width = buf->width, .bind = true,
				  .contig = buf->contig, .raw = true };
	unsigned long moved = 0, skipped = 0, *need;
	DECLARE_BITMAP(had, BM_MAX_POOLS);
	struct bm_source src;
	int ret = 0;

	need = bitmap_zalloc(BM_SB_PAGES, GFP_KERNEL);
	if (!need)
		return -ENOMEM;
	if (mutex_lock_killable(&buf->change)) {
		ret = -EINTR;
		goto out;
	}
	req.npages = bm_buffer_away(buf, node, need);
	if (buf->fixed)
		ret = -EBUSY;
	else if (req.npages)
		ret = bm_source_open(&src, &req);
	if (!ret && req.npages) {
		bm_shares_note(buf, had);
		ret = bm_migrate_slots(buf, node, &src, &moved, &skipped);
		bm_shares_count(buf, had);
		bm_source_close(&src);
	}
	if (!ret)
		buf->node = node;
	mutex_unlock(&buf->change);
	arg->out_moved = (u64)moved << PAGE_SHIFT;
	arg->out_skipped = (u64)skipped << PAGE_SHIFT;
out:
	bitmap_free(need);
	return ret;
}
