/* SPDX-License-Identifier: GPL-2.0 */
/* Watches: who is told of what, in which order, and that it ends when it is ended. */
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "lib_test.h"
#include "pressure_test.h"

/* A context whose keeper looks every 10 ms. */
FIXTURE(watch)
{
	struct bitmem *ctx;
};

FIXTURE_SETUP(watch)
{
	struct bitmem_strategy strategy = test_strategy(0);

	self->ctx = test_open(2 * MIB);
	if (!self->ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, self->ctx);
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
}

FIXTURE_TEARDOWN(watch)
{
	EXPECT_EQ(0, bitmem_close(self->ctx));
	EXPECT_FALSE(test_leaks());
	EXPECT_TRUE(WAIT_FOR(!test_has_keeper()));
}

/* Sets the usage and waits until the calls are @n; then until one more would have come. */
static bool comes_to(unsigned int percent, struct calls *calls, unsigned int n)
{
	test_set_usage(percent);
	return WAIT_FOR(test_calls(calls) >= n) && test_wait_readings(3) &&
	       test_calls(calls) == n;
}

TEST_F(watch, each_change_once)
{
	static const struct {
		unsigned int percent, calls;
		enum bitmem_pressure level;
	} steps[] = {
		{ 59, 0, BITMEM_PRESSURE_NONE }, { 60, 1, BITMEM_PRESSURE_LOW },
		{ 79, 1, BITMEM_PRESSURE_LOW }, { 80, 2, BITMEM_PRESSURE_MEDIUM },
		{ 75, 2, BITMEM_PRESSURE_MEDIUM }, { 90, 3, BITMEM_PRESSURE_HIGH },
		{ 85, 3, BITMEM_PRESSURE_HIGH }, { 95, 4, BITMEM_PRESSURE_CRITICAL },
		{ 100, 4, BITMEM_PRESSURE_CRITICAL }, { 90, 4, BITMEM_PRESSURE_CRITICAL },
		{ 89, 5, BITMEM_PRESSURE_HIGH }, { 84, 6, BITMEM_PRESSURE_MEDIUM },
		{ 74, 7, BITMEM_PRESSURE_LOW }, { 55, 7, BITMEM_PRESSURE_LOW },
		{ 54, 8, BITMEM_PRESSURE_NONE }, { 99, 9, BITMEM_PRESSURE_CRITICAL },
		{ 0, 10, BITMEM_PRESSURE_NONE },
	};
	struct calls calls = CALLS_INIT;
	uint64_t id;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		ASSERT_TRUE(comes_to(steps[i].percent, &calls, steps[i].calls))
			TH_LOG("step %zu: %u calls", i, test_calls(&calls));
		if (steps[i].calls)
			EXPECT_EQ(steps[i].level, calls.levels[steps[i].calls - 1]);
		EXPECT_EQ(steps[i].level, bitmem_pressure(self->ctx));
	}
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->ctx, id));
	EXPECT_EQ(-ENOENT, bitmem_pressure_unwatch(self->ctx, id));
}

/* Only what is at least as high as wanted, and the end of it. */
TEST_F(watch, from_a_level_on)
{
	struct calls low = CALLS_INIT, high = CALLS_INIT;
	uint64_t low_id, high_id;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_HIGH, test_note, &high,
					   &high_id));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &low,
					   &low_id));
	EXPECT_NE(low_id, high_id);
	EXPECT_TRUE(comes_to(65, &low, 1));
	EXPECT_TRUE(comes_to(85, &low, 2));
	EXPECT_EQ(0, test_calls(&high));
	EXPECT_TRUE(comes_to(95, &low, 3));
	EXPECT_EQ(1, test_calls(&high));
	EXPECT_EQ(BITMEM_PRESSURE_CRITICAL, high.levels[0]);
	EXPECT_TRUE(comes_to(65, &low, 4));
	EXPECT_EQ(2, test_calls(&high));
	EXPECT_EQ(BITMEM_PRESSURE_LOW, high.levels[1]);
	EXPECT_TRUE(comes_to(0, &low, 5));
	EXPECT_EQ(2, test_calls(&high));
}

/* Who begins to watch under pressure is told of it; everybody else has heard already. */
TEST_F(watch, told_of_what_is)
{
	struct calls first = CALLS_INIT, second = CALLS_INIT, third = CALLS_INIT;
	uint64_t id;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &first, &id));
	EXPECT_TRUE(comes_to(85, &first, 1));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_MEDIUM, test_note, &second,
					   &id));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_HIGH, test_note, &third,
					   &id));
	EXPECT_TRUE(comes_to(85, &second, 1));
	EXPECT_EQ(BITMEM_PRESSURE_MEDIUM, second.levels[0]);
	EXPECT_EQ(1, test_calls(&first));
	EXPECT_EQ(0, test_calls(&third));
}

