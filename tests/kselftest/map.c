// SPDX-License-Identifier: GPL-2.0
/*
 * mmap() of buffers: where, how much and by whom; what munmap(), mprotect() and
 * mremap() may do to a mapping; and how long it keeps the memory.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

BT_FIXTURE(map);

/* The errno of a mapping that must fail; 0 if it did not. */
static int map_error(int fd, size_t length, uint64_t offset)
{
	errno = 0;
	return bt_map(fd, length, offset) ? 0 : errno;
}

static uint64_t allocated(int fd)
{
	struct bitmem_pool_info total;

	return bt_total(fd, &total) ? UINT64_MAX : total.out_allocated;
}

TEST_F(map, twice_is_the_same_memory)
{
	const size_t length = self->t.superblock + 3 * self->t.page;
	struct bitmem_alloc alloc;
	char *one, *two;

	one = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, one);
	two = bt_map(self->t.fd, length, alloc.out_offset);
	ASSERT_NE(NULL, two);
	bt_fill(one, length, 3);
	EXPECT_EQ(-1, bt_wrong(two, length, 3));
	bt_fill(two, length, 4);
	EXPECT_EQ(-1, bt_wrong(one, length, 4));
}

TEST_F(map, middle_of_a_buffer)
{
	const size_t length = 2 * self->t.superblock + 3 * self->t.page;
	const size_t places[] = {
		self->t.page, self->t.superblock - self->t.page, self->t.superblock,
		self->t.superblock + self->t.page, 2 * self->t.superblock,
		2 * self->t.superblock + 2 * self->t.page,
	};
	struct bitmem_alloc alloc;
	char *whole, *part;
	size_t i;

	whole = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, whole);
	bt_fill(whole, length, 5);
	for (i = 0; i < ARRAY_LEN(places); i++) {
		const size_t rest = length - places[i];

		part = bt_map(self->t.fd, rest, alloc.out_offset + places[i]);
		ASSERT_NE(NULL, part)
			TH_LOG("at %zu", places[i]);
		EXPECT_EQ(0, memcmp(whole + places[i], part, rest));
		ASSERT_EQ(0, munmap(part, rest));
	}
}

TEST_F(map, beyond_the_end)
{
	const size_t page = self->t.page, length = self->t.superblock + 3 * page;
	struct bitmem_alloc alloc;

	ASSERT_EQ(0, bt_alloc(self->t.fd, length, &alloc));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, length + page, alloc.out_offset));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, length, alloc.out_offset + page));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, page, alloc.out_offset + length));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, page, alloc.out_offset - page));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, 2 * page, alloc.out_offset - page));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, page, page));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, page, LLONG_MAX - page + 1));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, page, 1ull << 63));
	EXPECT_EQ(EOVERFLOW, map_error(self->t.fd, 2 * page, -page));
	EXPECT_EQ(0, map_error(self->t.fd, length, alloc.out_offset));
}

TEST_F(map, of_another_file)
{
	int other = bt_open();
	struct bitmem_alloc alloc;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_alloc(other, 1, &alloc));
	EXPECT_EQ(ENXIO, map_error(self->t.fd, self->t.page, alloc.out_offset));
	EXPECT_EQ(0, map_error(other, self->t.page, alloc.out_offset));
	close(other);
}

TEST_F(map, freed)
{
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, 1, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	/* The mapping stands, but the id that would allow another one is gone. */
	EXPECT_EQ(ENXIO, map_error(self->t.fd, self->t.page, alloc.out_offset));
	memory[0] = 1;
	EXPECT_EQ(1, memory[0]);
}

TEST_F(map, private)
{
	const uint64_t before = allocated(self->t.fd);
	struct bitmem_alloc alloc;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	errno = 0;
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->t.page, PROT_READ | PROT_WRITE, MAP_PRIVATE,
				   self->t.fd, alloc.out_offset));
	EXPECT_EQ(EINVAL, errno);
	errno = 0;
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->t.page, PROT_READ, MAP_PRIVATE, self->t.fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(before + self->t.page, allocated(self->t.fd));
}

