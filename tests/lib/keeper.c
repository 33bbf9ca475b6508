/* SPDX-License-Identifier: GPL-2.0 */
/* The keeper's life: when there is one, how it ends, and that fork() leaves no lock behind. */
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../../libbitmem/context.h"
#include "lib_test.h"
#include "pressure_test.h"

/* A child that hangs is to be a failure, not a limit of the machine. */
#define CHILD_LIMIT 200

static int status_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A copy of this process, without the test's handlers; it is killed if it hangs. */
static pid_t fork_limited(void)
{
	pid_t child = fork();

	if (!child) {
		signal(SIGALRM, SIG_DFL);
		alarm(CHILD_LIMIT);
	}
	return child;
}

static bool set(struct bitmem *ctx, unsigned int flags)
{
	struct bitmem_strategy strategy = test_strategy(flags);

	return !bitmem_set_strategy(ctx, &strategy);
}

static unsigned long wakes(void)
{
	char value[64];

	test_keeper_status("voluntary_ctxt_switches", value);
	return strtoul(value, NULL, 10);
}

/* Whether the keeper slept for @ms. */
static bool sleeps(unsigned int ms)
{
	unsigned long before = wakes();

	usleep(ms * 1000);
	return wakes() == before;
}

/* None until memory is held; one that sleeps when none is any more; and wakes again. */
TEST_F(lib, only_for_something_to_do)
{
	void *block;

	ASSERT_TRUE(set(self->ctx, BITMEM_RETURN_PERIODIC | BITMEM_RETURN_PRESSURE));
	EXPECT_FALSE(test_has_keeper());
	EXPECT_EQ(0, test_readings());
	for (int i = 0; i < 3; i++) {
		block = bitmem_alloc(self->ctx, 1000, 0);
		ASSERT_NE(NULL, block);
		EXPECT_TRUE(WAIT_FOR(test_has_keeper()));
		EXPECT_TRUE(test_wait_readings(3));
		EXPECT_EQ(0, bitmem_free(self->ctx, block));
		EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
		EXPECT_TRUE(WAIT_FOR(sleeps(500)));
		EXPECT_TRUE(sleeps(500));
	}
}

/* Signals are for the program's threads. */
TEST_F(lib, blocks_signals)
{
	struct calls calls = CALLS_INIT;
	unsigned long long blocked;
	char value[64];
	uint64_t id;
	sigset_t before, after;

	ASSERT_EQ(0, pthread_sigmask(SIG_SETMASK, NULL, &before));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	ASSERT_EQ(0, pthread_sigmask(SIG_SETMASK, NULL, &after));
	for (int number = 1; number < 32; number++)
		EXPECT_EQ(sigismember(&before, number), sigismember(&after, number));
	ASSERT_TRUE(WAIT_FOR(test_has_keeper()));
	test_keeper_status("SigBlk", value);
	blocked = strtoull(value, NULL, 16);
	for (int number = 1; number < 32; number++) {
		if (number == SIGKILL || number == SIGSTOP)
			continue;
		EXPECT_TRUE(blocked >> (number - 1) & 1) TH_LOG("%d", number);
	}
}

/* Many contexts, each with one; all gone after close, and their descriptors with them. */
TEST(many_contexts)
{
	struct bitmem *ctx[20];
	struct calls calls[20];
	int fds = test_fds();
	uint64_t id;

	if (test_valgrind())
		SKIP(return, "valgrind has no addresses for as many");
	for (int i = 0; i < 20; i++) {
		calls[i] = (struct calls)CALLS_INIT;
		ctx[i] = test_open(2 * MIB);
		if (!ctx[i] && test_no_device())
			SKIP(return, "no bitmem device");
		ASSERT_NE(NULL, ctx[i]);
		ASSERT_EQ(0, bitmem_pressure_watch(ctx[i], BITMEM_PRESSURE_LOW, test_note,
						   &calls[i], &id));
	}
	test_set_usage(70);
	for (int i = 0; i < 20; i++)
		EXPECT_TRUE(WAIT_FOR(test_calls(&calls[i]) == 1));
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(0, bitmem_close(ctx[i * 7 % 20]));
	EXPECT_EQ(fds, test_fds());
	EXPECT_TRUE(WAIT_FOR(!test_has_keeper()));
	EXPECT_FALSE(test_leaks());
}

