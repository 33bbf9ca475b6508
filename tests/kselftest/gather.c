// SPDX-License-Identifier: GPL-2.0
/*
 * A machine whose memory is in pieces: there is enough of it, but hardly two
 * neighbouring MiB. The pool is put together from single pages, and becomes whole
 * again when the others let go.
 *
 * To break memory into pieces, all of it is taken, one page of each superblock of
 * physical memory is put into a pipe, where nobody can move it, and the rest is
 * let go. That is for guests.
 */
#include "bitmem_load.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* Pages in a pipe as it comes, and pipes for one page of each 2 MiB of 4 GiB. */
#define PIPE_PAGES	16
#define PIPES		128

FIXTURE(gather) {
	struct bt t;
	int pipes[PIPES][2];
	unsigned int nr_pipes;
	unsigned int in_pipe;
};

FIXTURE_SETUP(gather)
{
	if (bl_obstacle)
		SKIP(return, "%s", bl_obstacle);
}

FIXTURE_TEARDOWN_PARENT(gather)
{
	if (bl_loaded())
		EXPECT_EQ(0, bl_rmmod_soon());
}

/* Holds the page at @address where it is, until let_go(). */
static void hold(struct __test_metadata *_metadata, FIXTURE_DATA(gather) *self, char *address,
		 size_t page)
{
	struct iovec iov = { address, page };

	if (!self->nr_pipes || self->in_pipe == PIPE_PAGES) {
		ASSERT_GT(PIPES, self->nr_pipes);
		ASSERT_EQ(0, pipe(self->pipes[self->nr_pipes++]));
		self->in_pipe = 0;
	}
	ASSERT_EQ(page, vmsplice(self->pipes[self->nr_pipes - 1][1], &iov, 1, 0));
	self->in_pipe++;
}

/* Single pages just freed wait in lists of CPU and node, until many more come after them. */
static void flush_cpu_lists(void)
{
	const unsigned long nodes = ~0ul;
	const size_t length = 64 * BT_MIB;
	cpu_set_t all, one;
	char *memory;
	int cpu;

	syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, 8 * sizeof(nodes));
	sched_getaffinity(0, sizeof(all), &all);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			continue;
		madvise(memory, length, MADV_NOHUGEPAGE);
		bt_touch(memory, length, sysconf(_SC_PAGESIZE));
		munmap(memory, length);
	}
	sched_setaffinity(0, sizeof(all), &all);
	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
}

static void let_go(FIXTURE_DATA(gather) *self)
{
	while (self->nr_pipes) {
		self->nr_pipes--;
		close(self->pipes[self->nr_pipes][0]);
		close(self->pipes[self->nr_pipes][1]);
	}
	flush_cpu_lists();
}

/* What there is before the kernel goes and kills. */
static int64_t memory_left(void)
{
	return bl_figure("/proc/meminfo", "MemFree:") * 1024 -
	       bl_figure("/proc/zoneinfo", "min ") * sysconf(_SC_PAGESIZE);
}

/* Takes nearly all memory, and lets all of it go but a page of each physical superblock. */
static void fragment(struct __test_metadata *_metadata, FIXTURE_DATA(gather) *self)
{
	const size_t page = sysconf(_SC_PAGESIZE), superblock = 2 * BT_MIB;
	const uint64_t blocks = 4096ull * BT_MIB / superblock;
	uint64_t length, block, pfns[512];
	bool *held = calloc(blocks, 1);
	char *memory;
	size_t at, i;

	ASSERT_NE(NULL, held);
	length = bl_figure("/proc/meminfo", "MemFree:") * 1024;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, madvise(memory, length, MADV_NOHUGEPAGE));
	length -= length % (ARRAY_LEN(pfns) * page);
	for (at = 0; at < length; at += page) {
		i = at / page % ARRAY_LEN(pfns);
		if (!i && memory_left() < 48 * BT_MIB)
			break;
		if (!i) {
			bt_touch(memory + at, ARRAY_LEN(pfns) * page, page);
			bl_pfns(memory + at, pfns, ARRAY_LEN(pfns));
		}
		block = pfns[i] * page / superblock;
		if (!pfns[i] || block >= blocks || held[block])
			continue;
		held[block] = true;
		hold(_metadata, self, memory + at, page);
	}
	ASSERT_EQ(0, munmap(memory, length));
	free(held);
}

