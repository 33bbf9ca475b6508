// SPDX-License-Identifier: GPL-2.0
/*
 * MIGRATE: the memory really is on the other node afterwards, and nobody who uses
 * it notices. Needs two nodes with a pool; everything else skips.
 */
#include "bitmem_test.h"
#include "bitmem_pages.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define NODES	1024

FIXTURE(migrate) {
	struct bt t;
	struct bp b;
	int node[2];		/* where @b is, and another one */
	uint32_t pool[2];	/* their pools */
	int pipe[2];
	struct bitmem_pool_info before[BT_POOLS];	/* with @b */
};

static int pools(FIXTURE_DATA(migrate) *self, struct bitmem_pool_info *out)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < self->t.pools && !err; i++)
		err = bt_pool(self->t.fd, i, &out[i]);
	return err;
}

/* Finds two pools for all addresses. */
static bool find_nodes(FIXTURE_DATA(migrate) *self)
{
	uint32_t i, n = 0;

	for (i = 0; i < self->t.pools && n < 2; i++) {
		if (self->t.before[i].out_width != 64)
			continue;
		self->pool[n] = i;
		self->node[n++] = self->t.before[i].out_node;
	}
	return n == 2;
}

FIXTURE_SETUP(migrate)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	if (!find_nodes(self))
		SKIP(return, "one node only");
	ASSERT_EQ(0, pipe(self->pipe));
	ASSERT_EQ(0, bp_new_on(&self->b, &self->t, self->t.fd, 3 * self->t.superblock +
			       11 * self->t.page, self->node[0], BITMEM_ALLOC_BIND));
	ASSERT_EQ(0, pools(self, self->before));
}

FIXTURE_TEARDOWN_PARENT(migrate)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* The buffer has @here bytes on its first node and @there on the other, by every account. */
static void expect_spread(struct __test_metadata *_metadata, FIXTURE_DATA(migrate) *self,
			  uint64_t here, uint64_t there)
{
	const uint64_t want[2] = { here, there };
	struct bitmem_pool_info now[BT_POOLS];
	uint64_t bytes[NODES] = {};
	struct bitmem_query query = {
		.size = sizeof(query), .id = self->b.alloc.out_id, .node_count = NODES,
		.node_bytes = (uintptr_t)bytes,
	};
	int i;

	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_QUERY, &query));
	EXPECT_EQ(here + there, query.out_resident);
	ASSERT_EQ(0, pools(self, now));
	for (i = 0; i < 2; i++) {
		const struct bitmem_pool_info *was = &self->before[self->pool[i]];
		const struct bitmem_pool_info *is = &now[self->pool[i]];

		EXPECT_EQ(want[i], bytes[self->node[i]]);
		/* @before has all of it in the first pool. */
		EXPECT_EQ(was->out_allocated - (i ? 0 : self->b.length) + want[i],
			  is->out_allocated);
		EXPECT_EQ(was->out_buffers - !i + !!want[i], is->out_buffers);
		EXPECT_EQ(was->out_quarantined, is->out_quarantined);
	}
}

/* Pages of a range that are really on @node. */
static size_t range_on(const struct bp *b, size_t offset, size_t length, int node)
{
	size_t at, n = 0;

	for (at = offset; at < offset + length; at += b->page)
		n += bt_node_of(b->memory + at) == node;
	return n;
}

static size_t pages_on(FIXTURE_DATA(migrate) *self, size_t offset, size_t length, int node)
{
	return range_on(&self->b, offset, length, node);
}

static void migrate(struct __test_metadata *_metadata, FIXTURE_DATA(migrate) *self, int node,
		    uint64_t moved, uint64_t skipped)
{
	struct bitmem_migrate arg;

	ASSERT_EQ(0, bt_migrate(self->t.fd, self->b.alloc.out_id, node, &arg));
	EXPECT_EQ(moved, arg.out_moved);
	EXPECT_EQ(skipped, arg.out_skipped);
}

