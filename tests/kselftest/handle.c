// SPDX-License-Identifier: GPL-2.0
/*
 * Ids: each leads to one buffer from ALLOC to FREE and to nothing afterwards;
 * several may lead to the same; and whoever frees, asks, maps and closes at the
 * same time gets an answer that was right at some moment. What IMPORT and ATTACH
 * make of them is in dmabuf_share.c and publish.c.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SEED	0x1d
#define THREADS	4

FIXTURE(handle) {
	struct bt t;
	int other;		/* a second file */
};

FIXTURE_SETUP(handle)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	self->other = bt_open();
	ASSERT_LE(0, self->other);
}

FIXTURE_TEARDOWN_PARENT(handle)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static uint64_t allocated(int fd)
{
	struct bitmem_pool_info total;

	return bt_total(fd, &total) ? UINT64_MAX : total.out_allocated;
}

/* An id is not given out again soon after it was freed, so that a stale one finds nothing. */
TEST_F(handle, stale)
{
	struct bitmem_alloc first, alloc;
	struct bitmem_query query;
	uint32_t last;
	int i;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &first));
	EXPECT_NE(0, first.out_id);
	last = first.out_id;
	ASSERT_EQ(0, bt_free(self->t.fd, first.out_id));
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
		EXPECT_LT(last, alloc.out_id);
		EXPECT_NE(first.out_offset, alloc.out_offset);
		last = alloc.out_id;
		ASSERT_EQ(-ENOENT, bt_query(self->t.fd, first.out_id, 0, &query));
		ASSERT_EQ(-ENOENT, bt_free(self->t.fd, first.out_id));
		ASSERT_EQ(NULL, bt_map(self->t.fd, self->t.page, first.out_offset));
		EXPECT_EQ(ENXIO, errno);
		ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
		EXPECT_EQ(-ENOENT, bt_free(self->t.fd, alloc.out_id));
	}
}

/* A file knows its own ids only, and maps only what it has an id for. */
TEST_F(handle, files)
{
	struct bitmem_alloc mine;
	struct bitmem_query query;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 3 * self->t.page, &mine));
	EXPECT_EQ(-ENOENT, bt_query(self->other, mine.out_id, 0, &query));
	EXPECT_EQ(-ENOENT, bt_query(self->other, 0, BITMEM_QUERY_NEXT, &query));
	EXPECT_EQ(-ENOENT, bt_free(self->other, mine.out_id));
	EXPECT_EQ(NULL, bt_map(self->other, self->t.page, mine.out_offset));
	EXPECT_EQ(ENXIO, errno);
	EXPECT_EQ(0, bt_query(self->t.fd, mine.out_id, 0, &query));
}

/* Several ids of one file for one buffer: the memory and the right to map stay with the last. */
TEST_F(handle, several)
{
	const uint64_t before = allocated(self->t.fd);
	struct bitmem_attach ids[3];
	struct bitmem_alloc alloc;
	struct bitmem_query query;
	char *memory;
	int i;

	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &alloc));
	ASSERT_EQ(0, bt_publish(self->t.fd, alloc.out_id, "handle", 0600));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, bt_attach(self->other, BITMEM_UID_SELF, "handle",
				       i ? 0 : BITMEM_ATTACH_READONLY, &ids[i]));
		EXPECT_EQ(alloc.out_offset, ids[i].out_offset);
	}
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	for (i = 2; i > 0; i--) {
		memory = bt_map(self->other, self->t.page, alloc.out_offset);
		ASSERT_NE(NULL, memory);
		memory[0]++;
		EXPECT_EQ(3 - i, memory[0]);
		ASSERT_EQ(0, munmap(memory, self->t.page));
		ASSERT_EQ(0, bt_free(self->other, ids[i].out_id));
	}
	/* The last one may only read. */
	EXPECT_EQ(NULL, bt_map(self->other, self->t.page, alloc.out_offset));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, bt_query(self->other, ids[0].out_id, 0, &query));
	EXPECT_EQ(BITMEM_BUFFER_READONLY, query.out_flags & BITMEM_BUFFER_READONLY);
	EXPECT_EQ(before + self->t.page, allocated(self->t.fd));
	ASSERT_EQ(0, bt_free(self->other, ids[0].out_id));
	EXPECT_EQ(before, allocated(self->t.fd));
}

/* Threads that wait for each other before each round. */
struct racer {
	pthread_t thread;
	pthread_barrier_t *barrier;
	const FIXTURE_DATA(handle) *self;
	void (*round)(struct racer *racer);
	unsigned int nr, rounds;
	unsigned long won, wrong;
	struct bitmem_alloc *alloc;	/* everybody's */
};

static void *race(void *arg)
{
	struct racer *racer = arg;
	unsigned int i;

	for (i = 0; i < racer->rounds; i++) {
		/* The first thread makes what all of them are after. */
		if (!racer->nr)
			racer->wrong += bt_alloc(racer->self->t.fd, 2 * racer->self->t.page,
						 racer->alloc) != 0;
		pthread_barrier_wait(racer->barrier);
		racer->round(racer);
		pthread_barrier_wait(racer->barrier);
	}
	return NULL;
}