/* Somebody else's measuring takes no news from the keeper, and tells it at once. */
TEST_F(watch, measuring_brings_it_about)
{
	struct bitmem_strategy strategy = test_strategy(0);
	struct calls calls = CALLS_INIT;
	uint64_t id;

	strategy.sample_ms = 1000 * 3600;
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	ASSERT_TRUE(WAIT_FOR(test_readings()));
	test_set_usage(92);
	EXPECT_EQ(BITMEM_PRESSURE_HIGH, bitmem_pressure(self->ctx));
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 1));
	test_set_usage(0);
	EXPECT_EQ(BITMEM_PRESSURE_NONE, bitmem_pressure(self->ctx));
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 2));
	EXPECT_EQ(BITMEM_PRESSURE_HIGH, calls.levels[0]);
	EXPECT_EQ(BITMEM_PRESSURE_NONE, calls.levels[1]);
}

/* The kernel tells of a stall: one level more for some seconds. */
TEST_F(watch, stall)
{
	struct calls calls = CALLS_INIT;
	int fds[2];
	char byte;
	uint64_t id;

	/* Out-of-band data polls POLLPRI like a stall does. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	test_set_stall_fd(fds[0]);
	test_set_usage(70);
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	ASSERT_TRUE(WAIT_FOR(test_calls(&calls) == 1));
	if (send(fds[1], "!", 1, MSG_OOB) != 1)
		SKIP(return, "no out-of-band data");
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 2));
	EXPECT_EQ(1, recv(fds[0], &byte, 1, MSG_OOB));
	EXPECT_EQ(BITMEM_PRESSURE_LOW, calls.levels[0]);
	EXPECT_EQ(BITMEM_PRESSURE_MEDIUM, calls.levels[1]);
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 3));
	EXPECT_EQ(BITMEM_PRESSURE_LOW, calls.levels[2]);
	/* A source that breaks off is closed, and not missed. */
	close(fds[1]);
	EXPECT_TRUE(WAIT_FOR(fcntl(fds[0], F_GETFD) < 0));
	test_set_usage(0);
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 4));
}

TEST_F(watch, bad_arguments)
{
	struct calls calls = CALLS_INIT;
	struct bitmem_stats before = test_stats(self->ctx), after;
	uint64_t id = 7;

	EXPECT_EQ(-EINVAL, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_NONE, test_note,
						 &calls, &id));
	EXPECT_EQ(-EINVAL, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_CRITICAL + 1,
						 test_note, &calls, &id));
	EXPECT_EQ(-EINVAL, bitmem_pressure_watch(self->ctx, -1, test_note, &calls, &id));
	EXPECT_EQ(-EINVAL, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, NULL, &calls,
						 &id));
	EXPECT_EQ(-EINVAL, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls,
						 NULL));
	EXPECT_EQ(7, id);
	EXPECT_EQ(-ENOENT, bitmem_pressure_unwatch(self->ctx, 0));
	EXPECT_EQ(-ENOENT, bitmem_pressure_unwatch(self->ctx, 1));
	EXPECT_FALSE(test_has_keeper());
	/* What a watch costs is counted, and given back. */
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	EXPECT_LT(before.meta_bytes, test_stats(self->ctx).meta_bytes);
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->ctx, id));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

/* A callback that uses the library: allocates, measures, watches, ends others and itself. */
struct user {
	struct calls calls, other;
	uint64_t own, victim, added;
	bool good;
};

static void use_library(struct bitmem *ctx, enum bitmem_pressure level, void *arg)
{
	struct user *user = arg;
	struct bitmem_strategy strategy = { .size = sizeof(strategy) };
	void *block = bitmem_alloc(ctx, 3 * MIB, 0);

	user->good = block && !bitmem_free(ctx, block) &&
		     bitmem_pressure(ctx) == level && bitmem_trim(ctx) < SIZE_MAX &&
		     !bitmem_get_strategy(ctx, &strategy) &&
		     !bitmem_set_strategy(ctx, &strategy) &&
		     !bitmem_pressure_unwatch(ctx, user->victim) &&
		     !bitmem_pressure_watch(ctx, BITMEM_PRESSURE_LOW, test_note, &user->other,
					    &user->added) &&
		     !bitmem_pressure_unwatch(ctx, user->own) &&
		     bitmem_pressure_unwatch(ctx, user->own) == -ENOENT;
	test_note(ctx, level, &user->calls);
}

