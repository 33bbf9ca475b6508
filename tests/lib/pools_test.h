/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of pools share. */
#ifndef BITMEM_POOLS_TEST_H
#define BITMEM_POOLS_TEST_H

#include <stdbool.h>
#include <stddef.h>

#include <bitmem/pools.h>

/* NUMA nodes that this process may have memory from. */
unsigned int test_nodes(void);
/* One of them, the @n-th. */
int test_node(unsigned int n);

/* Adds a pool of a node; -errno, or its number. */
int test_pool(struct bitmem *ctx, int node);

/* Bytes of @length from @ptr on that are on @node now, page by page, as the kernel says. */
size_t test_on_node(const void *ptr, size_t length, int node);

/* What a pool's memory is used for; its parts are checked to add up: committed is 1 if not. */
struct bitmem_pool_usage test_usage(struct bitmem *ctx, unsigned int pool);

#endif /* BITMEM_POOLS_TEST_H */
