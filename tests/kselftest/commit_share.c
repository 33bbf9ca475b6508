// SPDX-License-Identifier: GPL-2.0
/*
 * COMMIT and DECOMMIT while others have to do with the buffer: what they pinned
 * stays with its content, and is counted; whoever else maps it sees the same; and
 * threads that change it at once, or are killed, leave every page accounted for.
 */
#include "bitmem_test.h"
#include "bitmem_pages.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define SEED	0x5ade
#define THREADS	4

FIXTURE(commit_share) {
	struct bt t;
	struct bp b;
	int pipe[2];
	struct bitmem_pool_info before;		/* without the buffer */
};

FIXTURE_SETUP(commit_share)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, pipe(self->pipe));
	ASSERT_EQ(0, bt_total(self->t.fd, &self->before));
	ASSERT_EQ(0, bp_new(&self->b, &self->t, self->t.fd, 2 * self->t.superblock +
			    16 * self->t.page));
}

FIXTURE_TEARDOWN_PARENT(commit_share)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* Pins the page at @offset, with a pattern of its own that bt_unpin() knows. */
static int pin_at(FIXTURE_DATA(commit_share) *self, size_t offset)
{
	bt_fill(self->b.memory + offset, self->t.page, SEED);
	return bt_pin(self->pipe, self->b.memory + offset, self->t.page);
}

/* The pinned page is still there, and is what the pipe has. */
static int unpin_at(FIXTURE_DATA(commit_share) *self, size_t offset)
{
	if (bt_probe(self->b.memory + offset))
		return -EFAULT;
	if (bt_wrong(self->b.memory + offset, self->t.page, SEED) != -1)
		return -EILSEQ;
	return bt_unpin(self->pipe, self->t.page, 0, SEED);
}

static void expect_range(struct __test_metadata *_metadata, FIXTURE_DATA(commit_share) *self,
			 const struct bitmem_range *range, uint64_t done, uint64_t skipped,
			 uint64_t resident)
{
	struct bitmem_pool_info now;
	struct bitmem_query query;

	EXPECT_EQ(done, range->out_done);
	EXPECT_EQ(skipped, range->out_skipped);
	ASSERT_EQ(0, bt_query(self->t.fd, self->b.alloc.out_id, 0, &query));
	EXPECT_EQ(resident, query.out_resident);
	EXPECT_EQ(resident, bt_fdinfo(self->t.fd, "bitmem-bytes"));
	/* It stays in the buffer: no quarantine. */
	ASSERT_EQ(0, bt_total(self->t.fd, &now));
	EXPECT_EQ(self->before.out_allocated + resident, now.out_allocated);
	EXPECT_EQ(self->before.out_quarantined, now.out_quarantined);
}

TEST_F(commit_share, pinned_in_a_tail)
{
	const size_t page = self->t.page, tail = 2 * self->t.superblock, at = tail + 5 * page;
	struct bitmem_range range;

	ASSERT_EQ(0, pin_at(self, at));
	ASSERT_EQ(0, bp_decommit(&self->b, tail, 16 * page, &range));
	expect_range(_metadata, self, &range, 15 * page, page, tail + page);
	EXPECT_EQ(0, bp_state(&self->b, tail, 5 * page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, at + page, 10 * page, BP_GONE));
	/* Again: the same one is left. */
	ASSERT_EQ(0, bp_decommit(&self->b, tail, 16 * page, &range));
	expect_range(_metadata, self, &range, 0, page, tail + page);
	EXPECT_EQ(0, unpin_at(self, at));
	ASSERT_EQ(0, bp_decommit(&self->b, tail, 16 * page, &range));
	expect_range(_metadata, self, &range, page, 0, tail);
	EXPECT_EQ(0, bp_state(&self->b, tail, 16 * page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, 0, tail, BP_INTACT));
}

