// SPDX-License-Identifier: GPL-2.0
/*
 * mmap() at offset 0: a buffer without an ioctl, as long as it is mapped. That is
 * how programs which know nothing of the device use it.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>

FIXTURE(anon) {
	struct bt t;
};

FIXTURE_VARIANT(anon) {
	size_t superblocks;
	size_t pages;
	size_t bytes;
};

FIXTURE_VARIANT_ADD(anon, byte) { .bytes = 1 };
FIXTURE_VARIANT_ADD(anon, page) { .pages = 1 };
FIXTURE_VARIANT_ADD(anon, odd) { .pages = 3, .bytes = 77 };
FIXTURE_VARIANT_ADD(anon, superblock) { .superblocks = 1 };
FIXTURE_VARIANT_ADD(anon, superblock_and_page) { .superblocks = 1, .pages = 1 };
FIXTURE_VARIANT_ADD(anon, mib64_and_byte) { .superblocks = 32, .bytes = 1 };

BT_FIXTURE_FUNCTIONS(anon)

static uint64_t allocated(int fd)
{
	struct bitmem_pool_info total;

	return bt_total(fd, &total) ? UINT64_MAX : total.out_allocated;
}

TEST_F(anon, life)
{
	const size_t length = variant->superblocks * self->t.superblock +
			      variant->pages * self->t.page + variant->bytes;
	const size_t rounded = (length + self->t.page - 1) / self->t.page * self->t.page;
	const uint64_t before = allocated(self->t.fd);
	const char no_tag[BITMEM_TAG_LEN] = "";
	struct bitmem_query query;
	char *memory, *again;

	memory = bt_map(self->t.fd, length, 0);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(before + rounded, allocated(self->t.fd));
	EXPECT_EQ(-1, bt_nonzero(memory, rounded));
	bt_fill(memory, rounded, 1);

	ASSERT_EQ(0, bt_query(self->t.fd, 0, BITMEM_QUERY_NEXT, &query));
	EXPECT_EQ(BITMEM_BUFFER_ANON, query.out_flags);
	EXPECT_EQ(rounded, query.out_length);
	EXPECT_EQ(1, query.out_mappings);
	EXPECT_EQ(0, query.out_offset % self->t.superblock);
	EXPECT_NE(0, query.out_offset);
	EXPECT_EQ(0, memcmp(no_tag, query.out_tag, sizeof(no_tag)));

	/* It has an offset like any other, and lives until its last mapping goes. */
	again = bt_map(self->t.fd, rounded, query.out_offset);
	ASSERT_NE(NULL, again);
	EXPECT_EQ(-1, bt_wrong(again, rounded, 1));
	ASSERT_EQ(0, munmap(memory, rounded));
	EXPECT_EQ(before + rounded, allocated(self->t.fd));
	ASSERT_EQ(0, bt_query(self->t.fd, query.out_id, 0, &query));
	ASSERT_EQ(0, munmap(again, rounded));
	EXPECT_EQ(before, allocated(self->t.fd));
	EXPECT_EQ(-ENOENT, bt_query(self->t.fd, query.out_id, 0, &query));
}

/* The descriptor may go first: fio and the like close it at once. */
TEST_F(anon, without_descriptor)
{
	const size_t length = variant->superblocks * self->t.superblock +
			      variant->pages * self->t.page + variant->bytes;
	const size_t rounded = (length + self->t.page - 1) / self->t.page * self->t.page;
	const uint64_t before = allocated(self->t.fd);
	int fd = bt_open();
	char *memory;

	ASSERT_LE(0, fd);
	memory = bt_map(fd, length, 0);
	ASSERT_NE(NULL, memory);
	close(fd);
	bt_fill(memory, rounded, 2);
	EXPECT_EQ(-1, bt_wrong(memory, rounded, 2));
	EXPECT_EQ(before + rounded, allocated(self->t.fd));
	ASSERT_EQ(0, munmap(memory, length));
	EXPECT_EQ(before, allocated(self->t.fd));
}

/* Its id can be freed like any other; the memory stays as long as it is mapped. */
TEST_F(anon, freed_by_id)
{
	const uint64_t before = allocated(self->t.fd);
	const size_t length = self->t.page * (variant->pages + 1);
	struct bitmem_query query;
	char *memory;

	memory = bt_map(self->t.fd, length, 0);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, bt_query(self->t.fd, 0, BITMEM_QUERY_NEXT, &query));
	ASSERT_EQ(0, bt_free(self->t.fd, query.out_id));
	EXPECT_EQ(-ENOENT, bt_free(self->t.fd, query.out_id));
	EXPECT_EQ(before + length, allocated(self->t.fd));
	bt_fill(memory, length, 3);
	EXPECT_EQ(-1, bt_wrong(memory, length, 3));
	ASSERT_EQ(0, munmap(memory, length));
	EXPECT_EQ(before, allocated(self->t.fd));
}

BT_FIXTURE(mapping);

/* Each mmap() at offset 0 makes a buffer of its own, also next to each other. */
TEST_F(mapping, neighbours_differ)
{
	const size_t page = self->t.page;
	struct bitmem_query query;
	char *place;
	int i;

	place = mmap(NULL, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, place);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(place + i * page,
			  mmap(place + i * page, page, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, self->t.fd, 0));
	for (i = 0; i < 4; i++)
		memset(place + i * page, i + 1, page);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(i + 1, place[i * page]);
	ASSERT_EQ(0, munmap(place + page, page));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, bt_query(self->t.fd, i ? query.out_id : 0, BITMEM_QUERY_NEXT,
				      &query));
	EXPECT_EQ(-ENOENT, bt_query(self->t.fd, query.out_id, BITMEM_QUERY_NEXT, &query));
}

/* A piece left over keeps the whole; a child's mapping does too. */
TEST_F(mapping, pieces_and_children)
{
	const size_t length = 2 * self->t.superblock;
	const uint64_t before = allocated(self->t.fd);
	int go[2], ready[2];
	char *memory;
	pid_t child;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(ready));
	memory = bt_map(self->t.fd, length, 0);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 4);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int bad = bt_wrong(memory, length, 4) != -1;

		bt_signal(ready);
		_exit(bt_await(go) || bad || bt_wrong(memory, length, 4) != -1);
	}
	ASSERT_EQ(0, bt_await(ready));
	ASSERT_EQ(0, munmap(memory, length - self->t.page));
	EXPECT_EQ(before + length, allocated(self->t.fd));
	ASSERT_EQ(0, munmap(memory + length - self->t.page, self->t.page));
	EXPECT_EQ(before + length, allocated(self->t.fd));
	ASSERT_EQ(0, bt_signal(go));
	ASSERT_EQ(0, bt_reap(child));
	EXPECT_EQ(before, allocated(self->t.fd));
}

BT_MAIN
