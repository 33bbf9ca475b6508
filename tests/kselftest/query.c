// SPDX-License-Identifier: GPL-2.0
/*
 * BITMEM_QUERY: what it says of a buffer, and how all buffers of a file are found.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

BT_FIXTURE(query);

TEST_F(query, no_buffer)
{
	const uint32_t none[] = { 0, 1, INT_MAX, UINT_MAX };
	struct bitmem_query query;
	size_t i;

	for (i = 0; i < ARRAY_LEN(none); i++) {
		EXPECT_EQ(-ENOENT, bt_query(self->t.fd, none[i], 0, &query))
			TH_LOG("id %u", none[i]);
		EXPECT_EQ(-ENOENT, bt_query(self->t.fd, none[i], BITMEM_QUERY_NEXT, &query))
			TH_LOG("next after %u", none[i]);
	}
}

TEST_F(query, freed_or_of_another_file)
{
	int other = bt_open();
	struct bitmem_alloc alloc;
	struct bitmem_query query;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	EXPECT_EQ(-ENOENT, bt_query(other, alloc.out_id, 0, &query));
	EXPECT_EQ(-ENOENT, bt_query(other, 0, BITMEM_QUERY_NEXT, &query));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(-ENOENT, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(-ENOENT, bt_query(self->t.fd, 0, BITMEM_QUERY_NEXT, &query));
	close(other);
}

TEST_F(query, members)
{
	const size_t length = self->t.superblock + 2 * self->t.page;
	struct bitmem_alloc alloc = {
		.size = sizeof(alloc), .length = length - 1, .node = BITMEM_NODE_ANY,
		.tag = "blk.0.attn_q.weight",
	};
	struct bitmem_query query;

	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_ALLOC, &alloc));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(alloc.out_id, query.id);
	EXPECT_EQ(alloc.out_id, query.out_id);
	EXPECT_EQ(0, query.out_flags);
	EXPECT_EQ(alloc.out_offset, query.out_offset);
	EXPECT_EQ(length, query.out_length);
	EXPECT_EQ(length, query.out_resident);
	EXPECT_EQ(0, query.out_pinned);
	EXPECT_EQ(0, query.out_mappings);
	EXPECT_EQ(0, query.out_exports);
	EXPECT_STREQ("blk.0.attn_q.weight", (char *)query.out_tag);
}

TEST_F(query, age)
{
	struct bitmem_query first, second;
	struct bitmem_alloc alloc;
	const uint64_t began = bt_now_ns();

	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &first));
	bt_sleep_ms(20);
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &second));
	EXPECT_LE(first.out_age_ns + 20000000, second.out_age_ns);
	EXPECT_GE(bt_now_ns() - began, second.out_age_ns);
}

TEST_F(query, mappings)
{
	const size_t length = 4 * self->t.page;
	struct bitmem_alloc alloc;
	struct bitmem_query query;
	char *one, *two;

	one = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, one);
	two = bt_map(self->t.fd, self->t.page, alloc.out_offset + self->t.page);
	ASSERT_NE(NULL, two);
	bt_touch(one, length, self->t.page);
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(2, query.out_mappings);
	EXPECT_EQ(0, query.out_pinned);
	ASSERT_EQ(0, munmap(two, self->t.page));
	/* A hole in the middle makes two areas of one. */
	ASSERT_EQ(0, munmap(one + self->t.page, self->t.page));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(2, query.out_mappings);
	ASSERT_EQ(0, munmap(one, length));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(0, query.out_mappings);
}

/* NEXT visits every buffer once, in the order of ids, whatever was freed in between. */
TEST_F(query, iteration)
{
	enum { COUNT = 50 };
	struct bitmem_query query = {};
	uint32_t ids[COUNT], id = 0;
	struct bitmem_alloc alloc;
	int i, seen = 0, err;

	for (i = 0; i < COUNT; i++) {
		ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
		ids[i] = alloc.out_id;
	}
	for (i = 0; i < COUNT; i += 3)
		ASSERT_EQ(0, bt_free(self->t.fd, ids[i]));
	while (!(err = bt_query(self->t.fd, id, BITMEM_QUERY_NEXT, &query))) {
		ASSERT_LT(id, query.out_id);
		EXPECT_EQ(id, query.id);
		id = query.out_id;
		seen++;
	}
	EXPECT_EQ(-ENOENT, err);
	EXPECT_EQ(COUNT - (COUNT + 2) / 3, seen);
}

static int query_nodes(int fd, uint32_t id, void *bytes, uint32_t count)
{
	struct bitmem_query query = {
		.size = sizeof(query), .id = id, .node_count = count,
		.node_bytes = (uintptr_t)bytes,
	};

	return bt_ioctl(fd, BITMEM_QUERY, &query);
}

/* The array says where all bytes are, and is not written beyond its end. */
TEST_F(query, node_bytes)
{
	const size_t length = 2 * self->t.superblock + self->t.page;
	const uint32_t nodes = self->t.nodes;
	uint64_t *bytes = calloc(nodes + 1, sizeof(*bytes));
	struct bitmem_alloc alloc;
	uint64_t sum = 0;
	uint32_t i, room;

	ASSERT_NE(NULL, bytes);
	ASSERT_EQ(0, bt_alloc(self->t.fd, length, &alloc));
	for (room = 0; room <= nodes; room++) {
		memset(bytes, 0xa5, (nodes + 1) * sizeof(*bytes));
		ASSERT_EQ(0, query_nodes(self->t.fd, alloc.out_id, bytes, room));
		for (i = 0; i < room; i++)
			EXPECT_GE(length, bytes[i]);
		for (i = room; i <= nodes; i++)
			EXPECT_EQ(0xa5a5a5a5a5a5a5a5, bytes[i]);
	}
	for (i = 0; i < nodes; i++)
		sum += bytes[i];
	EXPECT_EQ(length, sum);
	free(bytes);
}

TEST_F(query, node_bytes_address)
{
	char *page = mmap(NULL, 2 * self->t.page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct bitmem_alloc alloc;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, mprotect(page + self->t.page, self->t.page, PROT_NONE));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
	/* No address, or no room: the array is not asked for. */
	EXPECT_EQ(0, query_nodes(self->t.fd, alloc.out_id, NULL, 1));
	EXPECT_EQ(0, query_nodes(self->t.fd, alloc.out_id, (void *)8, 0));
	EXPECT_EQ(-EFAULT, query_nodes(self->t.fd, alloc.out_id, (void *)8, 1));
	EXPECT_EQ(-EFAULT, query_nodes(self->t.fd, alloc.out_id, page + self->t.page, 1));
	EXPECT_EQ(0, query_nodes(self->t.fd, alloc.out_id, page + self->t.page - 8, 1));
	EXPECT_EQ(-EFAULT, query_nodes(self->t.fd, alloc.out_id, page + self->t.page - 4, 1));
}

BT_MAIN