/* One pinned page keeps its superblock, whatever part of that is to go; not the next one. */
TEST_F(commit_share, pinned_in_a_superblock)
{
	const size_t page = self->t.page, superblock = self->t.superblock, at = 77 * page;
	struct bitmem_range range;

	ASSERT_EQ(0, pin_at(self, at));
	ASSERT_EQ(0, bp_decommit(&self->b, 0, 2 * superblock, &range));
	expect_range(_metadata, self, &range, superblock, superblock,
		     self->b.length - superblock);
	EXPECT_EQ(0, bp_state(&self->b, superblock, superblock, BP_GONE));
	ASSERT_EQ(0, bp_decommit(&self->b, 10 * page, page, &range));
	expect_range(_metadata, self, &range, 0, page, self->b.length - superblock);
	EXPECT_EQ(0, bp_state(&self->b, 0, at, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, at + page, superblock - at - page, BP_INTACT));
	EXPECT_EQ(0, unpin_at(self, at));
	ASSERT_EQ(0, bp_decommit(&self->b, 10 * page, page, &range));
	expect_range(_metadata, self, &range, page, 0, self->b.length - superblock - page);
	EXPECT_EQ(0, bp_state(&self->b, 0, 10 * page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, 10 * page, page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, 11 * page, at - 11 * page, BP_INTACT));
}

/* In a superblock of single pages again only the page itself; and it is not promoted. */
TEST_F(commit_share, pinned_after_demotion)
{
	const size_t page = self->t.page, superblock = self->t.superblock, at = 77 * page;
	struct bitmem_range range;

	ASSERT_EQ(0, bp_decommit(&self->b, 0, 3 * page, &range));
	ASSERT_EQ(3 * page, range.out_done);
	ASSERT_EQ(0, pin_at(self, at));
	ASSERT_EQ(0, bp_decommit(&self->b, at - page, 3 * page, &range));
	expect_range(_metadata, self, &range, 2 * page, page, self->b.length - 5 * page);
	EXPECT_EQ(0, bp_state(&self->b, at - page, page, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, at + page, page, BP_GONE));
	ASSERT_EQ(0, bp_commit(&self->b, 0, superblock, &range));
	expect_range(_metadata, self, &range, 5 * page, 0, self->b.length);
	EXPECT_EQ(0, range.out_promoted);
	EXPECT_EQ(0, unpin_at(self, at));
	ASSERT_EQ(0, bp_commit(&self->b, 0, superblock, &range));
	expect_range(_metadata, self, &range, 0, 0, self->b.length);
	EXPECT_EQ(superblock, range.out_promoted);
	EXPECT_EQ(-1, bt_wrong(self->b.memory + at, page, SEED));
	EXPECT_EQ(0, bp_state(&self->b, 3 * page, at - 4 * page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, at + 2 * page, superblock - at - 2 * page, BP_INTACT));
}

TEST_F(commit_share, pinned_for_long)
{
	const size_t page = self->t.page, superblock = self->t.superblock;
	const size_t tail = 2 * superblock;
	struct bitmem_range range;
	int pin = bt_pin_long(self->b.memory + tail - page, 3 * page);

	if (pin == -EOPNOTSUPP && bt_kernel_before(6, 5))
		SKIP(return, "this kernel registers no device memory");
	ASSERT_LE(0, pin);
	ASSERT_EQ(0, bp_decommit(&self->b, 0, self->b.length, &range));
	expect_range(_metadata, self, &range, superblock + 14 * page, superblock + 2 * page,
		     superblock + 2 * page);
	EXPECT_EQ(0, bp_state(&self->b, 0, superblock, BP_GONE));
	EXPECT_EQ(0, bp_state(&self->b, superblock, superblock + 2 * page, BP_INTACT));
	EXPECT_EQ(0, bp_state(&self->b, tail + 2 * page, 14 * page, BP_GONE));
	bt_unpin_long(pin);
	/* The kernel drops them a little later. */
	EXPECT_EQ(0, bt_wait_pinned(self->t.fd, self->b.alloc.out_id, 0, 2000));
	ASSERT_EQ(0, bp_decommit(&self->b, 0, self->b.length, &range));
	expect_range(_metadata, self, &range, superblock + 2 * page, 0, 0);
}

