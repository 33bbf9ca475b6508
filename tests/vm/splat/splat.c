// SPDX-License-Identifier: GPL-2.0
/* Warns when loaded, for the guest kit to notice. */
#include <linux/bug.h>
#include <linux/module.h>

static int __init splat_init(void)
{
	WARN(1, "planted by the guest kit's own test\n");
	return 0;
}
module_init(splat_init);

static void __exit splat_exit(void)
{
}
module_exit(splat_exit);

MODULE_DESCRIPTION("A warning on purpose");
MODULE_LICENSE("GPL");
