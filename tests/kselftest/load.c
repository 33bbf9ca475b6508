// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading the module: what its parameters take, when it may go, and
 * that it takes nothing with it.
 */
#include "bitmem_load.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define MODEST	"pool_mb=64"

BL_FIXTURE(load);

/*
 * Memory that nobody has, in bytes. Superblocks just freed may stand in lists of
 * the CPUs, tens of MiB of them, where MemFree does not see them.
 */
static int64_t memory_free(void)
{
	return bl_figure("/proc/meminfo", "MemFree:") * 1024 +
	       bl_figure("/proc/zoneinfo", "count:") * sysconf(_SC_PAGESIZE);
}

/* Waits for @want bytes to be free, as what is freed may be so a little later. */
static int64_t wait_for_memory(int64_t want)
{
	const uint64_t began = bt_now_ns();
	int64_t have;

	while ((have = memory_free()) < want && bt_now_ns() - began < 3000000000ull)
		bt_sleep_ms(20);
	return have;
}

/* Over and over, and all memory is back at the end. */
TEST_F_TIMEOUT(load, rounds, 600)
{
	const unsigned int rounds = bt_rounds(5);
	int64_t before;
	unsigned int i;

	ASSERT_EQ(0, bl_insmod(MODEST));
	ASSERT_EQ(0, bl_rmmod_soon());
	bt_sleep_ms(200);
	before = memory_free();
	for (i = 0; i < rounds; i++) {
		struct bitmem_alloc alloc;
		struct bt t;
		char *memory;

		ASSERT_EQ(0, bl_insmod(MODEST));
		close(bl_open());
		ASSERT_EQ(NULL, bt_begin(&t));
		memory = bt_new(t.fd, 16 * t.superblock + t.page, &alloc);
		ASSERT_NE(NULL, memory);
		bt_touch(memory, alloc.out_length, t.page);
		ASSERT_EQ(0, munmap(memory, alloc.out_length));
		ASSERT_EQ(0, close(t.fd));
		ASSERT_EQ(0, bl_rmmod_soon());
		EXPECT_EQ(-1, access(BT_DEVICE, F_OK));
	}
	/* A superblock lost in every round would be 10 MiB. */
	before -= 6 * BT_MIB;
	EXPECT_LE(before, wait_for_memory(before));
}

/* Before the pool is full. */
TEST_F(load, unload_while_filling)
{
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, bl_insmod("pool_mb=512"));
		bt_sleep_ms(7 * i);
		ASSERT_EQ(0, bl_rmmod_soon());
	}
}

/* Who asks for more than there is yet waits for the fill, and gets it. */
TEST_F(load, allocate_while_filling)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	int fd;

	ASSERT_EQ(0, bl_insmod("pool_mb=512"));
	fd = bl_open();
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, bt_alloc(fd, 512 * BT_MIB, &alloc));
	EXPECT_EQ(-ENOMEM, bt_alloc(fd, 1, &alloc));
	ASSERT_EQ(0, bt_total(fd, &total));
	EXPECT_EQ(512 * BT_MIB, total.out_allocated);
	EXPECT_EQ(512 * BT_MIB, total.out_capacity);
	close(fd);
}

/* Killed while it waits for the fill. */
TEST_F(load, killed_while_waiting)
{
	int i, fd;

	for (i = 0; i < 3; i++) {
		pid_t child;

		ASSERT_EQ(0, bl_insmod("pool_mb=512"));
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_alloc alloc;

			bt_alloc(bl_open(), 512 * BT_MIB, &alloc);
			pause();
		}
		bt_sleep_ms(10 + 10 * i);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		fd = bl_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, BT_WAIT(fd, out_allocated, 0, 1000));
		close(fd);
		ASSERT_EQ(0, bl_rmmod_soon());
	}
}

TEST_F(load, busy_while_open)
{
	int fd;

	ASSERT_EQ(0, bl_insmod(MODEST));
	fd = bl_open();
	ASSERT_LE(0, fd);
	bt_sleep_ms(100);
	EXPECT_EQ(-EWOULDBLOCK, bl_rmmod());
	close(fd);
	EXPECT_EQ(0, bl_rmmod_soon());
}

TEST_F(load, busy_while_mapped)
{
	struct bitmem_alloc alloc;
	char *memory;
	int fd;

	ASSERT_EQ(0, bl_insmod(MODEST));
	fd = bl_open();
	memory = bt_new(fd, 3 * BT_MIB, &alloc);
	ASSERT_NE(NULL, memory);
	close(fd);
	bt_sleep_ms(100);
	EXPECT_EQ(-EWOULDBLOCK, bl_rmmod());
	bt_fill(memory, 3 * BT_MIB, 1);
	EXPECT_EQ(-1, bt_wrong(memory, 3 * BT_MIB, 1));
	ASSERT_EQ(0, munmap(memory, 3 * BT_MIB));
	EXPECT_EQ(0, bl_rmmod_soon());
}

