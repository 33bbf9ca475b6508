// SPDX-License-Identifier: GPL-2.0
/*
 * COMPACT under load: while a thread writes, a forked child reads and a disk writes
 * into the pages by DMA; several at once; and while buffers are made, freed and
 * killed. $BITMEM_NVME names a disk that may be overwritten; see pin.c.
 */
#include "bitmem_test.h"
#include "bitmem_pages.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define THREADS	3

/*
 * What the pages of the buffer are for, by their index modulo 8. Every superblock
 * keeps half of its pages while the others come and go.
 */
enum {
	FOR_THE_CHILD,
	COMES_AND_GOES,
	FOR_THE_WRITER,
	FOR_THE_DISK = 4,
	PERIOD = 8,
};

FIXTURE(compact_load) {
	struct bt t;
	struct bp b;
};

FIXTURE_SETUP(compact_load)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bp_new(&self->b, &self->t, self->t.fd, 6 * self->t.superblock));
}

FIXTURE_TEARDOWN_PARENT(compact_load)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static bool comes_and_goes(size_t index)
{
	return index & 1;
}

static bool not_for_the_writer(size_t index)
{
	return index % PERIOD != FOR_THE_WRITER;
}

/* Decommits half of a buffer, page by page. Returns pages that stayed, or -errno. */
static long punch(const struct bp *b)
{
	struct bitmem_range range;
	long busy = 0;
	size_t i;
	int err;

	for (i = 0; i < b->length / b->page; i++) {
		if (!comes_and_goes(i))
			continue;
		err = bp_decommit(b, i * b->page, b->page, &range);
		if (err)
			return err;
		busy += range.out_skipped / b->page;
	}
	return busy;
}

/* Compacts all pools; adds what was done up. 0 or -errno. */
static int compact_all(const struct bt *t, struct bitmem_compact *sum)
{
	struct bitmem_compact one;
	uint32_t i;
	int err;

	for (i = 0; i < t->pools; i++) {
		err = bt_compact(t->fd, i, 0, &one);
		if (err)
			return err;
		sum->out_moved += one.out_moved;
		sum->out_freed += one.out_freed;
		sum->out_skipped += one.out_skipped;
	}
	return 0;
}

/* A thread that has the disk write into its pages, and looks at what came. */
struct reader {
	pthread_t thread;
	const struct bp *b;
	int disk;
	bool stop;
	char *want;
	unsigned long reads, wrong;
};

static void read_page(struct reader *reader, size_t index)
{
	const size_t page = reader->b->page, at = index * page % (16 * BT_MIB);
	char *memory = reader->b->memory + index * page;

	memset(memory, 0xa5, page);
	reader->wrong += pread(reader->disk, memory, page, at) != (ssize_t)page;
	reader->wrong += memcmp(memory, reader->want + at, page) != 0;
	reader->reads++;
}

static void *read_always(void *arg)
{
	struct reader *reader = arg;
	size_t i;

	for (i = FOR_THE_DISK; !__atomic_load_n(&reader->stop, __ATOMIC_RELAXED); i += PERIOD)
		read_page(reader, i % (reader->b->length / reader->b->page));
	return NULL;
}

/* Learns what is on the disk. False if there is none. */
static bool reader_start(struct reader *reader, const struct bp *b)
{
	bool ours;

	memset(reader, 0, sizeof(*reader));
	reader->b = b;
	reader->disk = bt_disk(&ours);
	if (reader->disk < 0)
		return false;
	reader->want = aligned_alloc(4096, 16 * BT_MIB);
	if (!reader->want)
		return false;
	bt_fill(reader->want, 16 * BT_MIB, 0xd15c);
	if (ours)
		reader->wrong += pwrite(reader->disk, reader->want, 16 * BT_MIB, 0) < 0;
	reader->wrong += pread(reader->disk, reader->want, 16 * BT_MIB, 0) < 0;
	return !pthread_create(&reader->thread, NULL, read_always, reader);
}

static void reader_stop(struct reader *reader)
{
	__atomic_store_n(&reader->stop, true, __ATOMIC_RELAXED);
	pthread_join(reader->thread, NULL);
	close(reader->disk);
	free(reader->want);
}

