// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers of superblocks, by which others go through a pool that is in use.
 *
 * Each superblock gets the next number when it comes to its pool. One that is made of
 * another (split, joined) takes over the number, and so keeps its place. Numbers are not
 * given out anew: whoever goes on above the last number seen sees every superblock
 * once that is there all the while. Where it stands in memory is nobody's business.
 */
#include "bitmem.h"

static struct bm_superblock *bm_superblock_entry(struct rb_node *node)
{
	return rb_entry_safe(node, struct bm_superblock, link);
}

/* Makes it known as @number, which is nobody else's; it is complete. */
void bm_superblock_enter(struct bm_superblock *sb, u64 number)
{
	struct rb_node **link = &sb->pool->superblocks.rb_node, *parent = NULL;

	lockdep_assert_held(&sb->pool->lock);
	sb->number = number;
	while (*link) {
		parent = *link;
		if (number < bm_superblock_entry(parent)->number)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&sb->link, parent, link);
	rb_insert_color(&sb->link, &sb->pool->superblocks);
}

/* Nobody finds it any more. */
void bm_superblock_leave(struct bm_superblock *sb)
{
	lockdep_assert_held(&sb->pool->lock);
	rb_erase(&sb->link, &sb->pool->superblocks);
}

/* The one with the lowest number that is not below @number, or NULL. */
struct bm_superblock *bm_superblock_next(struct bm_pool *pool, u64 number)
{
	struct rb_node *node = pool->superblocks.rb_node;
	struct bm_superblock *found = NULL;

	lockdep_assert_held(&pool->lock);
	while (node) {
		struct bm_superblock *sb = bm_superblock_entry(node);

		if (sb->number >= number) {
			found = sb;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

/* Free pages of it that are off the lists for a moment. */
unsigned int bm_superblock_busy(const struct bm_superblock *sb)
{
	unsigned int nr_free = sb->pages[BM_ZEROED] + sb->pages[BM_DIRTY];
	const struct bm_split *split;

	if (sb->busy)
		return nr_free;
	if (!sb->split)
		return 0;
	split = container_of(sb, struct bm_split, base);
	return nr_free - split->nr_free[BM_ZEROED] - split->nr_free[BM_DIRTY];
}
