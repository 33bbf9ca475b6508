// SPDX-License-Identifier: GPL-2.0
/*
 * COMPACT: whatever pages are taken away, afterwards the pool has no more memory
 * committed than is alive, but for 2 % and one superblock a node; addresses and
 * contents stay. Its budget, what is pinned, and errors. Under load: compact_load.c.
 */
#include "bitmem_test.h"
#include "bitmem_pages.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define SUPERBLOCKS	16
#define SEED		0xc0de

/* Page @i of the @n of superblock @nr: does it stay? */
struct spot {
	size_t i, n, nr;
};

typedef bool (*keep_fn)(const struct spot *s);

static bool keep_every_other(const struct spot *s)
{
	return s->i & 1;
}

static bool keep_one_of_eight(const struct spot *s)
{
	return s->i % 8 == s->nr % 8;
}

static bool keep_seven_of_eight(const struct spot *s)
{
	return s->i % 8 != s->nr % 8;
}

static bool keep_first(const struct spot *s)
{
	return !s->i;
}

static bool keep_all_but_one(const struct spot *s)
{
	return s->i != s->nr % s->n;
}

static bool keep_half(const struct spot *s)
{
	return (s->i < s->n / 2) == (s->nr & 1);
}

static bool keep_more_and_more(const struct spot *s)
{
	return s->i < s->n * s->nr / SUPERBLOCKS;
}

static bool keep_random(const struct spot *s)
{
	unsigned int seed = (s->nr * s->n + s->i) * 2654435761u;

	return rand_r(&seed) % 100 < 37;
}

static bool keep_few_at_random(const struct spot *s)
{
	unsigned int seed = (s->nr * s->n + s->i) * 2246822519u;

	return rand_r(&seed) % 100 < 3;
}

FIXTURE(compact) {
	struct bt t;
	struct bp b[BT_POOLS];	/* a buffer in each pool */
	int pipe[2];
};

FIXTURE_VARIANT(compact) {
	keep_fn keep;
};

#define VARIANT(name) FIXTURE_VARIANT_ADD(compact, name) { .keep = keep_##name }
VARIANT(every_other);
VARIANT(one_of_eight);
VARIANT(seven_of_eight);
VARIANT(first);
VARIANT(all_but_one);
VARIANT(half);
VARIANT(more_and_more);
VARIANT(random);
VARIANT(few_at_random);

static bool stays(const FIXTURE_DATA(compact) *self, keep_fn keep, size_t index)
{
	const size_t n = self->t.superblock / self->t.page;
	const struct spot spot = { index % n, n, index / n };

	return keep(&spot);
}

/*
 * Decommits what is not to stay. One page of each superblock first, so that all of
 * it moves to single pages, and then the rest: that leaves split superblocks with
 * holes.
 */
static int punch(const FIXTURE_DATA(compact) *self, const struct bp *b, keep_fn keep)
{
	const size_t page = b->page, n = b->length / page, per = self->t.superblock / page;
	struct bitmem_range range;
	size_t i, end;
	int err = 0;

	for (i = 0; i < n && !err; i = i - i % per + per) {
		while (stays(self, keep, i))
			i++;
		err = bp_decommit(b, i * page, page, &range);
	}
	for (i = 0; i < n && !err; i = end) {
		for (end = i + 1; end < n && stays(self, keep, i) == stays(self, keep, end); end++)
			;
		if (!stays(self, keep, i))
			err = bp_decommit(b, i * page, (end - i) * page, &range);
	}
	return err;
}

FIXTURE_SETUP(compact)
{
	const char *why = bt_begin(&self->t);
	uint32_t i;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, pipe(self->pipe));
	for (i = 0; i < self->t.pools; i++) {
		ASSERT_EQ(0, bp_new_on(&self->b[i], &self->t, self->t.fd,
				       SUPERBLOCKS * self->t.superblock,
				       self->t.before[i].out_node, BITMEM_ALLOC_BIND));
		ASSERT_EQ(0, punch(self, &self->b[i], variant->keep));
	}
}

