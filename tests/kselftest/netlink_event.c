// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink: events. They arrive, at everybody who listens, with the right
 * figures, early enough; listeners that are slow or die are nobody else's trouble.
 */
#include "bitmem_genl.h"
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* An event is told by the pool's worker a moment later. */
#define SOON	5000
#define NEVER	300

FIXTURE(netlink_event)
{
	struct bt t;
	struct bn bn;
	struct bn_event event;
};

FIXTURE_SETUP(netlink_event)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bn_open(&self->bn));
	ASSERT_EQ(0, bn_rcvbuf(&self->bn, 1 << 20));
}

FIXTURE_TEARDOWN_PARENT(netlink_event)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

#define VALUE(_attr)	(self->event.value[BITMEM_A_EVENT_##_attr])
#define HAS(_attr)	(self->event.has[BITMEM_A_EVENT_##_attr])

/* The next event of the kind that is about pool @index. */
static int pool_event(struct bn *bn, uint8_t cmd, uint32_t index, struct bn_event *event)
{
	int err;

	do {
		err = bn_event(bn, cmd, SOON, event);
	} while (!err && event->value[BITMEM_A_EVENT_POOL] != index);
	return err;
}

static int set_pool(struct bn *bn, uint32_t index, uint16_t attr, uint64_t value)
{
	struct bn_request request;

	bn_request(bn, &request, BITMEM_NL_CMD_POOL_SET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, index);
	bn_put_u64(&request, attr, value);
	return bn_call(bn, &request, NULL, NULL);
}

/* --- pressure --- */

/* Takes all of a pool but @leave bytes. */
static int take_all_but(struct bt *t, const struct bitmem_pool_info *pool, uint64_t leave)
{
	struct bitmem_pool_info now;
	struct bitmem_alloc alloc;
	int err = bt_pool(t->fd, pool->index, &now);

	if (err || bt_free_bytes(&now) <= leave)
		return err;
	return bt_alloc_on(t->fd, bt_free_bytes(&now) - leave, pool->out_node, BITMEM_ALLOC_BIND,
			   &alloc);
}

/* Both levels are told while there still is memory, and that it is over. */
TEST_F(netlink_event, pressure_comes_before_the_end)
{
	const struct bitmem_pool_info *pool = &self->t.before[0];
	struct bitmem_alloc alloc;
	struct bitmem_info info;

	if (pool->out_max != pool->out_capacity || !pool->out_emergency)
		SKIP(return, "the pool grows, or has no watermarks");
	ASSERT_EQ(0, bn_join(&self->bn, 0));
	ASSERT_EQ(0, take_all_but(&self->t, pool, pool->out_low + self->t.page));
	EXPECT_EQ(-ETIMEDOUT, bn_event(&self->bn, BITMEM_NL_CMD_PRESSURE, NEVER, &self->event));

	ASSERT_EQ(0, take_all_but(&self->t, pool, pool->out_low - self->t.page));
	ASSERT_EQ(0, pool_event(&self->bn, BITMEM_NL_CMD_PRESSURE, 0, &self->event));
	EXPECT_EQ(BITMEM_LEVEL_LOW, VALUE(LEVEL));
	EXPECT_EQ(pool->out_low - self->t.page, VALUE(FREE));
	EXPECT_EQ(pool->out_capacity, VALUE(CAPACITY));
	EXPECT_EQ(pool->out_node, VALUE(NODE));

	ASSERT_EQ(0, take_all_but(&self->t, pool, pool->out_emergency - self->t.page));
	ASSERT_EQ(0, pool_event(&self->bn, BITMEM_NL_CMD_PRESSURE, 0, &self->event));
	EXPECT_EQ(BITMEM_LEVEL_EMERGENCY, VALUE(LEVEL));

	/* Only now does a request fail. */
	ASSERT_EQ(-ENOMEM, bt_alloc_on(self->t.fd, pool->out_emergency, pool->out_node,
				       BITMEM_ALLOC_BIND, &alloc));
	ASSERT_EQ(0, pool_event(&self->bn, BITMEM_NL_CMD_EXHAUSTED, 0, &self->event));
	EXPECT_EQ(pool->out_emergency, VALUE(BYTES));
	EXPECT_EQ(1, VALUE(COUNT));

	close(self->t.fd);
	self->t.fd = bt_open();
	ASSERT_EQ(0, pool_event(&self->bn, BITMEM_NL_CMD_PRESSURE, 0, &self->event));
	EXPECT_EQ(BITMEM_LEVEL_NONE, VALUE(LEVEL));
	ASSERT_EQ(0, bt_info(self->t.fd, &info));
	EXPECT_EQ(BITMEM_LEVEL_NONE, info.out_level);
}

