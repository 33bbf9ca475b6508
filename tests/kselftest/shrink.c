// SPDX-License-Identifier: GPL-2.0
/*
 * Giving memory back: what the system counts as reclaimable, BITMEM_TRIM, and
 * what happens when the system needs memory. The last takes all memory there is,
 * which is for guests.
 */
#include "bitmem_load.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

BL_FIXTURE(shrink);

static int64_t meminfo(const char *key)
{
	return bl_figure("/proc/meminfo", key) * 1024;
}

/* Bytes that the system keeps free for itself, which it never calls available. */
static int64_t low_watermarks(void)
{
	return bl_figure("/proc/zoneinfo", "low ") * sysconf(_SC_PAGESIZE);
}

/* Waits for @key of /proc/meminfo to come within 10 % of @span of @want; the difference. */
static int64_t off_by(const char *key, int64_t want, int64_t span)
{
	int64_t off = 0;
	int i;

	for (i = 0; i < 100; i++) {
		off = meminfo(key) - want;
		if (llabs(off) <= span / 10)
			break;
		bt_sleep_ms(20);
	}
	return off;
}

/* What the shrinker may take is in MemAvailable, but for what the system never gives out. */
TEST_F(shrink, counted_as_reclaimable)
{
	const int64_t size = 256 * BT_MIB, marks = low_watermarks();
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	int64_t before, available;

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=256"));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(0, total.out_reclaimable);
	before = meminfo("KReclaimable:");
	available = meminfo("MemAvailable:");
	close(self->t.fd);
	ASSERT_EQ(0, bl_rmmod_soon());

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=256 reserve_mb=0"));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(size, total.out_reclaimable);
	EXPECT_GE(size / 10, llabs(off_by("KReclaimable:", before + size, size)));
	TH_LOG("MemAvailable rose by %lld of 256 MiB, the system keeps %lld",
	       (long long)((meminfo("MemAvailable:") - available) >> 20),
	       (long long)(marks >> 20));
	EXPECT_LE(available + size - marks - size / 10, meminfo("MemAvailable:"));
	EXPECT_GE(available + size + size / 10, meminfo("MemAvailable:"));

	/* What is in use is not. */
	ASSERT_EQ(0, bt_alloc(self->t.fd, 200 * BT_MIB, &alloc));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(56 * BT_MIB, total.out_reclaimable);
	EXPECT_GE(size / 10, llabs(off_by("KReclaimable:", before + 56 * BT_MIB, size)));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_reclaimable, size, 5000));
	close(self->t.fd);

	/* And nothing of it is left when the module goes. */
	ASSERT_EQ(0, bl_rmmod_soon());
	EXPECT_GE(size / 10, llabs(off_by("KReclaimable:", before, size)));
}

/* As much as is asked for, down to the reserve, and it stays away. */
TEST_F(shrink, trim)
{
	struct bitmem_pool_info pool, total;
	struct bitmem_compact trim;
	uint32_t i;

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=128 reserve_mb=32"));
	ASSERT_EQ(0, bt_trim(self->t.fd, 0, 4 * self->t.superblock, &trim));
	EXPECT_EQ(4 * self->t.superblock, trim.out_freed);
	EXPECT_EQ(0, trim.out_moved);
	EXPECT_EQ(0, trim.out_skipped);
	ASSERT_EQ(0, bt_pool(self->t.fd, 0, &pool));
	EXPECT_EQ(self->t.before[0].out_capacity - 4 * self->t.superblock, pool.out_capacity);
	EXPECT_EQ(pool.out_capacity, pool.out_target);
	EXPECT_EQ(4 * self->t.superblock, pool.out_returned);
	for (i = 0; i < self->t.pools; i++)
		ASSERT_EQ(0, bt_trim(self->t.fd, i, 0, &trim));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(32 * BT_MIB, total.out_capacity);
	EXPECT_EQ(32 * BT_MIB, total.out_target);
	EXPECT_EQ(96 * BT_MIB, total.out_returned);
	EXPECT_EQ(0, total.out_reclaimable);
	ASSERT_EQ(0, bt_trim(self->t.fd, 0, 0, &trim));
	EXPECT_EQ(0, trim.out_freed);
	bt_sleep_ms(500);
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(32 * BT_MIB, total.out_capacity);
	EXPECT_EQ(-ENOENT, bt_trim(self->t.fd, self->t.pools, 0, &trim));
	close(self->t.fd);
}