FIXTURE_TEARDOWN_PARENT(compact)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* Bytes of a buffer that are to stay. */
static size_t live(const FIXTURE_DATA(compact) *self, const struct bp *b, keep_fn keep)
{
	size_t i, sum = 0;

	for (i = 0; i < b->length / b->page; i++)
		sum += stays(self, keep, i) ? b->page : 0;
	return sum;
}

/* 0 if all that is to stay is intact, and the rest gone; else 1 + the page's index. */
static size_t differs(const FIXTURE_DATA(compact) *self, const struct bp *b, keep_fn keep)
{
	size_t i;

	for (i = 0; i < b->length / b->page; i++) {
		if (!bp_is(b, b->memory + i * b->page, i,
			   stays(self, keep, i) ? BP_INTACT : BP_GONE))
			return 1 + i;
	}
	return 0;
}

static void expect_contents(struct __test_metadata *_metadata, FIXTURE_DATA(compact) *self,
			    keep_fn keep)
{
	uint32_t i;

	for (i = 0; i < self->t.pools; i++)
		EXPECT_EQ(0, differs(self, &self->b[i], keep));
}

/* Memory in a pool that is not in whole free superblocks, beyond what is alive. */
static int64_t excess(int fd, uint32_t index)
{
	struct bitmem_pool_info pool;

	if (bt_pool(fd, index, &pool))
		return INT64_MAX;
	return pool.out_capacity - pool.out_largest -
	       (pool.out_allocated + pool.out_quarantined + pool.out_retired);
}

/*
 * A pool has little besides the @bytes that are alive. What is being zeroed or joined at
 * the moment comes back soon.
 */
static void expect_pool_packed(struct __test_metadata *_metadata, const struct bt *t,
			       uint32_t index, size_t bytes)
{
	const uint64_t until = bt_now_ns() + BT_PATIENCE_MS * 1000000ull;
	const int64_t most = bytes / 50 + t->superblock;

	while (excess(t->fd, index) > most && bt_now_ns() < until)
		bt_sleep_ms(5);
	EXPECT_GE(most, excess(t->fd, index));
	EXPECT_LE(0, excess(t->fd, index));
}

static void expect_packed(struct __test_metadata *_metadata, FIXTURE_DATA(compact) *self,
			  keep_fn keep)
{
	uint32_t i;

	for (i = 0; i < self->t.pools; i++)
		expect_pool_packed(_metadata, &self->t, i, live(self, &self->b[i], keep));
}

/* Compacts every pool, and adds up what was done. */
static void compact_all(struct __test_metadata *_metadata, FIXTURE_DATA(compact) *self,
			uint64_t budget, struct bitmem_compact *sum)
{
	struct bitmem_pool_info before, after;
	struct bitmem_compact one;
	uint32_t i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < self->t.pools; i++) {
		ASSERT_EQ(0, bt_pool(self->t.fd, i, &before));
		ASSERT_EQ(0, bt_compact(self->t.fd, i, budget, &one));
		ASSERT_EQ(0, bt_pool(self->t.fd, i, &after));
		EXPECT_EQ(before.out_moved + one.out_moved, after.out_moved);
		EXPECT_EQ(before.out_allocated, after.out_allocated);
		EXPECT_EQ(before.out_quarantined, after.out_quarantined);
		EXPECT_EQ(before.out_capacity, after.out_capacity);
		EXPECT_EQ(before.out_buffers, after.out_buffers);
		EXPECT_EQ(0, one.out_freed % self->t.superblock);
		EXPECT_EQ(0, (one.out_moved | one.out_skipped) % self->t.page);
		sum->out_moved += one.out_moved;
		sum->out_freed += one.out_freed;
		sum->out_skipped += one.out_skipped;
	}
}