/* A storm of refusals is one event a second, and none of them is forgotten. */
TEST_F(netlink_event, exhausted_once_a_second)
{
	enum { STORM = 500 };
	const struct bitmem_pool_info *pool = &self->t.before[0];
	uint64_t began = bt_now_ns(), events = 0, count = 0;
	struct bitmem_alloc alloc;
	int i;

	ASSERT_EQ(0, bn_join(&self->bn, 0));
	for (i = 0; i < STORM; i++)
		ASSERT_EQ(-ENOMEM, bt_alloc_on(self->t.fd, pool->out_max + self->t.page,
					       pool->out_node, BITMEM_ALLOC_BIND, &alloc));
	bt_sleep_ms(1100);
	ASSERT_EQ(-ENOMEM, bt_alloc_on(self->t.fd, pool->out_max + self->t.page, pool->out_node,
				       BITMEM_ALLOC_BIND, &alloc));
	while (!bn_event(&self->bn, BITMEM_NL_CMD_EXHAUSTED, NEVER, &self->event)) {
		if (VALUE(POOL))
			continue;
		events++;
		count += VALUE(COUNT);
	}
	EXPECT_EQ(STORM + 1, count);
	EXPECT_LE(1, events);
	EXPECT_GE(2 + (bt_now_ns() - began) / 1000000000, events);
}

/* --- files that were closed with buffers --- */

/* A child with a file of its own and @n buffers of a page; waits to be killed. */
static pid_t start_holder(int n)
{
	struct bitmem_alloc alloc;
	int ready[2];
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		int i, fd = bt_open();

		for (i = 0; i < n; i++) {
			if (bt_alloc(fd, 1, &alloc))
				_exit(1);
		}
		bt_signal(ready);
		for (;;)
			pause();
	}
	bt_await(ready);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static int take_serial(const struct bn_reply *reply, void *data)
{
	*(uint64_t *)data = bn_u64(reply, BITMEM_A_BUFFER_FILE);
	return 0;
}

TEST_F(netlink_event, reclaimed_from_the_dead)
{
	uint64_t serial = 0;
	struct bn all;
	pid_t pid;

	ASSERT_EQ(0, bn_join(&self->bn, 0));
	pid = start_holder(3);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, bn_open(&all));
	ASSERT_EQ(0, bn_dump(&all, BITMEM_NL_CMD_BUFFER_GET, take_serial, &serial));
	if (!geteuid())
		ASSERT_EQ(0, bn_join(&all, 1));
	kill(pid, SIGKILL);
	ASSERT_EQ(256 + SIGKILL, bt_reap(pid));

	ASSERT_EQ(0, bn_event(&self->bn, BITMEM_NL_CMD_RECLAIMED, SOON, &self->event));
	EXPECT_EQ(serial, VALUE(FILE));
	EXPECT_EQ(3, VALUE(BUFFERS));
	EXPECT_EQ(3 * self->t.page, VALUE(BYTES));
	EXPECT_FALSE(HAS(PID));
	EXPECT_FALSE(HAS(UID));
	EXPECT_FALSE(HAS(COMM));
	if (geteuid())
		return;
	ASSERT_EQ(0, bn_event(&all, BITMEM_NL_CMD_RECLAIMED, SOON, &self->event));
	EXPECT_EQ(serial, VALUE(FILE));
	EXPECT_EQ(3, VALUE(BUFFERS));
	EXPECT_EQ(3 * self->t.page, VALUE(BYTES));
	EXPECT_EQ(pid, VALUE(PID));
	EXPECT_TRUE(HAS(UID));
	EXPECT_EQ(geteuid(), VALUE(UID));
	if (HAS(COMM))
		EXPECT_STREQ("netlink_event", self->event.comm);
}

