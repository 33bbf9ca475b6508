/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests that load the module with parameters of their own. They need root and
 * the module's path in $BITMEM_KO, and skip with a reason without.
 *
 * If the module is loaded at first, it is again at the end, with the same
 * parameters, whatever became of the tests: they run in a child, and the parent
 * sees to it. If somebody uses the module, everything skips.
 */
#ifndef BITMEM_LOAD_H
#define BITMEM_LOAD_H

#include "bitmem_test.h"

/** bl_obstacle - why nothing can be tested, or NULL; found out before the tests run. */
extern const char *bl_obstacle;

/** bl_insmod() - load the module of $BITMEM_KO with @parameters; 0 or -errno. */
int bl_insmod(const char *parameters);

/** bl_rmmod() - unload the module, or -errno. */
int bl_rmmod(void);

/** bl_rmmod_soon() - the same, although udev may have the new device open for a moment. */
int bl_rmmod_soon(void);

bool bl_loaded(void);

/** bl_open() - bt_open(), as soon as the node is there. */
int bl_open(void);

/**
 * bl_begin() - bl_insmod() and bt_begin(), once the pools are at rest.
 * Returns NULL, or what went wrong.
 */
const char *bl_begin(struct bt *t, const char *parameters);

/** bl_figure() - the sum of the figures that follow @key in lines of the file @path. */
int64_t bl_figure(const char *path, const char *key);

/** bl_pfns() - the numbers of @n physical pages from @address of this process on, 0 if none. */
void bl_pfns(const void *address, uint64_t *pfns, size_t n);

/** bl_pfn() - the number of the one at @address. */
uint64_t bl_pfn(const void *address);

/** bl_run() - runs @tests in a child, with the module out of the way, and loads it again. */
int bl_run(int (*tests)(int argc, char **argv), int argc, char **argv);

/** BL_FIXTURE - a fixture that has the module unloaded before and after. */
#define BL_FIXTURE(name)						\
	FIXTURE(name) {							\
		struct bt t;						\
	};								\
	FIXTURE_SETUP(name)						\
	{								\
		if (bl_obstacle)					\
			SKIP(return, "%s", bl_obstacle);		\
	}								\
	FIXTURE_TEARDOWN_PARENT(name)					\
	{								\
		if (bl_loaded())					\
			EXPECT_EQ(0, bl_rmmod_soon());			\
	}

/** BL_MAIN - like BT_MAIN. */
#define BL_MAIN								\
	int main(int argc, char **argv)					\
	{								\
		bt_lock();						\
		return bl_run(test_harness_run, argc, argv);		\
	}

#endif /* BITMEM_LOAD_H */