TEST_F(watch, callback_uses_the_library)
{
	struct user user = { .calls = CALLS_INIT, .other = CALLS_INIT };
	struct calls victim = CALLS_INIT;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, use_library, &user,
					   &user.own));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &victim,
					   &user.victim));
	EXPECT_TRUE(comes_to(70, &user.calls, 1));
	EXPECT_TRUE(user.good);
	/* It ended the one behind itself, before that was told; the new one is told. */
	EXPECT_EQ(0, test_calls(&victim));
	EXPECT_TRUE(comes_to(70, &user.other, 1));
	EXPECT_TRUE(comes_to(0, &user.other, 2));
	EXPECT_EQ(1, test_calls(&user.calls));
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->ctx, user.added));
}

/* A callback that takes its time. */
struct slow {
	atomic_bool running, go, ended, unwatched;
	struct bitmem *ctx;
	uint64_t id;
};

static void take_time(struct bitmem *ctx, enum bitmem_pressure level, void *arg)
{
	struct slow *slow = arg;

	slow->running = true;
	while (!slow->go)
		usleep(1000);
	/* Time for who did not wait to be seen. */
	usleep(20000);
	slow->ended = true;
}

static void *unwatch_slow(void *arg)
{
	struct slow *slow = arg;
	intptr_t ret = bitmem_pressure_unwatch(slow->ctx, slow->id);

	slow->unwatched = true;
	return (void *)(ret ? ret : slow->ended ? 0 : 1);
}

/* Who ends a watch in another thread waits for its callback. */
TEST_F(watch, unwatch_waits)
{
	struct slow slow = { .ctx = self->ctx };
	pthread_t thread;
	void *result;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, take_time, &slow,
					   &slow.id));
	test_set_usage(70);
	ASSERT_TRUE(WAIT_FOR(slow.running));
	ASSERT_EQ(0, pthread_create(&thread, NULL, unwatch_slow, &slow));
	/* Time for it to return if it did not wait. */
	usleep(50000);
	EXPECT_FALSE(slow.unwatched);
	slow.go = true;
	ASSERT_EQ(0, pthread_join(thread, &result));
	EXPECT_EQ(NULL, result);
}

/* Nobody waits for somebody else's. */
TEST_F(watch, unwatch_of_another_is_free)
{
	struct slow slow = { .ctx = self->ctx };
	struct calls calls = CALLS_INIT;
	uint64_t id;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, take_time, &slow,
					   &slow.id));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	test_set_usage(70);
	ASSERT_TRUE(WAIT_FOR(slow.running));
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->ctx, id));
	EXPECT_FALSE(slow.ended);
	slow.go = true;
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->ctx, slow.id));
	EXPECT_TRUE(slow.ended);
	EXPECT_EQ(0, test_calls(&calls));
}

#define THREADS 4
#define ROUNDS 200

/* A watch that must not be told after its end. */
struct guarded {
	atomic_bool ended, late;
};

static void expect_open(struct bitmem *ctx, enum bitmem_pressure level, void *arg)
{
	struct guarded *guarded = arg;

	if (guarded->ended)
		guarded->late = true;
}

static void *come_and_go(void *arg)
{
	struct bitmem *ctx = arg;
	static atomic_uint turn;
	intptr_t bad = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct guarded guarded = { 0 };
		uint64_t id;

		if (bitmem_pressure_watch(ctx, BITMEM_PRESSURE_LOW, expect_open, &guarded, &id))
			return (void *)1;
		test_set_usage(turn++ % 2 ? 97 : 10);
		bitmem_pressure(ctx);
		bad |= bitmem_pressure_unwatch(ctx, id);
		guarded.ended = true;
		usleep(100);
		bad |= guarded.late;
	}
	return (void *)bad;
}

TEST_F(watch, many_threads)
{
	struct calls calls = CALLS_INIT;
	pthread_t threads[THREADS];
	void *result;
	uint64_t id;

	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_LOW, test_note, &calls, &id));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, come_and_go, self->ctx));
	for (int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &result));
		EXPECT_EQ(NULL, result);
	}
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->ctx, id));
	/* In turn up and down: nothing twice. */
	for (unsigned int i = 0; i < calls.n; i++)
		EXPECT_EQ(i % 2 ? BITMEM_PRESSURE_NONE : BITMEM_PRESSURE_CRITICAL, calls.levels[i]);
}

TEST_HARNESS_MAIN
