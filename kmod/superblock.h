/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Superblocks and their pages: what is known of each, and what can be done to it.
 */
#ifndef BITMEM_SUPERBLOCK_H
#define BITMEM_SUPERBLOCK_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rbtree.h>

struct bm_pool;

/* A superblock is what one PMD maps. */
#define BM_SB_ORDER	(PMD_SHIFT - PAGE_SHIFT)
#define BM_SB_PAGES	BIT(BM_SB_ORDER)
#define BM_SB_SIZE	(PAGE_SIZE << BM_SB_ORDER)

enum bm_state {
	BM_ZEROED,	/* free, may be handed out as it is */
	BM_DIRTY,	/* free, to be zeroed first */
	BM_ALLOCATED,	/* in a buffer */
	BM_QUARANTINED,	/* left its buffer, but somebody else holds a reference */
	BM_RETIRED,	/* hardware-poisoned */
	BM_NR_STATES,
};

/* The states in which a page is free; they come first in enum bm_state. */
#define BM_NR_FREE	2

/*
 * Where a split superblock stands: in a bucket by how much of it is used, from
 * nearly empty to nearly full; idle, all of it being free; isolated, for
 * compaction; or nowhere, as it has no free page.
 */
#define BM_NR_BUCKETS	8
enum bm_place {
	BM_IDLE = BM_NR_BUCKETS,
	BM_ISOLATED,
	BM_NR_PLACES,
	BM_NOWHERE = BM_NR_PLACES,
};

/**
 * struct bm_superblock - what is known of any superblock
 * @link: in the pool's @superblocks
 * @pool: where it belongs
 * @number: its place there. One that is made of another takes over its number
 * @pages: pages in each state, as the pool's count them
 * @split: it is part of a struct bm_split
 * @busy: free, but off the lists for a moment: to be zeroed, split or joined
 * @offset: of the buffer that has it, or 0; only of a whole one. Not guarded
 *
 * A whole one's private points here. Guarded by the pool's lock.
 */
struct bm_superblock {
	struct rb_node link;
	struct bm_pool *pool;
	u64 number;
	unsigned int pages[BM_NR_STATES];
	bool split;
	bool busy;
	u64 offset;
};

/**
 * struct bm_split - a superblock taken apart into single pages
 * @base: what any superblock has
 * @link: in the pool's @splits, unless it is nowhere
 * @place: where it stands
 * @isolated: it stays isolated, whatever becomes of its pages
 * @work: for whoever isolated it
 * @gathered: put together from single pages
 * @free: free pages, zeroed and dirty, by their lru
 * @nr_free: their numbers
 * @nr_pages: pages in all, those in buffers and in quarantine too; not retired ones
 * @pages: all of them, in no order, with holes where one was retired
 *
 * Each page's private points here; its lowest bit says that the page is in a
 * buffer (see bm_page_allocated()). Guarded by the pool's lock.
 */
struct bm_split {
	struct bm_superblock base;
	struct list_head link;
	enum bm_place place;
	bool isolated;
	struct list_head work;
	bool gathered;
	struct list_head free[BM_NR_FREE];
	unsigned int nr_free[BM_NR_FREE];
	unsigned int nr_pages;
	struct page *pages[];
};

/* Pages that a page of a pool stands for: a superblock's if it is whole, else one. */
static inline unsigned long bm_page_count(struct page *page)
{
	return PageCompound(page) ? BM_SB_PAGES : 1;
}

/* In the private of a split superblock's page: it is in a buffer. */
#define BM_PAGE_ALLOCATED	1ul

/* The superblock that a single page, or the head of a whole one, belongs to. */
static inline struct bm_superblock *bm_page_superblock(struct page *page)
{
	return (struct bm_superblock *)(READ_ONCE(page_private(page)) & ~BM_PAGE_ALLOCATED);
}

static inline struct bm_split *bm_page_split(struct page *page)
{
	return container_of(bm_page_superblock(page), struct bm_split, base);
}

/*
 * Is a page of a split superblock in a buffer, neither free nor in quarantine? It
 * stays so while the pool's lock is held, or for whoever has its buffer's change
 * lock; to others it is a hint.
 */
static inline bool bm_page_allocated(struct page *page)
{
	return READ_ONCE(page_private(page)) & BM_PAGE_ALLOCATED;
}

static inline struct bm_pool *bm_page_pool(struct page *page)
{
	return bm_page_superblock(page)->pool;
}

/* number.c: with the pool's lock held */
void bm_superblock_enter(struct bm_superblock *sb, u64 number);
void bm_superblock_leave(struct bm_superblock *sb);
struct bm_superblock *bm_superblock_next(struct bm_pool *pool, u64 number);
unsigned int bm_superblock_busy(const struct bm_superblock *sb);

/* split.c */
int bm_pool_convert(struct bm_pool *pool);
int bm_pool_join(struct bm_pool *pool);
int bm_pool_gather(struct bm_pool *pool, gfp_t effort);
struct bm_split *bm_pool_isolate(struct bm_pool *pool);
bool bm_pool_putback(struct bm_pool *pool, struct bm_split *split);
/* … with the pool's lock held */
bool bm_pool_idle_splits(struct bm_pool *pool, unsigned int n);
struct bm_split *bm_pool_pop_idle(struct bm_pool *pool);
struct page *bm_pool_pop_page(struct bm_pool *pool, struct bm_split *split, enum bm_state state);
struct page *bm_pool_pop_single(struct bm_pool *pool, enum bm_state *state, bool exact);
void bm_split_add_free(struct bm_split *split, struct page *page, enum bm_state state);
void bm_split_retire(struct bm_split *split, struct page *page, enum bm_state from);

/*
 * superblock.c: what is done to get memory from the system. Nobody is ever killed
 * for it. SPARE takes what lies about, SOME is worth a little work, ALL is worth
 * whatever is not in use.
 */
#define BM_EFFORT_SPARE	0
#define BM_EFFORT_SOME	(__GFP_RECLAIM | __GFP_NORETRY)
#define BM_EFFORT_ALL	(__GFP_RECLAIM | __GFP_RETRY_MAYFAIL)
struct page *bm_whole_alloc(struct bm_pool *pool, gfp_t effort);
struct bm_split *bm_split_new(struct bm_pool *pool);
bool bm_split_fill(struct bm_split *split);
bool bm_split_gather(struct bm_split *split, gfp_t effort);
void bm_split_free(struct bm_split *split);
bool bm_split_free_block(struct bm_split *split);
void bm_split_lose_page(struct bm_split *split);
void bm_page_release(struct page *page);
void bm_whole_release(struct page *head);
bool bm_page_claim(struct page *page);
bool bm_page_poisoned(struct page *page);
void bm_page_set_owner(struct page *page, struct bm_superblock *owner);
void bm_page_move(struct page *page, enum bm_state from, enum bm_state to);
void bm_page_zero(struct page *page);
void bm_page_zero_aside(struct page *page);

#endif /* BITMEM_SUPERBLOCK_H */