/* What the child does until it is told to end: 0 if its pages were always intact. */
static int look_always(const struct bp *b, const int pipe[2])
{
	char byte;
	size_t i;

	while (read(pipe[0], &byte, 1) != 1) {
		for (i = FOR_THE_CHILD; i < b->length / b->page; i += PERIOD) {
			if (bp_state(b, i * b->page, b->page, BP_INTACT))
				return 1;
		}
	}
	return 0;
}

/* Rounds of taking pages away, compacting, and giving them back. */
static void churn(struct __test_metadata *_metadata, FIXTURE_DATA(compact_load) *self,
		  unsigned int rounds, struct bitmem_compact *sum)
{
	struct bitmem_range range;
	unsigned int i;
	long busy = 0;

	for (i = 0; i < rounds; i++) {
		long stayed = punch(&self->b);

		ASSERT_LE(0, stayed);
		busy += stayed;
		ASSERT_EQ(0, compact_all(&self->t, sum));
		/* Every other time one page is left out, so that nothing is promoted. */
		ASSERT_EQ(0, bp_commit(&self->b, (i & 1) * 2 * self->t.page,
				       self->b.length - (i & 1) * 2 * self->t.page, &range));
		if (stayed == 0 && !(i & 1))
			EXPECT_EQ(self->b.length / 2, range.out_done);
	}
	TH_LOG("%llu pages moved, %llu skipped, %llu superblocks freed, %ld decommits too early",
	       (unsigned long long)sum->out_moved / self->t.page,
	       (unsigned long long)sum->out_skipped / self->t.page,
	       (unsigned long long)sum->out_freed / self->t.superblock, busy);
}

TEST_F_TIMEOUT(compact_load, writer_child_and_disk, 300)
{
	struct bitmem_compact sum = {};
	struct bp_writer writer;
	struct reader reader;
	int quit[2];
	pid_t child;
	bool disk;

	ASSERT_EQ(0, pipe2(quit, O_NONBLOCK));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(look_always(&self->b, quit));
	ASSERT_EQ(0, bp_writer_start(&writer, &self->b, not_for_the_writer));
	disk = reader_start(&reader, &self->b);
	churn(_metadata, self, bt_rounds(8), &sum);
	bp_writer_stop(&writer);
	if (disk)
		reader_stop(&reader);
	ASSERT_EQ(0, bt_signal(quit));
	EXPECT_EQ(0, bt_reap(child));
	EXPECT_EQ(0, writer.wrong);
	EXPECT_LT(0, writer.rounds);
	EXPECT_LT(0, sum.out_moved);
	if (disk) {
		EXPECT_EQ(0, reader.wrong);
		EXPECT_LT(0, reader.reads);
		TH_LOG("%lu rounds of the writer, %lu reads", writer.rounds, reader.reads);
	} else {
		TH_LOG("%lu rounds of the writer, no disk", writer.rounds);
	}
}

struct compactor {
	pthread_t thread;
	const struct bt *t;
	bool stop;
	unsigned long wrong;
	struct bitmem_compact sum;
};

static void *compact_always(void *arg)
{
	struct compactor *c = arg;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
		c->wrong += compact_all(c->t, &c->sum) != 0;
	return NULL;
}

static int compactors_start(struct compactor *all, const struct bt *t)
{
	int i, err = 0;

	memset(all, 0, THREADS * sizeof(*all));
	for (i = 0; i < THREADS && !err; i++) {
		all[i].t = t;
		err = pthread_create(&all[i].thread, NULL, compact_always, &all[i]);
	}
	return err;
}

/* Returns what they did wrong. */
static unsigned long compactors_stop(struct compactor *all)
{
	unsigned long wrong = 0;
	int i;

	for (i = 0; i < THREADS; i++)
		__atomic_store_n(&all[i].stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++) {
		pthread_join(all[i].thread, NULL);
		wrong += all[i].wrong;
	}
	return wrong;
}

