// SPDX-License-Identifier: GPL-2.0
/*
 * Where the table of the module's counted objects ends; and what is called in place of
 * the module's own start and end, so that the counters are taken after its last line
 * has run, be it that of a start that failed.
 */
#include <linux/module.h>

#include "gcov.h"

extern struct gcov_object *const bitmem_gcov_begin[];
struct gcov_object *const bitmem_gcov_end[0] __section(".bitmem_gcov");

int bitmem_init_module(void);
void bitmem_cleanup_module(void);

static int __init counted_init(void)
{
	int ret = bitmem_init_module();

	if (ret)
		bitmem_gcov_take(bitmem_gcov_begin, bitmem_gcov_end);
	return ret;
}
module_init(counted_init);

static void __exit counted_exit(void)
{
	bitmem_cleanup_module();
	bitmem_gcov_take(bitmem_gcov_begin, bitmem_gcov_end);
}
module_exit(counted_exit);
