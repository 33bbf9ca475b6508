// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for devices with fewer than 64 address bits.
 */
#include "bitmem_load.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MODEST	"pool_mb=32 dma32_mb=16"

BL_FIXTURE(width);

static int alloc_width(int fd, uint64_t length, uint32_t width, struct bitmem_alloc *alloc)
{
	memset(alloc, 0, sizeof(*alloc));
	alloc->size = sizeof(*alloc);
	alloc->length = length;
	alloc->node = BITMEM_NODE_ANY;
	alloc->width = width;
	return bt_ioctl(fd, BITMEM_ALLOC, alloc);
}

/* The sum of a member over the pools of one width. */
static uint64_t sum_of(int fd, uint32_t width, size_t offset)
{
	struct bitmem_pool_info pool;
	uint64_t sum = 0, value;
	uint32_t i;

	for (i = 0; !bt_pool(fd, i, &pool); i++) {
		memcpy(&value, (char *)&pool + offset, sizeof(value));
		sum += pool.out_width == width ? value : 0;
	}
	return sum;
}

#define SUM(fd, width, member) sum_of(fd, width, offsetof(struct bitmem_pool_info, member))

TEST_F(width, no_pool)
{
	static const uint32_t widths[] = { 1, 24, 31, 32, 40, 63 };
	struct bitmem_alloc alloc;
	size_t i;

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=32"));
	for (i = 0; i < ARRAY_LEN(widths); i++)
		EXPECT_EQ(-EOPNOTSUPP, alloc_width(self->t.fd, 1, widths[i], &alloc));
	EXPECT_EQ(-EINVAL, alloc_width(self->t.fd, 1, 65, &alloc));
	EXPECT_EQ(0, alloc_width(self->t.fd, 1, 64, &alloc));
	EXPECT_EQ(0, alloc_width(self->t.fd, 1, 0, &alloc));
	close(self->t.fd);
}

TEST_F(width, which_pool)
{
	static const uint32_t served[] = { 32, 33, 40, 63 }, refused[] = { 1, 24, 31 };
	struct bitmem_alloc alloc;
	size_t i;
	int fd;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	fd = self->t.fd;
	EXPECT_EQ(32 * BT_MIB, SUM(fd, 64, out_capacity));
	EXPECT_EQ(16 * BT_MIB, SUM(fd, 32, out_capacity));
	EXPECT_EQ(16 * BT_MIB, SUM(fd, 32, out_max));
	EXPECT_EQ(16 * BT_MIB, SUM(fd, 32, out_reserve));
	for (i = 0; i < ARRAY_LEN(refused); i++)
		EXPECT_EQ(-EOPNOTSUPP, alloc_width(fd, 1, refused[i], &alloc));
	for (i = 0; i < ARRAY_LEN(served); i++) {
		ASSERT_EQ(0, alloc_width(fd, BT_MIB, served[i], &alloc));
		EXPECT_EQ(BT_MIB, SUM(fd, 32, out_allocated));
		EXPECT_EQ(0, SUM(fd, 64, out_allocated));
		ASSERT_EQ(0, bt_free(fd, alloc.out_id));
	}
	ASSERT_EQ(0, alloc_width(fd, BT_MIB, 64, &alloc));
	EXPECT_EQ(0, SUM(fd, 32, out_allocated));
	close(fd);
}

/* Neither kind helps the other out. */
TEST_F(width, apart)
{
	struct bitmem_alloc alloc;
	int fd;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	fd = self->t.fd;
	EXPECT_EQ(-ENOMEM, alloc_width(fd, 16 * BT_MIB + 1, 32, &alloc));
	EXPECT_EQ(-ENOMEM, alloc_width(fd, 32 * BT_MIB + 1, 0, &alloc));
	EXPECT_LT(0, SUM(fd, 32, out_failures));
	EXPECT_LT(0, SUM(fd, 64, out_failures));
	ASSERT_EQ(0, alloc_width(fd, 32 * BT_MIB, 0, &alloc));
	EXPECT_EQ(-ENOMEM, alloc_width(fd, 1, 0, &alloc));
	EXPECT_EQ(16 * BT_MIB, SUM(fd, 32, out_zeroed));
	ASSERT_EQ(0, alloc_width(fd, 16 * BT_MIB, 32, &alloc));
	EXPECT_EQ(-ENOMEM, alloc_width(fd, 1, 32, &alloc));
	close(fd);
}

/* All of it is within reach, whole superblocks and single pages. */
TEST_F(width, addresses)
{
	const uint64_t limit = (1ull << 32) / sysconf(_SC_PAGESIZE);
	struct bitmem_alloc alloc;
	uint64_t pfn, highest = 0;
	char *memory;
	size_t at;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	ASSERT_EQ(0, alloc_width(self->t.fd, 12 * BT_MIB + self->t.page, 32, &alloc));
	memory = bt_map(self->t.fd, alloc.out_length, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	bt_touch(memory, alloc.out_length, self->t.page);
	for (at = 0; at < alloc.out_length; at += self->t.page) {
		pfn = bl_pfn(memory + at);
		ASSERT_NE(0, pfn);
		ASSERT_GT(limit, pfn);
		highest = pfn > highest ? pfn : highest;
	}
	ASSERT_EQ(0, munmap(memory, alloc.out_length));
	close(self->t.fd);
	TH_LOG("the highest page is at %llu MiB",
	       (unsigned long long)highest * self->t.page >> 20);
}

/* A node's pools together leave something to others. */
TEST_F(width, more_than_there_is)
{
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "pool_mb=32 dma32_mb=%lld",
		 (long long)(bl_figure("/proc/meminfo", "MemTotal:") >> 10));
	EXPECT_EQ(-EINVAL, bl_insmod(parameters));
}

BL_MAIN
