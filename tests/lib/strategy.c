/* SPDX-License-Identifier: GPL-2.0 */
/* Strategies: free memory really goes back, for the reason that was set and no other. */
#include "lib_test.h"
#include "pressure_test.h"

/* Leaves free memory with the context. Returns its bytes. */
static uint64_t leave_free(struct bitmem *ctx)
{
	void *block = bitmem_alloc(ctx, 1000, 0);

	if (!block || bitmem_free(ctx, block))
		return 0;
	return test_committed(ctx);
}

TEST_F(lib, defaults)
{
	struct bitmem_strategy strategy, set = { .size = sizeof(set) };

	bitmem_strategy_init(&strategy);
	EXPECT_EQ(sizeof(strategy), strategy.size);
	EXPECT_EQ(BITMEM_RETURN_IDLE | BITMEM_RETURN_PRESSURE, strategy.flags);
	EXPECT_EQ(BITMEM_PRESSURE_MEDIUM, strategy.level);
	/* A context is opened without any, and without a thread. */
	EXPECT_EQ(0, bitmem_get_strategy(self->ctx, &set));
	EXPECT_EQ(0, set.flags);
	EXPECT_NE(0, leave_free(self->ctx));
	EXPECT_FALSE(test_has_keeper());
	EXPECT_EQ(0, bitmem_set_strategy(self->ctx, NULL));
	EXPECT_EQ(0, bitmem_get_strategy(self->ctx, &set));
	EXPECT_EQ(0, memcmp(&strategy, &set, sizeof(set)));
	EXPECT_TRUE(WAIT_FOR(test_has_keeper()));
}

/* Larger than the library's, as of a caller that was compiled against a later version. */
struct later {
	struct bitmem_strategy strategy;
	uint64_t later;
};

TEST_F(lib, strategy_size)
{
	struct bitmem_strategy_stats stats;
	struct bitmem_error error;
	struct later later;

	memset(&later, 0, sizeof(later));
	later.strategy = test_strategy(0);
	later.strategy.size = sizeof(later);
	later.strategy.error = &error;
	EXPECT_EQ(0, bitmem_set_strategy(self->ctx, &later.strategy));
	EXPECT_EQ(0, error.code);
	later.later = 1;
	EXPECT_EQ(-EINVAL, bitmem_set_strategy(self->ctx, &later.strategy));
	EXPECT_NE(NULL, strstr(error.text, "strategy.size"));
	EXPECT_EQ(0, bitmem_get_strategy(self->ctx, &later.strategy));
	EXPECT_EQ(sizeof(later), later.strategy.size);
	EXPECT_EQ(&error, later.strategy.error);
	EXPECT_EQ(0, later.later);
	later.strategy.size = sizeof(struct bitmem_strategy) - 1;
	EXPECT_EQ(-EINVAL, bitmem_set_strategy(self->ctx, &later.strategy));
	EXPECT_EQ(-EINVAL, bitmem_get_strategy(self->ctx, &later.strategy));
	stats.size = sizeof(stats) - 1;
	EXPECT_EQ(-EINVAL, bitmem_strategy_stats(self->ctx, &stats));
}

/* Each wrong member is named with its value, and nothing changes. */
TEST_F(lib, wrong_members)
{
	struct bitmem_strategy good = test_strategy(0), set = { .size = sizeof(set) };
	struct bitmem_error error;
	static const struct {
		size_t offset;
		unsigned int value;
		const char *name, *text;
	} cases[] = {
		{ offsetof(struct bitmem_strategy, flags), 0x80000001, "flags", "0x80000000" },
		{ offsetof(struct bitmem_strategy, flags), 8, "flags", "0x8" },
		{ offsetof(struct bitmem_strategy, level), 0, "level", "0" },
		{ offsetof(struct bitmem_strategy, level), 5, "level", "5" },
		{ offsetof(struct bitmem_strategy, level), -1u, "level", "-1" },
		{ offsetof(struct bitmem_strategy, pressure_ms), 9, "pressure_ms", "9" },
		{ offsetof(struct bitmem_strategy, idle_ms), 0, "idle_ms", "0" },
		{ offsetof(struct bitmem_strategy, period_ms), 1, "period_ms", "1" },
		{ offsetof(struct bitmem_strategy, sample_ms), 9, "sample_ms", "9" },
	};

	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &good));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bitmem_strategy bad = test_strategy(BITMEM_RETURN_PERIODIC);

		bad.error = &error;
		memcpy((char *)&bad + cases[i].offset, &cases[i].value, sizeof(unsigned int));
		EXPECT_EQ(-EINVAL, bitmem_set_strategy(self->ctx, &bad));
		EXPECT_EQ(-EINVAL, error.code);
		EXPECT_NE(NULL, strstr(error.text, cases[i].name)) TH_LOG("%s", error.text);
		EXPECT_NE(NULL, strstr(error.text, cases[i].text)) TH_LOG("%s", error.text);
		EXPECT_EQ(0, bitmem_get_strategy(self->ctx, &set));
		EXPECT_EQ(0, memcmp(&good, &set, sizeof(set)));
	}
}

