// SPDX-License-Identifier: GPL-2.0
/*
 * No owner sees what another one left: memory comes zeroed, whether the pool had
 * the time to zero it beforehand or not.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>

BT_FIXTURE(zero);

/* Writes all over a new buffer of @length and lets it go; 0 or -errno. */
static int soil(const struct bt *t, size_t length)
{
	struct bitmem_alloc alloc;
	void *memory = bt_new(t->fd, length, &alloc);

	if (!memory)
		return -errno;
	memset(memory, 0xdb, alloc.out_length);
	munmap(memory, alloc.out_length);
	return bt_free(t->fd, alloc.out_id);
}

/* The first non-zero byte of a new buffer, -1 if there is none, -2 for an error. */
static ssize_t soiled(const struct bt *t, size_t length)
{
	struct bitmem_alloc alloc;
	void *memory = bt_new(t->fd, length, &alloc);
	ssize_t at;

	if (!memory)
		return -2;
	at = bt_nonzero(memory, alloc.out_length);
	munmap(memory, alloc.out_length);
	return bt_free(t->fd, alloc.out_id) ? -2 : at;
}

static uint64_t free_now(const struct bt *t)
{
	struct bitmem_pool_info total;

	return bt_total(t->fd, &total) ? 0 : bt_free_bytes(&total);
}

/* Everything is dirty, and everything is wanted: nothing can be waited for. */
TEST_F(zero, whole_pool_at_once)
{
	const uint64_t length = free_now(&self->t);

	ASSERT_LT(0, length);
	ASSERT_EQ(0, soil(&self->t, length));
	EXPECT_EQ(-1, soiled(&self->t, length));
}

/* While it is being zeroed in the background. */
TEST_F(zero, half_zeroed)
{
	const uint64_t length = free_now(&self->t) / 4;
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, soil(&self->t, length));
		bt_sleep_ms(10 * i);
		EXPECT_EQ(-1, soiled(&self->t, length));
	}
}

/* After it was zeroed in the background. */
TEST_F(zero, zeroed_in_time)
{
	const uint64_t length = free_now(&self->t) / 4;
	struct bitmem_pool_info total;

	ASSERT_EQ(0, soil(&self->t, length));
	ASSERT_EQ(0, BT_WAIT(self->t.fd, out_dirty, 0, 10000));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(bt_free_bytes(&total), total.out_zeroed);
	EXPECT_EQ(-1, soiled(&self->t, 2 * length));
}

/* Single pages, and pages that were part of a superblock before or will be. */
TEST_F(zero, tails)
{
	const size_t tail = self->t.superblock - self->t.page;
	int i;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, soil(&self->t, tail));
		ASSERT_EQ(-1, soiled(&self->t, i % 2 ? tail : self->t.page));
		ASSERT_EQ(0, soil(&self->t, (i + 1) * self->t.page));
		ASSERT_EQ(-1, soiled(&self->t, 2 * self->t.superblock + tail));
	}
}

/* Anonymous mappings too. */
TEST_F(zero, anonymous)
{
	const size_t length = 8 * self->t.superblock + 3 * self->t.page;
	int i;

	for (i = 0; i < 10; i++) {
		char *memory = bt_map(self->t.fd, length, 0);

		ASSERT_NE(NULL, memory);
		EXPECT_EQ(-1, bt_nonzero(memory, length));
		memset(memory, 0x77, length);
		ASSERT_EQ(0, munmap(memory, length));
	}
}

/* Another file's, and a dead process's. */
TEST_F(zero, of_the_dead)
{
	const size_t length = 32 * self->t.superblock;
	int i;

	for (i = 0; i < 5; i++) {
		const pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			int fd = bt_open();
			struct bitmem_alloc alloc;
			void *memory = bt_new(fd, length, &alloc);

			if (memory)
				memset(memory, 0x42, length);
			kill(getpid(), SIGKILL);
		}
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(-1, soiled(&self->t, length));
	}
}

BT_MAIN
