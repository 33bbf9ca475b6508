// SPDX-License-Identifier: GPL-2.0
/*
 * Hardware poison, injected by the kernel's own means: the page is never handed
 * out again, everything else is, and the counters say so. What is poisoned here is
 * lost until the machine restarts, which is for guests.
 */
#include "bitmem_load.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>

#define CORRUPT	"/sys/kernel/debug/hwpoison/corrupt-pfn"

BL_FIXTURE(poison);

/* What the kernel says when it left the mark and could do nothing else, by its age. */
static bool marked(int err)
{
	return !err || err == EBUSY || err == EHWPOISON;
}

/* Marks the page at @address as broken. */
static int poison(void *address, size_t page)
{
	int err = madvise(address, page, MADV_HWPOISON) ? errno : 0;

	return marked(err) ? 0 : -err;
}

/* The same for a page that nobody has mapped. */
static int poison_pfn(uint64_t pfn)
{
	int fd = open(CORRUPT, O_WRONLY | O_CLOEXEC), err = 0;
	char text[32];
	int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)pfn);

	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != length && !marked(errno))
		err = -errno;
	close(fd);
	return err;
}

static sigjmp_buf on_sigbus;
static int sigbus_code;

static void caught(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	sigbus_code = info->si_code;
	siglongjmp(on_sigbus, 1);
}

/* The si_code of the SIGBUS that reading @address gives, or 0. */
static int sigbus_at(const volatile char *address)
{
	struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO }, before;

	sigaction(SIGBUS, &action, &before);
	sigbus_code = 0;
	if (!sigsetjmp(on_sigbus, 1))
		(void)*address;
	sigaction(SIGBUS, &before, NULL);
	return sigbus_code;
}

/* All that is free, page by page, and whether @pfn is among it. */
static bool handed_out(struct __test_metadata *_metadata, FIXTURE_DATA(poison) *self,
		       uint64_t pfn)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	bool found = false;
	char *memory;
	size_t at;

	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	memory = bt_new(self->t.fd, bt_free_bytes(&total), &alloc);
	ASSERT_NE(NULL, memory);
	bt_touch(memory, alloc.out_length, self->t.page);
	for (at = 0; at < alloc.out_length && !found; at += self->t.page)
		found = bl_pfn(memory + at) == pfn;
	ASSERT_EQ(0, munmap(memory, alloc.out_length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	return found;
}

/* After the page is gone: what is retired, and that nothing else is. */
static void expect_retired(struct __test_metadata *_metadata, FIXTURE_DATA(poison) *self,
			   uint64_t bytes)
{
	struct bitmem_pool_info total, before = {};
	uint32_t i;

	for (i = 0; i < self->t.pools; i++)
		before.out_capacity += self->t.before[i].out_capacity;
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_retired, bytes, 3000));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(bytes, total.out_retired);
	EXPECT_EQ(0, total.out_quarantined);
	EXPECT_EQ(0, total.out_allocated);
	EXPECT_TRUE(bt_adds_up(&total));
	/* Without a retired page the rest of a superblock becomes whole again: then it is more. */
	EXPECT_LE(before.out_capacity, total.out_capacity);
	EXPECT_GT(before.out_capacity + self->t.superblock, total.out_capacity);
}

/* A buffer with a poisoned page at @at; then it is freed. */
static uint64_t poison_in_use(struct __test_metadata *_metadata, FIXTURE_DATA(poison) *self,
			      size_t length, size_t at)
{
	struct bitmem_alloc alloc;
	uint64_t pfn;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 5);
	pfn = bl_pfn(memory + at);
	ASSERT_NE(0, pfn);
	ASSERT_EQ(0, poison(memory + at, self->t.page));
	/* Whoever touches it from now on learns of it. */
	ASSERT_EQ(0, munmap(memory, length));
	memory = bt_map(self->t.fd, length, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(BUS_MCEERR_AR, sigbus_at(memory + at));
	EXPECT_EQ(0, sigbus_at(memory + (at ? 0 : length - 1)));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	return pfn;
}

TEST_F(poison, whole_superblock)
{
	uint64_t pfn;

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=32"));
	pfn = poison_in_use(_metadata, self, 2 * self->t.superblock, 17 * self->t.page);
	expect_retired(_metadata, self, self->t.superblock);
	EXPECT_FALSE(handed_out(_metadata, self, pfn));
	expect_retired(_metadata, self, self->t.superblock);
	close(self->t.fd);
}

TEST_F(poison, single_page)
{
	uint64_t pfn;

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=32"));
	pfn = poison_in_use(_metadata, self, 9 * self->t.page, 4 * self->t.page);
	expect_retired(_metadata, self, self->t.page);
	EXPECT_FALSE(handed_out(_metadata, self, pfn));
	expect_retired(_metadata, self, self->t.page);
	close(self->t.fd);
}

/* The kernel's injector, if there is one: a module, seen in debugfs. */
static bool has_injector(void)
{
	if (access(CORRUPT, W_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	return !access(CORRUPT, W_OK) ||
	       (!system("modprobe hwpoison-inject") && !access(CORRUPT, W_OK));
}

/* In a page that is free already: found when it is to be handed out, at the latest. */
static void poison_free(struct __test_metadata *_metadata, FIXTURE_DATA(poison) *self,
			size_t length, uint64_t retired)
{
	struct bitmem_alloc alloc;
	uint64_t pfn;
	char *memory;

	if (!has_injector())
		SKIP(return, "no " CORRUPT);
	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=32"));
	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 5);
	pfn = bl_pfn(memory + length - self->t.page);
	ASSERT_NE(0, pfn);
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_dirty, 0, 5000));
	ASSERT_EQ(0, poison_pfn(pfn));
	/* The first that wants everything may be refused, as less is there than was thought. */
	while (bt_alloc(self->t.fd, 32 * BT_MIB - retired, &alloc))
		ASSERT_EQ(0, BT_WAIT(self->t.fd, out_retired, retired, 5000));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_FALSE(handed_out(_metadata, self, pfn));
	expect_retired(_metadata, self, retired);
	close(self->t.fd);
}

TEST_F(poison, free_superblock)
{
	poison_free(_metadata, self, 2 * BT_MIB, 2 * BT_MIB);
}

TEST_F(poison, free_page)
{
	poison_free(_metadata, self, 16384, sysconf(_SC_PAGESIZE));
}

/* The pool goes, the poisoned page stays away from everybody. */
TEST_F(poison, unload)
{
	const int64_t lost = bl_figure("/proc/meminfo", "HardwareCorrupted:");

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=32"));
	poison_in_use(_metadata, self, self->t.superblock, self->t.page);
	close(self->t.fd);
	ASSERT_EQ(0, bl_rmmod_soon());
	EXPECT_LT(lost, bl_figure("/proc/meminfo", "HardwareCorrupted:"));
	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=32"));
	EXPECT_EQ(0, self->t.before[0].out_retired);
	close(self->t.fd);
}

BL_MAIN