TEST_F(compact, packs)
{
	struct bitmem_compact done;
	struct bitmem_range range;
	uint32_t i;

	expect_contents(_metadata, self, variant->keep);
	compact_all(_metadata, self, 0, &done);
	EXPECT_EQ(0, done.out_skipped);
	TH_LOG("%llu pages moved, %llu superblocks freed", done.out_moved / self->t.page,
	       done.out_freed / self->t.superblock);
	expect_packed(_metadata, self, variant->keep);
	expect_contents(_metadata, self, variant->keep);
	/* There is little left to do, and nothing comes of it. */
	compact_all(_metadata, self, 0, &done);
	expect_packed(_metadata, self, variant->keep);
	expect_contents(_metadata, self, variant->keep);

	/* All the rest comes back, and all of it whole. */
	for (i = 0; i < self->t.pools; i++) {
		struct bp *b = &self->b[i];
		const size_t want = live(self, b, variant->keep);
		size_t j, n = b->length / b->page;

		ASSERT_EQ(0, bp_commit(b, 0, b->length, &range));
		EXPECT_EQ(b->length - want, range.out_done);
		for (j = 0; j < n; j++) {
			if (!bp_is(b, b->memory + j * b->page, j,
				   stays(self, variant->keep, j) ? BP_INTACT : BP_ZERO))
				break;
		}
		EXPECT_EQ(n, j);
	}
}

FIXTURE(compact_one) {
	struct bt t;
};

BT_FIXTURE_FUNCTIONS(compact_one)

/* A buffer in the first pool of which some pages stay. */
static int holey(FIXTURE_DATA(compact_one) *self, struct bp *b, keep_fn keep)
{
	FIXTURE_DATA(compact) like = { .t = self->t };
	int err = bp_new_on(b, &self->t, self->t.fd, SUPERBLOCKS * self->t.superblock,
			    self->t.before[0].out_node, BITMEM_ALLOC_BIND);

	return err ?: punch(&like, b, keep);
}

static size_t holey_differs(FIXTURE_DATA(compact_one) *self, const struct bp *b, keep_fn keep)
{
	FIXTURE_DATA(compact) like = { .t = self->t };

	return differs(&like, b, keep);
}

static void expect_holey_packed(struct __test_metadata *_metadata,
				FIXTURE_DATA(compact_one) *self, const struct bp *b, keep_fn keep)
{
	FIXTURE_DATA(compact) like = { .t = self->t };

	expect_pool_packed(_metadata, &self->t, 0, live(&like, b, keep));
}

/* Never more than the budget; little by little it comes to the same. */
TEST_F(compact_one, budget)
{
	const uint64_t page = self->t.page;
	struct bitmem_compact done;
	uint64_t moved = 0;
	struct bp b;
	int i;

	ASSERT_EQ(0, holey(self, &b, keep_every_other));
	ASSERT_EQ(0, bt_compact(self->t.fd, 0, 1, &done));
	EXPECT_EQ(0, done.out_moved);
	ASSERT_EQ(0, bt_compact(self->t.fd, 0, 10 * page, &done));
	EXPECT_EQ(10 * page, done.out_moved);
	EXPECT_EQ(10 * page, done.budget);
	ASSERT_EQ(0, bt_compact(self->t.fd, 0, 11 * page - 1, &done));
	EXPECT_EQ(10 * page, done.out_moved);
	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, bt_compact(self->t.fd, 0, 100 * page, &done));
		ASSERT_GE(100 * page, done.out_moved);
		EXPECT_EQ(0, done.out_skipped);
		if (!done.out_moved)
			break;
		moved += done.out_moved;
	}
	EXPECT_GT(500, i);
	EXPECT_LT(0, moved);
	/* No page is moved more than about once. */
	EXPECT_GE(b.length, moved);
	expect_holey_packed(_metadata, self, &b, keep_every_other);
	EXPECT_EQ(0, holey_differs(self, &b, keep_every_other));
}

