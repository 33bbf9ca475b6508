// SPDX-License-Identifier: GPL-2.0
/*
 * Superblocks: where a pool's pages come from, and who may touch them.
 *
 * A *whole* superblock is one compound page: one reference count, one PMD. A
 * *split* one is single pages, each with a count of its own, for the tails of
 * buffers. The kernel can not turn one into the other in place, so they are
 * swapped: the new one is allocated before the old one is freed.
 *
 * None of this memory is movable, so pins of any length may be taken on it.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/page_ref.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "bitmem.h"

#define BM_GFP	(GFP_KERNEL | __GFP_ZERO | __GFP_THISNODE | __GFP_NOWARN)

static void bm_page_adopt(struct page *page, void *owner)
{
	/* The core compares the index when it decides on mapping by PMD. */
	page_folio(page)->index = 0;
	set_page_private(page, (unsigned long)owner);
}

/*
 * A zeroed whole superblock, or NULL. @effort says how hard to try: for a fill
 * __GFP_RETRY_MAYFAIL, for what is only nice to have __GFP_NORETRY.
 */
struct page *bm_whole_alloc(struct bm_pool *pool, gfp_t effort)
{
	struct page *head = alloc_pages_node(pool->node, BM_GFP | __GFP_COMP | effort,
					     BM_SB_ORDER);

	if (head)
		bm_page_adopt(head, pool);
	return head;
}

/* Drops the pool's reference on a page; whoever still has one frees it later. */
void bm_page_release(struct page *page)
{
	set_page_private(page, 0);
	put_page(page);
}

static void bm_split_add(struct bm_split *split, struct page *page)
{
	bm_page_adopt(page, split);
	list_add_tail(&page->lru, &split->free[BM_ZEROED]);
	split->nr_free[BM_ZEROED]++;
	split->nr_pages++;
}

/* An empty split superblock, or NULL. */
struct bm_split *bm_split_new(struct bm_pool *pool)
{
	struct bm_split *split = kzalloc_node(sizeof(*split), GFP_KERNEL, pool->node);

	if (!split)
		return NULL;
	INIT_LIST_HEAD(&split->link);
	INIT_LIST_HEAD(&split->free[BM_ZEROED]);
	INIT_LIST_HEAD(&split->free[BM_DIRTY]);
	split->pool = pool;
	return split;
}

/* Fills an empty split superblock with neighbouring zeroed pages. */
bool bm_split_fill(struct bm_split *split)
{
	struct page *page = alloc_pages_node(split->pool->node, BM_GFP | __GFP_NORETRY,
					     BM_SB_ORDER);
	unsigned long i;

	if (!page)
		return false;
	split_page(page, BM_SB_ORDER);
	for (i = 0; i < BM_SB_PAGES; i++)
		bm_split_add(split, page + i);
	return true;
}

/* Fills it with zeroed pages from anywhere on the node. True if there was one at least. */
bool bm_split_gather(struct bm_split *split)
{
	while (split->nr_pages < BM_SB_PAGES) {
		struct page *page = alloc_pages_node(split->pool->node, BM_GFP, 0);

		if (!page)
			break;
		bm_split_add(split, page);
	}
	return split->nr_pages;
}

/* Forgets a page that is on no list any more, and the split superblock with its last one. */
void bm_split_lose_page(struct bm_split *split)
{
	if (--split->nr_pages)
		return;
	list_del(&split->link);
	kfree(split);
}

/* Frees a split superblock and the pages on its free lists, which are all it has. */
void bm_split_free(struct bm_split *split)
{
	struct page *page, *next;
	int state;

	for (state = 0; state < BM_NR_FREE; state++) {
		list_for_each_entry_safe(page, next, &split->free[state], lru) {
			list_del(&page->lru);
			bm_page_release(page);
		}
	}
	kfree(split);
}

/*
 * The only way to learn that nobody but the pool has the page any more. The
 * reference count alone does not tell: in a write fault the core hands our
 * reference to the page table, and then still has the page locked while it sets
 * it dirty. A zap in between takes the reference away, and the count is back to
 * ours with the fault's flag update yet to come. So: count 1, and not locked.
 */
bool bm_page_claim(struct page *page)
{
	bool free;

	if (!page_ref_freeze(page, 1))
		return false;
	free = !PageLocked(page);
	page_ref_unfreeze(page, 1);
	return free;
}

/*
 * Is some of a page or whole superblock hardware-poisoned? The mark is on the
 * page that it concerns, be it in the middle of a compound one, and may appear at
 * any time: so each page is looked at, whenever it changes hands.
 */
bool bm_page_poisoned(struct page *page)
{
	unsigned long i, n = bm_page_count(page);

	for (i = 0; i < n; i++) {
		if (PageHWPoison(page + i))
			return true;
	}
	return false;
}

/* Zeroes a page or whole superblock. */
void bm_page_zero(struct page *page)
{
	unsigned long i, n = bm_page_count(page);

	for (i = 0; i < n; i++) {
		clear_highpage(page + i);
		cond_resched();
	}
}
