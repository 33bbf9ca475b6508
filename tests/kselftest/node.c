// SPDX-License-Identifier: GPL-2.0
/*
 * NUMA: which node's pool serves a request, and that the memory really is there.
 * Needs two nodes with a pool; everything else skips.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>

FIXTURE(node) {
	struct bt t;
	uint64_t bytes[1024];	/* of the last buffer asked about, on each node */
};

FIXTURE_SETUP(node)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	if (self->t.pools < 2)
		SKIP(return, "one pool only");
	ASSERT_GE(ARRAY_LEN(self->bytes), self->t.nodes);
}

FIXTURE_TEARDOWN_PARENT(node)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* Sets self->bytes for the buffer @id. */
static void spread(struct __test_metadata *_metadata, FIXTURE_DATA(node) *self, uint32_t id)
{
	struct bitmem_query query = {
		.size = sizeof(query), .id = id, .node_count = self->t.nodes,
		.node_bytes = (uintptr_t)self->bytes,
	};

	memset(self->bytes, 0xff, sizeof(self->bytes));
	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_QUERY, &query));
}

static void pools(struct __test_metadata *_metadata, FIXTURE_DATA(node) *self,
		  struct bitmem_pool_info *out)
{
	uint32_t i;

	for (i = 0; i < self->t.pools; i++)
		ASSERT_EQ(0, bt_pool(self->t.fd, i, &out[i]));
}

/* Where the bytes are said to be, and where the pages are. */
static void expect_node(struct __test_metadata *_metadata, FIXTURE_DATA(node) *self,
			const struct bitmem_alloc *alloc, int node)
{
	char *memory = bt_map(self->t.fd, alloc->out_length, alloc->out_offset);
	uint32_t i;
	size_t at;

	ASSERT_NE(NULL, memory);
	spread(_metadata, self, alloc->out_id);
	for (i = 0; i < self->t.nodes; i++)
		EXPECT_EQ((int)i == node ? alloc->out_length : 0, self->bytes[i]);
	for (at = 0; at < alloc->out_length; at += 97 * self->t.page)
		EXPECT_EQ(node, bt_node_of(memory + at));
	ASSERT_EQ(0, munmap(memory, alloc->out_length));
}

TEST_F(node, preferred)
{
	const size_t length = 3 * self->t.superblock + 5 * self->t.page;
	struct bitmem_pool_info before[BT_POOLS], now[BT_POOLS];
	struct bitmem_alloc alloc;
	uint32_t i, j;

	for (i = 0; i < self->t.pools; i++) {
		pools(_metadata, self, before);
		ASSERT_EQ(0, bt_alloc_on(self->t.fd, length, before[i].out_node, 0, &alloc));
		expect_node(_metadata, self, &alloc, before[i].out_node);
		pools(_metadata, self, now);
		for (j = 0; j < self->t.pools; j++) {
			EXPECT_EQ(before[j].out_allocated + (i == j ? length : 0),
				  now[j].out_allocated);
			EXPECT_EQ(before[j].out_fallbacks, now[j].out_fallbacks);
		}
		ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	}
}

TEST_F(node, bound)
{
	struct bitmem_pool_info before[BT_POOLS], now[BT_POOLS];
	struct bitmem_alloc all, more;
	uint32_t i, j;

	for (i = 0; i < self->t.pools; i++) {
		pools(_metadata, self, before);
		/* The whole pool, and then not one page more, though the others have some. */
		EXPECT_EQ(-ENOMEM, bt_alloc_on(self->t.fd,
					       bt_free_bytes(&before[i]) + self->t.page,
					       before[i].out_node, BITMEM_ALLOC_BIND, &all));
		ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&before[i]),
					 before[i].out_node, BITMEM_ALLOC_BIND, &all));
		expect_node(_metadata, self, &all, before[i].out_node);
		EXPECT_EQ(-ENOMEM, bt_alloc_on(self->t.fd, 1, before[i].out_node,
					       BITMEM_ALLOC_BIND, &more));
		pools(_metadata, self, now);
		for (j = 0; j < self->t.pools; j++) {
			EXPECT_EQ(i == j ? 0 : bt_free_bytes(&before[j]),
				  bt_free_bytes(&now[j]));
			EXPECT_EQ(before[j].out_failures + (i == j ? 2 : 0),
				  now[j].out_failures);
		}
		ASSERT_EQ(0, bt_free(self->t.fd, all.out_id));
	}
}

