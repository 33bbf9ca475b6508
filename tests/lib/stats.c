/* SPDX-License-Identifier: GPL-2.0 */
/* bitmem_stats() against what the kernel says of the same things. */
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib_test.h"

/* Larger than the library's, as of a caller that was compiled against a later version. */
struct later_stats {
	struct bitmem_stats stats;
	uint64_t later;
};

TEST_F(lib, size_is_checked)
{
	struct later_stats later;
	struct bitmem_stats stats;
	void *block = bitmem_alloc(self->ctx, 100, 0);

	ASSERT_NE(NULL, block);
	memset(&stats, 0x55, sizeof(stats));
	stats.size = sizeof(stats) - 1;
	EXPECT_EQ(-EINVAL, bitmem_stats(self->ctx, &stats));
	EXPECT_EQ(0x5555555555555555u, stats.live);
	stats.size = 0;
	EXPECT_EQ(-EINVAL, bitmem_stats(self->ctx, &stats));

	memset(&later, 0x55, sizeof(later));
	later.stats.size = sizeof(later);
	EXPECT_EQ(0, bitmem_stats(self->ctx, &later.stats));
	EXPECT_EQ(sizeof(later), later.stats.size);
	EXPECT_EQ(1, later.stats.live);
	EXPECT_EQ(100, later.stats.live_bytes);
	EXPECT_EQ(0, later.later);
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

TEST_F(lib, peak_and_totals)
{
	struct bitmem_stats stats;
	void *a = bitmem_alloc(self->ctx, 1000, 0), *b = bitmem_alloc(self->ctx, 500, 0);

	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	a = bitmem_alloc(self->ctx, 300, 0);
	stats = test_stats(self->ctx);
	EXPECT_EQ(2, stats.live);
	EXPECT_EQ(800, stats.live_bytes);
	EXPECT_EQ(1500, stats.peak_bytes);
	EXPECT_EQ(3, stats.allocs);
	EXPECT_EQ(1, stats.frees);
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(0, bitmem_free(self->ctx, b));
	stats = test_stats(self->ctx);
	EXPECT_EQ(0, stats.live);
	EXPECT_EQ(0, stats.live_bytes);
	EXPECT_EQ(1500, stats.peak_bytes);
	EXPECT_EQ(3, stats.frees);
}

TEST_F(lib, pinned_is_part_of_committed)
{
	void *small = bitmem_alloc(self->ctx, 100, 0), *large = bitmem_alloc(self->ctx, 5 * MIB, 0);
	struct bitmem_stats stats = test_stats(self->ctx);

	EXPECT_NE(NULL, small);
	EXPECT_NE(NULL, large);
	EXPECT_EQ(7 * MIB, stats.committed_bytes);
	EXPECT_EQ(2, stats.segments);
	EXPECT_GE(stats.committed_bytes, stats.pinned_bytes);
	if (bitmem_backend(self->ctx) == BITMEM_BACKEND_DEVICE)
		EXPECT_EQ(stats.committed_bytes, stats.pinned_bytes);
	EXPECT_EQ(0, bitmem_free(self->ctx, small));
	EXPECT_EQ(0, bitmem_free(self->ctx, large));
}

/* Makes RLIMIT_MEMLOCK count for root as well. */
static int drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -1;
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	return (int)syscall(SYS_capset, &header, data);
}

/* What a context of three segments pins under a limit; the kernel must say the same. */
static void pins_up_to(struct __test_metadata *_metadata, size_t limit)
{
	struct rlimit rlimit = { .rlim_cur = limit, .rlim_max = limit };
	struct bitmem_options options;
	size_t locked = test_status("VmLck"), huge = test_status("HugetlbPages"), now;
	struct bitmem_stats stats;
	struct bitmem *ctx;
	void *blocks[3];

	ASSERT_EQ(0, drop_ipc_lock());
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &rlimit));
	bitmem_options_init(&options);
	options.backend = BITMEM_BACKEND_MEMFD;
	options.segment_size = 2 * MIB;
	ctx = bitmem_open(&options);
	ASSERT_NE(NULL, ctx);
	for (int i = 0; i < 3; i++) {
		blocks[i] = bitmem_alloc(ctx, 2 * MIB, 0);
		ASSERT_NE(NULL, blocks[i]);
		memset(blocks[i], 1, 2 * MIB);
	}
	stats = test_stats(ctx);
	EXPECT_EQ(6 * MIB, stats.committed_bytes);
	now = test_status("HugetlbPages");
	huge = now == SIZE_MAX ? 0 : now - huge;
	EXPECT_EQ(test_status("VmLck") - locked + huge, stats.pinned_bytes);
	EXPECT_LE(stats.pinned_bytes, limit + huge);
	/* To the page: what is left of the limit would not do for one more. */
	if (limit < 6 * MIB && !huge)
		EXPECT_EQ(limit & ~((size_t)sysconf(_SC_PAGESIZE) - 1), stats.pinned_bytes);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, bitmem_free(ctx, blocks[i]));
	bitmem_trim(ctx);
	EXPECT_EQ(locked, test_status("VmLck"));
	EXPECT_EQ(0, test_stats(ctx).pinned_bytes);
	EXPECT_EQ(0, bitmem_close(ctx));
}

TEST(memfd_pins_all_it_may)
{
	struct rlimit rlimit;

	ASSERT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &rlimit));
	if (rlimit.rlim_max < 6 * MIB)
		SKIP(return, "RLIMIT_MEMLOCK is below 6 MiB");
	pins_up_to(_metadata, 6 * MIB);
}

TEST(memfd_pins_a_part)
{
	if (test_valgrind())
		SKIP(return, "valgrind has no mlock2()");
	pins_up_to(_metadata, 3 * MIB + 12345);
}

TEST(memfd_pins_nothing)
{
	pins_up_to(_metadata, 0);
}

TEST_HARNESS_MAIN
