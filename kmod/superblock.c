// SPDX-License-Identifier: GPL-2.0
/*
 * Superblocks: where a pool's pages come from, and who may touch them.
 *
 * A *whole* superblock is one compound page: one reference count, one PMD. A
 * *split* one is single pages, each with a count of its own, for the tails of
 * buffers. The kernel can not turn one into the other in place, so they are
 * swapped: the new one is allocated before the old one is freed. Where the system
 * has no other block of that size the old one goes first, as the block that it came
 * as (bm_split_free_block()).
 *
 * None of this memory is movable, so pins of any length may be taken on it.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/page_ref.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "bitmem.h"
#include "compat.h"

#define BM_SB_HALF	(BM_SB_PAGES / 2)

/* To be completed by an effort. */
#define BM_GFP	((GFP_KERNEL & ~__GFP_RECLAIM) | __GFP_ZERO | __GFP_THISNODE | __GFP_NOWARN)

/* @owner is what a page is part of, or NULL. */
void bm_page_set_owner(struct page *page, struct bm_superblock *owner)
{
	WRITE_ONCE(page_private(page), (unsigned long)owner);
}

static void bm_page_adopt(struct page *page, struct bm_superblock *owner)
{
	/* The core compares the index when it decides on mapping by PMD. */
	page_folio(page)->index = 0;
	bm_page_set_owner(page, owner);
}

/*
 * Notes that a page or whole superblock changes its state, and that it is in no buffer when
 * it leaves one. With the pool's lock held; the pool's own counters are the caller's.
 */
void bm_page_move(struct page *page, enum bm_state from, enum bm_state to)
{
	struct bm_superblock *sb = bm_page_superblock(page);

	lockdep_assert_held(&sb->pool->lock);
	sb->pages[from] -= bm_page_count(page);
	sb->pages[to] += bm_page_count(page);
	if (!sb->split) {
		sb->busy = false;
		if (from == BM_ALLOCATED)
			WRITE_ONCE(sb->offset, 0);
		return;
	}
	if (from == BM_ALLOCATED)
		WRITE_ONCE(page_folio(page)->index, 0);
	WRITE_ONCE(page_private(page),
		   (unsigned long)sb | (to == BM_ALLOCATED ? BM_PAGE_ALLOCATED : 0));
}

/* A zeroed whole superblock that no pool counts yet, or NULL. */
struct page *bm_whole_alloc(struct bm_pool *pool, gfp_t effort)
{
	gfp_t gfp = BM_GFP | effort;
	struct bm_superblock *sb = kmalloc_node(sizeof(*sb), gfp & ~__GFP_THISNODE, pool->node);
	struct page *head;

	if (!sb)
		return NULL;
	head = alloc_pages_node(pool->node, gfp | pool->zone | __GFP_COMP, BM_SB_ORDER);
	if (!head) {
		kfree(sb);
		return NULL;
	}
	sb->pool = pool;
	sb->pages[BM_ZEROED] = BM_SB_PAGES;
	bm_page_adopt(head, sb);
	return head;
}

/* Drops the pool's reference on a page; whoever still has one frees it later. */
void bm_page_release(struct page *page)
{
	bm_page_set_owner(page, NULL);
	put_page(page);
}

/* The same for a whole superblock that its pool does not know any more. */
void bm_whole_release(struct page *head)
{
	struct bm_superblock *sb = bm_page_superblock(head);

	bm_page_release(head);
	kfree(sb);
}

static void bm_split_add(struct bm_split *split, struct page *page)
{
	bm_page_adopt(page, &split->base);
	list_add_tail(&page->lru, &split->free[BM_ZEROED]);
	split->nr_free[BM_ZEROED]++;
	split->base.pages[BM_ZEROED]++;
	split->pages[split->nr_pages++] = page;
}

/* An empty split superblock, or NULL. */
struct bm_split *bm_split_new(struct bm_pool *pool)
{
	struct bm_split *split = kzalloc_node(struct_size(split, pages, BM_SB_PAGES),
					      GFP_KERNEL | __GFP_NOWARN, pool->node);

