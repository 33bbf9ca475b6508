// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever a process held when it died comes back, to the last page, wherever
 * the signal hit it. $BITMEM_ROUNDS repeats the main test more often.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#define ROUNDS	20

BT_FIXTURE(kill);

/* Allocates and touches @length bytes in a new file; false if it cannot. */
static bool hold(const struct bt *t, size_t length)
{
	int fd = bt_open();
	struct bitmem_alloc alloc;
	char *memory = bt_new(fd, length, &alloc);

	if (memory)
		bt_touch(memory, length, t->page);
	return memory;
}

/* How long until all pools are as they were, in ns; 0 if they never are. */
static uint64_t recovery(const struct bt *t)
{
	const uint64_t began = bt_now_ns();

	return bt_end(t) ? 0 : bt_now_ns() - began;
}

static int by_value(const void *one, const void *two)
{
	const uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)two;

	return (a > b) - (a < b);
}

static void log_times(struct __test_metadata *_metadata, const char *what, uint64_t *times,
		      unsigned int count)
{
	qsort(times, count, sizeof(*times), by_value);
	TH_LOG("%s: least %llu, median %llu, most %llu us", what,
	       (unsigned long long)times[0] / 1000,
	       (unsigned long long)times[count / 2] / 1000,
	       (unsigned long long)times[count - 1] / 1000);
}

/* Kills a child that holds @length bytes. Sets how long it took to reap it and to be whole. */
static void kill_holder(struct __test_metadata *_metadata, const struct bt *t, size_t length,
			uint64_t *reaped, uint64_t *whole)
{
	uint64_t began;
	int ready[2];
	pid_t child;

	ASSERT_EQ(0, pipe(ready));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (hold(t, length))
			bt_signal(ready);
		pause();
		_exit(1);
	}
	close(ready[1]);
	ASSERT_EQ(0, bt_await(ready));
	close(ready[0]);
	began = bt_now_ns();
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(256 + SIGKILL, bt_reap(child));
	*reaped = bt_now_ns() - began;
	*whole = recovery(t);
	ASSERT_NE(0, *whole);
	*whole += *reaped;
}

TEST_F_TIMEOUT(kill, holding_512_mib, 900)
{
	const unsigned int rounds = bt_rounds(ROUNDS);
	uint64_t *reaped = calloc(rounds, sizeof(*reaped));
	uint64_t *whole = calloc(rounds, sizeof(*whole));
	struct bitmem_pool_info total;
	size_t length = 512 * BT_MIB;
	unsigned int i;

	ASSERT_NE(NULL, reaped);
	ASSERT_NE(NULL, whole);
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	if (bt_free_bytes(&total) < length) {
		length = bt_free_bytes(&total) / 2;
		TH_LOG("the pool is small: with %zu MiB", length / BT_MIB);
	}
	for (i = 0; i < rounds; i++)
		kill_holder(_metadata, &self->t, length, &reaped[i], &whole[i]);
	log_times(_metadata, "until reaped", reaped, rounds);
	log_times(_metadata, "until every page is free", whole, rounds);
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_dirty, 0, 10000));
	free(reaped);
	free(whole);
}

/* At any moment of allocating, mapping, touching and freeing. */
TEST_F(kill, at_any_moment)
{
	const size_t length = 8 * self->t.superblock + 5 * self->t.page;
	int i;

	for (i = 0; i < 60; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			int fd = bt_open();
			struct bitmem_alloc alloc;
			char *memory;

			for (;;) {
				memory = bt_new(fd, length, &alloc);
				if (!memory)
					_exit(1);
				bt_touch(memory, length, self->t.page);
				if (i & 1)
					munmap(memory, length);
				bt_free(fd, alloc.out_id);
				if (!(i & 1))
					munmap(memory, length);
			}
		}
		bt_sleep_ms(i % 13);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		ASSERT_NE(0, recovery(&self->t));
	}
}

/* While the whole pool is dirty and a request for it is zeroing. */
TEST_F(kill, while_zeroing)
{
	struct bitmem_pool_info total;
	int i;

	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	for (i = 0; i < 6; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			int fd = bt_open();
			struct bitmem_alloc alloc;

			for (;;) {
				if (bt_alloc(fd, bt_free_bytes(&total), &alloc))
					_exit(1);
				bt_free(fd, alloc.out_id);
			}
		}
		bt_sleep_ms(30 + 37 * i);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		ASSERT_NE(0, recovery(&self->t));
	}
}

static void *touch_for_ever(void *arg)
{
	const struct bt *t = arg;
	struct bitmem_alloc alloc;

	for (;;) {
		char *memory = bt_new(t->fd, t->superblock + 7 * t->page, &alloc);

		if (!memory)
			continue;
		bt_touch(memory, alloc.out_length, t->page);
		munmap(memory, alloc.out_length);
		bt_free(t->fd, alloc.out_id);
	}
	return NULL;
}

TEST_F(kill, threads)
{
	int i, j;

	for (i = 0; i < 15; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct bt own = self->t;
			pthread_t thread;

			own.fd = bt_open();
			for (j = 0; j < 4; j++)
				pthread_create(&thread, NULL, touch_for_ever, &own);
			pause();
			_exit(1);
		}
		bt_sleep_ms(10 + i);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		ASSERT_NE(0, recovery(&self->t));
	}
}

/* A family that shares a file is killed one by one: the last one counts. */
TEST_F(kill, family)
{
	const size_t length = 16 * self->t.superblock;
	struct bitmem_pool_info before, now;
	pid_t children[3];
	int ready[2], i;

	ASSERT_EQ(0, bt_total(self->t.fd, &before));
	ASSERT_EQ(0, pipe(ready));
	children[0] = fork();
	ASSERT_LE(0, children[0]);
	if (!children[0]) {
		int fd = bt_open();
		struct bitmem_alloc alloc;
		char *memory = bt_new(fd, length, &alloc);

		for (i = 1; memory && i < 3; i++) {
			pid_t child = fork();

			if (!child)
				break;
			if (write(ready[1], &child, sizeof(child)) != sizeof(child))
				_exit(1);
		}
		if (memory)
			bt_touch(memory, length, self->t.page);
		/* Whoever is left over goes with the test. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(1);
	}
	for (i = 1; i < 3; i++)
		ASSERT_EQ(sizeof(children[i]),
			  read(ready[0], &children[i], sizeof(children[i])));
	for (i = 2; i >= 0; i--) {
		ASSERT_EQ(0, bt_total(self->t.fd, &now));
		EXPECT_EQ(before.out_allocated + length, now.out_allocated);
		ASSERT_EQ(0, kill(children[i], SIGKILL));
		if (!i)
			ASSERT_EQ(256 + SIGKILL, bt_reap(children[0]));
	}
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before.out_allocated, 2000));
}

BT_MAIN
