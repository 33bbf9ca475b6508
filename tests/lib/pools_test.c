/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of pools share; see pools_test.h. */
#include <linux/mempolicy.h>

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pools_test.h"

#define MAX_NODES 1024
#define WORD_BITS (8 * sizeof(unsigned long))
/* Pages that are asked about at once. */
#define BATCH 64

int test_node(unsigned int n)
{
	unsigned long words[MAX_NODES / WORD_BITS] = { 0 };

	if (syscall(SYS_get_mempolicy, NULL, words, MAX_NODES + 1, NULL, MPOL_F_MEMS_ALLOWED))
		return n ? -1 : 0;
	for (int node = 0; node < MAX_NODES; node++) {
		if (words[node / WORD_BITS] >> (node % WORD_BITS) & 1 && !n--)
			return node;
	}
	return -1;
}

unsigned int test_nodes(void)
{
	unsigned int n = 0;

	while (test_node(n) >= 0)
		n++;
	return n;
}

int test_pool(struct bitmem *ctx, int node)
{
	struct bitmem_pool_options options;
	struct bitmem_error error;
	unsigned int pool;
	int ret;

	bitmem_pool_options_init(&options);
	options.node = node;
	options.error = &error;
	ret = bitmem_pool_add(ctx, &options, &pool);
	if (ret)
		printf("# bitmem_pool_add: %s\n", error.text);
	return ret ? ret : (int)pool;
}

size_t test_on_node(const void *ptr, size_t length, int node)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const char *at = (const char *)((uintptr_t)ptr & ~(page - 1));
	const char *end = (const char *)ptr + length;
	size_t bytes = 0;

	while (at < end) {
		void *pages[BATCH];
		int status[BATCH];
		size_t n = 0;

		for (; n < BATCH && at < end; at += page)
			pages[n++] = (void *)(uintptr_t)at;
		if (syscall(SYS_move_pages, 0, n, pages, NULL, status, 0))
			return 0;
		for (size_t i = 0; i < n; i++)
			bytes += status[i] == node ? page : 0;
	}
	return bytes;
}

struct bitmem_pool_usage test_usage(struct bitmem *ctx, unsigned int pool)
{
	struct bitmem_pool_usage u = { .size = sizeof(u) };

	if (bitmem_pool_usage(ctx, pool, &u)) {
		memset(&u, 0xff, sizeof(u));
	} else if (u.committed != u.room + u.cached + u.slack + u.free + u.kept + u.moving ||
		   u.live > u.room || u.free_slots > u.free ||
		   u.largest_free_run > u.free_run_bytes) {
		printf("# committed %" PRIu64 ": room %" PRIu64 " cached %" PRIu64 " slack %" PRIu64
		       " free %" PRIu64 " kept %" PRIu64 " moving %" PRIu64 "\n",
		       u.committed, u.room, u.cached, u.slack, u.free, u.kept, u.moving);
		u.committed = 1;
	}
	return u;
}
