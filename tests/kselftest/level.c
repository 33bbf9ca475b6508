// SPDX-License-Identifier: GPL-2.0
/*
 * Pressure levels: when they change, and how one learns of it.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

BT_FIXTURE(level);

/* What poll() says of @fd within @ms; POLLPRI is a change. */
static int events(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };
	int n = poll(&poll_fd, 1, ms);

	return n < 0 ? -errno : n ? poll_fd.revents : 0;
}

/* The level of the first pool. */
static uint32_t level_of(int fd)
{
	struct bitmem_pool_info pool;

	return bt_pool(fd, 0, &pool) ? ~0u : pool.out_level;
}

/* Takes memory of the first pool until only @bytes are free; 0 or -errno. */
static int leave_free(int fd, uint64_t bytes, struct bitmem_alloc *alloc)
{
	struct bitmem_pool_info pool;
	int err = bt_pool(fd, 0, &pool);

	return err ?: bt_alloc_on(fd, bt_free_bytes(&pool) - bytes, pool.out_node,
				  BITMEM_ALLOC_BIND, alloc);
}

static void need_watermarks(struct __test_metadata *_metadata, FIXTURE_DATA(level) *self,
			    struct bitmem_pool_info *pool)
{
	*pool = self->t.before[0];
	ASSERT_LT(2 * self->t.superblock, pool->out_emergency);
	ASSERT_LT(pool->out_emergency + 2 * self->t.superblock, pool->out_low);
	ASSERT_LT(pool->out_low + 2 * self->t.superblock, pool->out_high);
	ASSERT_EQ(BITMEM_LEVEL_NONE, pool->out_level);
	ASSERT_EQ(pool->out_target, pool->out_max);
}

/* Rises at the low and the emergency mark, falls at the low and the high one. */
TEST_F(level, hysteresis)
{
	const size_t step = self->t.superblock;
	struct bitmem_alloc a, b, c, d;
	struct bitmem_pool_info pool;
	int fd = self->t.fd;

	need_watermarks(_metadata, self, &pool);
	ASSERT_EQ(0, leave_free(fd, pool.out_high + step, &a));
	ASSERT_EQ(0, leave_free(fd, pool.out_low + step, &b));
	EXPECT_EQ(BITMEM_LEVEL_NONE, level_of(fd));
	ASSERT_EQ(0, leave_free(fd, pool.out_low - self->t.page, &c));
	EXPECT_EQ(BITMEM_LEVEL_LOW, level_of(fd));
	ASSERT_EQ(0, leave_free(fd, pool.out_emergency - self->t.page, &d));
	EXPECT_EQ(BITMEM_LEVEL_EMERGENCY, level_of(fd));
	/* Back above the emergency mark, but not above the low one. */
	ASSERT_EQ(0, bt_free(fd, d.out_id));
	EXPECT_EQ(BITMEM_LEVEL_EMERGENCY, level_of(fd));
	ASSERT_EQ(0, bt_free(fd, c.out_id));
	EXPECT_EQ(BITMEM_LEVEL_LOW, level_of(fd));
	ASSERT_EQ(0, bt_free(fd, b.out_id));
	EXPECT_EQ(BITMEM_LEVEL_NONE, level_of(fd));
}

/* Reading BITMEM_INFO ends POLLPRI, for this file only. */
TEST_F(level, poll_until_info)
{
	struct bitmem_pool_info pool;
	struct bitmem_alloc alloc;
	struct bitmem_info info;
	int fd = self->t.fd, other = bt_open();

	ASSERT_LE(0, other);
	need_watermarks(_metadata, self, &pool);
	ASSERT_EQ(0, bt_info(fd, &info));
	ASSERT_EQ(0, bt_info(other, &info));
	EXPECT_EQ(0, events(fd, 0));
	ASSERT_EQ(0, leave_free(fd, pool.out_low - self->t.page, &alloc));
	EXPECT_EQ(POLLPRI, events(fd, 0));
	EXPECT_EQ(POLLPRI, events(fd, 0));
	ASSERT_EQ(0, bt_info(fd, &info));
	EXPECT_EQ(BITMEM_LEVEL_LOW, info.out_level);
	EXPECT_EQ(0, events(fd, 0));
	EXPECT_EQ(POLLPRI, events(other, 0));
	ASSERT_EQ(0, bt_free(fd, alloc.out_id));
	EXPECT_EQ(POLLPRI, events(fd, 0));
	ASSERT_EQ(0, bt_info(fd, &info));
	EXPECT_EQ(BITMEM_LEVEL_NONE, info.out_level);
	close(other);
}

struct waiter {
	int fd;
	int result;
};

static void *wait_for_change(void *arg)
{
	struct waiter *waiter = arg;

	waiter->result = events(waiter->fd, 10000);
	return NULL;
}

