// SPDX-License-Identifier: GPL-2.0
/*
 * Slots: which pages a buffer has, a superblock's worth in each.
 *
 * Pages for a buffer are first put into *fresh* slots that nobody else knows,
 * which is where everything that can fail happens, and then merged into the
 * buffer's own under its lock.
 *
 * A single page's index says where in the offset space it is mapped, so that
 * compaction finds its buffer. A whole superblock's stays 0: its struct bm_superblock
 * says which buffer has it.
 */
#include <linux/bitmap.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "bitmem.h"
#include "compat.h"
#include "slot.h"

/* --- where fresh pages come from --- */

/* Reserves what @req asks for. 0, or -errno with nothing reserved and nothing to close. */
int bm_source_open(struct bm_source *src, const struct bm_request *req)
{
	int ret = -ENOMEM;

	src->req = req;
	src->index = 0;
	src->left = kcalloc(2 * bm_nr_pools, sizeof(*src->left), GFP_KERNEL);
	src->taken = src->left + bm_nr_pools;
	src->need = bitmap_zalloc(BM_SB_PAGES, GFP_KERNEL);
	if (src->left && src->need)
		ret = bm_pools_reserve(req, src->left);
	if (ret) {
		bitmap_free(src->need);
		kfree(src->left);
	}
	return ret;
}

/* Gives back what was reserved and not taken. */
void bm_source_close(struct bm_source *src)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (src->left[i])
			bm_pool_unreserve(&bm_pools[i], src->left[i]);
	}
	bitmap_free(src->need);
	kfree(src->left);
}

/* Pages that the pool at hand still owes; goes on to the next one that owes any. */
static unsigned long bm_source_left(struct bm_source *src)
{
	while (src->index < bm_nr_pools && !src->left[src->index])
		src->index++;
	return src->index < bm_nr_pools ? src->left[src->index] : 0;
}

/*
 * A whole superblock; NULL if it has to be single pages; or an ERR_PTR. -ESTALE: it may
 * only be one piece, and others took all of them since it was reserved.
 */
static struct page *bm_source_whole(struct bm_source *src)
{
	struct page *head = NULL;

	if (bm_source_left(src) >= BM_SB_PAGES)
		head = bm_pool_take_whole(&bm_pools[src->index], src->req);
	if (!head && src->req->contig)
		return ERR_PTR(-ESTALE);
	if (!IS_ERR_OR_NULL(head)) {
		src->left[src->index] -= BM_SB_PAGES;
		src->taken[src->index] += BM_SB_PAGES;
	}
	return head;
}

static struct page *bm_source_page(struct bm_source *src)
{
	struct page *page;

	if (!bm_source_left(src))
		return ERR_PTR(-ENOMEM);
	page = bm_pool_take_page(&bm_pools[src->index], src->req);
	if (!IS_ERR(page)) {
		src->left[src->index]--;
		src->taken[src->index]++;
	}
	return page;
}

/**
 * bm_slot_take() - take fresh pages for a slot
 * @buf: the buffer
 * @i: its slot
 * @src: where from; @src->need says which pages of the slot. If it is all of them
 *	(and not @src->req->single), a whole superblock will do
 * @fresh: empty; where to put them. On failure it has some of them
 *
 * Return: 0 or -errno.
 */
int bm_slot_take(const struct bm_buffer *buf, unsigned long i, struct bm_source *src,
		 struct bm_slot *fresh)
{
	struct page *page;
	unsigned long j;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (bitmap_full(src->need, BM_SB_PAGES) && !src->req->single) {
		page = bm_source_whole(src);
		if (IS_ERR(page))
			return PTR_ERR(page);
		if (page) {
			WRITE_ONCE(bm_page_superblock(page)->offset, buf->offset);
			fresh->head = page;
			return 0;
		}
	}
	fresh->pages = kcalloc(bm_slot_pages(buf, i), sizeof(*fresh->pages), GFP_KERNEL_ACCOUNT);
	if (!fresh->pages)
		return -ENOMEM;
	for_each_set_bit(j, src->need, bm_slot_pages(buf, i)) {
		page = bm_source_page(src);
		if (IS_ERR(page))
			return PTR_ERR(page);
		bm_page_place(buf, page, (i << BM_SB_ORDER) + j);
		fresh->pages[j] = page;
	}
	return 0;
}

/* --- what is there --- */

/* Says where in the buffer a single page is. */
void bm_page_place(const struct bm_buffer *buf, struct page *page, unsigned long index)
{
	/* Compaction looks at it at any time. */
	WRITE_ONCE(page_folio(page)->index, (buf->offset >> PAGE_SHIFT) + index);
}

