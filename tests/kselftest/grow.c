// SPDX-License-Identifier: GPL-2.0
/*
 * Pools that may grow: how far, when, and when not.
 */
#include "bitmem_load.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>

#define MODEST	"pool_mb=64 max_mb=256"

BL_FIXTURE(grow);

/* What the parameters say is what the pools have. */
TEST_F(grow, parameters)
{
	struct bitmem_pool_info total;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST " reserve_mb=20"));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(256 * BT_MIB, total.out_max);
	EXPECT_EQ(64 * BT_MIB, total.out_target);
	EXPECT_EQ(64 * BT_MIB, total.out_capacity);
	EXPECT_EQ(20 * BT_MIB, total.out_reserve);
	EXPECT_EQ(44 * BT_MIB, total.out_reclaimable);
	close(self->t.fd);
}

/* Who gives memory back keeps nobody from getting more when he needs it. */
TEST_F(grow, after_a_trim)
{
	struct bitmem_pool_info pool, total;
	struct bitmem_compact trim;
	struct bitmem_alloc alloc;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST " reserve_mb=0"));
	ASSERT_EQ(0, bt_trim(self->t.fd, 0, self->t.superblock, &trim));
	ASSERT_EQ(self->t.superblock, trim.out_freed);
	ASSERT_EQ(0, bt_pool(self->t.fd, 0, &pool));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, pool.out_capacity + 4 * self->t.superblock,
				 pool.out_node, BITMEM_ALLOC_BIND, &alloc));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_LT(64 * BT_MIB, total.out_capacity);
	close(self->t.fd);
}

/* Without being told otherwise a pool stays as it is. */
TEST_F(grow, not_by_default)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=64"));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 64 * BT_MIB, &alloc));
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, 1, &alloc));
	bt_sleep_ms(200);
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(64 * BT_MIB, total.out_max);
	EXPECT_EQ(64 * BT_MIB, total.out_reserve);
	EXPECT_EQ(64 * BT_MIB, total.out_capacity);
	EXPECT_EQ(0, total.out_reclaimable);
	close(self->t.fd);
}

/* Waits for pools that are on their way to where they are to be. */
static void settle(struct __test_metadata *_metadata, int fd, struct bitmem_pool_info *total)
{
	int i;

	for (i = 0; i < 500; i++) {
		bt_sleep_ms(20);
		ASSERT_EQ(0, bt_total(fd, total));
		if (!(total->out_state & BITMEM_POOL_FILLING))
			return;
	}
	EXPECT_EQ(0, total->out_state);
}

/* Little is free: the pool grows until much is, and no further. */
TEST_F(grow, ahead_of_requests)
{
	struct bitmem_pool_info pool, total;
	struct bitmem_alloc alloc;
	uint32_t i;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	ASSERT_EQ(0, bt_pool(self->t.fd, 0, &pool));
	ASSERT_LE(pool.out_low, bt_free_bytes(&pool));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, bt_free_bytes(&pool) - pool.out_low + self->t.page,
				 pool.out_node, BITMEM_ALLOC_BIND, &alloc));
	settle(_metadata, self->t.fd, &total);
	ASSERT_EQ(0, bt_pool(self->t.fd, 0, &pool));
	EXPECT_LE(pool.out_high, bt_free_bytes(&pool));
	EXPECT_GT(pool.out_high + self->t.superblock, bt_free_bytes(&pool));
	EXPECT_EQ(BITMEM_LEVEL_NONE, pool.out_level);
	EXPECT_LE(pool.out_target, pool.out_max);
	/* The others had no reason to. */
	for (i = 1; i < self->t.pools; i++) {
		ASSERT_EQ(0, bt_pool(self->t.fd, i, &pool));
		EXPECT_EQ(self->t.before[i].out_capacity, pool.out_capacity);
	}
	close(self->t.fd);
}

/* A request larger than what is free gets what the pool can grow to. */
TEST_F(grow, for_a_request)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc;
	void *memory;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	memory = bt_new(self->t.fd, 200 * BT_MIB, &alloc);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(-1, bt_nonzero(memory, 200 * BT_MIB));
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, 57 * BT_MIB, &alloc));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 56 * BT_MIB, &alloc));
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, 1, &alloc));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(256 * BT_MIB, total.out_capacity);
	EXPECT_EQ(256 * BT_MIB, total.out_allocated);
	close(self->t.fd);
}

/* Who is bound to a node has only that one grow. */
TEST_F(grow, for_a_bound_request)
{
	struct bitmem_pool_info pool;
	struct bitmem_alloc alloc;
	uint32_t i;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	ASSERT_EQ(0, bt_pool(self->t.fd, 0, &pool));
	EXPECT_EQ(-ENOMEM, bt_alloc_on(self->t.fd, pool.out_max + self->t.page, pool.out_node,
				       BITMEM_ALLOC_BIND, &alloc));
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, pool.out_max, pool.out_node, BITMEM_ALLOC_BIND,
				 &alloc));
	for (i = 1; i < self->t.pools; i++) {
		ASSERT_EQ(0, bt_pool(self->t.fd, i, &pool));
		EXPECT_EQ(self->t.before[i].out_capacity, pool.out_capacity);
	}
	close(self->t.fd);
}