TEST_F(migrate, there_and_back)
{
	const size_t length = self->b.length;
	struct bitmem_pool_info now;

	expect_spread(_metadata, self, length, 0);
	migrate(_metadata, self, self->node[0], 0, 0);
	migrate(_metadata, self, self->node[1], length, 0);
	expect_spread(_metadata, self, 0, length);
	EXPECT_EQ(0, bp_state(&self->b, 0, length, BP_INTACT));
	EXPECT_EQ(length / self->t.page, pages_on(self, 0, length, self->node[1]));
	ASSERT_EQ(0, bt_pool(self->t.fd, self->pool[1], &now));
	EXPECT_EQ(self->before[self->pool[1]].out_moved + length, now.out_moved);
	migrate(_metadata, self, self->node[1], 0, 0);
	migrate(_metadata, self, self->node[0], length, 0);
	expect_spread(_metadata, self, length, 0);
	EXPECT_EQ(length / self->t.page, pages_on(self, 0, length, self->node[0]));
	EXPECT_EQ(0, bp_state(&self->b, 0, length, BP_INTACT));
}

/* What was whole is whole there, and mapped as one. */
TEST_F(migrate, whole_stays_whole)
{
	const size_t whole = 3 * self->t.superblock;
	struct bitmem_pool_info now[BT_POOLS];

	ASSERT_EQ(whole / 1024, bt_smaps(self->b.memory, "FilePmdMapped"));
	migrate(_metadata, self, self->node[1], self->b.length, 0);
	EXPECT_EQ(0, bt_smaps(self->b.memory, "FilePmdMapped"));
	EXPECT_EQ(0, bp_state(&self->b, 0, self->b.length, BP_INTACT));
	EXPECT_EQ(whole / 1024, bt_smaps(self->b.memory, "FilePmdMapped"));
	ASSERT_EQ(0, pools(self, now));
	EXPECT_GE(self->before[self->pool[1]].out_split + self->t.superblock,
		  now[self->pool[1]].out_split);
}

/* Holes stay holes, and single pages single. */
TEST_F(migrate, holes)
{
	const size_t page = self->t.page, superblock = self->t.superblock;
	const size_t length = self->b.length;
	struct bitmem_range range;

	ASSERT_EQ(0, bp_decommit(&self->b, 5 * page, 9 * page, &range));
	ASSERT_EQ(0, bp_decommit(&self->b, superblock, superblock, &range));
	ASSERT_EQ(0, bp_decommit(&self->b, 3 * superblock, 2 * page, &range));
	migrate(_metadata, self, self->node[1], length - superblock - 11 * page, 0);
	expect_spread(_metadata, self, 0, length - superblock - 11 * page);
	EXPECT_EQ(0, bp_state(&self->b, 0, 5 * page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, 5 * page, 9 * page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, 14 * page, superblock - 14 * page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, superblock, superblock, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, 2 * superblock, superblock, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, 3 * superblock, 2 * page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, 3 * superblock + 2 * page, 9 * page, BP_INTACT));
	/* What comes back comes where the buffer is now. */
	ASSERT_EQ(0, bp_commit(&self->b, 0, length, &range));
	EXPECT_EQ(superblock + 11 * page, range.out_done);
	EXPECT_EQ(superblock, range.out_promoted);
	expect_spread(_metadata, self, 0, length);
	EXPECT_EQ(length / page, pages_on(self, 0, length, self->node[1]));
}

/* Nothing at all: no pool knows of it, but it will come there. */
TEST_F(migrate, empty)
{
	const size_t length = self->b.length;
	struct bitmem_range range;

	ASSERT_EQ(0, bp_decommit(&self->b, 0, length, &range));
	expect_spread(_metadata, self, 0, 0);
	migrate(_metadata, self, self->node[1], 0, 0);
	ASSERT_EQ(0, bp_commit(&self->b, 0, length, &range));
	expect_spread(_metadata, self, 0, length);
}

/* A bound buffer never gets pages of another node, whatever that costs. */
TEST_F(migrate, bound_stays_bound)
{
	const size_t part = 5 * self->t.page;
	struct bitmem_pool_info now;
	struct bitmem_range range;
	struct bitmem_alloc rest;

	ASSERT_EQ(0, bp_decommit(&self->b, 0, part, &range));
	ASSERT_EQ(0, bt_pool(self->t.fd, self->pool[0], &now));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&now), self->node[0],
				 BITMEM_ALLOC_BIND, &rest));
	EXPECT_EQ(-ENOMEM, bp_commit(&self->b, 0, part, &range));
	EXPECT_EQ(0, bp_state(&self->b, 0, part, BP_GONE));
	migrate(_metadata, self, self->node[1], self->b.length - part, 0);
	EXPECT_EQ(0, bp_commit(&self->b, 0, part, &range));
	EXPECT_EQ(part, range.out_done);
	EXPECT_EQ(part / self->t.page, pages_on(self, 0, part, self->node[1]));
	ASSERT_EQ(0, bt_free(self->t.fd, rest.out_id));
}

