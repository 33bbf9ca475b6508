// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctls about pools, and about what a file may have of them.
 */
#include <linux/nodemask.h>
#include <linux/nospec.h>

#include "ioctl.h"

int bm_ioctl_info(struct bm_call *call)
{
	struct bitmem_info *info = &call->args.info;
	unsigned int seen;
	int ret;

	if (info->flags)
		return -EOPNOTSUPP;
	/* The generation first: a change after this is reported once more. */
	seen = bm_level_generation();
	info->out_abi = BITMEM_ABI;
	info->out_page_size = PAGE_SIZE;
	info->out_superblock_size = BM_SB_SIZE;
	info->out_pmd_size = PMD_SIZE;
	info->out_features = BM_FEATURES;
	info->out_pools = bm_nr_pools;
	info->out_nodes = nr_node_ids;
	info->out_level = bm_level_now();
	info->__out_reserved = 0;
	ret = bm_respond(call);
	if (!ret)
		WRITE_ONCE(call->file->seen, seen);
	return ret;
}

static struct bm_pool *bm_pool_at(u32 index)
{
	if (index >= bm_nr_pools)
		return NULL;
	return &bm_pools[array_index_nospec(index, bm_nr_pools)];
}

int bm_ioctl_pool_info(struct bm_call *call)
{
	struct bitmem_pool_info *info = &call->args.pool_info;
	struct bm_pool *pool;

	if (info->flags || info->__reserved)
		return -EOPNOTSUPP;
	pool = bm_pool_at(info->index);
	if (!pool)
		return -ENOENT;
	bm_pool_info(pool, info);
	return bm_respond(call);
}

int bm_ioctl_compact(struct bm_call *call)
{
	struct bitmem_compact *arg = &call->args.compact;
	struct bm_pool *pool;
	int ret;

	if (arg->flags || arg->__reserved)
		return -EOPNOTSUPP;
	pool = bm_pool_at(arg->index);
	if (!pool)
		return -ENOENT;
	ret = bm_pool_compact(pool, arg);
	return ret ?: bm_respond(call);
}

int bm_ioctl_trim(struct bm_call *call)
{
	struct bitmem_compact *arg = &call->args.compact;
	unsigned long superblocks = ULONG_MAX;
	struct bm_pool *pool;

	if (arg->flags || arg->__reserved)
		return -EOPNOTSUPP;
	pool = bm_pool_at(arg->index);
	if (!pool)
		return -ENOENT;
	if (arg->budget)
		superblocks = arg->budget >> (BM_SB_ORDER + PAGE_SHIFT);
	arg->out_moved = 0;
	arg->out_freed = (u64)bm_pool_trim(pool, superblocks) << PAGE_SHIFT;
	arg->out_skipped = 0;
	return bm_respond(call);
}

int bm_ioctl_limit(struct bm_call *call)
{
	struct bitmem_limit *arg = &call->args.limit;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	ret = bm_file_limit(call->file, arg);
	return ret ?: bm_respond(call);
}