/* A forked child and a second mapping see what goes and what comes, at once. */
TEST_F(commit_share, everybody_sees_it)
{
	const size_t page = self->t.page, at = self->t.superblock + 4 * page;
	char *twin = bt_map(self->t.fd, self->b.length, self->b.alloc.out_offset);
	struct bitmem_range range;
	int down[2], up[2];
	pid_t child;

	ASSERT_NE(NULL, twin);
	ASSERT_EQ(0, pipe(down));
	ASSERT_EQ(0, pipe(up));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int bad = bp_state(&self->b, 0, self->b.length, BP_INTACT) != 0;

		bt_signal(up);
		bt_await(down);
		bad |= bp_state(&self->b, at, 2 * page, BP_GONE) != 0;
		bad |= bp_state(&self->b, at + 2 * page, page, BP_INTACT) != 0;
		bt_signal(up);
		bt_await(down);
		bad |= bp_state(&self->b, at, 2 * page, BP_ZERO) != 0;
		bp_fill(&self->b, at, 2 * page);
		_exit(bad);
	}
	ASSERT_EQ(0, bt_await(up));
	ASSERT_EQ(0, bp_decommit(&self->b, at, 2 * page, &range));
	EXPECT_EQ(2 * page, range.out_done);
	EXPECT_EQ(SIGBUS, bt_probe(twin + at));
	EXPECT_EQ(SIGBUS, bt_probe(twin + at + page));
	EXPECT_TRUE(bp_is(&self->b, twin + at - page, at / page - 1, BP_INTACT));
	EXPECT_TRUE(bp_is(&self->b, twin + at + 2 * page, at / page + 2, BP_INTACT));
	ASSERT_EQ(0, bt_signal(down));
	ASSERT_EQ(0, bt_await(up));
	ASSERT_EQ(0, bp_commit(&self->b, at, 2 * page, &range));
	EXPECT_EQ(self->t.superblock, range.out_promoted);
	EXPECT_TRUE(bp_is(&self->b, twin + at, at / page, BP_ZERO));
	ASSERT_EQ(0, bt_signal(down));
	EXPECT_EQ(0, bt_reap(child));
	/* What the child wrote came into the same memory. */
	EXPECT_EQ(0, bp_state(&self->b, 0, self->b.length, BP_INTACT));
	EXPECT_TRUE(bp_is(&self->b, twin + at, at / page, BP_INTACT));
}

/* System calls get EFAULT where a load would be a SIGBUS. */
TEST_F(commit_share, system_calls)
{
	const size_t page = self->t.page;
	struct bitmem_range range;

	ASSERT_EQ(0, bp_decommit(&self->b, page, page, &range));
	EXPECT_EQ(page, write(self->pipe[1], self->b.memory, page));
	EXPECT_EQ(-1, write(self->pipe[1], self->b.memory + page, page));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-EFAULT, bt_pin(self->pipe, self->b.memory + page, page));
	EXPECT_EQ(-1, read(self->pipe[0], self->b.memory + page, page));
	EXPECT_EQ(EFAULT, errno);
}

/* Somebody writes into the superblock that is taken apart and put together. */
TEST_F(commit_share, under_a_writer)
{
	const unsigned int rounds = bt_rounds(30);
	const size_t page = self->t.page;
	struct bp part = self->b;
	struct bp_writer writer;
	unsigned int i, demoted = 0, promoted = 0;

	/* It leaves the last eight pages alone. */
	part.length = self->t.superblock - 8 * page;
	ASSERT_EQ(0, bp_writer_start(&writer, &part, NULL));
	for (i = 0; i < rounds; i++) {
		struct bitmem_range range;

		ASSERT_EQ(0, bp_decommit(&self->b, part.length, 8 * page, &range));
		ASSERT_EQ(8 * page, range.out_done + range.out_skipped);
		demoted += range.out_done == 8 * page;
		ASSERT_EQ(0, bp_commit(&self->b, part.length, 8 * page, &range));
		promoted += range.out_promoted == self->t.superblock;
	}
	bp_writer_stop(&writer);
	EXPECT_EQ(0, writer.wrong);
	EXPECT_LT(0, writer.rounds);
	EXPECT_LT(0, demoted);
	EXPECT_LT(0, promoted);
	EXPECT_EQ(0, bp_state(&self->b, 0, part.length, BP_INTACT));
	TH_LOG("%u of %u demoted, %u promoted, %lu rounds of the writer", demoted, rounds, promoted,
	       writer.rounds);
}