/* One that is not bound gets them from where there are some; both pools count it. */
TEST_F(migrate, commit_from_elsewhere)
{
	const size_t superblock = self->t.superblock, page = self->t.page;
	const size_t first = superblock, length = self->b.length;
	struct bitmem_pool_info now;
	struct bitmem_range range;
	struct bitmem_alloc rest;

	ASSERT_EQ(0, bp_drop(&self->b));
	ASSERT_EQ(0, bp_new_on(&self->b, &self->t, self->t.fd, length, self->node[0], 0));
	ASSERT_EQ(0, bp_decommit(&self->b, first, page, &range));
	ASSERT_EQ(0, bp_decommit(&self->b, 3 * superblock, 11 * page, &range));
	ASSERT_EQ(0, bt_pool(self->t.fd, self->pool[0], &now));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&now), self->node[0],
				 BITMEM_ALLOC_BIND, &rest));
	/* The first page decides where the promoted superblock is: all of it moves there. */
	ASSERT_EQ(0, bp_commit(&self->b, first, page, &range));
	EXPECT_EQ(page, range.out_done);
	EXPECT_EQ(superblock, range.out_promoted);
	EXPECT_EQ(superblock / page, pages_on(self, first, superblock, self->node[1]));
	ASSERT_EQ(0, bt_free(self->t.fd, rest.out_id));
	expect_spread(_metadata, self, length - superblock - 11 * page, superblock);
	migrate(_metadata, self, self->node[0], superblock, 0);
	expect_spread(_metadata, self, length - 11 * page, 0);
	EXPECT_EQ(0, bp_state(&self->b, 0, superblock, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, superblock, page, BP_ZERO));
	EXPECT_EQ(0, bp_state(&self->b, superblock + page, 2 * superblock - page, BP_INTACT));
}

/* Too little there: nothing moves. */
TEST_F(migrate, target_full)
{
	const size_t length = self->b.length;
	struct bitmem_pool_info there;
	struct bitmem_migrate arg;
	struct bitmem_alloc most;

	ASSERT_EQ(0, bt_pool(self->t.fd, self->pool[1], &there));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&there) - length + self->t.page,
				 self->node[1], BITMEM_ALLOC_BIND, &most));
	EXPECT_EQ(-ENOMEM, bt_migrate(self->t.fd, self->b.alloc.out_id, self->node[1], &arg));
	EXPECT_EQ(0, bp_state(&self->b, 0, length, BP_INTACT));
	EXPECT_EQ(length / self->t.page, pages_on(self, 0, length, self->node[0]));
	ASSERT_EQ(0, bt_free(self->t.fd, most.out_id));
	expect_spread(_metadata, self, length, 0);
	/* Just enough is enough, though not all of it may be whole. */
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&there) - length, self->node[1],
				 BITMEM_ALLOC_BIND, &most));
	migrate(_metadata, self, self->node[1], length, 0);
	EXPECT_EQ(0, bp_state(&self->b, 0, length, BP_INTACT));
	EXPECT_EQ(length / self->t.page, pages_on(self, 0, length, self->node[1]));
	ASSERT_EQ(0, bt_free(self->t.fd, most.out_id));
	expect_spread(_metadata, self, 0, length);
}