/* Several at once, on pages that come and go; one more alone makes it good. */
TEST_F_TIMEOUT(compact_load, several_at_once, 300)
{
	const unsigned int rounds = bt_rounds(5);
	struct compactor all[THREADS];
	struct bitmem_compact sum = {};
	struct bitmem_pool_info total;
	struct bitmem_range range;
	struct bt_watch watch;
	unsigned int i;
	size_t j;

	ASSERT_EQ(0, bt_watch_start(&watch, &self->t));
	ASSERT_EQ(0, compactors_start(all, &self->t));
	for (i = 0; i < rounds; i++) {
		ASSERT_EQ(0, bp_commit(&self->b, 0, self->b.length, &range));
		for (j = 1; j < self->b.length / self->t.page; j += 2)
			bp_fill(&self->b, j * self->t.page, self->t.page);
		ASSERT_LE(0, punch(&self->b));
		for (j = 0; j < self->b.length / self->t.page; j += 2)
			EXPECT_EQ(0, bp_state(&self->b, j * self->t.page, self->t.page,
					      BP_INTACT));
	}
	EXPECT_EQ(0, compactors_stop(all));
	bt_watch_stop(&watch);
	EXPECT_EQ(0, watch.wrong);
	ASSERT_EQ(0, bp_decommit(&self->b, self->t.page, self->t.page, &range));
	ASSERT_EQ(0, punch(&self->b));
	ASSERT_EQ(0, compact_all(&self->t, &sum));
	for (i = 0; i < BT_PATIENCE_MS / 5; i++) {
		ASSERT_EQ(0, bt_total(self->t.fd, &total));
		if (total.out_capacity - total.out_largest <= total.out_allocated / 50 * 51 +
		    self->t.pools * self->t.superblock)
			break;
		bt_sleep_ms(5);
	}
	EXPECT_GT(BT_PATIENCE_MS / 5, i);
	for (j = 0; j < self->b.length / self->t.page; j++)
		EXPECT_EQ(0, bp_state(&self->b, j * self->t.page, self->t.page,
				      comes_and_goes(j) ? BP_GONE : BP_INTACT));
}

/* Buffers that are made, taken apart and freed while their pages are on their way. */
TEST_F_TIMEOUT(compact_load, freed_meanwhile, 300)
{
	const unsigned int rounds = bt_rounds(40);
	struct compactor all[THREADS];
	struct bt_watch watch;
	unsigned int i, seed = 1;

	ASSERT_EQ(0, bt_watch_start(&watch, &self->t));
	ASSERT_EQ(0, compactors_start(all, &self->t));
	for (i = 0; i < rounds; i++) {
		const size_t length = (1 + rand_r(&seed) % 700) * self->t.page;
		struct bp b[3];
		size_t j, k;

		for (j = 0; j < ARRAY_LEN(b); j++)
			ASSERT_EQ(0, bp_new(&b[j], &self->t, self->t.fd, length));
		ASSERT_LE(0, punch(&b[1]));
		ASSERT_EQ(0, bp_drop(&b[0]));
		for (k = 0; k < length / self->t.page; k += 2)
			EXPECT_EQ(0, bp_state(&b[1], k * self->t.page, self->t.page, BP_INTACT));
		EXPECT_EQ(0, bp_state(&b[2], 0, length, BP_INTACT));
		ASSERT_EQ(0, bp_drop(&b[1]));
		ASSERT_EQ(0, bp_drop(&b[2]));
	}
	EXPECT_EQ(0, compactors_stop(all));
	bt_watch_stop(&watch);
	EXPECT_EQ(0, watch.wrong);
	EXPECT_EQ(0, bp_state(&self->b, 0, self->b.length, BP_INTACT));
}

/* The owner is killed, or whoever compacts is. */
TEST_F_TIMEOUT(compact_load, killed, 300)
{
	const unsigned int rounds = bt_rounds(10);
	struct bitmem_compact sum = {};
	unsigned int i;

	ASSERT_EQ(0, bp_drop(&self->b));
	for (i = 0; i < rounds; i++) {
		pid_t owner = fork(), compactor;

		ASSERT_LE(0, owner);
		if (!owner) {
			struct bitmem_range range;
			struct bp own;

			if (bp_new(&own, &self->t, bt_open(), 2 * self->t.superblock))
				_exit(1);
			for (;;) {
				punch(&own);
				bp_commit(&own, own.page * 2, own.length - own.page * 2, &range);
			}
		}
		compactor = fork();
		ASSERT_LE(0, compactor);
		if (!compactor) {
			while (!compact_all(&self->t, &sum))
				;
			_exit(1);
		}
		bt_sleep_ms(100 + i * 17 % 50);
		ASSERT_EQ(0, kill(i & 1 ? owner : compactor, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(i & 1 ? owner : compactor));
		ASSERT_EQ(0, kill(i & 1 ? compactor : owner, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(i & 1 ? compactor : owner));
		EXPECT_EQ(NULL, bt_end(&self->t));
	}
}

BT_MAIN
