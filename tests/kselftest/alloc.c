// SPDX-License-Identifier: GPL-2.0
/*
 * BITMEM_ALLOC and BITMEM_FREE: what a buffer costs, what is refused, and that
 * nothing stays behind.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

FIXTURE(length) {
	struct bt t;
};

/* @superblocks, then @pages, then @bytes: any may be negative */
FIXTURE_VARIANT(length) {
	long superblocks;
	long pages;
	long bytes;
};

FIXTURE_VARIANT_ADD(length, byte) { .bytes = 1 };
FIXTURE_VARIANT_ADD(length, page) { .pages = 1 };
FIXTURE_VARIANT_ADD(length, page_and_byte) { .pages = 1, .bytes = 1 };
FIXTURE_VARIANT_ADD(length, superblock_less_page) { .superblocks = 1, .pages = -1 };
FIXTURE_VARIANT_ADD(length, superblock_less_byte) { .superblocks = 1, .bytes = -1 };
FIXTURE_VARIANT_ADD(length, superblock) { .superblocks = 1 };
FIXTURE_VARIANT_ADD(length, superblock_and_page) { .superblocks = 1, .pages = 1 };
FIXTURE_VARIANT_ADD(length, odd) { .superblocks = 3, .pages = 5, .bytes = 7 };
FIXTURE_VARIANT_ADD(length, mib64) { .superblocks = 32 };
FIXTURE_VARIANT_ADD(length, mib64_less_page) { .superblocks = 32, .pages = -1 };
FIXTURE_VARIANT_ADD(length, mib64_and_page) { .superblocks = 32, .pages = 1 };

BT_FIXTURE_FUNCTIONS(length)

static int64_t grown(struct __test_metadata *_metadata, FIXTURE_DATA(length) *self)
{
	struct bitmem_pool_info before = {}, now;
	uint32_t i;

	ASSERT_EQ(0, bt_total(self->t.fd, &now));
	for (i = 0; i < self->t.pools; i++)
		before.out_allocated += self->t.before[i].out_allocated;
	return now.out_allocated - before.out_allocated;
}

/* The whole life of a buffer costs its rounded length, to the page. */
TEST_F(length, costs_its_pages)
{
	const size_t length = variant->superblocks * self->t.superblock +
			      variant->pages * self->t.page + variant->bytes;
	const size_t rounded = (length + self->t.page - 1) / self->t.page * self->t.page;
	struct bitmem_alloc alloc;
	struct bitmem_query query;
	char *memory;

	ASSERT_EQ(0, bt_alloc(self->t.fd, length, &alloc));
	EXPECT_NE(0, alloc.out_id);
	EXPECT_NE(0, alloc.out_offset);
	EXPECT_EQ(0, alloc.out_offset % self->t.superblock);
	EXPECT_EQ(rounded, alloc.out_length);
	EXPECT_EQ(length, alloc.length);
	EXPECT_EQ(rounded, grown(_metadata, self));

	memory = bt_map(self->t.fd, rounded, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(rounded, grown(_metadata, self));
	EXPECT_EQ(-1, bt_nonzero(memory, rounded));
	bt_fill(memory, rounded, 1);
	EXPECT_EQ(-1, bt_wrong(memory, rounded, 1));
	EXPECT_EQ(rounded, grown(_metadata, self));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(rounded, query.out_length);
	EXPECT_EQ(rounded, query.out_resident);

	ASSERT_EQ(0, munmap(memory, rounded));
	EXPECT_EQ(rounded, grown(_metadata, self));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, grown(_metadata, self));
}

/* The id first, the mapping later. */
TEST_F(length, free_before_munmap)
{
	const size_t length = variant->superblocks * self->t.superblock +
			      variant->pages * self->t.page + variant->bytes;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, alloc.out_length, 2);
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(alloc.out_length, grown(_metadata, self));
	EXPECT_EQ(-1, bt_wrong(memory, alloc.out_length, 2));
	ASSERT_EQ(0, munmap(memory, alloc.out_length));
	EXPECT_EQ(0, grown(_metadata, self));
}

