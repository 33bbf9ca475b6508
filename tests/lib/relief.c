/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fork() while one context's keeper looks at another context, or somebody measures a pressure.
 *
 * Whoever is held stays where the library's locks matter until this program's fork() is about to
 * take them, and then long enough for it to come to the first that it has to wait for.
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../../libbitmem/pools/pools.h"
#include "lib_test.h"
#include "pressure_test.h"

/* A child or a fork() that hangs is to be a failure, not a limit of the machine. */
#define CHILD_LIMIT 60
#define LIMIT 120
#define HOLD_US 200000

size_t __real_bm_trim(struct bitmem *ctx);
size_t __wrap_bm_trim(struct bitmem *ctx);
void __real_bm_pool_read(const struct bitmem *ctx, unsigned int pool, struct bm_reading *reading);
void __wrap_bm_pool_read(const struct bitmem *ctx, unsigned int pool, struct bm_reading *reading);

static _Atomic(const struct bitmem *) awaited;	/* who comes by with it first is held */
static atomic_bool held, forking, over;

static void hold(const struct bitmem *ctx)
{
	if (!atomic_compare_exchange_strong(&awaited, &ctx, NULL))
		return;
	held = true;
	if (WAIT_FOR(forking))
		usleep(HOLD_US);
}

size_t __wrap_bm_trim(struct bitmem *ctx)
{
	size_t bytes = __real_bm_trim(ctx);

	hold(ctx);
	return bytes;
}

void __wrap_bm_pool_read(const struct bitmem *ctx, unsigned int pool, struct bm_reading *reading)
{
	hold(ctx);
	__real_bm_pool_read(ctx, pool, reading);
}

/* It comes before the library's own, which were there before it. */
static void before_fork(void)
{
	forking = true;
}

static pid_t fork_limited(void)
{
	pid_t child;

	if (pthread_atfork(before_fork, NULL, NULL))
		abort();
	child = fork();
	if (!child) {
		signal(SIGALRM, SIG_DFL);
		alarm(CHILD_LIMIT);
	}
	return child;
}

static int status_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Waits until the keeper of @ctx, which holds memory then, is with @other. */
static bool have_keeper_at(struct bitmem *ctx, struct bitmem *other)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PRESSURE);

	test_set_usage(97);
	awaited = other;
	return !bitmem_set_strategy(ctx, &strategy) && WAIT_FOR(held);
}

/* In the child: takes the locks that the keeper had to do with. */
static int take_locks(struct bitmem *ctx)
{
	struct bitmem_strategy_stats stats = { .size = sizeof(stats) };

	bitmem_pressure(ctx);
	return bitmem_strategy_stats(ctx, &stats) || test_stats(ctx).size == SIZE_MAX;
}

/* Both have a keeper. The child has no reference too many, which would keep the other for ever. */
TEST_F_TIMEOUT(lib, keeper_looks_at_another, LIMIT)
{
	struct bitmem *other = test_open(2 * MIB);
	void *block = bitmem_alloc(self->ctx, 1000, 0);
	struct calls calls = CALLS_INIT;
	size_t refs;
	uint64_t id;
	pid_t child;

	ASSERT_NE(NULL, other);
	ASSERT_NE(NULL, block);
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	ASSERT_EQ(0, bitmem_pressure_watch(other, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	refs = atomic_load(&other->refs);
	ASSERT_TRUE(have_keeper_at(self->ctx, other));
	EXPECT_EQ(refs + 1, atomic_load(&other->refs));
	child = fork_limited();
	ASSERT_LE(0, child);
	if (!child)
		_exit(atomic_load(&other->refs) != refs || take_locks(self->ctx) ||
		      take_locks(other));
	EXPECT_EQ(0, status_of(child));
	EXPECT_EQ(0, bitmem_close(other));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

static bool exists(uint64_t number)
{
	struct bitmem *ctx = bm_context_lock(number);

	if (ctx)
		bm_unlock(ctx);
	return ctx;
}

/* The other is closed meanwhile: the keeper ends it. */
TEST_F_TIMEOUT(lib, keeper_has_the_last_reference, LIMIT)
{
	struct bitmem *other = test_open(2 * MIB);
	void *block = bitmem_alloc(self->ctx, 1000, 0);
	uint64_t number;
	pid_t child;

	ASSERT_NE(NULL, other);
	ASSERT_NE(NULL, block);
	number = other->number;
	ASSERT_TRUE(have_keeper_at(self->ctx, other));
	EXPECT_EQ(0, bitmem_close(other));
	EXPECT_TRUE(exists(number));
	child = fork_limited();
	ASSERT_LE(0, child);
	if (!child)
		_exit(exists(number) || take_locks(self->ctx));
	EXPECT_EQ(0, status_of(child));
	EXPECT_FALSE(exists(number));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

static int measure(struct bitmem *ctx)
{
	enum bitmem_pressure level;

	return bitmem_pool_pressure(ctx, 0, &level);
}

/* It is there until the child is gone: one that has ended would be a leaked thread to that. */
static void *measure_and_wait(void *ctx)
{
	return !measure(ctx) && WAIT_FOR(over) ? NULL : ctx;
}

/* In a context that never had a keeper. */
TEST_F_TIMEOUT(lib, somebody_measures, LIMIT)
{
	pthread_t thread;
	void *result;
	pid_t child;

	awaited = self->ctx;
	ASSERT_EQ(0, pthread_create(&thread, NULL, measure_and_wait, self->ctx));
	ASSERT_TRUE(WAIT_FOR(held));
	child = fork_limited();
	ASSERT_LE(0, child);
	if (!child)
		_exit(measure(self->ctx) || take_locks(self->ctx));
	EXPECT_EQ(0, status_of(child));
	over = true;
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_EQ(NULL, result);
}

TEST_HARNESS_MAIN
