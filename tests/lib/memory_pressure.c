/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of the thirty tests of tensors' memory: those of cleaning up by itself, and under a pressure
 * that the test makes up.
 */
#include <stdatomic.h>

#include "lib_test.h"
#include "pressure_test.h"

static struct bitmem_tensor *bytes_tensor(struct bitmem *ctx, uint64_t bytes)
{
	return bitmem_tensor_empty(ctx, BITMEM_U8, 1, &bytes);
}

static bool use(struct bitmem *ctx, unsigned int flags)
{
	const struct bitmem_strategy strategy = test_strategy(flags);

	return !bitmem_set_strategy(ctx, &strategy);
}

/* Makes @n tensors and drops them. Whether all could be had. */
static bool make_and_drop(struct bitmem *ctx, unsigned int n, uint64_t bytes)
{
	for (unsigned int i = 0; i < n; i++) {
		struct bitmem_tensor *t = bytes_tensor(ctx, bytes + i);

		if (!t)
			return false;
		bitmem_tensor_unref(t);
	}
	return true;
}

/* Tensors come and go while memory is short: what is free goes back, what is alive stays. */
TEST_F(lib, pool_pressure_with_tensors)
{
	struct bitmem_tensor *tensors[40];

	ASSERT_TRUE(use(self->ctx, BITMEM_RETURN_PRESSURE));
	for (unsigned int i = 0; i < 40; i++) {
		tensors[i] = bytes_tensor(self->ctx, 100000);
		ASSERT_NE(NULL, tensors[i]);
		memset(bitmem_tensor_data(tensors[i]), (int)i, 100000);
	}
	for (unsigned int i = 0; i < 40; i++) {
		if (i % 4)
			bitmem_tensor_unref(tensors[i]);
	}
	test_set_usage(85);
	EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_pressure.bytes));
	/* Ten are alive; each shares its first and last page with others at most. */
	EXPECT_TRUE(WAIT_FOR(test_committed(self->ctx) <= 10 * (100000 + 8192)));
	for (unsigned int i = 0; i < 40; i += 4) {
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(tensors[i]), (unsigned char)i, 100000));
		bitmem_tensor_unref(tensors[i]);
	}
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
}

TEST_F(lib, automatic_cleanup_on_drop)
{
	struct bitmem_stats before = test_stats(self->ctx), after;

	{
		const uint64_t shape[] = { 100, 100 };
		bitmem_auto struct bitmem_tensor *a = NULL, *b = NULL;

		a = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, shape);
		b = bitmem_tensor_new(self->ctx, BITMEM_F16, 2, shape);
		ASSERT_NE(NULL, a);
		ASSERT_NE(NULL, b);
		EXPECT_EQ(before.live + 2, test_stats(self->ctx).live);
	}
	after = test_stats(self->ctx);
	EXPECT_EQ(before.live, after.live);
	EXPECT_EQ(before.live_bytes, after.live_bytes);
	EXPECT_EQ(before.allocs + 2, after.allocs);
	EXPECT_EQ(before.frees + 2, after.frees);
}

/* Fifty from 4 to 200 KiB, dropped under pressure: nothing is left. */
TEST_F(lib, cleanup_with_memory_pressure)
{
	struct bitmem_tensor *tensors[50];

	ASSERT_TRUE(use(self->ctx, BITMEM_RETURN_PRESSURE));
	test_set_usage(92);
	for (unsigned int i = 0; i < 50; i++) {
		tensors[i] = bytes_tensor(self->ctx, (4 + 4 * i) << 10);
		ASSERT_NE(NULL, tensors[i]);
	}
	EXPECT_EQ(50, test_stats(self->ctx).live);
	for (unsigned int i = 0; i < 50; i++)
		bitmem_tensor_unref(tensors[i]);
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
}

/* Each strategy gives back what is free, for its own reason; a drop waits for none of them. */
TEST_F(lib, cleanup_scheduling_and_strategies)
{
	ASSERT_TRUE(make_and_drop(self->ctx, 10, 10000));
	EXPECT_EQ(0, test_stats(self->ctx).live);
	EXPECT_NE(0, test_committed(self->ctx));
	EXPECT_NE(0, bitmem_trim(self->ctx));
	EXPECT_EQ(0, test_committed(self->ctx));
	EXPECT_EQ(1, test_returns(self->ctx).on_call.runs);

	ASSERT_TRUE(make_and_drop(self->ctx, 10, 10000));
	ASSERT_TRUE(use(self->ctx, BITMEM_RETURN_IDLE));
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_idle.bytes));
	EXPECT_EQ(0, test_returns(self->ctx).on_period.bytes);

	ASSERT_TRUE(use(self->ctx, BITMEM_RETURN_PERIODIC));
	ASSERT_TRUE(make_and_drop(self->ctx, 10, 10000));
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_period.bytes));

	ASSERT_TRUE(use(self->ctx, 0));
	ASSERT_TRUE(make_and_drop(self->ctx, 10, 10000));
	EXPECT_NE(0, test_committed(self->ctx));
}

