/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The counters of pools, as info and pools show them.
 */
#ifndef TOOLS_COUNTERS_H
#define TOOLS_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>
#include <linux/bitmem.h>

/* How much is shown. */
enum counters_detail {
	COUNTERS_MAIN,
	COUNTERS_ALL,
};

bool counters_filling(const struct bitmem_pool_info *pool);

/* "none", "low", "emergency"; "?" for what a later module may say. */
const char *counters_level(unsigned int level);

/* An object; NULL with ENOMEM. */
json_t *counters_json(const struct bitmem_pool_info *pool, enum counters_detail detail);

/* An array of these. */
json_t *counters_json_all(const struct bitmem_pool_info *pools, size_t n,
			  enum counters_detail detail);

/*
 * Prints a table on stdout: a column a pool and, if there are several, their total.
 * 0, or -1 after saying on stderr what failed.
 */
int counters_print(const struct bitmem_pool_info *pools, size_t n, enum counters_detail detail);

#endif /* TOOLS_COUNTERS_H */
