// SPDX-License-Identifier: GPL-2.0
/*
 * How large the pools are to be: what the module's parameters say at load, and
 * what is set later. Watermarks follow from the maximum unless they are set.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/minmax.h>
#include <linux/mmzone.h>

#include "bitmem.h"

#define BM_PAGES_TO_MB(pages)	((pages) >> (20 - PAGE_SHIFT))
#define BM_MB_TO_SUPERBLOCKS(mb) ((mb) << (20 - PAGE_SHIFT) >> BM_SB_ORDER)

/* Pages that a node's pools may have: other people need some of each node, too. */
static unsigned long bm_node_limit(int node)
{
	return node_present_pages(node) / 10 * 9;
}

/* Watermarks as usual: an eighth, a quarter, a twentieth of the maximum. */
static void bm_pool_set_marks(struct bm_pool *pool)
{
	pool->low = pool->max / 8;
	pool->high = pool->max / 4;
	pool->emergency = pool->max / 20;
}

/* The pools of one width; *@n is their number. They follow each other. */
static struct bm_pool *bm_pools_of(unsigned int width, unsigned int *n)
{
	struct bm_pool *first = NULL;
	unsigned int i;

	*n = 0;
	for (i = 0; i < bm_nr_pools; i++) {
		if (bm_pools[i].width != width)
			continue;
		first = first ?: &bm_pools[i];
		(*n)++;
	}
	return first;
}

/* The @i'th of @n equal parts of @superblocks, in pages. */
static unsigned long bm_part(unsigned long superblocks, unsigned int i, unsigned int n)
{
	return (superblocks / n + (i < superblocks % n)) << BM_SB_ORDER;
}

/*
 * Shares @pool_mb out over the pools: one figure is the total, several are one
 * for each node with memory, in their order. *@sum gets the total in MiB.
 */
static int bm_pools_set_targets(const struct bm_params *params, unsigned long *sum)
{
	unsigned long limit = BM_PAGES_TO_MB(totalram_pages() / 10 * 9);
	struct bm_pool *pools;
	unsigned int i, n;

	pools = bm_pools_of(64, &n);
	if (params->n > 1 && params->n != n) {
		pr_err("pool_mb: %u values for %u nodes with memory\n", params->n, n);
		return -EINVAL;
	}
	*sum = 0;
	for (i = 0; i < params->n; i++) {
		if (params->pool_mb[i] > limit || *sum + params->pool_mb[i] > limit) {
			pr_err("pool_mb: %lu is more than 90 %% of memory\n", params->pool_mb[i]);
			return -EINVAL;
		}
		*sum += params->pool_mb[i];
	}
	for (i = 0; i < n; i++) {
		if (params->n > 1)
			pools[i].target = BM_MB_TO_SUPERBLOCKS(params->pool_mb[i]) << BM_SB_ORDER;
		else
			pools[i].target = bm_part(BM_MB_TO_SUPERBLOCKS(*sum), i, n);
	}
	return 0;
}

/* What the pools may grow by is shared out equally. @sum: what they have at first, in MiB. */
static int bm_pools_set_max(unsigned long max_mb, unsigned long sum)
{
	struct bm_pool *pools;
	unsigned int i, n;

	if (max_mb && max_mb < sum) {
		pr_err("max_mb: %lu is less than pool_mb, %lu\n", max_mb, sum);
		return -EINVAL;
	}
	if (max_mb > BM_PAGES_TO_MB(totalram_pages() / 10 * 9)) {
		pr_err("max_mb: %lu is more than 90 %% of memory\n", max_mb);
		return -EINVAL;
	}
	pools = bm_pools_of(64, &n);
	for (i = 0; i < n; i++) {
		pools[i].max = pools[i].target;
		if (max_mb)
			pools[i].max += bm_part(BM_MB_TO_SUPERBLOCKS(max_mb - sum), i, n);
	}
	return 0;
}

/* What is never given back is shared out as the targets are. */
static int bm_pools_set_reserve(long reserve_mb, unsigned long sum)
{
	unsigned long left, target = 0;
	struct bm_pool *pools;
	unsigned int i, n;

	if (reserve_mb < -1 || (reserve_mb >= 0 && reserve_mb > sum)) {
		pr_err("reserve_mb: %ld is neither -1 nor up to pool_mb, %lu\n", reserve_mb, sum);
		return -EINVAL;
	}
	pools = bm_pools_of(64, &n);
	for (i = 0; i < n; i++)
		target += pools[i].target;
	left = reserve_mb < 0 ? target : BM_MB_TO_SUPERBLOCKS(reserve_mb) << BM_SB_ORDER;
	left = min(left, target);
	/* Each keeps its part of what is left to be kept of what is left. */
	for (i = 0; i < n; i++) {
		unsigned long own = pools[i].target >> BM_SB_ORDER;

		if (target)
			own = DIV_ROUND_UP(own * (left >> BM_SB_ORDER), target >> BM_SB_ORDER);
		pools[i].reserve = min(own << BM_SB_ORDER, left);
		target -= pools[i].target;
		left -= pools[i].reserve;
	}
	return 0;
}