TEST_F(lib, pressure_detection)
{
	static const struct {
		unsigned int usage;
		enum bitmem_pressure level;
	} steps[] = {
		{ 0, BITMEM_PRESSURE_NONE }, { 59, BITMEM_PRESSURE_NONE },
		{ 60, BITMEM_PRESSURE_LOW }, { 56, BITMEM_PRESSURE_LOW },
		{ 80, BITMEM_PRESSURE_MEDIUM }, { 76, BITMEM_PRESSURE_MEDIUM },
		{ 90, BITMEM_PRESSURE_HIGH }, { 95, BITMEM_PRESSURE_CRITICAL },
		{ 91, BITMEM_PRESSURE_CRITICAL }, { 86, BITMEM_PRESSURE_HIGH },
		{ 54, BITMEM_PRESSURE_NONE },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		test_set_usage(steps[i].usage);
		EXPECT_EQ(steps[i].level, bitmem_pressure(self->ctx)) TH_LOG("step %zu", i);
	}
}

/* A thousand pairs while all that is free goes back at once: less than a ms of work each. */
TEST_F(lib, stress_under_pressure)
{
	double start;

	ASSERT_TRUE(use(self->ctx, BITMEM_RETURN_PRESSURE | BITMEM_RETURN_PERIODIC));
	test_set_usage(97);
	start = test_cpu_ms();
	for (unsigned int i = 0; i < 1000; i++)
		ASSERT_TRUE(make_and_drop(self->ctx, 1, 1000 + 97 * i));
	TH_LOG("%.4f ms a pair", (test_cpu_ms() - start) / 1000);
	EXPECT_GT(1000, test_cpu_ms() - start);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

struct job {
	struct bitmem *ctx;
	atomic_uint failures;
};

static void *churn(void *arg)
{
	struct job *job = arg;
	struct bitmem_tensor *tensors[10];

	for (unsigned int round = 0; round < 100; round++) {
		for (unsigned int i = 0; i < 10; i++) {
			tensors[i] = bytes_tensor(job->ctx, 3000 * (i + 1));
			if (tensors[i])
				memset(bitmem_tensor_data(tensors[i]), (int)i, 3000 * (i + 1));
		}
		for (unsigned int i = 0; i < 10; i++) {
			job->failures += !tensors[i] ||
					 !test_all_are(bitmem_tensor_data(tensors[i]),
						       (unsigned char)i, 3000 * (i + 1));
			bitmem_tensor_unref(tensors[i]);
		}
	}
	return NULL;
}

TEST_F(lib, concurrent_pressure)
{
	struct job job = { .ctx = self->ctx };
	pthread_t threads[4];

	ASSERT_TRUE(use(self->ctx, BITMEM_RETURN_PRESSURE | BITMEM_RETURN_PERIODIC));
	for (unsigned int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &job));
	for (unsigned int i = 0; i < 20; i++) {
		test_set_usage(i % 2 ? 99 : 10);
		bitmem_pressure(self->ctx);
		usleep(1000);
	}
	for (unsigned int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(0, job.failures);
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
	test_set_usage(99);
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
}

/* After the pressure everything is as before it, and the next request is served. */
TEST_F(lib, pressure_recovery)
{
	struct calls calls = CALLS_INIT;
	uint64_t id, runs;

	ASSERT_TRUE(use(self->ctx, BITMEM_RETURN_PRESSURE));
	ASSERT_EQ(0, bitmem_pressure_watch(self->ctx, BITMEM_PRESSURE_HIGH, test_note, &calls,
					   &id));
	ASSERT_TRUE(make_and_drop(self->ctx, 10, 50000));
	test_set_usage(96);
	ASSERT_TRUE(WAIT_FOR(test_calls(&calls) == 1));
	EXPECT_EQ(BITMEM_PRESSURE_CRITICAL, calls.levels[0]);
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	test_set_usage(20);
	ASSERT_TRUE(WAIT_FOR(test_calls(&calls) == 2));
	EXPECT_EQ(BITMEM_PRESSURE_NONE, calls.levels[1]);
	EXPECT_EQ(BITMEM_PRESSURE_NONE, bitmem_pressure(self->ctx));
	runs = test_returns(self->ctx).on_pressure.runs;
	ASSERT_TRUE(make_and_drop(self->ctx, 10, 50000));
	ASSERT_TRUE(test_wait_readings(3));
	EXPECT_EQ(runs, test_returns(self->ctx).on_pressure.runs);
	EXPECT_NE(0, test_committed(self->ctx));
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->ctx, id));
}

TEST_HARNESS_MAIN