BT_FIXTURE(alloc);

TEST_F(alloc, bad_length)
{
	const struct {
		uint64_t length;
		int err;
	} bad[] = {
		{ 0, -EINVAL },
		{ ULLONG_MAX, -EOVERFLOW },
		{ ULLONG_MAX - self->t.page + 2, -EOVERFLOW },
		{ 1ull << 63, -EOVERFLOW },
		{ 1ull << 50, -ENOMEM },
	};
	struct bitmem_alloc alloc;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(bad[i].err, bt_alloc(self->t.fd, bad[i].length, &alloc))
			TH_LOG("length %#llx", (unsigned long long)bad[i].length);
		EXPECT_EQ(0, alloc.out_id);
	}
}

TEST_F(alloc, bad_node)
{
	const int bad[] = { -2, INT_MIN, self->t.nodes, self->t.nodes + 1, INT_MAX };
	struct bitmem_alloc alloc;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(-EINVAL, bt_alloc_on(self->t.fd, 1, bad[i], 0, &alloc))
			TH_LOG("node %d", bad[i]);
		EXPECT_EQ(-EINVAL, bt_alloc_on(self->t.fd, 1, bad[i], BITMEM_ALLOC_BIND, &alloc))
			TH_LOG("bound to node %d", bad[i]);
	}
	EXPECT_EQ(-EINVAL,
		  bt_alloc_on(self->t.fd, 1, BITMEM_NODE_ANY, BITMEM_ALLOC_BIND, &alloc));
}

static int with_width(int fd, uint32_t width)
{
	struct bitmem_alloc arg = {
		.size = sizeof(arg), .length = 1, .node = BITMEM_NODE_ANY, .width = width,
	};

	return bt_ioctl(fd, BITMEM_ALLOC, &arg);
}

TEST_F(alloc, width)
{
	EXPECT_EQ(0, with_width(self->t.fd, 0));
	EXPECT_EQ(0, with_width(self->t.fd, 64));
	EXPECT_EQ(-EINVAL, with_width(self->t.fd, 65));
	EXPECT_EQ(-EINVAL, with_width(self->t.fd, UINT_MAX));
}

static int with_tag(int fd, const void *tag, uint32_t *id)
{
	struct bitmem_alloc arg = { .size = sizeof(arg), .length = 1, .node = BITMEM_NODE_ANY };
	int err;

	memcpy(arg.tag, tag, sizeof(arg.tag));
	err = bt_ioctl(fd, BITMEM_ALLOC, &arg);
	*id = arg.out_id;
	return err;
}

TEST_F(alloc, tag)
{
	char tag[BITMEM_TAG_LEN];
	struct bitmem_query query;
	uint32_t id;

	memset(tag, 'x', sizeof(tag));
	EXPECT_EQ(-EINVAL, with_tag(self->t.fd, tag, &id));
	tag[BITMEM_TAG_LEN - 1] = '\0';
	ASSERT_EQ(0, with_tag(self->t.fd, tag, &id));
	ASSERT_EQ(0, bt_query(self->t.fd, id, 0, &query));
	EXPECT_EQ(0, memcmp(tag, query.out_tag, sizeof(tag)));
	memset(tag, 0, sizeof(tag));
	ASSERT_EQ(0, with_tag(self->t.fd, tag, &id));
	ASSERT_EQ(0, bt_query(self->t.fd, id, 0, &query));
	EXPECT_EQ(0, memcmp(tag, query.out_tag, sizeof(tag)));
}