TEST_F(netlink_event, nothing_left_is_no_event)
{
	struct bitmem_alloc alloc;
	int fd = bt_open();

	ASSERT_EQ(0, bn_join(&self->bn, 0));
	ASSERT_EQ(0, bt_alloc(fd, 1, &alloc));
	ASSERT_EQ(0, bt_free(fd, alloc.out_id));
	close(fd);
	EXPECT_EQ(-ETIMEDOUT, bn_event(&self->bn, BITMEM_NL_CMD_RECLAIMED, NEVER, &self->event));
}

/* --- listeners --- */

/* Closes @n files, each with a buffer. */
static void leak(int n)
{
	struct bitmem_alloc alloc;
	int i;

	for (i = 0; i < n; i++) {
		int fd = bt_open();

		bt_alloc(fd, 1, &alloc);
		close(fd);
	}
}

/* Each hears it; that one is killed, and others come and go, disturbs nobody. */
TEST_F(netlink_event, many_listeners)
{
	enum { LISTENERS = 8 };
	struct bn listeners[LISTENERS];
	int i, ready[2];
	pid_t pid;

	ASSERT_EQ(0, bn_join(&self->bn, 0));
	for (i = 0; i < LISTENERS; i++) {
		ASSERT_EQ(0, bn_open(&listeners[i]));
		ASSERT_EQ(0, bn_join(&listeners[i], 0));
	}
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct bn bn;

		if (bn_open(&bn) || bn_join(&bn, 0))
			_exit(1);
		bt_signal(ready);
		for (;;)
			bn_event(&bn, 0, SOON, &self->event);
	}
	ASSERT_EQ(0, bt_await(ready));
	leak(20);
	kill(pid, SIGKILL);
	leak(20);
	EXPECT_EQ(256 + SIGKILL, bt_reap(pid));
	bn_close(&listeners[0]);
	leak(1);
	for (i = 0; i < 41; i++)
		ASSERT_EQ(0, bn_event(&self->bn, BITMEM_NL_CMD_RECLAIMED, SOON, &self->event));
	for (i = 1; i < LISTENERS; i++)
		EXPECT_EQ(0, bn_event(&listeners[i], BITMEM_NL_CMD_RECLAIMED, SOON, &self->event));
}

/* Who does not read is told that there was more; nobody waits for him. */
TEST_F(netlink_event, slow_listener)
{
	struct bn slow;
	int err, n = 0;

	ASSERT_EQ(0, bn_join(&self->bn, 0));
	ASSERT_EQ(0, bn_open(&slow));
	ASSERT_EQ(0, bn_rcvbuf(&slow, 2048));
	ASSERT_EQ(0, bn_join(&slow, 0));
	leak(200);
	while (!(err = bn_event(&slow, BITMEM_NL_CMD_RECLAIMED, NEVER, &self->event)))
		n++;
	EXPECT_EQ(-ENOBUFS, err);
	EXPECT_GT(200, n);
	for (n = 0; n < 200; n++)
		ASSERT_EQ(0, bn_event(&self->bn, BITMEM_NL_CMD_RECLAIMED, SOON, &self->event));
}

/* --- the rest --- */