struct changer {
	pthread_t thread;
	struct bp *b;
	size_t from, length;	/* its own part of each superblock, in pages */
	size_t next;		/* from one superblock to the next */
	unsigned int seed;
	unsigned int rounds;
	unsigned long wrong;
	unsigned long skipped;
};

/* Takes some pages away and gives them back: each is as it was, or gone and then zero. */
static void change(struct changer *c)
{
	const size_t n = 1 + rand_r(&c->seed) % 8, page = c->b->page;
	const size_t first = rand_r(&c->seed) % 2 * c->next + c->from +
			     rand_r(&c->seed) % (c->length - n);
	struct bitmem_range range;
	size_t i, gone = 0;
	bool was_gone[8];

	c->wrong += bp_decommit(c->b, first * page, n * page, &range) != 0;
	c->wrong += range.out_done + range.out_skipped != n * page;
	c->skipped += range.out_skipped / page;
	for (i = 0; i < n; i++) {
		was_gone[i] = bp_is(c->b, c->b->memory + (first + i) * page, first + i, BP_GONE);
		gone += was_gone[i];
	}
	c->wrong += range.out_done != gone * page;
	c->wrong += bp_commit(c->b, first * page, n * page, &range) != 0;
	c->wrong += range.out_done != gone * page;
	for (i = 0; i < n; i++)
		c->wrong += bp_state(c->b, (first + i) * page, page,
				     was_gone[i] ? BP_ZERO : BP_INTACT) != 0;
	bp_fill(c->b, first * page, n * page);
}

static void *change_always(void *arg)
{
	struct changer *c = arg;
	unsigned int i;

	for (i = 0; i < c->rounds; i++)
		change(c);
	return NULL;
}

/* Threads that take away and give back their own parts of the same two superblocks. */
TEST_F_TIMEOUT(commit_share, threads, 300)
{
	struct changer changers[THREADS] = {};
	struct bt_watch watch;
	unsigned long skipped = 0;
	int i;

	ASSERT_EQ(0, bt_watch_start(&watch, &self->t));
	for (i = 0; i < THREADS; i++) {
		changers[i].b = &self->b;
		changers[i].next = self->t.superblock / self->t.page;
		changers[i].length = changers[i].next / THREADS;
		changers[i].from = i * changers[i].length;
		changers[i].seed = i;
		changers[i].rounds = bt_rounds(60);
		ASSERT_EQ(0, pthread_create(&changers[i].thread, NULL, change_always,
					    &changers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(changers[i].thread, NULL));
		EXPECT_EQ(0, changers[i].wrong);
		skipped += changers[i].skipped;
	}
	bt_watch_stop(&watch);
	EXPECT_EQ(0, watch.wrong);
	EXPECT_EQ(0, bp_state(&self->b, 0, self->b.length, BP_INTACT));
	TH_LOG("%lu pages were busy, counters added up %lu times", skipped, watch.polls);
}

/* Killed in the middle of it. */
TEST_F_TIMEOUT(commit_share, killed, 300)
{
	const unsigned int rounds = bt_rounds(15);
	unsigned int i;

	ASSERT_EQ(0, bp_drop(&self->b));
	for (i = 0; i < rounds; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			unsigned int seed = i;
			struct bp own;

			if (bp_new(&own, &self->t, bt_open(), 4 * self->t.superblock))
				_exit(1);
			for (;;) {
				size_t at = rand_r(&seed) % (own.length / own.page);
				struct bitmem_range range;

				bp_decommit(&own, at * own.page, own.length - at * own.page,
					    &range);
				bp_commit(&own, 0, own.length, &range);
			}
		}
		bt_sleep_ms(40 + i * 7 % 40);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(NULL, bt_end(&self->t));
	}
}

BT_MAIN