/* Without a descriptor for it there is no keeper: that is said, and changes nothing. */
TEST_F(lib, no_descriptors)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PERIODIC);
	struct calls calls = CALLS_INIT;
	struct rlimit limit, none = { 0 };
	struct bitmem_error error;
	void *block = bitmem_alloc(self->ctx, 1000, 0);
	uint64_t id, meta = test_stats(self->ctx).meta_bytes;
	int watch_ret, set_ret;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none.rlim_max = limit.rlim_max;
	strategy.error = &error;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	watch_ret = bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id);
	set_ret = bitmem_set_strategy(self->ctx, &strategy);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, watch_ret);
	EXPECT_EQ(-EMFILE, set_ret);
	EXPECT_EQ(-EMFILE, error.code);
	EXPECT_NE(NULL, strstr(error.text, strerror(EMFILE)));
	EXPECT_EQ(-ENOENT, bitmem_pressure_unwatch(self->ctx, id));
	EXPECT_EQ(meta, test_stats(self->ctx).meta_bytes);
	EXPECT_EQ(0, bitmem_get_strategy(self->ctx, &strategy));
	EXPECT_EQ(0, strategy.flags);
	EXPECT_FALSE(test_has_keeper());
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

static atomic_uint ticks;

static void tick(struct bitmem *ctx)
{
	ticks++;
}

/* The allocator's tick: while memory is held, and not otherwise. */
TEST_F(lib, ticks)
{
	unsigned int start;
	void *block;

	bm_keeper_set_tick(self->ctx, 10, tick);
	EXPECT_FALSE(test_has_keeper());
	block = bitmem_alloc(self->ctx, 1000, 0);
	EXPECT_TRUE(WAIT_FOR(ticks >= 3));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	bitmem_trim(self->ctx);
	EXPECT_TRUE(WAIT_FOR(sleeps(500)));
	start = ticks;
	EXPECT_TRUE(sleeps(500));
	EXPECT_EQ(start, ticks);
	block = bitmem_alloc(self->ctx, 1000, 0);
	EXPECT_TRUE(WAIT_FOR(ticks >= start + 3));
	bm_keeper_set_tick(self->ctx, 0, NULL);
	EXPECT_TRUE(WAIT_FOR(sleeps(500)));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

/* --- close --- */

struct scene {
	struct bitmem *ctx;
	struct bitmem_tensor *tensor;
	atomic_bool running, ended, closed;
	size_t live;
	pid_t child;
};

static void run_for_a_while(struct bitmem *ctx, enum bitmem_pressure level, void *arg)
{
	struct scene *scene = arg;

	scene->running = true;
	usleep(200000);
	/* The context is all there. */
	if (bitmem_free(ctx, bitmem_alloc(ctx, 1000, 0)) || scene->closed)
		abort();
	scene->ended = true;
}

TEST_F(lib, close_waits_for_a_callback)
{
	struct scene scene = { 0 };
	struct calls calls = CALLS_INIT;
	uint64_t id;

	test_set_usage(70);
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, run_for_a_while, &scene,
					   &id));
	ASSERT_TRUE(WAIT_FOR(scene.running));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	EXPECT_EQ(0, bitmem_close(self->ctx));
	self->ctx = NULL;
	EXPECT_TRUE(scene.ended);
	scene.closed = true;
	EXPECT_EQ(0, test_calls(&calls));
	EXPECT_TRUE(WAIT_FOR(!test_has_keeper()));
}

static void close_in_callback(struct bitmem *ctx, enum bitmem_pressure level, void *arg)
{
	struct scene *scene = arg;

	scene->live = bitmem_close(ctx);
	scene->closed = true;
}

/* With a tensor that outlives it; the keeper goes when the callback has ended. */
TEST_F(lib, close_in_a_callback)
{
	const uint64_t shape = 1000;
	struct scene scene = { .tensor = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape) };
	struct calls calls = CALLS_INIT;
	uint64_t id;

	ASSERT_NE(NULL, scene.tensor);
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, close_in_callback,
					   &scene, &id));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	self->ctx = NULL;
	test_set_usage(70);
	EXPECT_TRUE(WAIT_FOR(scene.closed));
	EXPECT_TRUE(WAIT_FOR(!test_has_keeper()));
	EXPECT_EQ(1, scene.live);
	EXPECT_EQ(0, test_calls(&calls));
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(scene.tensor), 0, shape));
	bitmem_tensor_unref(scene.tensor);
}

/* A context that is closed at any time. */
TEST(close_at_any_time)
{
	for (int i = 0; i < 100; i++) {
		struct bitmem *ctx = test_open(2 * MIB);
		struct calls calls = CALLS_INIT;
		uint64_t id;

		if (!ctx && test_no_device())
			SKIP(return, "no bitmem device");
		ASSERT_NE(NULL, ctx);
		test_set_usage(i % 2 ? 70 : 0);
		ASSERT_TRUE(set(ctx, BITMEM_RETURN_PERIODIC | BITMEM_RETURN_PRESSURE));
		ASSERT_EQ(0, bitmem_pressure_watch(ctx, BITMEM_PRESSURE_LOW, test_note, &calls,
						   &id));
		EXPECT_EQ(0, bitmem_free(ctx, bitmem_alloc(ctx, 1000, 0)));
		usleep((unsigned int)i * 150);
		EXPECT_EQ(0, bitmem_close(ctx));
	}
	EXPECT_FALSE(test_leaks());
}

/* --- fork --- */

