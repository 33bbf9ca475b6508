// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem: pinned, DMA-capable memory for tensors.
 *
 * Loading and unloading. Nothing but the workers runs between bm_pools_init()
 * and the registration of the device, and nothing at all after bm_pools_exit():
 * open files and mappings hold a reference on the module.
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

static struct miscdevice bm_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "bitmem",
	.fops	= &bm_fops,
	.mode	= 0660,
};

static int __init bm_init(void)
{
	int ret;

	ret = bm_map_init();
	if (ret)
		return ret;
	ret = bm_pools_init(pool_mb, pool_mb_count);
	if (ret)
		goto err_map;
	ret = misc_register(&bm_misc);
	if (ret)
		goto err_pools;
	return 0;

err_pools:
	bm_pools_exit();
err_map:
	bm_map_exit();
	return ret;
}

static void __exit bm_exit(void)
{
	misc_deregister(&bm_misc);
	bm_pools_exit();
	bm_map_exit();
}

module_init(bm_init);
module_exit(bm_exit);

MODULE_DESCRIPTION("Pinned, DMA-capable memory for tensors");
MODULE_AUTHOR("The bitmem authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
