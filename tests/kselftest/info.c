// SPDX-License-Identifier: GPL-2.0
/*
 * What BITMEM_INFO and BITMEM_POOL_INFO say: that the figures agree with each
 * other, with the machine and with what was done.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

BT_FIXTURE(info);

TEST_F(info, layout)
{
	EXPECT_EQ(56, sizeof(struct bitmem_info));
	EXPECT_EQ(208, sizeof(struct bitmem_pool_info));
	EXPECT_EQ(80, sizeof(struct bitmem_alloc));
	EXPECT_EQ(16, sizeof(struct bitmem_free));
	EXPECT_EQ(112, sizeof(struct bitmem_query));
	EXPECT_EQ(0xbc80, BITMEM_INFO);
	EXPECT_EQ(0xbc84, BITMEM_QUERY);
}

static bool power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

TEST_F(info, machine)
{
	struct bitmem_info info;

	ASSERT_EQ(0, bt_info(self->t.fd, &info));
	EXPECT_EQ(BITMEM_ABI, info.out_abi);
	EXPECT_EQ(sysconf(_SC_PAGESIZE), info.out_page_size);
	EXPECT_TRUE(power_of_two(info.out_superblock_size));
	EXPECT_LE(info.out_page_size, info.out_superblock_size);
	EXPECT_TRUE(power_of_two(info.out_pmd_size));
	EXPECT_LT(info.out_page_size, info.out_pmd_size);
	EXPECT_EQ(BITMEM_FEATURE_DMABUF | BITMEM_FEATURE_URING, info.out_features);
	EXPECT_LE(1, info.out_pools);
	EXPECT_LE(1, info.out_nodes);
	/* The size of the kernel's huge pages is that of a middle page-table entry. */
	if (!access("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", R_OK)) {
		FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
		unsigned long size = 0;

		ASSERT_NE(NULL, file);
		EXPECT_EQ(1, fscanf(file, "%lu", &size));
		fclose(file);
		EXPECT_EQ(size, info.out_pmd_size);
	}
}

TEST_F(info, same_for_every_file)
{
	struct bitmem_info one, two;
	int fd = bt_open();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bt_info(self->t.fd, &one));
	ASSERT_EQ(0, bt_info(fd, &two));
	EXPECT_EQ(0, memcmp(&one, &two, sizeof(one)));
	close(fd);
}

TEST_F(info, pools)
{
	struct bitmem_pool_info pool;
	uint32_t i;

	for (i = 0; i < self->t.pools; i++) {
		ASSERT_EQ(0, bt_pool(self->t.fd, i, &pool));
		EXPECT_EQ(i, pool.index);
		EXPECT_LE(0, pool.out_node);
		EXPECT_GT(self->t.nodes, pool.out_node);
		EXPECT_LE(1, pool.out_width);
		EXPECT_GE(64, pool.out_width);
		EXPECT_EQ(0, pool.out_state & ~BITMEM_POOL_FILLING);
		EXPECT_TRUE(bt_adds_up(&pool));
		EXPECT_EQ(0, pool.out_capacity % self->t.superblock);
		EXPECT_EQ(0, pool.out_split % self->t.superblock);
		EXPECT_EQ(0, pool.out_largest % self->t.superblock);
		EXPECT_LE(pool.out_largest, bt_free_bytes(&pool));
		EXPECT_LE(pool.out_capacity, pool.out_target);
		EXPECT_LE(pool.out_buffers, pool.out_allocs);
		EXPECT_LE(pool.out_fallbacks, pool.out_allocs);
		EXPECT_LE(pool.out_reserve, pool.out_target);
		EXPECT_LE(pool.out_target, pool.out_max);
		EXPECT_LE(pool.out_emergency, pool.out_low);
		EXPECT_LE(pool.out_low, pool.out_high);
		EXPECT_LE(pool.out_high, pool.out_max);
		EXPECT_LE(pool.out_gathered, pool.out_split);
		EXPECT_LE(pool.out_reclaimable, bt_free_bytes(&pool));
		EXPECT_GE(BITMEM_LEVEL_EMERGENCY, pool.out_level);
	}
}

TEST_F(info, no_such_pool)
{
	const uint32_t bad[] = { self->t.pools, self->t.pools + 1, INT_MAX, UINT_MAX };
	struct bitmem_pool_info pool;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(-ENOENT, bt_pool(self->t.fd, bad[i], &pool))
			TH_LOG("index %u", bad[i]);
	}
}

/* A pool for every node and width once, and none twice. */
TEST_F(info, pools_differ)
{
	struct bitmem_pool_info one, two;
	uint32_t i, j;

	for (i = 0; i < self->t.pools; i++) {
		ASSERT_EQ(0, bt_pool(self->t.fd, i, &one));
		for (j = i + 1; j < self->t.pools; j++) {
			ASSERT_EQ(0, bt_pool(self->t.fd, j, &two));
			EXPECT_FALSE(one.out_node == two.out_node &&
				     one.out_width == two.out_width);
		}
	}
}

/* Every kind of counter moves by exactly what was done. */
TEST_F(info, counters)
{
	const size_t length = self->t.superblock + 3 * self->t.page;
	struct bitmem_pool_info before, held, after;
	struct bitmem_alloc alloc;

	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	ASSERT_EQ(0, bt_alloc(self->t.fd, length, &alloc));
	ASSERT_EQ(0, bt_total(self->t.fd, &held));
	EXPECT_EQ(before.out_capacity, held.out_capacity);
	EXPECT_EQ(before.out_allocated + length, held.out_allocated);
	EXPECT_EQ(bt_free_bytes(&before) - length, bt_free_bytes(&held));
	EXPECT_EQ(before.out_buffers + 1, held.out_buffers);
	EXPECT_EQ(before.out_allocs + 1, held.out_allocs);
	EXPECT_EQ(before.out_failures, held.out_failures);
	EXPECT_LE(self->t.superblock, held.out_split);
	EXPECT_GE(before.out_largest - self->t.superblock, held.out_largest);

	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	ASSERT_EQ(0, bt_total(self->t.fd, &after));
	EXPECT_EQ(before.out_allocated, after.out_allocated);
	EXPECT_EQ(bt_free_bytes(&before), bt_free_bytes(&after));
	EXPECT_EQ(before.out_buffers, after.out_buffers);
	EXPECT_EQ(before.out_allocs + 1, after.out_allocs);
}

/* What was used is dirty until somebody zeroes it, and that happens unasked. */
TEST_F(info, dirty_becomes_zeroed)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, 16 * self->t.superblock, &alloc);
	ASSERT_NE(NULL, memory);
	memset(memory, 0xff, alloc.out_length);
	ASSERT_EQ(0, munmap(memory, alloc.out_length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_dirty, 0, 5000));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(bt_free_bytes(&total), total.out_zeroed);
}

BT_MAIN