/* In the child, which goes on with the context: there is no keeper until it is needed. */
static int go_on(struct bitmem *ctx, struct calls *calls, unsigned int heard)
{
	struct calls own = CALLS_INIT;
	void *block;
	uint64_t id;

	if (test_has_keeper() || test_calls(calls) != heard)
		return 1;
	/* Taking memory brings it back, and with it the watch and the strategy. */
	block = bitmem_alloc(ctx, 1000, 0);
	if (!block || !WAIT_FOR(test_has_keeper()))
		return 2;
	test_set_usage(96);
	if (!WAIT_FOR(test_calls(calls) == heard + 1))
		return 3;
	if (bitmem_free(ctx, block) || !WAIT_FOR(!test_committed(ctx)))
		return 4;
	if (bitmem_pressure_watch(ctx, BITMEM_PRESSURE_LOW, test_note, &own, &id) ||
	    !WAIT_FOR(test_calls(&own) == 1) || bitmem_pressure_unwatch(ctx, id))
		return 5;
	if (bitmem_close(ctx) || !WAIT_FOR(!test_has_keeper()))
		return 6;
	return 0;
}

TEST_F(lib, child_goes_on)
{
	struct calls calls = CALLS_INIT;
	pid_t child;
	uint64_t id;

	if (test_thread_sanitized())
		SKIP(return, "ThreadSanitizer starts no threads in a child of a process with "
			     "several");
	ASSERT_TRUE(set(self->ctx, BITMEM_RETURN_PERIODIC));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	test_set_usage(70);
	ASSERT_TRUE(WAIT_FOR(test_calls(&calls) == 1));
	child = fork_limited();
	ASSERT_LE(0, child);
	if (!child)
		_exit(go_on(self->ctx, &calls, 1));
	EXPECT_EQ(0, status_of(child));
	/* Here everything is as it was. */
	EXPECT_EQ(1, test_calls(&calls));
	test_set_usage(0);
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 2));
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->ctx, id));
}

/* A child may leave the context alone, or close it. */
TEST_F(lib, child_closes)
{
	struct calls calls = CALLS_INIT;
	uint64_t id;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	for (int i = 0; i < 4; i++) {
		pid_t child = fork_limited();

		ASSERT_LE(0, child);
		if (!child)
			_exit(i % 2 ? (int)bitmem_close(self->ctx) : 0);
		EXPECT_EQ(0, status_of(child));
	}
	test_set_usage(70);
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 1));
}

static atomic_bool stop;

static void *keep_busy(void *arg)
{
	while (!stop) {
		if (bitmem_free(arg, bitmem_alloc(arg, 1000, 0)))
			return arg;
		bitmem_pressure(arg);
	}
	return NULL;
}

/* In the child: takes every lock there is. */
static int take_locks(struct bitmem *ctx)
{
	struct bitmem_strategy strategy = { .size = sizeof(strategy) };

	if (test_has_keeper() || test_stats(ctx).size != sizeof(struct bitmem_stats))
		return 1;
	bitmem_pressure(ctx);
	return bitmem_get_strategy(ctx, &strategy) || bitmem_set_strategy(ctx, &strategy);
}

/* However busy the keepers and other threads are, no child finds a lock taken. */
TEST_F(lib, fork_at_any_time)
{
	struct calls calls = CALLS_INIT;
	pthread_t thread;
	void *result;
	uint64_t id;

	if (test_thread_sanitized())
		SKIP(return, "ThreadSanitizer starts no threads in a child of a process with "
			     "several");
	if (test_valgrind())
		SKIP(return, "what other threads had in hand, the child has lost");
	ASSERT_TRUE(set(self->ctx, BITMEM_RETURN_PERIODIC | BITMEM_RETURN_PRESSURE));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_busy, self->ctx));
	for (int i = 0; i < 100; i++) {
		pid_t child;

		test_set_usage(i % 2 ? 97 : 0);
		child = fork_limited();
		ASSERT_LE(0, child);
		if (!child)
			_exit(take_locks(self->ctx));
		ASSERT_EQ(0, status_of(child)) TH_LOG("child %d", i);
	}
	stop = true;
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_EQ(NULL, result);
}

/* The keeper itself forks: in the child it is gone when the callback ends. */
static void fork_in_callback(struct bitmem *ctx, enum bitmem_pressure level, void *arg)
{
	struct scene *scene = arg;
	pid_t child = fork_limited();

	if (!child) {
		/* With its last thread, which this is, the process ends. */
		bitmem_close(ctx);
		return;
	}
	scene->child = child;
	scene->ended = true;
}

TEST_F(lib, fork_in_a_callback)
{
	struct scene scene = { 0 };
	struct calls calls = CALLS_INIT;
	uint64_t id;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, fork_in_callback, &scene,
					   &id));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	test_set_usage(70);
	ASSERT_TRUE(WAIT_FOR(scene.ended));
	EXPECT_EQ(0, status_of(scene.child));
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 1));
}

TEST_HARNESS_MAIN
