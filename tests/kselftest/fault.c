// SPDX-License-Identifier: GPL-2.0
/*
 * How memory gets into page tables: a whole superblock by one entry of the middle
 * level and one fault, tails page by page.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/prctl.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

FIXTURE(fault) {
	struct bt t;
	size_t length;
};

FIXTURE_SETUP(fault)
{
	const char *why = bt_begin(&self->t);
	struct bitmem_pool_info total;

	if (why)
		SKIP(return, "%s", why);
	self->length = 32 * self->t.superblock;
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	if (total.out_largest < self->length)
		SKIP(return, "only %llu KiB in whole superblocks",
		     (unsigned long long)total.out_largest / 1024);
	/* So that the first fault counted is not the counter's own. */
	bt_faults();
}

FIXTURE_TEARDOWN_PARENT(fault)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static long read_faults(const void *memory, size_t length, size_t page)
{
	const volatile char *bytes = memory;
	const long before = bt_faults();
	size_t i;

	for (i = 0; i < length; i += page)
		(void)bytes[i];
	return bt_faults() - before;
}

static long write_faults(void *memory, size_t length, size_t page)
{
	const long before = bt_faults();

	bt_touch(memory, length, page);
	return bt_faults() - before;
}

TEST_F(fault, one_a_pmd_written)
{
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, self->length, &alloc);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(0, (uintptr_t)memory % self->t.pmd);
	EXPECT_EQ(self->length / self->t.pmd, write_faults(memory, self->length, self->t.page));
	EXPECT_EQ(0, write_faults(memory, self->length, self->t.page));
	EXPECT_EQ(self->length / 1024, bt_smaps(memory, "FilePmdMapped"));
	EXPECT_EQ(self->length / 1024, bt_smaps(memory, "Rss"));
}

TEST_F(fault, one_a_pmd_read)
{
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, self->length, &alloc);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(self->length / self->t.pmd, read_faults(memory, self->length, self->t.page));
	EXPECT_EQ(self->length / 1024, bt_smaps(memory, "FilePmdMapped"));
	/* Nobody wants to be told of the first write. */
	EXPECT_EQ(0, write_faults(memory, self->length, self->t.page));
	EXPECT_EQ(self->length / 1024, bt_smaps(memory, "FilePmdMapped"));
}

TEST_F(fault, anonymous)
{
	char *memory = bt_map(self->t.fd, self->length, 0);

	ASSERT_NE(NULL, memory);
	EXPECT_EQ(self->length / self->t.pmd, write_faults(memory, self->length, self->t.page));
	EXPECT_EQ(self->length / 1024, bt_smaps(memory, "FilePmdMapped"));
}

/* Pages of a tail are single pages. */
TEST_F(fault, tail)
{
	const size_t tail = 3 * self->t.page;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, self->t.superblock + tail, &alloc);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(self->t.superblock / self->t.pmd,
		  write_faults(memory, self->t.superblock, self->t.page));
	EXPECT_EQ(3, write_faults(memory + self->t.superblock, tail, self->t.page));
	EXPECT_EQ(self->t.superblock / 1024, bt_smaps(memory, "FilePmdMapped"));
	EXPECT_EQ((self->t.superblock + tail) / 1024, bt_smaps(memory, "Rss"));
}

/* An address that does not fit its offset gets the same memory, page by page. */
TEST_F(fault, misaligned_address)
{
	const size_t length = 2 * self->t.superblock;
	struct bitmem_alloc alloc;
	char *memory, *place;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 1);
	place = mmap(NULL, length + 2 * self->t.superblock, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, place);
	place = (char *)(((uintptr_t)place + self->t.pmd - 1) / self->t.pmd * self->t.pmd);
	place += self->t.page;
	ASSERT_EQ(place, mmap(place, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			      self->t.fd, alloc.out_offset));
	EXPECT_EQ(-1, bt_wrong(place, length, 1));
	EXPECT_EQ(0, bt_smaps(place, "FilePmdMapped"));
	EXPECT_EQ(length / 1024, bt_smaps(place, "Rss"));
	bt_fill(place, length, 2);
	EXPECT_EQ(-1, bt_wrong(memory, length, 2));
}

/* Unmapping a page of it splits the table entry, not the memory. */
TEST_F(fault, split_by_munmap)
{
	struct bitmem_alloc alloc;
	char *memory, *again;

	memory = bt_new(self->t.fd, self->t.superblock, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, self->t.superblock, 3);
	ASSERT_EQ(0, munmap(memory + self->t.page, self->t.page));
	EXPECT_EQ(0, bt_smaps(memory, "FilePmdMapped"));
	EXPECT_EQ(-1, bt_wrong(memory, self->t.page, 3));
	again = bt_map(self->t.fd, self->t.superblock, alloc.out_offset);
	ASSERT_NE(NULL, again);
	EXPECT_EQ(-1, bt_wrong(again, self->t.superblock, 3));
	EXPECT_EQ(self->t.superblock / 1024, bt_smaps(again, "FilePmdMapped"));
}

TEST_F(fault, map_populate)
{
	struct bitmem_alloc alloc;
	char *memory;

	ASSERT_EQ(0, bt_alloc(self->t.fd, self->length, &alloc));
	memory = mmap(NULL, self->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		      self->t.fd, alloc.out_offset);
	ASSERT_NE(MAP_FAILED, memory);
	EXPECT_EQ(0, write_faults(memory, self->length, self->t.page));
	EXPECT_EQ(self->length / 1024, bt_smaps(memory, "FilePmdMapped"));
}

TEST_F(fault, madvise_populate)
{
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, self->length, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, madvise(memory, self->length, MADV_POPULATE_WRITE));
	EXPECT_EQ(0, write_faults(memory, self->length, self->t.page));
}

/* A process without huge pages loses the speed, nothing else. */
TEST_F(fault, huge_pages_disabled)
{
	const size_t length = 2 * self->t.superblock;
	struct bitmem_alloc alloc;
	char *memory;

	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 4);
	EXPECT_EQ(-1, bt_wrong(memory, length, 4));
	EXPECT_EQ(length / 1024, bt_smaps(memory, "Rss"));
}

BT_MAIN
