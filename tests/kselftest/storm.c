// SPDX-License-Identifier: GPL-2.0
/*
 * Many threads at once, while another one adds the counters up all the time: no
 * page is handed out twice, none is lost, and every sum is right at every moment.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>

#define THREADS		4
#define STORM_NS	1000000000ull

BT_FIXTURE(storm);

struct worker {
	pthread_t thread;
	const struct bt *test;
	unsigned int seed;
	void (*round)(struct worker *worker);
	unsigned long rounds;
	unsigned long refused;	/* ENOMEM */
	unsigned long wrong;	/* anything else */
	char *shared;		/* a mapping of all threads */
	size_t length;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	const uint64_t end = bt_now_ns() + STORM_NS;

	while (bt_now_ns() < end) {
		worker->round(worker);
		worker->rounds++;
	}
	return NULL;
}

/* A buffer of any size, written all over, still so a moment later. */
static void round_buffer(struct worker *worker)
{
	const struct bt *t = worker->test;
	const size_t length = (rand_r(&worker->seed) % 3 * t->superblock) +
			      (1 + rand_r(&worker->seed) % 40) * t->page;
	const uint64_t mark = rand_r(&worker->seed);
	struct bitmem_alloc alloc;
	char *memory = bt_new(t->fd, length, &alloc);

	if (!memory) {
		if (errno == ENOMEM)
			worker->refused++;
		else
			worker->wrong++;
		return;
	}
	worker->wrong += bt_nonzero(memory, length) != -1;
	bt_fill(memory, length, mark);
	sched_yield();
	worker->wrong += bt_wrong(memory, length, mark) != -1;
	if (mark & 1) {
		worker->wrong += bt_free(t->fd, alloc.out_id) != 0;
		worker->wrong += munmap(memory, length) != 0;
	} else {
		worker->wrong += munmap(memory, length) != 0;
		worker->wrong += bt_free(t->fd, alloc.out_id) != 0;
	}
}

/* Threads fighting over the same few ids: each id is freed by exactly one. */
static void round_ids(struct worker *worker)
{
	const struct bt *t = worker->test;
	struct bitmem_alloc alloc;
	struct bitmem_query query;
	int err = bt_alloc(t->fd, t->page, &alloc);

	worker->wrong += err && err != -ENOMEM;
	err = bt_query(t->fd, rand_r(&worker->seed) % 8, BITMEM_QUERY_NEXT, &query);
	worker->wrong += err && err != -ENOENT;
	if (err)
		return;
	err = bt_free(t->fd, query.out_id);
	worker->wrong += err && err != -ENOENT;
}

/* Write faults and zaps on the same pages. */
static void round_zap(struct worker *worker)
{
	const struct bt *t = worker->test;

	if (worker->seed % THREADS)
		bt_touch(worker->shared, worker->length, t->page);
	else
		worker->wrong += madvise(worker->shared, worker->length, MADV_DONTNEED) != 0;
}

/* Mapping, faulting and unmapping while others free: the last reference is anybody's. */
static void round_map(struct worker *worker)
{
	const struct bt *t = worker->test;
	struct bitmem_query query;
	char *memory;

	if (bt_query(t->fd, 0, BITMEM_QUERY_NEXT, &query)) {
		struct bitmem_alloc alloc;

		worker->refused += bt_alloc(t->fd, t->superblock + 2 * t->page, &alloc) != 0;
		return;
	}
	memory = bt_map(t->fd, query.out_length, query.out_offset);
	if (memory) {
		bt_touch(memory, query.out_length, t->page);
		bt_free(t->fd, query.out_id);
		worker->wrong += munmap(memory, query.out_length) != 0;
	} else {
		worker->wrong += errno != ENXIO;
	}
}

static void storm(struct __test_metadata *_metadata, FIXTURE_DATA(storm) *self,
		  void (*round)(struct worker *worker), char *shared, size_t length)
{
	struct worker workers[THREADS] = {};
	unsigned long rounds = 0;
	struct bt_watch watch;
	int i;

	ASSERT_EQ(0, bt_watch_start(&watch, &self->t));
	for (i = 0; i < THREADS; i++) {
		workers[i].test = &self->t;
		workers[i].seed = i;
		workers[i].round = round;
		workers[i].shared = shared;
		workers[i].length = length;
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(workers[i].thread, NULL));
		EXPECT_EQ(0, workers[i].wrong);
		EXPECT_LT(workers[i].refused, workers[i].rounds + 1);
		rounds += workers[i].rounds;
	}
	bt_watch_stop(&watch);
	EXPECT_EQ(0, watch.wrong);
	EXPECT_LT(0, rounds);
	TH_LOG("%lu rounds, counters added up %lu times", rounds, watch.polls);
}

TEST_F(storm, buffers)
{
	storm(_metadata, self, round_buffer, NULL, 0);
}

TEST_F(storm, ids)
{
	storm(_metadata, self, round_ids, NULL, 0);
}

TEST_F(storm, maps)
{
	storm(_metadata, self, round_map, NULL, 0);
}

/* Three threads fault pages in that the fourth one zaps, on single pages. */
TEST_F(storm, zaps)
{
	const size_t length = 37 * self->t.page;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	storm(_metadata, self, round_zap, memory, length);
}

/* The same on whole superblocks. */
TEST_F(storm, zaps_of_superblocks)
{
	const size_t length = 4 * self->t.superblock;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	storm(_metadata, self, round_zap, memory, length);
}

/* As if the pool were tiny: requests that fail are as harmless as those that do not. */
TEST_F(storm, exhausted)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc most;

	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	ASSERT_EQ(0, bt_alloc(self->t.fd, bt_free_bytes(&total) - 6 * self->t.superblock, &most));
	storm(_metadata, self, round_buffer, NULL, 0);
	EXPECT_EQ(0, bt_free(self->t.fd, most.out_id));
}

BT_MAIN
