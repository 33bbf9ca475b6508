// SPDX-License-Identifier: GPL-2.0
/*
 * Giving memory to ranges of a buffer, and taking it away.
 *
 * Decommitting part of a whole superblock demotes it: what stays moves to single
 * pages, and the superblock goes back. When the last page of a superblock's worth
 * is committed again it is promoted, if nothing pins it. Whatever is pinned keeps
 * its memory, and is counted: a page leaves a living buffer only when claimed.
 */
#include <linux/bitmap.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "slot.h"
#include "trace.h"

/* How often to look for another piece when others were faster. */
#define BM_PIECE_TRIES	8

static unsigned long bm_range_resident(const struct bm_buffer *buf, unsigned long first,
				       unsigned long end)
{
	unsigned long i, from, to, n = 0;

	for (i = first >> BM_SB_ORDER; (i << BM_SB_ORDER) < end; i++) {
		bm_slot_range(buf, i, first, end, &from, &to);
		n += bm_slot_resident(buf, i, from, to);
	}
	return n;
}

/* --- committing --- */

/* Marks what slot @i lacks in a range. False if that is nothing. */
static bool bm_slot_lacks(const struct bm_buffer *buf, unsigned long i, unsigned long from,
			  unsigned long to, unsigned long *need)
{
	const struct bm_slot *slot = &buf->slots[i];
	unsigned long j;

	bitmap_zero(need, BM_SB_PAGES);
	for (j = from; !slot->head && j < to; j++) {
		if (!slot->pages || !slot->pages[j])
			__set_bit(j, need);
	}
	return !bitmap_empty(need, BM_SB_PAGES);
}

/* Takes all that a range lacks into @fresh, a slot for each of the buffer's from the first. */
static int bm_commit_take(struct bm_buffer *buf, unsigned long first, unsigned long end,
			  struct bm_source *src, struct bm_slot *fresh)
{
	unsigned long i, from, to;
	int ret = 0;

	for (i = first >> BM_SB_ORDER; (i << BM_SB_ORDER) < end && !ret; i++, fresh++) {
		bm_slot_range(buf, i, first, end, &from, &to);
		if (bm_slot_lacks(buf, i, from, to, src->need))
			ret = bm_slot_take(buf, i, src, fresh);
		cond_resched();
	}
	return ret;
}

/* Notes what was taken, and puts it in the buffer; or gives it all back. */
static void bm_commit_end(struct bm_buffer *buf, unsigned long first, unsigned long end,
			  struct bm_slot *fresh, bool keep)
{
	unsigned long i, lo = first >> BM_SB_ORDER;
	struct bm_batch batch;

	bm_batch_init(&batch, BM_ALLOCATED);
	/* Nobody has seen them. */
	batch.to = BM_ZEROED;
	for (i = lo; (i << BM_SB_ORDER) < end; i++) {
		if (keep)
			bm_slot_merge(buf, i, &fresh[i - lo]);
		else
			bm_slot_release(buf, i, &fresh[i - lo], &batch);
		cond_resched();
	}
	bm_batch_flush(&batch);
}

/*
 * Takes @req->npages, which is what the range lacks, and puts them in. All or
 * nothing.
 */
static int bm_commit_fill(struct bm_buffer *buf, unsigned long first, unsigned long end,
			  const struct bm_request *req)
{
	unsigned long nslots = DIV_ROUND_UP(end, BM_SB_PAGES) - (first >> BM_SB_ORDER);
	DECLARE_BITMAP(had, BM_MAX_POOLS);
	struct bm_slot *fresh;
	struct bm_source src;
	unsigned int p;
	int ret;

	fresh = kvcalloc(nslots, sizeof(*fresh), GFP_KERNEL);
	if (!fresh)
		return -ENOMEM;
	ret = bm_source_open(&src, req);
	if (ret)
		goto out;
	ret = bm_commit_take(buf, first, end, &src, fresh);
	bm_commit_end(buf, first, end, fresh, !ret);
	if (!ret) {
		bm_shares_note(buf, had);
		for (p = 0; p < bm_nr_pools; p++)
			WRITE_ONCE(buf->share[p], buf->share[p] + src.taken[p]);
		bm_shares_count(buf, had);
	}
	bm_source_close(&src);
out:
	kvfree(fresh);
	return ret;
}

/**
 * bm_slots_commit() - give memory, zeroed, to what has none
 * @buf: the buffer, with buf->change held
 * @first: the first page
 * @end: the page after the last
 * @req: node, width and so on; @req->npages is what the range lacks
 *
 * Return: 0 or -errno, with nothing changed.
 */
int bm_slots_commit(struct bm_buffer *buf, unsigned long first, unsigned long end,
		    const struct bm_request *req)
{
	struct bm_request again = *req;
	int ret = bm_charge(buf->file, req->npages);
	unsigned int tries = BM_PIECE_TRIES;

	if (ret)
		return ret;
	/* Where there was a piece a moment ago there is none: another pool may have one. */
	while ((ret = bm_commit_fill(buf, first, end, &again)) == -ESTALE && tries--)
		again.sure = true;
	if (ret == -ESTALE)
		ret = -ENOMEM;
	if (ret)
		bm_uncharge(buf->file, req->npages);
	else
		WRITE_ONCE(buf->resident, buf->resident + req->npages);
	return ret;
}