/* The pools for devices with 32 address bits neither grow nor shrink. */
static int bm_pools_set_dma32(unsigned long dma32_mb)
{
	struct bm_pool *pools;
	unsigned int i, n;

	if (!dma32_mb)
		return 0;
	pools = bm_pools_of(32, &n);
	if (!n || dma32_mb > BM_PAGES_TO_MB(totalram_pages() / 10 * 9)) {
		pr_err("dma32_mb: %lu is more than 90 %% of memory below 4 GiB\n", dma32_mb);
		return -EINVAL;
	}
	for (i = 0; i < n; i++) {
		pools[i].target = bm_part(BM_MB_TO_SUPERBLOCKS(dma32_mb), i, n);
		pools[i].max = pools[i].target;
		pools[i].reserve = pools[i].target;
	}
	return 0;
}

/* Pages that the other pools of @pool's node may have. */
static unsigned long bm_pool_others(const struct bm_pool *pool)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (&bm_pools[i] != pool && bm_pools[i].node == pool->node)
			sum += READ_ONCE(bm_pools[i].max);
	}
	return sum;
}

/* Gives every pool its sizes before anything runs. 0, or -EINVAL with one line saying why. */
int bm_pools_set_sizes(const struct bm_params *params)
{
	unsigned long sum;
	unsigned int i;
	int ret;

	ret = bm_pools_set_targets(params, &sum);
	ret = ret ?: bm_pools_set_max(params->max_mb, sum);
	ret = ret ?: bm_pools_set_reserve(params->reserve_mb, sum);
	ret = ret ?: bm_pools_set_dma32(params->dma32_mb);
	for (i = 0; i < bm_nr_pools && !ret; i++) {
		struct bm_pool *pool = &bm_pools[i];

		if (pool->max + bm_pool_others(pool) > bm_node_limit(pool->node)) {
			pr_err("%s: %lu MiB are more than 90 %% of the memory of node %d\n",
			       params->max_mb ? "max_mb" : "pool_mb",
			       BM_PAGES_TO_MB(pool->max + bm_pool_others(pool)), pool->node);
			ret = -EINVAL;
		}
		bm_pool_set_marks(pool);
		pool->filling = pool->target;
	}
	return ret;
}

/* What @bytes set one of a pool's sizes to, in multiples of @unit pages; or as it was. */
static unsigned long bm_setting(u64 bytes, unsigned long was, unsigned long unit)
{
	u64 pages = bytes >> PAGE_SHIFT;

	return bytes == BITMEM_NO_LIMIT ? was : pages - pages % unit;
}

/**
 * bm_pool_set() - change a pool's sizes
 * @pool: the pool
 * @set: the new ones. The target, maximum and reserve are rounded down to whole
 *	superblocks, the watermarks to whole pages
 *
 * The pool is filled up to a higher target, and what is free above a lower one is
 * given back, both in the background.
 *
 * Return: 0, or -EINVAL with nothing changed.
 */
int bm_pool_set(struct bm_pool *pool, const struct bm_settings *set)
{
	unsigned long limit = bm_node_limit(pool->node), others = bm_pool_others(pool);
	unsigned long target, max, reserve, low, high, emergency;
	int ret = -EINVAL;

	bm_pool_lock(pool);
	target = bm_setting(set->target, pool->target, BM_SB_PAGES);
	max = bm_setting(set->max, pool->max, BM_SB_PAGES);
	reserve = bm_setting(set->reserve, pool->reserve, BM_SB_PAGES);
	low = bm_setting(set->low, pool->low, 1);
	high = bm_setting(set->high, pool->high, 1);
	emergency = bm_setting(set->emergency, pool->emergency, 1);
	if (reserve > target || target > max || emergency > low || low > high || high > max)
		goto out;
	/* What it may have already it may keep. */
	if (max > pool->max && (max > limit || max + others > limit))
		goto out;
	ret = 0;
	if (target > pool->target)
		WRITE_ONCE(pool->filling, true);
	WRITE_ONCE(pool->target, target);
	WRITE_ONCE(pool->max, max);
	pool->reserve = reserve;
	pool->low = low;
	pool->high = high;
	pool->emergency = emergency;
out:
	bm_pool_unlock(pool);
	bm_worker_kick(pool);
	return ret;
}
