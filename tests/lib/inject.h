/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests that fail: of the functions in inject.c a test has those that its program is linked with
 * --wrap for (see the Makefile).
 */
#ifndef BITMEM_INJECT_H
#define BITMEM_INJECT_H

#include <stdbool.h>

extern struct inject {
	/* The request that is to fail, counted down to 0; below that all succeed. */
	int countdown;
	/* One did since this was cleared. */
	bool failed;
	/* All are to. */
	bool always;
} inject;

#endif /* BITMEM_INJECT_H */