/* Makes whole superblocks of what a commit has made complete. Returns pages. */
static unsigned long bm_commit_promote(struct bm_buffer *buf, unsigned long first,
				       unsigned long end)
{
	unsigned long until = jiffies + BM_RELOCATE_WAIT, n = 0, i;
	DECLARE_BITMAP(had, BM_MAX_POOLS);

	bm_shares_note(buf, had);
	for (i = first >> BM_SB_ORDER; (i << BM_SB_ORDER) < end; i++) {
		if (!bm_promote(buf, i, until))
			n += BM_SB_PAGES;
		cond_resched();
	}
	/* Pages of several pools may have moved into one. */
	bm_shares_count(buf, had);
	return n;
}

/* What BITMEM_COMMIT does, see there. @out's outputs are filled in. */
int bm_buffer_commit(struct bm_buffer *buf, unsigned long first, unsigned long end,
		     struct bitmem_range *out)
{
	struct bm_request req = { .width = buf->width, .bind = buf->bind,
				  .contig = buf->contig };
	int ret = 0;

	if (buf->contig && end - first < buf->npages)
		return -EINVAL;
	if (mutex_lock_killable(&buf->change))
		return -EINTR;
	req.node = buf->node;
	req.npages = end - first - bm_range_resident(buf, first, end);
	if (req.npages)
		ret = bm_slots_commit(buf, first, end, &req);
	if (!ret) {
		out->out_done = (u64)req.npages << PAGE_SHIFT;
		out->out_skipped = 0;
		trace_bitmem_commit(buf, req.npages, 0);
		/* Also what could not be promoted at the time. */
		out->out_promoted = (u64)bm_commit_promote(buf, first, end) << PAGE_SHIFT;
	}
	mutex_unlock(&buf->change);
	return ret;
}

/* --- decommitting --- */

/* Takes what can be claimed out of a slot of single pages. */
static void bm_decommit_pages(struct bm_buffer *buf, unsigned long i, unsigned long from,
			      unsigned long to, struct bm_batch *batch)
{
	struct page **pages = buf->slots[i].pages;
	unsigned long j;

	down_write(&buf->lock);
	bm_unmap(buf, (i << BM_SB_ORDER) + from, to - from);
	for (j = from; j < to; j++) {
		if (!pages[j] || !bm_page_claim(pages[j]))
			continue;
		bm_share_add(buf, pages[j], -1);
		bm_batch_add(batch, pages[j]);
		pages[j] = NULL;
	}
	if (bm_slot_resident(buf, i, 0, bm_slot_pages(buf, i)))
		pages = NULL;
	else
		buf->slots[i].pages = NULL;
	up_write(&buf->lock);
	kfree(pages);
}

/* Likewise for a whole superblock, all of it. */
static void bm_decommit_whole(struct bm_buffer *buf, unsigned long i, struct bm_batch *batch)
{
	struct bm_slot *slot = &buf->slots[i];

	down_write(&buf->lock);
	bm_unmap(buf, i << BM_SB_ORDER, BM_SB_PAGES);
	if (bm_page_claim(slot->head)) {
		bm_share_add(buf, slot->head, -1);
		bm_batch_add(batch, slot->head);
		slot->head = NULL;
	}
	up_write(&buf->lock);
}

/* Gives part of a slot back, as far as it goes. Returns pages that are still there. */
static unsigned long bm_decommit_slot(struct bm_buffer *buf, unsigned long i, unsigned long from,
				      unsigned long to, unsigned long until)
{
	struct bm_slot *slot = &buf->slots[i];
	unsigned long busy;
	struct bm_batch batch;

	bm_batch_init(&batch, BM_ALLOCATED);
	do {
		if (slot->head && to - from == BM_SB_PAGES)
			bm_decommit_whole(buf, i, &batch);
		else if (slot->head && bm_demote(buf, i, from, to, until))
			return to - from;
		else if (slot->pages)
			bm_decommit_pages(buf, i, from, to, &batch);
		bm_batch_flush(&batch);
		busy = bm_slot_resident(buf, i, from, to);
	} while (busy && bm_relocate_pause(until));
	return busy;
}

/* What BITMEM_DECOMMIT does, see there. @out's outputs are filled in. */
int bm_buffer_decommit(struct bm_buffer *buf, unsigned long first, unsigned long end,
		       struct bitmem_range *out)
{
	unsigned long until = jiffies + BM_RELOCATE_WAIT;
	unsigned long i, from, to, had, busy = 0;
	DECLARE_BITMAP(pools, BM_MAX_POOLS);

	if (buf->contig && end - first < buf->npages)
		return -EINVAL;
	if (mutex_lock_killable(&buf->change))
		return -EINTR;
	if (buf->fixed || atomic_read(&buf->exports)) {
		mutex_unlock(&buf->change);
		return -EBUSY;
	}
	had = bm_range_resident(buf, first, end);
	bm_shares_note(buf, pools);
	for (i = first >> BM_SB_ORDER; (i << BM_SB_ORDER) < end; i++) {
		bm_slot_range(buf, i, first, end, &from, &to);
		busy += bm_decommit_slot(buf, i, from, to, until);
		cond_resched();
	}
	bm_shares_count(buf, pools);
	WRITE_ONCE(buf->resident, buf->resident - (had - busy));
	mutex_unlock(&buf->change);
	trace_bitmem_commit(buf, -(long)(had - busy), busy);
	bm_uncharge(buf->file, had - busy);
	out->out_done = (u64)(had - busy) << PAGE_SHIFT;
	out->out_skipped = (u64)busy << PAGE_SHIFT;
	out->out_promoted = 0;
	return 0;
}
