/* SPDX-License-Identifier: GPL-2.0 */
/* From figures to a level: every usage, after every level, against the rule in words. */
#include <bitmem/pressure.h>

#include "../../libbitmem/pressure/level.h"
#include "lib_test.h"

#define LEVELS 5

/* Tenths of a percent at which a level begins and ends. */
static const unsigned int begins[LEVELS] = { 0, 600, 800, 900, 950 };
static const unsigned int ends[LEVELS] = { 0, 550, 750, 850, 900 };

/* The rule: up to the highest level that has begun; down past all levels that have ended. */
static unsigned int expected(unsigned int last, unsigned int usage)
{
	unsigned int level = last;

	while (level < LEVELS - 1 && usage >= begins[level + 1])
		level++;
	while (level && usage < ends[level])
		level--;
	return level;
}

static struct bm_reading reading_of(uint64_t used, uint64_t total)
{
	return (struct bm_reading){ .usage = { { used, total } } };
}

TEST(every_usage_after_every_level)
{
	for (unsigned int last = 0; last < LEVELS; last++) {
		for (unsigned int usage = 0; usage <= 1100; usage++) {
			struct bm_reading reading = reading_of(usage, 1000);
			struct bm_level level = { .base = last };

			ASSERT_EQ(expected(last, usage), bm_level_next(&level, &reading))
				TH_LOG("%u after level %u", usage, last);
			ASSERT_EQ(expected(last, usage), level.base);
		}
	}
}

/* One tenth of a percent at a time all levels come and go, one by one. */
TEST(up_and_down)
{
	struct bm_level level = { 0 };
	unsigned int last = 0, changes = 0;

	for (int usage = 0; usage <= 2000; usage++) {
		struct bm_reading reading = reading_of(usage < 1000 ? usage : 2000 - usage, 1000);
		unsigned int now = bm_level_next(&level, &reading);

		if (now == last)
			continue;
		changes++;
		EXPECT_EQ(usage < 1000 ? last + 1 : last - 1, now);
		last = now;
	}
	EXPECT_EQ(8, changes);
	EXPECT_EQ(0, last);
}

/* Bytes just below and at each mark, for totals up to the largest. */
TEST(exact_for_any_total)
{
	static const uint64_t totals[] = { 20, 2000, 1ull << 40, UINT64_MAX / 100,
					   UINT64_MAX / 100 + 1, UINT64_MAX };

	for (size_t i = 0; i < sizeof(totals) / sizeof(*totals); i++) {
		/* The shift of the largest totals may cost their lowest bits. */
		uint64_t slack = totals[i] > UINT64_MAX / 100 ? 256 : 0;

		for (unsigned int n = 1; n < LEVELS; n++) {
			unsigned __int128 mark = ((unsigned __int128)totals[i] * begins[n] + 999) /
						 1000;
			struct bm_reading at = reading_of((uint64_t)mark + slack, totals[i]);
			struct bm_reading below = reading_of((uint64_t)mark - slack - 1, totals[i]);
			struct bm_level level = { 0 };

			EXPECT_EQ(n, bm_level_next(&level, &at));
			level = (struct bm_level){ 0 };
			EXPECT_EQ(n - 1, bm_level_next(&level, &below));
		}
	}
}

TEST(odd_figures)
{
	struct bm_reading reading = reading_of(5, 0);
	struct bm_level level = { .base = BITMEM_PRESSURE_HIGH };

	/* Nothing is known. */
	EXPECT_EQ(BITMEM_PRESSURE_NONE, bm_level_next(&level, &reading));
	reading = reading_of(UINT64_MAX, 1);
	EXPECT_EQ(BITMEM_PRESSURE_CRITICAL, bm_level_next(&level, &reading));
	reading = reading_of(0, UINT64_MAX);
	EXPECT_EQ(BITMEM_PRESSURE_NONE, bm_level_next(&level, &reading));
}

/* The tightest counts, wherever it stands; the floor; one more while stalled. */
TEST(all_combined)
{
	for (unsigned int last = 0; last < LEVELS; last++)
	for (unsigned int a = 0; a <= 100; a += 5)
	for (unsigned int b = 0; b <= 100; b += 5)
	for (unsigned int floor = 0; floor < LEVELS; floor++)
	for (unsigned int stalled = 0; stalled < 2; stalled++) {
		struct bm_reading reading = { .usage = { { a, 100 }, { b, 100 } },
					      .floor = floor, .stalled = stalled };
		struct bm_level level = { .base = last };
		unsigned int want = expected(last, 10 * (a > b ? a : b));

		if (want < floor)
			want = floor;
		if (stalled && want < LEVELS - 1)
			want++;
		ASSERT_EQ(want, bm_level_next(&level, &reading));
		/* Neither has a memory in the usage. */
		ASSERT_EQ(expected(last, 10 * (a > b ? a : b)), level.base);
	}
}

/* A stall begins at a tenth of the time and ends below half of that. */
TEST(stall)
{
	struct bm_level level = { 0 };

	for (unsigned int pass = 0; pass < 2; pass++) {
		for (unsigned int share = 0; share <= 20000; share++) {
			struct bm_reading reading = { .stall = share < 10000 ? share :
								20000 - share };
			bool want = share < 10000 ? share >= 1000 : reading.stall >= 500;

			ASSERT_EQ(want, bm_level_next(&level, &reading)) TH_LOG("%u", share);
			ASSERT_EQ(want, level.stalled);
		}
	}
}

TEST(names)
{
	static const char *const names[] = { "none", "low", "medium", "high", "critical" };

	for (unsigned int level = 0; level < LEVELS; level++)
		EXPECT_STREQ(names[level], bitmem_pressure_name(level));
	EXPECT_EQ(NULL, bitmem_pressure_name(LEVELS));
	EXPECT_EQ(NULL, bitmem_pressure_name((enum bitmem_pressure)-1));
}

/* On whatever this machine is: a level, and no thread, and nothing left open. */
TEST_F(lib, measures)
{
	int fds = test_fds();

	for (int i = 0; i < 20; i++)
		EXPECT_NE(NULL, bitmem_pressure_name(bitmem_pressure(self->ctx)));
	EXPECT_EQ(fds, test_fds());
}

TEST_HARNESS_MAIN