/* What is in buffers, and what shares a superblock with it, is not given back. */
TEST_F(shrink, trim_around_buffers)
{
	struct bitmem_pool_info total;
	struct bitmem_compact trim;
	struct bitmem_alloc alloc;
	void *memory;
	uint32_t i;

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=64 reserve_mb=0"));
	memory = bt_new(self->t.fd, 5 * self->t.superblock + self->t.page, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, alloc.out_length, 7);
	for (i = 0; i < self->t.pools; i++)
		ASSERT_EQ(0, bt_trim(self->t.fd, i, 0, &trim));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(6 * self->t.superblock, total.out_capacity);
	EXPECT_TRUE(bt_adds_up(&total));
	EXPECT_EQ(-1, bt_wrong(memory, alloc.out_length, 7));
	ASSERT_EQ(0, munmap(memory, alloc.out_length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	for (i = 0; i < self->t.pools; i++)
		ASSERT_EQ(0, bt_trim(self->t.fd, i, 0, &trim));
	/* What was being zeroed at that moment follows. */
	bt_sleep_ms(200);
	for (i = 0; i < self->t.pools; i++)
		ASSERT_EQ(0, bt_trim(self->t.fd, i, 0, &trim));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(0, total.out_capacity);
	EXPECT_EQ(0, total.out_split);
	close(self->t.fd);
}

/* A program that the kernel kills first, and that touches @bytes; its exit status. */
static int hog(uint64_t bytes)
{
	pid_t child = fork();

	if (!child) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
		char *memory;

		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || fd < 0 || write(fd, "1000", 4) != 4)
			_exit(2);
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		if (memory == MAP_FAILED)
			_exit(3);
		madvise(memory, bytes, MADV_NOHUGEPAGE);
		bt_touch(memory, bytes, sysconf(_SC_PAGESIZE));
		_exit(0);
	}
	return child < 0 ? -errno : bt_reap(child);
}

static int64_t kills(void)
{
	return bl_figure("/proc/vmstat", "oom_kill ");
}

/* Loads with @percent of the memory in the pool and the rest of the parameters. */
static const char *begin_with(struct bt *t, unsigned int percent, const char *rest)
{
	char parameters[128];

	snprintf(parameters, sizeof(parameters), "pool_mb=%llu %s",
		 (unsigned long long)(meminfo("MemTotal:") / BT_MIB * percent / 100), rest);
	return bl_begin(t, parameters);
}

/* Most of memory is in the pool; somebody else needs it; nobody is killed. */
TEST_F_TIMEOUT(shrink, before_anybody_is_killed, 900)
{
	const int64_t killed = kills();
	struct bitmem_pool_info before, after;
	struct bitmem_alloc alloc;
	struct bitmem_info info;
	struct pollfd poll_fd = { .events = POLLPRI };
	uint64_t need;
	void *memory;

	ASSERT_EQ(NULL, begin_with(&self->t, 60, "reserve_mb=0"));
	memory = bt_new(self->t.fd, 50 * BT_MIB + self->t.page, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, alloc.out_length, 3);
	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	poll_fd.fd = self->t.fd;
	ASSERT_EQ(0, bt_info(self->t.fd, &info));
	ASSERT_EQ(BITMEM_LEVEL_NONE, info.out_level);
	ASSERT_EQ(0, poll(&poll_fd, 1, 0));

	/* All that is said to be available, most of which the pool has. */
	need = meminfo("MemAvailable:") - 48 * BT_MIB;
	EXPECT_EQ(0, hog(need));
	EXPECT_EQ(killed, kills());
	ASSERT_EQ(0, bt_total(self->t.fd, &after));
	TH_LOG("a hog of %llu MiB: %llu of %llu MiB given back", (unsigned long long)need >> 20,
	       (unsigned long long)after.out_returned >> 20,
	       (unsigned long long)before.out_capacity >> 20);
	EXPECT_LE(before.out_reclaimable / 2, after.out_returned);
	/* It may have grown again when there was memory for a moment. */
	EXPECT_LE(before.out_capacity, after.out_capacity + after.out_returned);
	EXPECT_EQ(before.out_allocated, after.out_allocated);
	EXPECT_TRUE(bt_adds_up(&after));
	EXPECT_EQ(-1, bt_wrong(memory, alloc.out_length, 3));
	/* And who watches the pool could know. */
	EXPECT_EQ(1, poll(&poll_fd, 1, 0));
	EXPECT_EQ(POLLPRI, poll_fd.revents);
	close(self->t.fd);
}

#define HUGE_PAGES	"/proc/sys/vm/nr_hugepages"