TEST_F(alloc, free_of_no_buffer)
{
	struct bitmem_alloc alloc;
	int other = bt_open();

	ASSERT_LE(0, other);
	EXPECT_EQ(-ENOENT, bt_free(self->t.fd, 0));
	EXPECT_EQ(-ENOENT, bt_free(self->t.fd, 1));
	EXPECT_EQ(-ENOENT, bt_free(self->t.fd, INT_MAX));
	EXPECT_EQ(-ENOENT, bt_free(self->t.fd, UINT_MAX));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	EXPECT_EQ(-ENOENT, bt_free(self->t.fd, alloc.out_id + 1));
	EXPECT_EQ(-ENOENT, bt_free(other, alloc.out_id));
	EXPECT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(-ENOENT, bt_free(self->t.fd, alloc.out_id));
	close(other);
}

static int by_offset(const void *one, const void *two)
{
	const struct bitmem_alloc *a = one, *b = two;

	return (a->out_offset > b->out_offset) - (a->out_offset < b->out_offset);
}

/* Ids of one file differ, and nowhere on the device do offsets overlap. */
TEST_F(alloc, ids_and_offsets)
{
	enum { COUNT = 200 };
	int other = bt_open();
	struct bitmem_alloc all[COUNT];
	char seen[2][4 * COUNT] = {};
	int i;

	ASSERT_LE(0, other);
	for (i = 0; i < COUNT; i++) {
		const int fd = i % 2 ? other : self->t.fd;

		ASSERT_EQ(0, bt_alloc(fd, (i % 3 * 300 + 1) * self->t.page, &all[i]));
		ASSERT_NE(0, all[i].out_id);
		if (all[i].out_id >= sizeof(seen[0]))
			continue;
		EXPECT_EQ(0, seen[i % 2][all[i].out_id]++);
	}
	qsort(all, COUNT, sizeof(all[0]), by_offset);
	for (i = 1; i < COUNT; i++)
		EXPECT_LE(all[i - 1].out_offset + all[i - 1].out_length, all[i].out_offset);
	close(other);
}

/* Everything free can be had, to the page, and not one page more. */
TEST_F(alloc, whole_pool)
{
	struct bitmem_pool_info before, total;
	struct bitmem_alloc page, rest;

	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &page));
	ASSERT_EQ(0, bt_alloc(self->t.fd, bt_free_bytes(&before) - self->t.page, &rest));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(0, bt_free_bytes(&total));
	EXPECT_EQ(0, total.out_largest);
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, 1, &page));
	ASSERT_EQ(0, bt_free(self->t.fd, rest.out_id));
	ASSERT_EQ(0, bt_alloc(self->t.fd, bt_free_bytes(&before) - 2 * self->t.page, &rest));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(self->t.page, bt_free_bytes(&total));
}

/*
 * The same while the last pages are being zeroed, which takes them off the lists for a moment:
 * what is promised comes back, and is waited for.
 */
TEST_F(alloc, whole_pool_while_zeroing)
{
	unsigned int round, rounds = bt_rounds(1000);
	const size_t pages = 3 * self->t.superblock / self->t.page / 4;
	struct bitmem_pool_info before;
	struct bitmem_alloc last, rest;

	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	ASSERT_EQ(0, bt_alloc(self->t.fd, pages * self->t.page, &last));
	ASSERT_EQ(0, bt_alloc(self->t.fd, bt_free_bytes(&before) - pages * self->t.page, &rest));
	for (round = 0; round < rounds; round++) {
		ASSERT_EQ(0, bt_free(self->t.fd, last.out_id));
		/* The worker gets as far as it does. */
		if (round % 4)
			usleep(round % 4 * 100);
		ASSERT_EQ(0, bt_alloc(self->t.fd, pages * self->t.page, &last));
	}
}