/* Who may not wait does not, neither for growth nor for the first fill. */
TEST_F(grow, nowait)
{
	struct bitmem_alloc alloc;
	uint64_t began;
	int err;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	err = bt_alloc_on(self->t.fd, 200 * BT_MIB, BITMEM_NODE_ANY, BITMEM_ALLOC_NOWAIT, &alloc);
	EXPECT_TRUE(err == -ENOMEM || err == -EAGAIN);
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, 8 * BT_MIB, BITMEM_NODE_ANY, BITMEM_ALLOC_NOWAIT,
				 &alloc));
	close(self->t.fd);
	ASSERT_EQ(0, bl_rmmod_soon());
	ASSERT_EQ(0, bl_insmod("pool_mb=512"));
	self->t.fd = bl_open();
	ASSERT_LE(0, self->t.fd);
	began = bt_now_ns();
	err = bt_alloc_on(self->t.fd, 512 * BT_MIB, BITMEM_NODE_ANY, BITMEM_ALLOC_NOWAIT, &alloc);
	EXPECT_TRUE(err == -EAGAIN || !err);
	EXPECT_GT(1000000000ull, bt_now_ns() - began);
	close(self->t.fd);
}

struct taker {
	pthread_t thread;
	int fd;
	uint64_t bytes;
	int err;
};

static void *take_all(void *arg)
{
	struct taker *taker = arg;
	struct bitmem_alloc alloc;

	while (!(taker->err = bt_alloc(taker->fd, 3 * BT_MIB, &alloc)))
		taker->bytes += 3 * BT_MIB;
	return NULL;
}

/* Many at once: all of the maximum is used, and nobody is refused before. */
TEST_F(grow, concurrent)
{
	struct bitmem_pool_info total;
	struct taker takers[8] = {};
	uint64_t sum = 0;
	size_t i;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	for (i = 0; i < ARRAY_LEN(takers); i++) {
		takers[i].fd = self->t.fd;
		ASSERT_EQ(0, pthread_create(&takers[i].thread, NULL, take_all, &takers[i]));
	}
	for (i = 0; i < ARRAY_LEN(takers); i++) {
		ASSERT_EQ(0, pthread_join(takers[i].thread, NULL));
		EXPECT_EQ(-ENOMEM, takers[i].err);
		sum += takers[i].bytes;
	}
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(sum, total.out_allocated);
	EXPECT_EQ(256 * BT_MIB, total.out_capacity);
	EXPECT_TRUE(bt_adds_up(&total));
	EXPECT_LE(256 * BT_MIB - 3 * BT_MIB, sum);
	close(self->t.fd);
}

/* Killed while it waits for growth: nothing stays promised. */
TEST_F(grow, killed_while_waiting)
{
	struct bitmem_alloc alloc;
	pid_t child;
	int i;

	ASSERT_EQ(NULL, bl_begin(&self->t, MODEST));
	for (i = 0; i < 5; i++) {
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			bt_alloc(bt_open(), 250 * BT_MIB, &alloc);
			pause();
		}
		bt_sleep_ms(5 * i);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, 0, 1000));
	}
	ASSERT_EQ(0, bt_alloc(self->t.fd, 256 * BT_MIB, &alloc));
	close(self->t.fd);
}

/* One piece is one piece, of which the last is not taken apart for anybody who can wait. */
TEST_F(grow, contiguous)
{
	struct bitmem_alloc alloc, page;
	unsigned int n = 0;

	ASSERT_EQ(NULL, bl_begin(&self->t, "pool_mb=16"));
	EXPECT_EQ(-EINVAL, bt_alloc_on(self->t.fd, self->t.superblock + 1, BITMEM_NODE_ANY,
				       BITMEM_ALLOC_CONTIG, &alloc));
	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &page));
	while (!bt_alloc_on(self->t.fd, 1, BITMEM_NODE_ANY, BITMEM_ALLOC_CONTIG, &alloc)) {
		EXPECT_EQ(self->t.superblock, alloc.out_length);
		n++;
	}
	/* The superblock that the page came from has 511 left, and they do not do. */
	EXPECT_EQ(16 * BT_MIB / self->t.superblock - 1, n);
	EXPECT_EQ(-ENOMEM, bt_alloc_on(self->t.fd, 1, BITMEM_NODE_ANY, BITMEM_ALLOC_CONTIG,
				       &alloc));
	EXPECT_EQ(0, bt_alloc(self->t.fd, self->t.superblock - self->t.page, &alloc));
	close(self->t.fd);
}

BL_MAIN