/* Bytes for a pool that is a good part of memory. */
static uint64_t large_pool(void)
{
	const uint64_t third = bl_figure("/proc/meminfo", "MemTotal:") * 1024 / 3;
	const uint64_t bytes = third < 512 * BT_MIB ? third : 512 * BT_MIB;

	return bytes - bytes % (4 * BT_MIB);
}

static const char *begin_large(struct bt *t, const char *rest)
{
	char parameters[64];

	snprintf(parameters, sizeof(parameters), "pool_mb=%llu %s",
		 (unsigned long long)(large_pool() / BT_MIB), rest);
	return bl_begin(t, parameters);
}

/* As large as it was to be, of single pages, and good for everything. */
TEST_F_TIMEOUT(gather, reaches_its_size, 900)
{
	const uint64_t size = large_pool();
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	uint64_t gathered;
	void *memory;
	int i;

	fragment(_metadata, self);
	ASSERT_EQ(NULL, begin_large(&self->t, ""));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	TH_LOG("%llu of %llu MiB are gathered, %llu are whole",
	       (unsigned long long)total.out_gathered >> 20, (unsigned long long)size >> 20,
	       (unsigned long long)total.out_largest >> 20);
	EXPECT_EQ(size, total.out_capacity);
	EXPECT_LE(size / 4, total.out_gathered);
	EXPECT_EQ(total.out_split, total.out_gathered);
	EXPECT_TRUE(bt_adds_up(&total));

	memory = bt_new(self->t.fd, size, &alloc);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(-1, bt_nonzero(memory, size));
	bt_fill(memory, size, 11);
	EXPECT_EQ(-1, bt_wrong(memory, size, 11));
	ASSERT_EQ(0, munmap(memory, size));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_dirty, 0, 20000));

	/*
	 * When there are whole ones to be had, it gets them by and by: nearly all, as a few
	 * of the pages let go may still be in some list.
	 */
	gathered = total.out_gathered;
	let_go(self);
	for (i = 0; i < 600 && total.out_gathered > gathered / 8; i++) {
		bt_sleep_ms(100);
		ASSERT_EQ(0, bt_total(self->t.fd, &total));
	}
	TH_LOG("%llu MiB of these are left", (unsigned long long)total.out_gathered >> 20);
	EXPECT_GE(gathered / 8, total.out_gathered);
	EXPECT_EQ(size, total.out_capacity);
	close(self->t.fd);
}

/* Given back like everything else, the gathered ones first. */
TEST_F_TIMEOUT(gather, gives_back, 900)
{
	struct bitmem_pool_info before, total;
	struct bitmem_compact trim;
	uint32_t i;

	fragment(_metadata, self);
	ASSERT_EQ(NULL, begin_large(&self->t, "reserve_mb=0"));
	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	EXPECT_LT(0, before.out_gathered);
	for (i = 0; i < self->t.pools; i++)
		ASSERT_EQ(0, bt_trim(self->t.fd, i, 4 * self->t.superblock, &trim));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_GT(before.out_gathered, total.out_gathered);
	EXPECT_EQ(before.out_capacity - total.out_capacity,
		  total.out_returned - before.out_returned);
	for (i = 0; i < self->t.pools; i++)
		ASSERT_EQ(0, bt_trim(self->t.fd, i, 0, &trim));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_GE(self->t.superblock * self->t.pools, total.out_capacity);
	let_go(self);
	close(self->t.fd);
}

/* Growth goes on with single pages, too. */
TEST_F_TIMEOUT(gather, grows, 900)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;

	fragment(_metadata, self);
	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=64 max_mb=320"));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 320 * BT_MIB, &alloc));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(320 * BT_MIB, total.out_capacity);
	EXPECT_LT(0, total.out_gathered);
	EXPECT_TRUE(bt_adds_up(&total));
	let_go(self);
	close(self->t.fd);
}

BL_MAIN
