// SPDX-License-Identifier: GPL-2.0
/*
 * dma-bufs between processes and threads: the last reference frees the memory, wherever
 * it is and whoever dies. $BITMEM_ROUNDS repeats what is random more often.
 */
#include "bitmem_dmabuf.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define SEED	0xd3ab0f

BT_FIXTURE(dmabuf_share);

/* A child makes a buffer, sends its dma-buf to @sock, and waits to be killed. */
static pid_t exporter(int sock, size_t length)
{
	pid_t child = fork();
	struct bitmem_alloc alloc;
	char *memory;
	int fd;

	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = bt_open();
	memory = bt_new(fd, length, &alloc);
	if (!memory)
		_exit(1);
	bt_fill(memory, length, SEED);
	if (bt_send_fd(sock, bt_export(fd, alloc.out_id, 0)))
		_exit(2);
	pause();
	_exit(3);
}

TEST_F(dmabuf_share, exporter_dies)
{
	const size_t length = 2 * self->t.superblock + self->t.page;
	const uint64_t before = bt_allocated(self->t.fd);
	struct bitmem_import in;
	int sock[2], dmabuf;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	child = exporter(sock[1], length);
	ASSERT_LT(0, child);
	close(sock[1]);
	dmabuf = bt_receive_fd(sock[0]);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(256 + SIGKILL, bt_reap(child));
	EXPECT_EQ(before + length, bt_allocated(self->t.fd));
	ASSERT_EQ(0, bt_import(self->t.fd, dmabuf, &in));
	EXPECT_EQ(BITMEM_BUFFER_SHARED, bt_flags(self->t.fd, in.out_id));
	close(dmabuf);
	EXPECT_EQ(-1, bt_wrong_at(self->t.fd, length, in.out_offset, SEED));
	ASSERT_EQ(0, bt_free(self->t.fd, in.out_id));
	EXPECT_EQ(before, bt_allocated(self->t.fd));
}

/* The only reference is a message that nobody reads any more. */
TEST_F(dmabuf_share, killed_in_flight)
{
	const size_t length = 4 * self->t.superblock + self->t.page;
	const uint64_t before = bt_allocated(self->t.fd);
	int ready[2];
	pid_t child;

	ASSERT_EQ(0, pipe(ready));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int sock[2], dmabuf = bt_orphan(length, SEED);

		close(self->t.fd);
		if (dmabuf < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sock) ||
		    bt_send_fd(sock[0], dmabuf))
			_exit(1);
		close(dmabuf);
		bt_signal(ready);
		pause();
		_exit(2);
	}
	close(ready[1]);
	ASSERT_EQ(0, bt_await(ready));
	EXPECT_EQ(before + length, bt_allocated(self->t.fd));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(256 + SIGKILL, bt_reap(child));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 2000));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, 0, 2000));
}

/* Makes, hands around and drops dma-bufs of @length bytes until it is told to stop. */
struct churn {
	pthread_t thread;
	const struct bt *t;
	const bool *stop;
	size_t length;
	uint64_t seed;
	unsigned long rounds;
	unsigned long wrong;
};

static void *churn(void *arg)
{
	struct churn *c = arg;
	struct bitmem_alloc alloc;
	struct bitmem_import in;
	int fd, dmabuf;
	char *memory;

	while (!__atomic_load_n(c->stop, __ATOMIC_RELAXED)) {
		fd = bt_open();
		c->seed++;
		memory = bt_new(fd, c->length, &alloc);
		dmabuf = bt_export(fd, alloc.out_id, 0);
		if (memory)
			bt_fill(memory, c->length, c->seed);
		/* The id may go before or after the other file has one of its own. */
		if (c->seed & 1)
			close(fd);
		c->wrong += !memory || bt_import(c->t->fd, dmabuf, &in) ||
			bt_wrong_at(c->t->fd, c->length, in.out_offset, c->seed) != -1 ||
			bt_wrong_at(dmabuf, c->length, 0, c->seed) != -1 ||
			bt_free(c->t->fd, in.out_id);
		close(dmabuf);
		if (memory)
			munmap(memory, c->length);
		if (!(c->seed & 1))
			close(fd);
		c->rounds++;
	}
	return NULL;
}

TEST_F(dmabuf_share, threads)
{
	struct churn all[8] = { 0 };
	struct bt_watch watch;
	bool stop = false;
	int i;

	ASSERT_EQ(0, bt_watch_start(&watch, &self->t));
	for (i = 0; i < ARRAY_LEN(all); i++) {
		all[i] = (struct churn) {
			.t = &self->t, .stop = &stop, .seed = (uint64_t)i << 32,
			.length = (i & 1 ? self->t.superblock : 0) + (i + 1) * self->t.page,
		};
		ASSERT_EQ(0, pthread_create(&all[i].thread, NULL, churn, &all[i]));
	}
	bt_sleep_ms(3000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_LEN(all); i++) {
		ASSERT_EQ(0, pthread_join(all[i].thread, NULL));
		EXPECT_EQ(0, all[i].wrong);
		EXPECT_LT(0, all[i].rounds);
	}
	bt_watch_stop(&watch);
	EXPECT_EQ(0, watch.wrong);
}

/* One dma-buf, imported, mapped and dropped by all threads at once. */
static void *share(void *arg)
{
	struct churn *c = arg;
	int dmabuf = c->seed, fd = bt_open(), again;
	struct bitmem_import in;

	while (!__atomic_load_n(c->stop, __ATOMIC_RELAXED)) {
		again = -1;
		c->wrong += bt_import(fd, dmabuf, &in) ||
			bt_wrong_at(fd, c->length, in.out_offset, SEED) != -1 ||
			(again = bt_export(fd, in.out_id, c->rounds & 1)) < 0 ||
			bt_free(fd, in.out_id) ||
			bt_wrong_at(again, c->length, 0, SEED) != -1;
		close(again);
		c->rounds++;
	}
	close(fd);
	return NULL;
}

TEST_F(dmabuf_share, one_for_all)
{
	const size_t length = self->t.superblock + self->t.page;
	int dmabuf = bt_orphan(length, SEED), i;
	struct churn all[8] = { 0 };
	struct bitmem_import in;
	bool stop = false;

	ASSERT_LE(0, dmabuf);
	for (i = 0; i < ARRAY_LEN(all); i++) {
		all[i] = (struct churn) {
			.t = &self->t, .stop = &stop, .seed = dmabuf, .length = length,
		};
		ASSERT_EQ(0, pthread_create(&all[i].thread, NULL, share, &all[i]));
	}
	bt_sleep_ms(2000);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_LEN(all); i++) {
		ASSERT_EQ(0, pthread_join(all[i].thread, NULL));
		EXPECT_EQ(0, all[i].wrong);
		EXPECT_LT(0, all[i].rounds);
	}
	ASSERT_EQ(0, bt_import(self->t.fd, dmabuf, &in));
	EXPECT_EQ(1, bt_exports(self->t.fd, in.out_id));
}

/* Killed anywhere between making a buffer and dropping its last dma-buf. */
TEST_F(dmabuf_share, killed_at_any_moment)
{
	const unsigned int rounds = bt_rounds(40);
	const bool stop = false;
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct churn c = {
				.t = &self->t, .stop = &stop, .seed = i,
				.length = 2 * self->t.superblock + self->t.page,
			};
			struct bt own = self->t;

			/* The ids are to die with the child. */
			own.fd = bt_open();
			c.t = &own;
			churn(&c);
			_exit(1);
		}
		bt_sleep_ms(i % 20 + 1);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
	}
	EXPECT_EQ(NULL, bt_end(&self->t));
}

BT_MAIN