	if (!split)
		return NULL;
	INIT_LIST_HEAD(&split->link);
	INIT_LIST_HEAD(&split->free[BM_ZEROED]);
	INIT_LIST_HEAD(&split->free[BM_DIRTY]);
	split->base.pool = pool;
	split->base.split = true;
	split->place = BM_NOWHERE;
	return split;
}

/* Fills an empty split superblock with neighbouring zeroed pages. */
bool bm_split_fill(struct bm_split *split)
{
	struct bm_pool *pool = split->base.pool;
	struct page *page = alloc_pages_node(pool->node, BM_GFP | pool->zone | BM_EFFORT_SOME,
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
bool bm_split_gather(struct bm_split *split, gfp_t effort)
{
	struct bm_pool *pool = split->base.pool;

	split->gathered = true;
	while (split->nr_pages < BM_SB_PAGES) {
		struct page *page = alloc_pages_node(pool->node, BM_GFP | pool->zone | effort, 0);

		if (!page)
			break;
		bm_split_add(split, page);
		cond_resched();
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
			/* Nobody is to get it again. */
			if (!bm_page_poisoned(page))
				bm_page_release(page);
		}
	}
	kfree(split);
}

/* Takes the only reference on each page but the first of each half, or on none. */
static bool bm_block_freeze(struct page *block)
{
	unsigned long i;

	for (i = 0; i < BM_SB_PAGES; i++) {
		if (bm_page_poisoned(block + i))
			break;
		if (i % BM_SB_HALF && !page_ref_freeze(block + i, 1))
			break;
	}
	if (i == BM_SB_PAGES)
		return true;
	while (i--) {
		if (i % BM_SB_HALF)
			page_ref_unfreeze(block + i, 1);
	}
	return false;
}

/**
 * bm_split_free_block() - free the pages of a split superblock as the block they were
 * @split: one whose pages are all free and on its lists; it stays, without pages
 *
 * Pages that are freed one by one wait in the CPUs' lists, and are merged with
 * their neighbours when these lists are emptied, if ever. So they are freed as two
 * halves, which go where they are merged at once; a block of a superblock's size
 * would wait in a list of its own, where nobody sees it who looks for one. This
 * undoes split_page(): the references that it gave are taken away before.
 *
 * Return: false, and nothing is changed, if they did not come as a block, if one of
 * them is poisoned or was retired, or if somebody else has a reference on one.
 */
bool bm_split_free_block(struct bm_split *split)
{
	struct page *block = split->pages[0];
	unsigned long i;

	if (!BM_CAN_FREE_BLOCK || split->gathered || split->nr_pages < BM_SB_PAGES ||
	    !bm_block_freeze(block))
		return false;
	for (i = 0; i < BM_SB_PAGES; i++) {
		list_del(&block[i].lru);
		bm_page_set_owner(block + i, NULL);
	}
	__free_pages(block, BM_SB_ORDER - 1);
	__free_pages(block + BM_SB_HALF, BM_SB_ORDER - 1);
	return true;
}

/*
 * Does a write fault still have the page locked? A build with BITMEM_TEST_CLAIM_UNLOCKED
 * never sees it: that shows that the tests find out.
 */
static bool bm_page_faulting(struct page *page)
{
	return !__is_defined(BITMEM_TEST_CLAIM_UNLOCKED) && PageLocked(page);
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
	free = !bm_page_faulting(page);
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

/*
 * The same for pages that nobody is about to touch: where the CPU has them with
 * non-temporal stores, which leave the caches to those who run meanwhile. What the
 * kernel exports of that kind is a copy; its source, the zero page, stays cached.
 */
void bm_page_zero_aside(struct page *page)
{
	unsigned long i, n = bm_page_count(page);

	if (!IS_ENABLED(CONFIG_X86_64) || !IS_ENABLED(CONFIG_ARCH_HAS_UACCESS_FLUSHCACHE)) {
		bm_page_zero(page);
		return;
	}
	for (i = 0; i < n; i++) {
		memcpy_flushcache(page_address(page + i), page_address(ZERO_PAGE(0)), PAGE_SIZE);
		cond_resched();
	}
	/* These stores are not ordered with the unlock that publishes the pages. */
	wmb();
}