/* Nothing goes back by itself; what is trimmed is counted. */
TEST_F(lib, on_call)
{
	uint64_t bytes = leave_free(self->ctx);
	struct bitmem_strategy_stats stats;

	ASSERT_NE(0, bytes);
	EXPECT_EQ(bytes, bitmem_trim(self->ctx));
	EXPECT_EQ(0, bitmem_trim(self->ctx));
	stats = test_returns(self->ctx);
	EXPECT_EQ(2, stats.on_call.runs);
	EXPECT_EQ(bytes, stats.on_call.bytes);
	EXPECT_EQ(0, stats.on_idle.runs + stats.on_pressure.runs + stats.on_period.runs);
	EXPECT_FALSE(test_has_keeper());
}

TEST_F(lib, on_period)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PERIODIC);
	struct bitmem_strategy_stats stats;
	uint64_t bytes = 0;

	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	for (int i = 0; i < 3; i++) {
		void *block = bitmem_alloc(self->ctx, 1000, 0);

		ASSERT_NE(NULL, block);
		bytes += test_committed(self->ctx);
		EXPECT_EQ(0, bitmem_free(self->ctx, block));
		EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	}
	EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_period.bytes == bytes));
	stats = test_returns(self->ctx);
	EXPECT_LE(3, stats.on_period.runs);
	EXPECT_EQ(0, stats.on_call.runs + stats.on_idle.runs + stats.on_pressure.runs);
}

/* Live memory is nobody's to give back. */
TEST_F(lib, live_memory_stays)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PERIODIC |
							BITMEM_RETURN_IDLE |
							BITMEM_RETURN_PRESSURE);
	unsigned char *block = bitmem_alloc(self->ctx, 1000, 0);
	uint64_t bytes = test_committed(self->ctx);

	ASSERT_NE(NULL, block);
	memset(block, 0x77, 1000);
	test_set_usage(99);
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_period.runs > 5 &&
			     test_returns(self->ctx).on_idle.runs > 5 &&
			     test_returns(self->ctx).on_pressure.runs > 5));
	/* Pages that the block does not lie in may have gone. */
	EXPECT_GE(bytes, test_committed(self->ctx));
	EXPECT_LE(1000, test_committed(self->ctx));
	EXPECT_TRUE(test_all_are(block, 0x77, 1000));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
}

TEST_F(lib, on_pressure)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PRESSURE);
	uint64_t bytes;

	strategy.level = BITMEM_PRESSURE_HIGH;
	strategy.pressure_ms = 3600 * 1000;
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	bytes = leave_free(self->ctx);
	ASSERT_NE(0, bytes);
	/* Below the level everything stays. */
	test_set_usage(85);
	EXPECT_TRUE(test_wait_readings(5));
	EXPECT_EQ(bytes, test_committed(self->ctx));
	EXPECT_EQ(0, test_returns(self->ctx).on_pressure.runs);
	test_set_usage(91);
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_pressure.bytes == bytes));
	/* While it lasts, no more often than was set; but at once when it rises. */
	EXPECT_EQ(bytes, leave_free(self->ctx));
	EXPECT_TRUE(test_wait_readings(5));
	EXPECT_EQ(bytes, test_committed(self->ctx));
	test_set_usage(96);
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_pressure.runs == 2));
}