/* Pages in a pipe hold no module: it goes, and they are freed by whoever reads the pipe. */
TEST_F(load, unload_while_pinned)
{
	const size_t length = 2 * BT_MIB + 4096;
	struct bitmem_alloc alloc;
	char *memory, bytes[4096];
	struct iovec iov[2];
	int fd, tube[2];

	ASSERT_EQ(0, bl_insmod(MODEST));
	fd = bl_open();
	memory = bt_new(fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	memset(memory, 0x3c, length);
	ASSERT_EQ(0, pipe(tube));
	iov[0] = (struct iovec) { memory, 4096 };
	iov[1] = (struct iovec) { memory + length - 4096, 4096 };
	ASSERT_EQ(8192, vmsplice(tube[1], iov, 2, 0));
	ASSERT_EQ(0, munmap(memory, length));
	close(fd);
	ASSERT_EQ(0, bl_rmmod_soon());
	ASSERT_EQ(4096, read(tube[0], bytes, sizeof(bytes)));
	EXPECT_EQ(0x3c, bytes[0]);
	EXPECT_EQ(0x3c, bytes[4095]);
	ASSERT_EQ(4096, read(tube[0], bytes, sizeof(bytes)));
	EXPECT_EQ(0x3c, bytes[4095]);
}

TEST_F(load, bad_parameter)
{
	static const char *const bad[] = {
		"pool_mb=", "pool_mb=garbage", "pool_mb=64x", "pool_mb=-1", "pool_mb=64,",
		"pool_mb=64,x", "pool_mb=,64", "pool_mb=1.5", "pool_mb=99999999",
		"pool_mb=18446744073709551615", "pool_mb=8796093022208",
		"pool_mb=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
		MODEST " max_mb=63", MODEST " max_mb=x", MODEST " max_mb=99999999",
		MODEST " max_mb=18446744073709551615", MODEST " max_mb=-1",
		MODEST " reserve_mb=-2", MODEST " reserve_mb=65", MODEST " reserve_mb=x",
		MODEST " reserve_mb=9223372036854775807",
		MODEST " dma32_mb=99999999", MODEST " dma32_mb=-1", MODEST " dma32_mb=x",
		MODEST " dma32_mb=18446744073709551615",
		MODEST " user_quota_mb=18446744073709551615", MODEST " user_quota_mb=x",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(-EINVAL, bl_insmod(bad[i]))
			TH_LOG("%s", bad[i]);
		EXPECT_FALSE(bl_loaded());
		EXPECT_EQ(-1, access(BT_DEVICE, F_OK));
	}
}

/* One value is the total of all nodes. */
TEST_F(load, total)
{
	struct bitmem_pool_info total;
	struct bt t;

	ASSERT_EQ(0, bl_insmod("pool_mb=66"));
	close(bl_open());
	ASSERT_EQ(NULL, bt_begin(&t));
	ASSERT_EQ(0, bt_total(t.fd, &total));
	EXPECT_EQ(66 * BT_MIB, total.out_target);
	EXPECT_EQ(66 * BT_MIB, total.out_capacity);
	EXPECT_EQ(66 * BT_MIB, total.out_largest);
	EXPECT_EQ(0, total.out_state);
	close(t.fd);
}

/* Several values are one for each node. */
TEST_F(load, list)
{
	char parameter[64];
	struct bt t;
	uint32_t i;
	int used;

	ASSERT_EQ(0, bl_insmod(MODEST));
	close(bl_open());
	ASSERT_EQ(NULL, bt_begin(&t));
	close(t.fd);
	if (t.pools < 2 || t.pools > 8)
		SKIP(return, "%u pools", t.pools);
	ASSERT_EQ(0, bl_rmmod_soon());
	used = snprintf(parameter, sizeof(parameter), "pool_mb=");
	for (i = 0; i < t.pools; i++)
		used += snprintf(parameter + used, sizeof(parameter) - used, "%s%u",
				 i ? "," : "", 32 * (i + 1));
	ASSERT_EQ(0, bl_insmod(parameter));
	close(bl_open());
	ASSERT_EQ(NULL, bt_begin(&t));
	for (i = 0; i < t.pools; i++)
		EXPECT_EQ(32 * (i + 1) * BT_MIB, t.before[i].out_capacity);
	close(t.fd);
}

/* An empty pool is a pool: it says no at once. */
TEST_F(load, nothing)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	struct bt t;

	ASSERT_EQ(0, bl_insmod("pool_mb=0"));
	close(bl_open());
	ASSERT_EQ(NULL, bt_begin(&t));
	EXPECT_EQ(-ENOMEM, bt_alloc(t.fd, 1, &alloc));
	ASSERT_EQ(0, bt_total(t.fd, &total));
	EXPECT_EQ(0, total.out_capacity);
	close(t.fd);
}

/* Twice at once there is no such thing. */
TEST_F(load, twice)
{
	ASSERT_EQ(0, bl_insmod(MODEST));
	EXPECT_EQ(-EEXIST, bl_insmod(MODEST));
	EXPECT_EQ(0, bl_rmmod_soon());
	EXPECT_EQ(-ENOENT, bl_rmmod());
}

BL_MAIN