/* Who sleeps in poll() is woken. */
TEST_F(level, wakes)
{
	struct bitmem_pool_info pool;
	struct bitmem_alloc alloc;
	struct waiter waiter = { .fd = bt_open() };
	struct bitmem_info info;
	pthread_t thread;

	ASSERT_LE(0, waiter.fd);
	need_watermarks(_metadata, self, &pool);
	ASSERT_EQ(0, bt_info(waiter.fd, &info));
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_change, &waiter));
	bt_sleep_ms(50);
	ASSERT_EQ(0, leave_free(self->t.fd, pool.out_low - self->t.page, &alloc));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(POLLPRI, waiter.result);
	close(waiter.fd);
}

/* Who takes a little at a time hears of it before the first refusal. */
TEST_F(level, before_exhaustion)
{
	uint64_t step = 4 * self->t.superblock;
	unsigned int taken = 0, heard = 0, alarmed = 0;
	struct bitmem_pool_info pool;
	struct bitmem_alloc alloc;
	struct bitmem_info info;
	int fd = self->t.fd;

	need_watermarks(_metadata, self, &pool);
	ASSERT_EQ(0, bt_info(fd, &info));
	while (!bt_alloc_on(fd, step, pool.out_node, BITMEM_ALLOC_BIND, &alloc)) {
		taken++;
		if (!(events(fd, 0) & POLLPRI))
			continue;
		ASSERT_EQ(0, bt_info(fd, &info));
		if (info.out_level == BITMEM_LEVEL_LOW && !heard)
			heard = taken;
		if (info.out_level == BITMEM_LEVEL_EMERGENCY && !alarmed)
			alarmed = taken;
	}
	EXPECT_LT(0, heard);
	EXPECT_LT(heard, alarmed);
	EXPECT_LE(alarmed, taken);
	TH_LOG("low after %u, emergency after %u, nothing left after %u", heard, alarmed, taken);
}

struct churn {
	uint64_t bytes;
	int node;
	bool stop;
	unsigned long rounds;
};

static void *churn(void *arg)
{
	struct churn *churn = arg;
	struct bitmem_alloc alloc;
	int fd = bt_open();

	while (!__atomic_load_n(&churn->stop, __ATOMIC_RELAXED)) {
		if (bt_alloc_on(fd, churn->bytes, churn->node, BITMEM_ALLOC_BIND, &alloc))
			continue;
		__atomic_add_fetch(&churn->rounds, 1, __ATOMIC_RELAXED);
		bt_free(fd, alloc.out_id);
	}
	close(fd);
	return NULL;
}

/* Whether each has had a turn: a machine that has much to do may take its time for that. */
static bool all_had_one(const struct churn *threads, unsigned int n)
{
	while (n--) {
		if (!__atomic_load_n(&threads[n].rounds, __ATOMIC_RELAXED))
			return false;
	}
	return true;
}

/* Levels go up and down while others look; at rest everybody has heard the last word. */
TEST_F(level, concurrent)
{
	struct churn threads[2] = {};
	struct bitmem_pool_info pool;
	pthread_t ids[2];
	struct bitmem_alloc most;
	struct bitmem_info info;
	unsigned long heard = 0;
	unsigned int i;
	uint64_t end, limit;

	need_watermarks(_metadata, self, &pool);
	/* One of them is enough to bring it from above the high mark to below the low one. */
	ASSERT_EQ(0, leave_free(self->t.fd, pool.out_high + self->t.superblock, &most));
	for (i = 0; i < ARRAY_LEN(threads); i++) {
		threads[i].bytes = pool.out_high - pool.out_low + 2 * self->t.superblock;
		threads[i].node = pool.out_node;
		ASSERT_EQ(0, pthread_create(&ids[i], NULL, churn, &threads[i]));
	}
	end = bt_now_ns() + 2000000000;
	limit = end + 60000000000;
	while (bt_now_ns() < end || (!all_had_one(threads, 2) && bt_now_ns() < limit)) {
		if (events(self->t.fd, 10) & POLLPRI) {
			heard++;
			ASSERT_EQ(0, bt_info(self->t.fd, &info));
			EXPECT_GE(BITMEM_LEVEL_EMERGENCY, info.out_level);
		}
	}
	for (i = 0; i < ARRAY_LEN(threads); i++) {
		__atomic_store_n(&threads[i].stop, true, __ATOMIC_RELAXED);
		ASSERT_EQ(0, pthread_join(ids[i], NULL));
		EXPECT_LT(0, threads[i].rounds);
	}
	EXPECT_LT(1, heard);
	ASSERT_EQ(0, bt_free(self->t.fd, most.out_id));
	ASSERT_EQ(0, bt_info(self->t.fd, &info));
	EXPECT_EQ(BITMEM_LEVEL_NONE, info.out_level);
	EXPECT_EQ(0, events(self->t.fd, 0));
}

BT_MAIN