/* One piece stays one piece, or where it is: enough single pages are no place for it. */
TEST_F(migrate, contiguous)
{
	const size_t page = self->t.page, superblock = self->t.superblock;
	struct bitmem_pool_info there;
	struct bitmem_migrate arg;
	struct bitmem_alloc most, half[2];
	struct bp one;
	int i, err;

	ASSERT_EQ(0, bp_new_on(&one, &self->t, self->t.fd, 3 * page, self->node[0],
			       BITMEM_ALLOC_BIND | BITMEM_ALLOC_CONTIG));
	ASSERT_EQ(0, bt_pool(self->t.fd, self->pool[1], &there));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&there) - 2 * superblock,
				 self->node[1], BITMEM_ALLOC_BIND, &most));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, bt_alloc_on(self->t.fd, superblock - page, self->node[1],
					 BITMEM_ALLOC_BIND, &half[i]));
	/* One of them gone, single pages of two superblocks are free. */
	ASSERT_EQ(0, bt_free(self->t.fd, half[0].out_id));
	ASSERT_EQ(0, bt_pool(self->t.fd, self->pool[1], &there));
	ASSERT_LE(superblock, bt_free_bytes(&there));
	ASSERT_EQ(0, there.out_largest);
	err = bt_migrate(self->t.fd, one.alloc.out_id, self->node[1], &arg);
	EXPECT_TRUE(err == -ENOMEM || (!err && !arg.out_moved && arg.out_skipped));
	EXPECT_EQ(one.length / page, range_on(&one, 0, one.length, self->node[0]));
	EXPECT_EQ(0, bp_state(&one, 0, one.length, BP_INTACT));

	ASSERT_EQ(0, bt_free(self->t.fd, most.out_id));
	ASSERT_EQ(0, bt_migrate(self->t.fd, one.alloc.out_id, self->node[1], &arg));
	EXPECT_EQ(one.length / page, range_on(&one, 0, one.length, self->node[1]));
	EXPECT_EQ(0, bp_state(&one, 0, one.length, BP_INTACT));
}

/* A pinned page keeps what it is part of; the rest goes, and it follows later. */
TEST_F(migrate, pinned)
{
	const size_t page = self->t.page, superblock = self->t.superblock;
	const size_t length = self->b.length, tail = 11 * page;

	bt_fill(self->b.memory + superblock + page, page, 1);
	ASSERT_EQ(0, bt_pin(self->pipe, self->b.memory + superblock + page, page));
	migrate(_metadata, self, self->node[1], length - superblock, superblock);
	expect_spread(_metadata, self, superblock, length - superblock);
	bt_fill(self->b.memory + 3 * superblock, page, 2);
	ASSERT_EQ(0, bt_pin(self->pipe, self->b.memory + 3 * superblock, page));
	migrate(_metadata, self, self->node[0], 2 * superblock, tail);
	expect_spread(_metadata, self, 3 * superblock, tail);
	EXPECT_EQ(-1, bt_wrong(self->b.memory + superblock + page, page, 1));
	EXPECT_EQ(-1, bt_wrong(self->b.memory + 3 * superblock, page, 2));
	EXPECT_EQ(0, bt_unpin(self->pipe, page, 0, 1));
	EXPECT_EQ(0, bt_unpin(self->pipe, page, 0, 2));
	migrate(_metadata, self, self->node[1], 3 * superblock, 0);
	expect_spread(_metadata, self, 0, length);
	EXPECT_EQ(-1, bt_wrong(self->b.memory + superblock + page, page, 1));
	EXPECT_EQ(-1, bt_wrong(self->b.memory + 3 * superblock, page, 2));
}