/* A preferred node that is exhausted: the next one serves, and counts it. */
TEST_F(node, fallback)
{
	struct bitmem_pool_info before[BT_POOLS], now[BT_POOLS];
	struct bitmem_alloc all, alloc;
	uint64_t fallbacks[2] = {};
	uint32_t i;

	pools(_metadata, self, before);
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&before[0]), before[0].out_node,
				 BITMEM_ALLOC_BIND, &all));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, self->t.superblock + 1, before[0].out_node, 0,
				 &alloc));
	spread(_metadata, self, alloc.out_id);
	EXPECT_EQ(0, self->bytes[before[0].out_node]);
	pools(_metadata, self, now);
	EXPECT_EQ(before[0].out_fallbacks, now[0].out_fallbacks);
	for (i = 0; i < self->t.pools; i++) {
		fallbacks[0] += before[i].out_fallbacks;
		fallbacks[1] += now[i].out_fallbacks;
	}
	EXPECT_EQ(fallbacks[0] + 1, fallbacks[1]);
}

/* One node serves as long as one can, even if it is not the one preferred. */
TEST_F(node, one_before_several)
{
	struct bitmem_pool_info before[BT_POOLS];
	struct bitmem_alloc most, alloc;

	pools(_metadata, self, before);
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&before[0]) - self->t.superblock,
				 before[0].out_node, BITMEM_ALLOC_BIND, &most));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, 2 * self->t.superblock, before[0].out_node, 0,
				 &alloc));
	spread(_metadata, self, alloc.out_id);
	EXPECT_EQ(0, self->bytes[before[0].out_node]);
	/* What still fits there goes there. */
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, self->t.superblock, before[0].out_node, 0, &alloc));
	spread(_metadata, self, alloc.out_id);
	EXPECT_EQ(alloc.out_length, self->bytes[before[0].out_node]);
}

/* A request that none can serve alone is spread over them, to the page. */
TEST_F(node, spread_over_all)
{
	struct bitmem_pool_info before[BT_POOLS];
	struct bitmem_alloc page, alloc;
	uint64_t length = 0, sum = 0;
	char *memory;
	uint32_t i;
	size_t at;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 3 * self->t.page, &page));
	pools(_metadata, self, before);
	for (i = 0; i < self->t.pools; i++)
		length += bt_free_bytes(&before[i]);
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, length + self->t.page, &alloc));
	ASSERT_EQ(0, bt_alloc(self->t.fd, length, &alloc));
	spread(_metadata, self, alloc.out_id);
	for (i = 0; i < self->t.pools; i++) {
		EXPECT_EQ(bt_free_bytes(&before[i]), self->bytes[before[i].out_node]);
		sum += self->bytes[before[i].out_node];
	}
	EXPECT_EQ(length, sum);
	/* And it is one buffer to whoever uses it. */
	memory = bt_map(self->t.fd, length, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	for (at = 0; at < length; at += 64 * self->t.page)
		*(size_t *)(memory + at) = at + 1;
	for (at = 0; at < length; at += 64 * self->t.page)
		ASSERT_EQ(at + 1, *(size_t *)(memory + at));
}

/* Without a wish it is the node that the caller runs on. */
TEST_F(node, any_is_near)
{
	struct bitmem_pool_info info[BT_POOLS];
	struct bitmem_alloc alloc;
	unsigned int cpu, node;
	cpu_set_t all, one;

	pools(_metadata, self, info);
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(all), &all));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
		ASSERT_EQ(0, syscall(SYS_getcpu, NULL, &node, NULL));
		ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.superblock + 1, &alloc));
		expect_node(_metadata, self, &alloc, node);
		ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	}
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(all), &all));
}

BT_MAIN
