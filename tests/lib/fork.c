/* SPDX-License-Identifier: GPL-2.0 */
/* What fork() does: the memory is shared, and stays until both have gone. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bitmem/track.h>

#include "lib_test.h"

/* Waits for the child; its exit status, or 128 + the signal that ended it. */
static int status_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In the child: 0 if it sees the parent's bytes; leaves its own. */
static int read_and_write(unsigned char *data, size_t length)
{
	if (!test_all_are(data, 0x11, length))
		return 1;
	memset(data, 0x22, length);
	return 0;
}

TEST_F(lib, memory_is_shared)
{
	const uint64_t shape = 10000;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	unsigned char *large = bitmem_zalloc(self->ctx, 3 * MIB, 0), *data;
	struct bitmem_stats before, after;
	pid_t child;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, large);
	data = bitmem_tensor_data(t);
	memset(data, 0x11, shape);
	memset(large, 0x11, 3 * MIB);
	before = test_stats(self->ctx);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(read_and_write(data, shape) || read_and_write(large, 3 * MIB));
	EXPECT_EQ(0, status_of(child));
	EXPECT_TRUE(test_all_are(data, 0x22, shape));
	EXPECT_TRUE(test_all_are(large, 0x22, 3 * MIB));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	EXPECT_EQ(0, bitmem_free(self->ctx, large));
	bitmem_tensor_unref(t);
}

TEST_F(lib, killed_child_takes_nothing)
{
	unsigned char *block = bitmem_zalloc(self->ctx, MIB, 0);
	pid_t child;

	ASSERT_NE(NULL, block);
	memset(block, 0x11, MIB);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (!read_and_write(block, MIB))
			raise(SIGKILL);
		_exit(1);
	}
	EXPECT_EQ(128 + SIGKILL, status_of(child));
	EXPECT_TRUE(test_all_are(block, 0x22, MIB));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	block = bitmem_zalloc(self->ctx, MIB, 0);
	ASSERT_NE(NULL, block);
	EXPECT_TRUE(test_all_are(block, 0, MIB));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

/* In the child: a context of its own, beside the parent's. */
static int use_own_context(void)
{
	struct bitmem *ctx = test_open(2 * MIB);
	void *block = ctx ? bitmem_zalloc(ctx, 1000, 0) : NULL;

	if (!block || !test_all_are(block, 0, 1000))
		return 1;
	memset(block, 0x33, 1000);
	return bitmem_free(ctx, block) || bitmem_close(ctx);
}

TEST_F(lib, child_has_contexts_of_its_own)
{
	unsigned char *block = bitmem_zalloc(self->ctx, 1000, 0);
	pid_t child;

	ASSERT_NE(NULL, block);
	memset(block, 0x11, 1000);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(use_own_context());
	EXPECT_EQ(0, status_of(child));
	EXPECT_TRUE(test_all_are(block, 0x11, 1000));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

/* The parent frees; the child, which still maps the memory, keeps what is in it. */
TEST_F(lib, memory_stays_until_both_have_gone)
{
	unsigned char *block = bitmem_zalloc(self->ctx, 3 * MIB, 0), go = 1;
	int pipe_fds[2];
	pid_t child;

	ASSERT_NE(NULL, block);
	memset(block, 0x11, 3 * MIB);
	ASSERT_EQ(0, pipe(pipe_fds));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(read(pipe_fds[0], &go, 1) != 1 || read_and_write(block, 3 * MIB));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	EXPECT_FALSE(test_is_mapped(block));
	EXPECT_EQ(1, write(pipe_fds[1], &go, 1));
	EXPECT_EQ(0, status_of(child));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

struct worker {
	struct bitmem *ctx;
	pthread_barrier_t barrier;
	void *blocks[40];
	bool good;
};

/* Has what it freed in its cache until it is told to end. */
static void *free_and_wait(void *arg)
{
	struct worker *worker = arg;

	worker->good = true;
	for (unsigned int i = 0; i < 40; i++) {
		worker->blocks[i] = bitmem_alloc(worker->ctx, MIB, 0);
		worker->good &= worker->blocks[i] != NULL;
	}
	for (unsigned int i = 0; i < 40; i++)
		worker->good &= !bitmem_free(worker->ctx, worker->blocks[i]);
	pthread_barrier_wait(&worker->barrier);
	pthread_barrier_wait(&worker->barrier);
	return NULL;
}

/* A child that only looks gives nothing back that its parent's threads keep. */
TEST_F(lib, child_that_looks_gives_nothing_back)
{
	struct worker worker = { .ctx = self->ctx };
	unsigned int mapped = 0;
	pthread_t thread;
	pid_t child;

	ASSERT_EQ(0, pthread_barrier_init(&worker.barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, free_and_wait, &worker));
	pthread_barrier_wait(&worker.barrier);
	for (unsigned int i = 0; i < 40; i++)
		mapped += test_is_mapped(worker.blocks[i]);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		unsigned int left = 0;

		bitmem_snapshot_free(bitmem_snapshot(self->ctx));
		test_stats(self->ctx);
		for (unsigned int i = 0; i < 40; i++)
			left += test_is_mapped(worker.blocks[i]);
		_exit(left != mapped);
	}
	EXPECT_EQ(0, status_of(child));
	EXPECT_LT(1, mapped);
	pthread_barrier_wait(&worker.barrier);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	pthread_barrier_destroy(&worker.barrier);
	EXPECT_TRUE(worker.good);
	EXPECT_EQ(0, bitmem_audit(self->ctx, &(struct bitmem_audit){
		.size = sizeof(struct bitmem_audit) }));
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

TEST_HARNESS_MAIN