/* Pinned pages stay, and are counted; the others go on without them. */
TEST_F(compact_one, pinned)
{
	const size_t page = self->t.page, step = 4 * self->t.superblock;
	struct bitmem_compact done;
	int pipes[2], i;
	struct bp b;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, holey(self, &b, keep_first));
	for (i = 0; i < 4; i++) {
		bt_fill(b.memory + i * step, page, SEED + i);
		ASSERT_EQ(0, bt_pin(pipes, b.memory + i * step, page));
	}
	ASSERT_EQ(0, bt_compact(self->t.fd, 0, 0, &done));
	/* One of them may be where the others went to. */
	EXPECT_LE(3 * page, done.out_skipped);
	EXPECT_GE(4 * page, done.out_skipped);
	EXPECT_LT(0, done.out_moved);
	EXPECT_EQ(0, bt_wait_pinned(self->t.fd, b.alloc.out_id, 4 * page, 0));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(-1, bt_wrong(b.memory + i * step, page, SEED + i));
		/* The pipe's page is still the buffer's: what is written now shows there. */
		bt_fill(b.memory + i * step, page, SEED - i);
		EXPECT_EQ(0, bt_unpin(pipes, page, 0, SEED - i));
	}
	ASSERT_EQ(0, bt_compact(self->t.fd, 0, 0, &done));
	EXPECT_EQ(0, done.out_skipped);
	expect_holey_packed(_metadata, self, &b, keep_first);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-1, bt_wrong(b.memory + i * step, page, SEED - i));
}

/* A buffer that is held in place as a whole stays where it is, as it is. */
TEST_F(compact_one, held_in_place)
{
	const size_t tail = 5 * self->t.page;
	struct bitmem_segment before[8], after[8];
	struct bitmem_segments segments = { .count = 8, .entries = (uintptr_t)before };
	struct bitmem_compact done;
	struct bp b, fixed;
	int err;

	ASSERT_EQ(0, bp_new_on(&fixed, &self->t, self->t.fd, tail, self->t.before[0].out_node,
			       BITMEM_ALLOC_BIND));
	err = bt_segments(self->t.fd, fixed.alloc.out_id, 0, &segments);
	if (err == -EPERM)
		SKIP(return, "needs CAP_SYS_RAWIO");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, holey(self, &b, keep_one_of_eight));
	ASSERT_EQ(0, bt_compact(self->t.fd, 0, 0, &done));
	EXPECT_LT(0, done.out_moved);
	EXPECT_GE(tail, done.out_skipped);
	segments.entries = (uintptr_t)after;
	ASSERT_EQ(0, bt_segments(self->t.fd, fixed.alloc.out_id, 0, &segments));
	EXPECT_EQ(0, memcmp(before, after, segments.out_count * sizeof(*after)));
	EXPECT_EQ(0, bp_state(&fixed, 0, tail, BP_INTACT));
	EXPECT_EQ(0, holey_differs(self, &b, keep_one_of_eight));
}

/* Nothing is split: nothing to do. */
TEST_F(compact_one, nothing)
{
	struct bitmem_compact done;
	uint32_t i;

	for (i = 0; i < self->t.pools; i++) {
		ASSERT_EQ(0, bt_compact(self->t.fd, i, 0, &done));
		EXPECT_EQ(0, done.out_moved);
		EXPECT_EQ(0, done.out_skipped);
	}
}

TEST_F(compact_one, errors)
{
	struct bitmem_compact arg, good = { .size = sizeof(good) };
	int i;

	for (i = 0; i < 32; i++) {
		arg = good;
		arg.flags = 1u << i;
		EXPECT_EQ(-EOPNOTSUPP, bt_ioctl(self->t.fd, BITMEM_COMPACT, &arg));
		arg = good;
		arg.__reserved = 1u << i;
		EXPECT_EQ(-EOPNOTSUPP, bt_ioctl(self->t.fd, BITMEM_COMPACT, &arg));
	}
	EXPECT_EQ(-ENOENT, bt_compact(self->t.fd, self->t.pools, 0, &arg));
	EXPECT_EQ(-ENOENT, bt_compact(self->t.fd, UINT32_MAX, 0, &arg));
	EXPECT_EQ(-ENOENT, bt_compact(self->t.fd, INT32_MAX, 0, &arg));
	arg = good;
	arg.size = offsetof(struct bitmem_compact, out_skipped);
	EXPECT_EQ(-EINVAL, bt_ioctl(self->t.fd, BITMEM_COMPACT, &arg));
}

BT_MAIN