static void race_all(struct __test_metadata *_metadata, FIXTURE_DATA(handle) *self,
		     void (*const rounds[THREADS])(struct racer *racer), struct racer *racers)
{
	pthread_barrier_t barrier;
	struct bitmem_alloc alloc;
	int i;

	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, THREADS));
	memset(racers, 0, THREADS * sizeof(*racers));
	for (i = 0; i < THREADS; i++) {
		racers[i].barrier = &barrier;
		racers[i].self = self;
		racers[i].round = rounds[i];
		racers[i].nr = i;
		racers[i].rounds = bt_rounds(300);
		racers[i].alloc = &alloc;
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL, race, &racers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(racers[i].thread, NULL));
		EXPECT_EQ(0, racers[i].wrong);
	}
	pthread_barrier_destroy(&barrier);
}

static void round_free(struct racer *racer)
{
	int err = bt_free(racer->self->t.fd, racer->alloc->out_id);

	racer->won += !err;
	racer->wrong += err && err != -ENOENT;
}

/* Found, and then it is all there; or not found. */
static void round_query(struct racer *racer)
{
	struct bitmem_query query;
	int err = bt_query(racer->self->t.fd, racer->alloc->out_id, 0, &query);

	racer->wrong += err && err != -ENOENT;
	racer->won += !err;
	if (!err)
		racer->wrong += query.out_length != racer->alloc->out_length ||
				query.out_offset != racer->alloc->out_offset ||
				query.out_id != racer->alloc->out_id;
	err = bt_query(racer->self->t.fd, racer->alloc->out_id - 1, BITMEM_QUERY_NEXT, &query);
	racer->wrong += err ? err != -ENOENT : query.out_id != racer->alloc->out_id;
}

/* Mapped, and then it has its memory for as long as that lasts; or ENXIO. */
static void round_map(struct racer *racer)
{
	const size_t length = racer->alloc->out_length;
	char *memory = bt_map(racer->self->t.fd, length, racer->alloc->out_offset);

	if (!memory) {
		racer->wrong += errno != ENXIO;
		return;
	}
	racer->won++;
	bt_fill(memory, length, SEED + racer->nr);
	racer->wrong += bt_probe(memory + length - 1) != 0;
	racer->wrong += munmap(memory, length) != 0;
}

/* Each id is freed by exactly one. */
TEST_F(handle, race_of_frees)
{
	void (*const rounds[THREADS])(struct racer *racer) = {
		round_free, round_free, round_free, round_free,
	};
	struct racer racers[THREADS];
	unsigned long won = 0;
	int i;

	race_all(_metadata, self, rounds, racers);
	for (i = 0; i < THREADS; i++)
		won += racers[i].won;
	EXPECT_EQ(racers[0].rounds, won);
}

TEST_F(handle, race_of_free_query_and_map)
{
	void (*const rounds[THREADS])(struct racer *racer) = {
		round_query, round_map, round_free, round_map,
	};
	struct racer racers[THREADS];

	race_all(_metadata, self, rounds, racers);
	EXPECT_EQ(racers[2].rounds, racers[2].won);
	TH_LOG("%lu found, %lu and %lu mapped of %u", racers[0].won, racers[1].won, racers[3].won,
	       racers[0].rounds);
}

static void *close_file(void *arg)
{
	return (void *)(intptr_t)close(*(int *)arg);
}

/*
 * An anonymous buffer's id goes with its last mapping. Here that is another
 * file's, at the moment when its own file is closed and loses all its ids.
 */
TEST_F(handle, anonymous_mapped_by_another_file)
{
	const unsigned int rounds = bt_rounds(200);
	const size_t length = 2 * self->t.page;
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		struct bitmem_attach attach;
		struct bitmem_query query;
		char *here, *there;
		pthread_t thread;
		int fd = bt_open();
		void *status;

		ASSERT_LE(0, fd);
		here = bt_map(fd, length, 0);
		ASSERT_NE(NULL, here);
		ASSERT_EQ(0, bt_query(fd, 0, BITMEM_QUERY_NEXT, &query));
		ASSERT_EQ(0, bt_publish(fd, query.out_id, "anonymous", 0600));
		ASSERT_EQ(0, bt_attach(self->other, BITMEM_UID_SELF, "anonymous", 0, &attach));
		there = bt_map(self->other, length, attach.out_offset);
		ASSERT_NE(NULL, there);
		bt_fill(here, length, i);
		ASSERT_EQ(0, munmap(here, length));
		EXPECT_EQ(-1, bt_wrong(there, length, i));
		ASSERT_EQ(0, pthread_create(&thread, NULL, close_file, &fd));
		ASSERT_EQ(0, munmap(there, length));
		ASSERT_EQ(0, pthread_join(thread, &status));
		EXPECT_EQ(NULL, status);
		/* The other file's id still holds it. */
		there = bt_map(self->other, length, attach.out_offset);
		ASSERT_NE(NULL, there);
		EXPECT_EQ(-1, bt_wrong(there, length, i));
		ASSERT_EQ(0, munmap(there, length));
		ASSERT_EQ(0, bt_free(self->other, attach.out_id));
	}
}

BT_MAIN
