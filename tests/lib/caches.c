/* SPDX-License-Identifier: GPL-2.0 */
/* What threads keep for themselves: nothing is lost or handed out twice, and others get at it. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libbitmem/context.h"
#include "lib_test.h"

#define N 2000

struct job {
	struct bitmem *ctx;
	void *blocks[N];
	atomic_int good;
	atomic_bool stop;
	pthread_barrier_t barrier;
};

static size_t size_of(int i)
{
	return 1 + (size_t)(i * 7919) % (i % 50 ? 5000 : 300000);
}

static void *allocate_all(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < N; i++) {
		job->blocks[i] = bitmem_alloc(job->ctx, size_of(i), 0);
		if (job->blocks[i])
			atomic_fetch_add(&job->good, 1);
	}
	return NULL;
}

static void *free_all(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < N; i++) {
		if (!bitmem_free(job->ctx, job->blocks[i]))
			atomic_fetch_add(&job->good, 1);
	}
	return NULL;
}

static int run_thread(void *(*work)(void *), void *arg)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, work, arg) || pthread_join(thread, NULL);
}

/* One thread allocates and ends, another one frees and ends. */
TEST_F(lib, freed_by_another_thread)
{
	struct job job = { .ctx = self->ctx };
	struct bitmem_stats stats;

	for (int round = 0; round < 5; round++) {
		atomic_store(&job.good, 0);
		ASSERT_EQ(0, run_thread(allocate_all, &job));
		EXPECT_EQ(N, atomic_load(&job.good));
		EXPECT_EQ(N, test_stats(self->ctx).live);
		ASSERT_EQ(0, run_thread(free_all, &job));
		EXPECT_EQ(2 * N, atomic_load(&job.good));
		stats = test_stats(self->ctx);
		EXPECT_EQ(0, stats.live);
		EXPECT_EQ(0, stats.live_bytes);
		EXPECT_EQ((uint64_t)(round + 1) * N, stats.allocs);
	}
	/* What the threads had went back when they ended. */
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

static void *free_all_at_once(void *arg)
{
	struct job *job = arg;

	pthread_barrier_wait(&job->barrier);
	return free_all(job);
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * Two threads free the same blocks at once, which is a mistake that may go unnoticed. But no block
 * is ever handed out twice for it.
 */
TEST_F(lib, freed_by_two_at_once)
{
	struct job job = { .ctx = self->ctx };
	pthread_t threads[2];

	if (test_thread_sanitized())
		SKIP(return, "who is late reads what the other may be changing, "
			     "and then the owner's bit");
	ASSERT_EQ(0, pthread_barrier_init(&job.barrier, NULL, 2));
	for (int round = 0; round < 20; round++) {
		allocate_all(&job);
		atomic_store(&job.good, 0);
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, free_all_at_once, &job));
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_LE(N, atomic_load(&job.good));
		allocate_all(&job);
		qsort(job.blocks, N, sizeof(*job.blocks), by_address);
		for (int i = 1; i < N; i++)
			ASSERT_NE(job.blocks[i - 1], job.blocks[i]);
		EXPECT_EQ(N, test_stats(self->ctx).live);
		free_all(&job);
		EXPECT_EQ(0, test_stats(self->ctx).live);
	}
	pthread_barrier_destroy(&job.barrier);
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

static void *hold_cache(void *arg)
{
	struct job *job = arg;

	allocate_all(job);
	free_all(job);
	pthread_barrier_wait(&job->barrier);
	pthread_barrier_wait(&job->barrier);
	return NULL;
}

/* A trim gets what a thread keeps that does something else. */
TEST_F(lib, trim_empties_other_threads_caches)
{
	struct job job = { .ctx = self->ctx };
	pthread_t thread;

	ASSERT_EQ(0, pthread_barrier_init(&job.barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, hold_cache, &job));
	pthread_barrier_wait(&job.barrier);
	EXPECT_LT(0, bitmem_trim(self->ctx));
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
	pthread_barrier_wait(&job.barrier);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	pthread_barrier_destroy(&job.barrier);
}

/* One thread uses several contexts in turn, which come and go. */
TEST_F(lib, several_contexts_in_one_thread)
{
	struct bitmem *contexts[5];
	void *blocks[5];

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 5; i++) {
			contexts[i] = test_open(2 * MIB);
			ASSERT_NE(NULL, contexts[i]);
		}
		for (int k = 0; k < 100; k++) {
			for (int i = 0; i < 5; i++) {
				blocks[i] = bitmem_alloc(contexts[i], size_of(k), 0);
				ASSERT_NE(NULL, blocks[i]);
			}
			for (int i = 0; i < 5; i++) {
				EXPECT_EQ(-EINVAL, bitmem_free(contexts[(i + 1) % 5], blocks[i]));
				EXPECT_EQ(0, bitmem_free(contexts[i], blocks[i]));
			}
		}
		for (int i = 0; i < 5; i++)
			EXPECT_EQ(0, bitmem_close(contexts[(i + round) % 5]));
	}
}

/* The highest there was is seen, whoever frees in between. */
TEST_F(lib, peak_over_threads)
{
	struct job job = { .ctx = self->ctx };
	uint64_t bytes = 0;
	void *more;

	for (int i = 0; i < N; i++)
		bytes += size_of(i);
	ASSERT_EQ(0, run_thread(allocate_all, &job));
	EXPECT_EQ(bytes, test_stats(self->ctx).peak_bytes);
	ASSERT_EQ(0, run_thread(free_all, &job));
	EXPECT_EQ(bytes, test_stats(self->ctx).peak_bytes);
	ASSERT_EQ(0, run_thread(allocate_all, &job));
	EXPECT_EQ(bytes, test_stats(self->ctx).peak_bytes);
	more = bitmem_alloc(self->ctx, 100, 0);
	EXPECT_EQ(bytes + 100, test_stats(self->ctx).peak_bytes);
	EXPECT_EQ(0, bitmem_free(self->ctx, more));
	free_all(&job);
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
}