TEST_F(migrate, errors)
{
	const int wrong[] = { -1, -2, INT32_MAX, INT32_MIN, self->t.nodes, NODES };
	struct bitmem_segments segments = { .count = 0 };
	const uint32_t id = self->b.alloc.out_id;
	struct bitmem_attach attach;
	struct bitmem_migrate arg, good = {
		.size = sizeof(good), .id = id, .node = self->node[1],
	};
	int other = bt_open(), err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(wrong); i++)
		EXPECT_EQ(-EINVAL, bt_migrate(self->t.fd, id, wrong[i], &arg));
	for (i = 0; i < 32; i++) {
		arg = good;
		arg.flags = 1u << i;
		EXPECT_EQ(-EOPNOTSUPP, bt_ioctl(self->t.fd, BITMEM_MIGRATE, &arg));
	}
	EXPECT_EQ(-ENOENT, bt_migrate(self->t.fd, 0, self->node[1], &arg));
	EXPECT_EQ(-ENOENT, bt_migrate(self->t.fd, id + 1, self->node[1], &arg));
	EXPECT_EQ(-ENOENT, bt_migrate(other, id, self->node[1], &arg));
	arg = good;
	arg.size = offsetof(struct bitmem_migrate, out_skipped);
	EXPECT_EQ(-EINVAL, bt_ioctl(self->t.fd, BITMEM_MIGRATE, &arg));
	ASSERT_EQ(0, bt_publish(self->t.fd, id, "migrate", 0600));
	ASSERT_EQ(0, bt_attach(other, BITMEM_UID_SELF, "migrate", BITMEM_ATTACH_READONLY,
			       &attach));
	EXPECT_EQ(-EACCES, bt_migrate(other, attach.out_id, self->node[1], &arg));
	expect_spread(_metadata, self, self->b.length, 0);
	err = bt_segments(self->t.fd, id, 0, &segments);
	if (err == -EPERM)
		SKIP(return, "EBUSY needs CAP_SYS_RAWIO");
	EXPECT_EQ(0, err);
	EXPECT_EQ(-EBUSY, bt_migrate(self->t.fd, id, self->node[1], &arg));
	EXPECT_EQ(-EBUSY, bt_migrate(self->t.fd, id, self->node[0], &arg));
	expect_spread(_metadata, self, self->b.length, 0);
}

/* A child looks at it all the time. 0 when it is told to end. */
static int look_always(const struct bp *b, const int pipe[2])
{
	size_t at;
	char byte;

	while (read(pipe[0], &byte, 1) != 1) {
		for (at = BP_WRITER_AT + sizeof(uint64_t); at < b->length; at += 17 * b->page) {
			volatile char *c = b->memory + at;

			if (*c != 0x33)
				return 1;
		}
	}
	return 0;
}

/* Back and forth under a writer and a child that reads. */
TEST_F_TIMEOUT(migrate, under_load, 300)
{
	const unsigned int rounds = bt_rounds(100);
	unsigned int i, clean = 0;
	struct bp_writer writer;
	uint64_t skipped = 0;
	int quit[2];
	pid_t child;
	size_t at;

	for (at = BP_WRITER_AT + sizeof(uint64_t); at < self->b.length; at += 17 * self->t.page)
		self->b.memory[at] = 0x33;
	ASSERT_EQ(0, pipe2(quit, O_NONBLOCK));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(look_always(&self->b, quit));
	ASSERT_EQ(0, bp_writer_start(&writer, &self->b, NULL));
	for (i = 0; i < rounds; i++) {
		struct bitmem_migrate arg;

		ASSERT_EQ(0, bt_migrate(self->t.fd, self->b.alloc.out_id, self->node[!(i & 1)],
					&arg));
		skipped += arg.out_skipped;
		clean += !arg.out_skipped;
	}
	bp_writer_stop(&writer);
	ASSERT_EQ(0, bt_signal(quit));
	EXPECT_EQ(0, bt_reap(child));
	EXPECT_EQ(0, writer.wrong);
	EXPECT_LT(0, writer.rounds);
	EXPECT_LT(0, clean);
	for (at = 0; at < self->b.length; at += self->t.page)
		EXPECT_EQ(0, bt_probe(self->b.memory + at));
	at = pages_on(self, 0, self->b.length, self->node[1]) * self->t.page;
	migrate(_metadata, self, self->node[1], self->b.length - at, 0);
	expect_spread(_metadata, self, 0, self->b.length);
	TH_LOG("%u of %u without a busy page, %llu busy in all, %lu rounds of the writer", clean,
	       rounds, (unsigned long long)skipped / self->t.page, writer.rounds);
}

/* Killed in the middle of it. */
TEST_F_TIMEOUT(migrate, killed, 300)
{
	const unsigned int rounds = bt_rounds(10);
	unsigned int i;

	ASSERT_EQ(0, bp_drop(&self->b));
	for (i = 0; i < rounds; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_migrate arg;
			unsigned int n;
			struct bp own;

			if (bp_new(&own, &self->t, bt_open(), 6 * self->t.superblock))
				_exit(1);
			for (n = 0; ; n++)
				bt_migrate(own.fd, own.alloc.out_id, self->node[n & 1], &arg);
		}
		bt_sleep_ms(60 + i * 7 % 40);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(NULL, bt_end(&self->t));
	}
}

BT_MAIN