/* Pressure is everybody's: contexts without a strategy give back, too, and are told so. */
TEST_F(lib, on_pressure_all_contexts)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PRESSURE);
	struct bitmem *other = test_open(2 * MIB);
	unsigned char *block;
	uint64_t bytes;

	ASSERT_NE(NULL, other);
	block = bitmem_alloc(other, 5000, 0);
	ASSERT_NE(NULL, block);
	memset(block, 3, 5000);
	bytes = test_committed(other);
	EXPECT_NE(0, leave_free(self->ctx));
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	test_set_usage(91);
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	EXPECT_TRUE(WAIT_FOR(test_returns(other).on_pressure.runs));
	EXPECT_EQ(bytes - test_committed(other), test_returns(other).on_pressure.bytes);
	EXPECT_GT(bytes, test_committed(other));
	EXPECT_TRUE(test_all_are(block, 3, 5000));
	EXPECT_EQ(0, bitmem_free(other, block));
	EXPECT_EQ(0, bitmem_close(other));
}

TEST_F(lib, while_pressure_lasts)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PRESSURE);

	test_set_usage(80);
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	for (int i = 0; i < 3; i++) {
		const uint64_t before = test_returns(self->ctx).on_pressure.bytes;

		/* It may be gone before that can be looked at. */
		leave_free(self->ctx);
		EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
		EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_pressure.bytes > before));
	}
}

/* Free memory stays while the context is used, and goes when it no longer is. */
TEST_F(lib, on_idle)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_IDLE);
	uint64_t bytes;

	/* Each round takes much less than that, on any machine. */
	strategy.idle_ms = 20000;
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	for (int i = 0; i < 20; i++) {
		bytes = leave_free(self->ctx);
		ASSERT_NE(0, bytes);
		usleep(10000);
		EXPECT_EQ(bytes, test_committed(self->ctx));
	}
	EXPECT_EQ(0, test_returns(self->ctx).on_idle.bytes);
	strategy.idle_ms = 50;
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	EXPECT_TRUE(WAIT_FOR(test_returns(self->ctx).on_idle.bytes == bytes));
	/* And again, after it was used again. */
	EXPECT_EQ(bytes, leave_free(self->ctx));
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	EXPECT_EQ(0, test_returns(self->ctx).on_call.runs);
}

/* A strategy that is taken back does nothing any more. */
TEST_F(lib, back_to_none)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PERIODIC);
	uint64_t bytes, runs;

	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	EXPECT_NE(0, leave_free(self->ctx));
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
	strategy.flags = 0;
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	bytes = leave_free(self->ctx);
	/* One round may have begun before. */
	usleep(100000);
	if (!test_committed(self->ctx))
		bytes = leave_free(self->ctx);
	runs = test_returns(self->ctx).on_period.runs;
	usleep(100000);
	EXPECT_EQ(runs, test_returns(self->ctx).on_period.runs);
	EXPECT_EQ(bytes, test_committed(self->ctx));
}

/* Allocations and strategies at the same time: what comes out is whole. */
static void *use(void *arg)
{
	for (int i = 0; i < 500; i++) {
		size_t size = (size_t)1 << (6 + i % 17);
		unsigned char *block = bitmem_zalloc(arg, size, 0);

		if (!block || !test_all_are(block, 0, size))
			return arg;
		memset(block, i, size);
		if (!test_all_are(block, (unsigned char)i, size) || bitmem_free(arg, block))
			return arg;
		if (i % 16 == 0)
			usleep(1000);
	}
	return NULL;
}

TEST_F(lib, beside_others)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_PERIODIC |
							BITMEM_RETURN_IDLE |
							BITMEM_RETURN_PRESSURE);
	pthread_t threads[3];
	void *result;

	test_set_usage(99);
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, use, self->ctx));
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &result));
		EXPECT_EQ(NULL, result);
	}
	EXPECT_EQ(0, test_stats(self->ctx).live);
	EXPECT_TRUE(WAIT_FOR(!test_committed(self->ctx)));
}

TEST_HARNESS_MAIN