TEST_F(map, read_only_file)
{
	int fd = open(BT_DEVICE, O_RDONLY | O_CLOEXEC);
	struct bitmem_alloc alloc;
	char *memory;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bt_alloc(fd, 1, &alloc));
	EXPECT_EQ(EACCES, map_error(fd, self->t.page, alloc.out_offset));
	memory = mmap(NULL, self->t.page, PROT_READ, MAP_SHARED, fd, alloc.out_offset);
	ASSERT_NE(MAP_FAILED, memory);
	EXPECT_EQ(-1, bt_nonzero(memory, self->t.page));
	EXPECT_EQ(-1, mprotect(memory, self->t.page, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	close(fd);
}

/* A closed descriptor and a freed id leave the mapping its memory. */
TEST_F(map, outlives_descriptor)
{
	const size_t length = self->t.superblock + self->t.page;
	int fd = bt_open();
	const uint64_t before = allocated(self->t.fd);
	struct bitmem_alloc alloc;
	char *memory;

	ASSERT_LE(0, fd);
	memory = bt_new(fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	close(fd);
	EXPECT_EQ(before + length, allocated(self->t.fd));
	bt_fill(memory, length, 6);
	EXPECT_EQ(-1, bt_wrong(memory, length, 6));
	ASSERT_EQ(0, munmap(memory, length));
	EXPECT_EQ(before, allocated(self->t.fd));
}

/* Every piece of a mapping keeps the whole buffer. */
TEST_F(map, partial_munmap)
{
	const size_t page = self->t.page, block = self->t.superblock, length = 4 * block;
	const uint64_t before = allocated(self->t.fd);
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 7);
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	/* A page out of the middle of a superblock, half of one, two whole ones. */
	ASSERT_EQ(0, munmap(memory + page, page));
	ASSERT_EQ(0, munmap(memory + block / 2, block / 2));
	ASSERT_EQ(0, munmap(memory + 2 * block, 2 * block));
	EXPECT_EQ(before + length, allocated(self->t.fd));
	bt_fill(memory + block, block, 8);
	EXPECT_EQ(-1, bt_wrong(memory + block, block, 8));
	EXPECT_EQ(-1, bt_wrong(memory, page, 7));
	ASSERT_EQ(0, munmap(memory + block, block));
	ASSERT_EQ(0, munmap(memory, page));
	EXPECT_EQ(before + length, allocated(self->t.fd));
	ASSERT_EQ(0, munmap(memory + 2 * page, block / 2 - 2 * page));
	EXPECT_EQ(before, allocated(self->t.fd));
}

TEST_F(map, replaced_by_map_fixed)
{
	const uint64_t before = allocated(self->t.fd);
	const size_t length = 2 * self->t.superblock;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_touch(memory, length, self->t.page);
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	ASSERT_EQ(memory, mmap(memory, length, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(before, allocated(self->t.fd));
	EXPECT_EQ(-1, bt_nonzero(memory, length));
}

TEST_F(map, mprotect)
{
	const size_t length = 2 * self->t.superblock;
	struct bitmem_alloc alloc;
	int tube[2];
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 9);
	ASSERT_EQ(0, pipe(tube));
	/* Not a page of what lies between may be written; asked by a syscall that says EFAULT. */
	ASSERT_EQ(0, mprotect(memory + self->t.page, length - 2 * self->t.page, PROT_READ));
	ASSERT_EQ(1, write(tube[1], "x", 1));
	EXPECT_EQ(-1, read(tube[0], memory + self->t.superblock, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, bt_wrong(memory, length, 9));
	ASSERT_EQ(0, mprotect(memory, length, PROT_NONE));
	EXPECT_EQ(-1, write(tube[1], memory, 1));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, mprotect(memory, length, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, bt_wrong(memory, length, 9));
	bt_fill(memory, length, 10);
	EXPECT_EQ(-1, bt_wrong(memory, length, 10));
}

TEST_F(map, mremap_moves)
{
	const size_t length = 2 * self->t.superblock + self->t.page;
	struct bitmem_alloc alloc;
	struct bitmem_query query;
	char *memory, *place, *moved;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 11);
	/* To an address that is not even aligned like the old one. */
	place = mmap(NULL, length + self->t.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, place);
	place += self->t.page;
	moved = mremap(memory, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	ASSERT_EQ(place, moved);
	EXPECT_EQ(-1, bt_wrong(moved, length, 11));
	bt_fill(moved, length, 12);
	EXPECT_EQ(-1, bt_wrong(moved, length, 12));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(1, query.out_mappings);
}

TEST_F(map, mremap_cannot_grow)
{
	const size_t length = 4 * self->t.page;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(MAP_FAILED, mremap(memory, length, 2 * length, 0));
	EXPECT_EQ(MAP_FAILED, mremap(memory, length, 2 * length, MREMAP_MAYMOVE));
	/* An old size of 0 would be a second mapping. */
	EXPECT_EQ(MAP_FAILED, mremap(memory, 0, length, MREMAP_MAYMOVE));
	EXPECT_EQ(memory, mremap(memory, length, length / 2, 0));
	EXPECT_EQ(MAP_FAILED, mremap(memory, length / 2, length, MREMAP_MAYMOVE));
	memory[0] = 1;
}

TEST_F(map, area_flags)
{
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, self->t.superblock, &alloc);
	ASSERT_NE(NULL, memory);
	EXPECT_TRUE(bt_vmflags(memory, "sh"));
	EXPECT_TRUE(bt_vmflags(memory, "de"));
	EXPECT_TRUE(bt_vmflags(memory, "dd"));
	/* What would keep get_user_pages() out, or the reference counts wrong. */
	EXPECT_FALSE(bt_vmflags(memory, "io"));
	EXPECT_FALSE(bt_vmflags(memory, "pf"));
	EXPECT_FALSE(bt_vmflags(memory, "mm"));
	EXPECT_FALSE(bt_vmflags(memory, "dc"));
}

BT_MAIN