/* Pages that a pipe holds when their buffer goes. */
TEST_F(netlink_event, quarantine)
{
	struct bitmem_alloc alloc;
	struct iovec iov;
	int ends[2];

	ASSERT_EQ(0, bn_join(&self->bn, 0));
	ASSERT_EQ(0, pipe(ends));
	iov.iov_len = self->t.page;
	iov.iov_base = bt_new(self->t.fd, self->t.page, &alloc);
	ASSERT_NE(NULL, iov.iov_base);
	*(char *)iov.iov_base = 1;
	ASSERT_EQ(self->t.page, vmsplice(ends[1], &iov, 1, 0));
	ASSERT_EQ(0, munmap(iov.iov_base, self->t.page));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	ASSERT_EQ(0, bn_event(&self->bn, BITMEM_NL_CMD_QUARANTINE, SOON, &self->event));
	EXPECT_GT(self->t.pools, VALUE(POOL));
	EXPECT_EQ(self->t.page, VALUE(BYTES));
	close(ends[0]);
	close(ends[1]);
}

/* Single pages left here and there over more than two superblocks. */
TEST_F(netlink_event, compacted)
{
	struct bitmem_compact compact = { .size = sizeof(compact), .index = self->t.pools - 1 };
	int i, n = 2 * self->t.superblock / self->t.page + 100;
	uint32_t *ids = calloc(n, sizeof(*ids));
	struct bitmem_alloc alloc;

	ASSERT_NE(NULL, ids);
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, bt_alloc_on(self->t.fd, 1, self->t.before[compact.index].out_node,
					 BITMEM_ALLOC_BIND, &alloc));
		ids[i] = alloc.out_id;
	}
	for (i = 0; i < n; i++) {
		if (i % 8)
			ASSERT_EQ(0, bt_free(self->t.fd, ids[i]));
	}
	ASSERT_EQ(0, bn_join(&self->bn, 0));
	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_COMPACT, &compact));
	ASSERT_LT(0, compact.out_moved);
	ASSERT_EQ(0, bn_event(&self->bn, BITMEM_NL_CMD_COMPACTED, SOON, &self->event));
	EXPECT_EQ(compact.index, VALUE(POOL));
	EXPECT_EQ(self->t.before[compact.index].out_node, VALUE(NODE));
	EXPECT_EQ(compact.out_moved, VALUE(MOVED));
	EXPECT_EQ(compact.out_freed, VALUE(FREED));
	EXPECT_EQ(compact.out_skipped, VALUE(SKIPPED));
}

TEST_F(netlink_event, shrunk)
{
	struct bitmem_compact trim = { .size = sizeof(trim), .budget = self->t.superblock };
	const struct bitmem_pool_info *was = &self->t.before[0];
	uint64_t capacity = 0;
	struct bn control;
	uint32_t i;

	if (geteuid())
		SKIP(return, "needs root");
	if (was->out_capacity != was->out_target || was->out_target < 4 * self->t.superblock)
		SKIP(return, "the pool is small, or not full");
	ASSERT_EQ(0, bn_open(&control));
	ASSERT_EQ(0, bn_join(&self->bn, 0));
	ASSERT_EQ(0, set_pool(&control, 0, BITMEM_A_POOL_RESERVE, 0));
	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_TRIM, &trim));
	EXPECT_EQ(self->t.superblock, trim.out_freed);
	ASSERT_EQ(0, bn_event(&self->bn, BITMEM_NL_CMD_SHRUNK, SOON, &self->event));
	EXPECT_EQ(0, VALUE(POOL));
	EXPECT_EQ(self->t.superblock, VALUE(BYTES));
	EXPECT_EQ(0, set_pool(&control, 0, BITMEM_A_POOL_TARGET, was->out_target));
	EXPECT_EQ(0, set_pool(&control, 0, BITMEM_A_POOL_RESERVE, was->out_reserve));
	for (i = 0; i < self->t.pools; i++)
		capacity += self->t.before[i].out_capacity;
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_capacity, capacity, SOON));
}

BT_MAIN
