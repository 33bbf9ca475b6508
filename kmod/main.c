// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem: pinned, DMA-capable memory for tensors.
 *
 * Loading and unloading. Parts come up in the order of bm_parts[], each one when
 * all it leans on is there, and go down in the reverse. What users can reach comes
 * last; when it goes, nothing of theirs is left: open files, mappings and dma-bufs
 * hold a reference on the module.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/numa.h>

#include "bitmem.h"

static unsigned long pool_mb[MAX_NUMNODES] = { 256 };
static unsigned int pool_mb_count = 1;
module_param_array(pool_mb, ulong, &pool_mb_count, 0444);
MODULE_PARM_DESC(pool_mb,
		 "MiB of memory to hold: one total, or one figure for each NUMA node with memory (default 256)");

static unsigned long max_mb;
module_param(max_mb, ulong, 0444);
MODULE_PARM_DESC(max_mb, "MiB of memory to grow to while little is free (default: pool_mb)");

static long reserve_mb = -1;
module_param(reserve_mb, long, 0444);
MODULE_PARM_DESC(reserve_mb,
		 "MiB that are kept when the system needs memory, or -1 for all of pool_mb (default)");

static unsigned long dma32_mb;
module_param(dma32_mb, ulong, 0444);
MODULE_PARM_DESC(dma32_mb, "MiB to hold besides for devices with 32 address bits (default 0)");

static unsigned long user_quota_mb;
module_param(user_quota_mb, ulong, 0444);
MODULE_PARM_DESC(user_quota_mb, "MiB that each user may have, or 0 for no limit (default)");

/* Nothing can fail any more. What comes before the last part may be opened before that. */
bool bm_live;

static struct miscdevice bm_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "bitmem",
	.fops	= &bm_fops,
	.mode	= 0660,
};

static int bm_start_quota(void)
{
	return bm_quota_init(user_quota_mb);
}

static int bm_start_pools(void)
{
	const struct bm_params params = {
		.pool_mb	= pool_mb,
		.n		= pool_mb_count,
		.max_mb		= max_mb,
		.reserve_mb	= reserve_mb,
		.dma32_mb	= dma32_mb,
	};

	return bm_pools_init(&params);
}

static int bm_start_misc(void)
{
	return misc_register(&bm_misc);
}

static void bm_stop_misc(void)
{
	misc_deregister(&bm_misc);
}

/* The workers run from bm_pools_init() on, and may have something to tell. */
static const struct bm_part {
	int (*start)(void);
	void (*stop)(void);
} bm_parts[] = {
	{ bm_map_init,		bm_map_exit },
	{ bm_start_quota,	bm_quota_exit },
	{ bm_start_pools,	bm_pools_exit },
	{ bm_shrink_init,	bm_shrink_exit },
	{ bm_netlink_init,	bm_netlink_exit },
	{ bm_heap_init,		bm_heap_exit },
	{ bm_start_misc,	bm_stop_misc },
};

static void bm_stop(unsigned int n)
{
	while (n--)
		bm_parts[n].stop();
}

static int __init bm_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bm_parts); i++) {
		int ret = bm_parts[i].start();

		if (ret) {
			bm_stop(i);
			return ret;
		}
	}
	/* Whoever sees it sees all that was set up; with bm_heap_open(). */
	smp_store_release(&bm_live, true);
	return 0;
}

static void __exit bm_exit(void)
{
	bm_stop(ARRAY_SIZE(bm_parts));
}

module_init(bm_init);
module_exit(bm_exit);

MODULE_DESCRIPTION("Pinned, DMA-capable memory for tensors");
MODULE_AUTHOR("The bitmem authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