/* Committed pages of slot @i, from its page @from to before @to. */
unsigned long bm_slot_resident(const struct bm_buffer *buf, unsigned long i, unsigned long from,
			       unsigned long to)
{
	const struct bm_slot *slot = &buf->slots[i];
	unsigned long j, n = 0;

	if (slot->head)
		return to - from;
	for (j = from; slot->pages && j < to; j++)
		n += !!slot->pages[j];
	return n;
}

/* The part of slot @i that lies in the buffer's pages from @first to before @end. */
void bm_slot_range(const struct bm_buffer *buf, unsigned long i, unsigned long first,
		   unsigned long end, unsigned long *from, unsigned long *to)
{
	unsigned long start = i << BM_SB_ORDER;

	*from = max(first, start) - start;
	*to = min(end - start, bm_slot_pages(buf, i));
}

/* Puts fresh pages in where the buffer has none. @fresh is empty afterwards. */
void bm_slot_merge(struct bm_buffer *buf, unsigned long i, struct bm_slot *fresh)
{
	struct bm_slot *slot = &buf->slots[i];
	unsigned long j;

	if (!fresh->head && !fresh->pages)
		return;
	down_write(&buf->lock);
	if (fresh->head || !slot->pages) {
		/* If there is an old table, it says that nothing was committed. */
		swap(*slot, *fresh);
	} else {
		for (j = 0; j < bm_slot_pages(buf, i); j++)
			slot->pages[j] = slot->pages[j] ?: fresh->pages[j];
	}
	up_write(&buf->lock);
	kfree(fresh->pages);
	fresh->pages = NULL;
}

/* Gives a slot's pages back to their pools, or to quarantine, and empties it. */
void bm_slot_release(const struct bm_buffer *buf, unsigned long i, struct bm_slot *slot,
		     struct bm_batch *batch)
{
	unsigned long j;

	if (slot->head)
		bm_batch_add(batch, slot->head);
	for (j = 0; slot->pages && j < bm_slot_pages(buf, i); j++) {
		if (slot->pages[j])
			bm_batch_add(batch, slot->pages[j]);
	}
	kfree(slot->pages);
	slot->head = NULL;
	slot->pages = NULL;
}

/* Gives all pages back. */
void bm_slots_release(struct bm_buffer *buf)
{
	unsigned long i;
	struct bm_batch batch;

	bm_batch_init(&batch, BM_ALLOCATED);
	for (i = 0; i < bm_buffer_slots(buf); i++)
		bm_slot_release(buf, i, &buf->slots[i], &batch);
	bm_batch_flush(&batch);
}

/* --- from which pools --- */

/* A page or whole superblock has come (1) or gone (-1). */
void bm_share_add(struct bm_buffer *buf, struct page *page, int sign)
{
	unsigned long *share = &buf->share[bm_page_pool(page)->index];

	WRITE_ONCE(*share, *share + sign * bm_page_count(page));
}

/* Notes which pools the buffer has pages of, before that changes. */
void bm_shares_note(const struct bm_buffer *buf, unsigned long *had)
{
	unsigned int i;

	bitmap_zero(had, BM_MAX_POOLS);
	for (i = 0; i < bm_nr_pools; i++) {
		if (buf->share[i])
			__set_bit(i, had);
	}
}

/* Tells the pools for which it has changed since. */
void bm_shares_count(const struct bm_buffer *buf, const unsigned long *had)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		bool has = buf->share[i];

		if (has == test_bit(i, had))
			continue;
		bm_pool_lock(&bm_pools[i]);
		bm_pools[i].buffers += has ? 1 : -1;
		bm_pool_unlock(&bm_pools[i]);
	}
}

/* --- a glance --- */

/* Is there a reference besides the pool's and those of page tables? */
static unsigned long bm_page_pinned(struct page *page)
{
	struct folio *folio = page_folio(page);

	return folio_ref_count(folio) > 1 + bm_folio_mapcount(folio) ? bm_page_count(page) : 0;
}

/* Pages that something besides page tables refers to, as far as a glance can tell. */
unsigned long bm_buffer_pinned(struct bm_buffer *buf)
{
	unsigned long i, j, sum = 0;

	for (i = 0; i < bm_buffer_slots(buf); i++) {
		struct bm_slot *slot = &buf->slots[i];

		down_read(&buf->lock);
		if (slot->head)
			sum += bm_page_pinned(slot->head);
		for (j = 0; slot->pages && j < bm_slot_pages(buf, i); j++) {
			if (slot->pages[j])
				sum += bm_page_pinned(slot->pages[j]);
		}
		up_read(&buf->lock);
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return sum;
}
