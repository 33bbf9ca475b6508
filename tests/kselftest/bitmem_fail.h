/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's fault injection, which only kernels built for it have
 * (CONFIG_FAULT_INJECTION): allocations, and copies from and to user space, that
 * fail on demand. As in bitmem_test.h, functions return 0 or a negative errno unless
 * they say otherwise.
 */
#ifndef BITMEM_FAIL_H
#define BITMEM_FAIL_H

#include "bitmem_test.h"

#define BT_FAIL_SETTINGS	16

/**
 * struct bt_fail - the settings as they were, and the means of this thread
 * @saved: the texts of all settings that bt_fail_begin() changed, empty where there is none
 * @nth: the thread's own file
 * @probability: of the failing of small and of page allocations, in per cent
 */
struct bt_fail {
	char saved[BT_FAIL_SETTINGS][16];
	int nth;
	int probability[2];
};

/**
 * bt_fail_begin() - let every allocation be one that can fail, without a word in the log.
 * Returns NULL, or the reason why nothing can be made to fail.
 */
const char *bt_fail_begin(struct bt_fail *fail);

/** bt_fail_end() - put the settings back. */
void bt_fail_end(const struct bt_fail *fail);

/** bt_fail_nth() - the @n'th thing that can fail from now on in this thread will. */
int bt_fail_nth(const struct bt_fail *fail, unsigned int n);

/** bt_fail_hit() - stop that; whether it did. */
bool bt_fail_hit(const struct bt_fail *fail);

/** bt_fail_task() - from now on @pid is one whose allocations fail at random, or no more. */
int bt_fail_task(pid_t pid, bool fails);

/** bt_fail_self() - the same for this thread. Returns whether it was one. */
bool bt_fail_self(bool fails);

/** bt_fail_workers() - likewise the module's own threads; how many there are. */
int bt_fail_workers(bool fail);

/** bt_fail_often() - @percent of the allocations of all such tasks fail. */
int bt_fail_often(const struct bt_fail *fail, unsigned int percent);

#endif /* BITMEM_FAIL_H */
