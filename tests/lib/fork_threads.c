/* SPDX-License-Identifier: GPL-2.0 */
/* What a child finds that threads which are not in it were about to do. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libbitmem/context.h"
#include "lib_test.h"

#define LARGE	((size_t)600 << 10)
#define SMALL	3000
#define N	40
#define M	400

/* Threads that have a cache each, and wait. */
struct idlers {
	struct bitmem *ctx;
	pthread_barrier_t ready, end;
};

/* As if its owner had looked at it just when the process was copied. */
static struct bm_cache *looked_at;

static void look(void)
{
	if (looked_at)
		looked_at->busy = 1;
}

static void leave(void)
{
	if (looked_at)
		looked_at->busy = 0;
}

/* Before a context is opened: what is registered first comes last before a fork. */
__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(look, leave, NULL);
}

static void *look_and_wait(void *arg)
{
	struct idlers *idlers = arg;

	bitmem_free(idlers->ctx, bitmem_alloc(idlers->ctx, 100, 0));
	looked_at = bm_cache_last;
	pthread_barrier_wait(&idlers->ready);
	pthread_barrier_wait(&idlers->end);
	return NULL;
}

/* Leaves a cache with segments that only it keeps, in which there were slabs. */
static void *churn_and_wait(void *arg)
{
	static void *large[N], *small[N][M];
	struct idlers *idlers = arg;

	for (unsigned int i = 0; i < N; i++) {
		large[i] = bitmem_alloc(idlers->ctx, LARGE, 0);
		for (unsigned int j = 0; j < M; j++)
			small[i][j] = bitmem_alloc(idlers->ctx, SMALL, 0);
	}
	for (unsigned int i = 0; i < N * M; i++)
		bitmem_free(idlers->ctx, small[i / M][i % M]);
	for (unsigned int i = 0; i < N; i++)
		bitmem_free(idlers->ctx, large[i]);
	pthread_barrier_wait(&idlers->ready);
	pthread_barrier_wait(&idlers->end);
	return NULL;
}

/* In the child: 0 if nothing is waited for that nobody does any more. */
static int use(struct bitmem *ctx)
{
	void *ptr;

	alarm(20);
	ptr = bitmem_alloc(ctx, 8 * MIB, 0);
	bitmem_free(ctx, ptr);
	/* Another segment, which nobody is about to get. */
	for (unsigned int i = 0; ptr && i < 2 * N; i++)
		ptr = bitmem_alloc(ctx, LARGE, 0);
	return !ptr || ctx->nr_short;
}

TEST_F_TIMEOUT(lib, what_threads_were_about_to_do, 60)
{
	struct idlers idlers = { .ctx = self->ctx };
	pthread_t threads[2];
	int status = -1;
	pid_t child;

	ASSERT_EQ(0, pthread_barrier_init(&idlers.ready, NULL, 2));
	ASSERT_EQ(0, pthread_barrier_init(&idlers.end, NULL, 3));
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, look_and_wait, &idlers));
	pthread_barrier_wait(&idlers.ready);
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, churn_and_wait, &idlers));
	pthread_barrier_wait(&idlers.ready);
	/* One waits for credit, one gets a segment. */
	bm_lock(self->ctx);
	self->ctx->nr_short++;
	self->ctx->pools[0].growing = true;
	bm_unlock(self->ctx);
	child = fork();
	if (!child)
		_exit(use(self->ctx));
	looked_at = NULL;
	bm_lock(self->ctx);
	self->ctx->nr_short--;
	self->ctx->pools[0].growing = false;
	bm_unlock(self->ctx);
	EXPECT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	pthread_barrier_wait(&idlers.end);
	EXPECT_EQ(0, pthread_join(threads[0], NULL));
	EXPECT_EQ(0, pthread_join(threads[1], NULL));
	pthread_barrier_destroy(&idlers.ready);
	pthread_barrier_destroy(&idlers.end);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_HARNESS_MAIN