/* Has credit, and does something when it may. */
static void *earn(void *arg)
{
	struct job *job = arg;

	bitmem_free(job->ctx, bitmem_alloc(job->ctx, MIB, 0));
	pthread_barrier_wait(&job->barrier);
	pthread_barrier_wait(&job->barrier);
	bitmem_free(job->ctx, bitmem_alloc(job->ctx, 100, 0));
	pthread_barrier_wait(&job->barrier);
	pthread_barrier_wait(&job->barrier);
	return NULL;
}

/* Who is short calls the others, and those leave their credit when they come by. */
TEST_F(lib, who_is_called_leaves_credit)
{
	struct job job = { .ctx = self->ctx };
	struct bm_cache *own = bm_cache_get(self->ctx), *other;
	const struct bitmem *let_in;
	pthread_t thread;

	ASSERT_NE(NULL, own);
	/* The context, unless there is no membarrier(2). */
	let_in = own->ctx;
	ASSERT_EQ(0, pthread_barrier_init(&job.barrier, NULL, 2));
	ASSERT_EQ(0, pthread_create(&thread, NULL, earn, &job));
	pthread_barrier_wait(&job.barrier);
	bm_lock(self->ctx);
	other = self->ctx->caches == own ? own->next_of_context : self->ctx->caches;
	EXPECT_LT(0, other->credit);
	self->ctx->nr_short++;
	bm_caches_call(self->ctx, own);
	EXPECT_EQ(NULL, other->ctx);
	bm_unlock(self->ctx);
	pthread_barrier_wait(&job.barrier);
	pthread_barrier_wait(&job.barrier);
	bm_lock(self->ctx);
	EXPECT_EQ(0, other->credit);
	EXPECT_EQ((int64_t)MIB, self->ctx->spare + own->credit);
	self->ctx->nr_short--;
	bm_caches_dismiss(self->ctx);
	EXPECT_EQ(let_in, own->ctx);
	EXPECT_EQ(let_in, other->ctx);
	bm_unlock(self->ctx);
	pthread_barrier_wait(&job.barrier);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	pthread_barrier_destroy(&job.barrier);
	EXPECT_EQ(MIB, test_stats(self->ctx).peak_bytes);
}

/* A handle that was dropped is found to be stale, and changes nothing. */
TEST_F(lib, stale_handles)
{
	const uint64_t shape = 100;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_stats before, after;

	ASSERT_NE(NULL, t);
	bitmem_tensor_unref(t);
	before = test_stats(self->ctx);
	for (int i = 0; i < 10; i++)
		bitmem_tensor_unref(t);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

static void *allocate_and_free(void *arg)
{
	struct job *job = arg;

	while (!atomic_load(&job->stop)) {
		void *block = bitmem_alloc(job->ctx, size_of(rand() % N), 0);

		if (!block || bitmem_free(job->ctx, block))
			return NULL;
	}
	atomic_fetch_add(&job->good, 1);
	return NULL;
}

/* A child that is forked amid all this finds everything in order, and can go on. */
TEST_F_TIMEOUT(lib, fork_while_threads_allocate, 120)
{
	struct job job = { .ctx = self->ctx };
	pthread_t threads[3];
	int status;

	/* Theirs does not care for fork(): the child may find it locked by a thread it has not. */
	if (test_sanitized())
		SKIP(return, "malloc() in a child of threads is the C library's to promise");
	if (test_valgrind())
		SKIP(return, "what other threads had in hand, the child has lost");
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, allocate_and_free, &job));
	for (int round = 0; round < 30; round++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem *own = test_open(2 * MIB);
			void *block = bitmem_alloc(own, 1000, 0);
			struct bitmem_stats stats = test_stats(self->ctx);

			_exit(!block || bitmem_close(own) != 1 ||
			      stats.live != stats.allocs - stats.frees || stats.live > 3);
		}
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
	atomic_store(&job.stop, true);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(3, atomic_load(&job.good));
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* Tensors whose place does not fit into their record, as on machines with very much memory. */
TEST_F(lib, far_blocks)
{
	const uint64_t shapes[] = { 10, 20, 3 };
	struct bitmem_tensor *near, *far[100], *view;

	near = bitmem_tensor_new(self->ctx, BITMEM_F32, 3, shapes);
	ASSERT_NE(NULL, near);
	self->ctx->near_size = 0;
	for (int i = 0; i < 100; i++) {
		far[i] = bitmem_tensor_new(self->ctx, BITMEM_F32, 3, shapes);
		ASSERT_NE(NULL, far[i]);
		EXPECT_EQ(2400, bitmem_tensor_bytes(far[i]));
		EXPECT_EQ(3, bitmem_tensor_ndims(far[i]));
		EXPECT_EQ(20, bitmem_tensor_shape(far[i])[1]);
		memset(bitmem_tensor_data(far[i]), i, 2400);
	}
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(near), 0, 2400));
	view = bitmem_tensor_view(far[7], BITMEM_U8, 1, shapes, 100);
	ASSERT_NE(NULL, view);
	for (int i = 0; i < 100; i++) {
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(far[i]), (unsigned char)i, 2400));
		bitmem_tensor_unref(far[i]);
	}
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(view), 7, 10));
	EXPECT_EQ(2, test_stats(self->ctx).live);
	bitmem_tensor_unref(view);
	bitmem_tensor_unref(near);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_HARNESS_MAIN