/* A refusal changes nothing but the counter of refusals. */
TEST_F(alloc, refused)
{
	struct bitmem_pool_info before, after;
	struct bitmem_alloc page, alloc;
	void *memory;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &page));
	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	EXPECT_EQ(-ENOMEM,
		  bt_alloc(self->t.fd, bt_free_bytes(&before) + self->t.page, &alloc));
	EXPECT_EQ(0, alloc.out_id);
	errno = 0;
	memory = bt_map(self->t.fd, bt_free_bytes(&before) + self->t.page, 0);
	EXPECT_EQ(NULL, memory);
	EXPECT_EQ(ENOMEM, errno);

	ASSERT_EQ(0, bt_total(self->t.fd, &after));
	EXPECT_EQ(before.out_allocated, after.out_allocated);
	EXPECT_EQ(bt_free_bytes(&before), bt_free_bytes(&after));
	EXPECT_EQ(before.out_buffers, after.out_buffers);
	EXPECT_EQ(before.out_allocs, after.out_allocs);
	EXPECT_EQ(before.out_failures + 2 * self->t.pools, after.out_failures);
	EXPECT_EQ(-ENOENT, bt_query(self->t.fd, page.out_id, BITMEM_QUERY_NEXT,
				    &(struct bitmem_query) {}));
}

/* Takes @count buffers of a page each; returns how many it got. */
static int take_pages(int fd, uint32_t *ids, int count)
{
	struct bitmem_alloc alloc;
	int i;

	for (i = 0; i < count; i++) {
		if (bt_alloc(fd, 1, &alloc))
			break;
		ids[i] = alloc.out_id;
	}
	return i;
}

static void shuffle(uint32_t *ids, int count)
{
	int i;

	for (i = count - 1; i > 0; i--) {
		int j = rand() % (i + 1);
		uint32_t id = ids[i];

		ids[i] = ids[j];
		ids[j] = id;
	}
}

/* Small buffers all over a full pool, freed in random order, leave it in one piece. */
TEST_F(alloc, fragmented)
{
	enum { COUNT = 16384 };
	struct bitmem_pool_info before;
	struct bitmem_alloc rest, all;
	uint32_t *ids = calloc(COUNT, sizeof(*ids));
	uint64_t began;
	int i, count;

	ASSERT_NE(NULL, ids);
	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	count = take_pages(self->t.fd, ids, COUNT);
	ASSERT_LE(1, count);
	if (count == COUNT && bt_free_bytes(&before) > (uint64_t)count * self->t.page)
		ASSERT_EQ(0, bt_alloc(self->t.fd,
				      bt_free_bytes(&before) - (uint64_t)count * self->t.page,
				      &rest));
	srand(1);
	shuffle(ids, count);
	for (i = 0; i < count; i++)
		ASSERT_EQ(0, bt_free(self->t.fd, ids[i]));
	if (count == COUNT)
		ASSERT_EQ(0, bt_free(self->t.fd, rest.out_id));
	began = bt_now_ns();
	ASSERT_EQ(0, bt_alloc(self->t.fd, bt_free_bytes(&before), &all));
	TH_LOG("%d single pages freed; all %llu MiB had at once after %llu us", count,
	       (unsigned long long)(all.out_length / BT_MIB),
	       (unsigned long long)((bt_now_ns() - began) / 1000));
	free(ids);
}

/* When everything is free again it is whole again too, but for one superblock a pool. */
TEST_F(alloc, whole_again)
{
	enum { COUNT = 4096 };
	struct bitmem_pool_info total;
	uint32_t ids[COUNT];
	int i, count = take_pages(self->t.fd, ids, COUNT);
	uint64_t began;

	ASSERT_LE(1, count);
	srand(2);
	shuffle(ids, count);
	for (i = 0; i < count; i++)
		ASSERT_EQ(0, bt_free(self->t.fd, ids[i]));
	began = bt_now_ns();
	do {
		ASSERT_EQ(0, bt_total(self->t.fd, &total));
		if (total.out_split <= self->t.pools * self->t.superblock &&
		    total.out_largest + total.out_split == bt_free_bytes(&total))
			break;
		bt_sleep_ms(2);
	} while (bt_now_ns() - began < 30000000000ull);
	EXPECT_LE(total.out_split, self->t.pools * self->t.superblock);
	EXPECT_EQ(bt_free_bytes(&total), total.out_largest + total.out_split);
	TH_LOG("whole again after %llu ms",
	       (unsigned long long)((bt_now_ns() - began) / 1000000));
}

BT_MAIN