/* Asks the kernel to set so many aside as there are. It tries hard, and kills nobody. */
static int set_huge_pages(unsigned long n)
{
	FILE *file = fopen(HUGE_PAGES, "we");

	if (!file)
		return -errno;
	fprintf(file, "%lu\n", n);
	return fclose(file) ? -errno : 0;
}

/* The reserve is not for others, however much they need it. */
TEST_F_TIMEOUT(shrink, keeps_its_reserve, 900)
{
	struct bitmem_pool_info before, after;
	unsigned long n;
	char rest[64];

	if (access(HUGE_PAGES, W_OK))
		SKIP(return, "no huge pages");
	snprintf(rest, sizeof(rest), "reserve_mb=%llu",
		 (unsigned long long)(meminfo("MemTotal:") / BT_MIB * 30 / 100));
	ASSERT_EQ(NULL, begin_with(&self->t, 60, rest));
	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	n = (meminfo("MemFree:") + before.out_reclaimable + 64 * BT_MIB) /
	    meminfo("Hugepagesize:");
	ASSERT_EQ(0, set_huge_pages(n));
	EXPECT_GT(n, bl_figure("/proc/meminfo", "HugePages_Total:"));
	ASSERT_EQ(0, bt_total(self->t.fd, &after));
	ASSERT_EQ(0, set_huge_pages(0));
	TH_LOG("%llu of %llu MiB left, the reserve is %llu",
	       (unsigned long long)after.out_capacity >> 20,
	       (unsigned long long)before.out_capacity >> 20,
	       (unsigned long long)before.out_reserve >> 20);
	EXPECT_LE(before.out_reserve, after.out_capacity);
	/* How much it asks for before it gives up on huge pages is the kernel's affair. */
	EXPECT_EQ(before.out_capacity, after.out_capacity + after.out_returned);
	close(self->t.fd);
}

struct churn {
	pthread_t thread;
	const struct bt *test;
	bool stop;
	unsigned long rounds;
	unsigned long wrong;
};

/* Allocates, writes, looks, frees; refusals are no error. */
static void *churn(void *arg)
{
	struct churn *churn = arg;
	struct bitmem_alloc alloc;
	int fd = bt_open();

	while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
		const size_t length = 3 * churn->test->superblock + 5 * churn->test->page;
		void *memory = bt_new(fd, length, &alloc);

		if (!memory)
			continue;
		churn->wrong += bt_nonzero(memory, length) >= 0;
		bt_fill(memory, length, churn->rounds++);
		munmap(memory, length);
		bt_free(fd, alloc.out_id);
	}
	close(fd);
	return NULL;
}

/* The shrinker, TRIM and growth work against requests; the sums hold all the time. */
TEST_F_TIMEOUT(shrink, while_in_use, 900)
{
	const int64_t killed = kills();
	struct churn threads[3] = {};
	struct bitmem_pool_info pool, total;
	struct bitmem_compact trim;
	unsigned int i, round;
	uint32_t p;

	ASSERT_EQ(NULL, begin_with(&self->t, 40, "reserve_mb=0"));
	for (i = 0; i < ARRAY_LEN(threads); i++) {
		threads[i].test = &self->t;
		ASSERT_EQ(0, pthread_create(&threads[i].thread, NULL, churn, &threads[i]));
	}
	for (round = 0; round < 50; round++) {
		for (p = 0; p < self->t.pools; p++) {
			ASSERT_EQ(0, bt_trim(self->t.fd, p, 2 * self->t.superblock, &trim));
			ASSERT_EQ(0, bt_pool(self->t.fd, p, &pool));
			EXPECT_TRUE(bt_adds_up(&pool));
			EXPECT_LE(pool.out_reserve, pool.out_target);
			EXPECT_LE(pool.out_target, pool.out_max);
		}
	}
	EXPECT_EQ(0, hog(meminfo("MemAvailable:") - 96 * BT_MIB));
	EXPECT_EQ(killed, kills());
	for (i = 0; i < ARRAY_LEN(threads); i++) {
		__atomic_store_n(&threads[i].stop, true, __ATOMIC_RELAXED);
		ASSERT_EQ(0, pthread_join(threads[i].thread, NULL));
		EXPECT_EQ(0, threads[i].wrong);
		EXPECT_LT(0, threads[i].rounds);
	}
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, 0, 2000));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_TRUE(bt_adds_up(&total));
	EXPECT_LT(0, total.out_returned);
	close(self->t.fd);
}

BL_MAIN
