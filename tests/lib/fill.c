/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pools are filled by one context, and another is told of it: on the device, and
 * with the pools for itself.
 */
#include <fcntl.h>
#include <linux/bitmem.h>
#include <sys/ioctl.h>

#include "lib_test.h"
#include "pressure_test.h"

#define STEP (4 * MIB)
#define MOST 4096

unsigned int __wrap_bm_stall_read(const char *dir, const char *name);
int __wrap_bm_stall_open(const char *dir, const char *name);

/* Nobody's stall is to come in the way. */
unsigned int __wrap_bm_stall_read(const char *dir, const char *name)
{
	return 0;
}

int __wrap_bm_stall_open(const char *dir, const char *name)
{
	return -1;
}

FIXTURE(fill)
{
	int fd;
	struct bitmem *filler, *watcher;
	void *blocks[MOST];
	unsigned int n;
	uint64_t total;
};

/* Bytes of all pools in use; the total is what the pools may become. */
static uint64_t used(FIXTURE_DATA(fill) *self)
{
	uint64_t used = 0;

	self->total = 0;
	for (uint32_t i = 0;; i++) {
		struct bitmem_pool_info info = { .size = sizeof(info), .index = i };

		if (ioctl(self->fd, BITMEM_POOL_INFO, &info))
			break;
		if (info.out_width != 64)
			continue;
		used += info.out_capacity - info.out_zeroed - info.out_dirty;
		self->total += info.out_max;
	}
	return used;
}

FIXTURE_SETUP(fill)
{
	const char *backend = getenv("BITMEM_BACKEND");
	const char *path = getenv("BITMEM_DEVICE");
	uint64_t in_use;

	if (backend && strcmp(backend, "device"))
		SKIP(return, "not for the backend %s", backend);
	self->fd = open(path && *path ? path : "/dev/bitmem", O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "no device: %s", strerror(errno));
	self->filler = test_open(2 * MIB);
	self->watcher = test_open(2 * MIB);
	ASSERT_NE(NULL, self->filler);
	ASSERT_NE(NULL, self->watcher);
	in_use = used(self);
	ASSERT_LT(in_use, self->total / 2);
}

FIXTURE_TEARDOWN(fill)
{
	while (self->n)
		EXPECT_EQ(0, bitmem_free(self->filler, self->blocks[--self->n]));
	EXPECT_EQ(0, bitmem_close(self->filler));
	EXPECT_EQ(0, bitmem_close(self->watcher));
	close(self->fd);
}

/* Brings what is in use to @permille of the pools, give or take a step. */
static bool fill_to(FIXTURE_DATA(fill) *self, unsigned int permille)
{
	while (used(self) > self->total / 1000 * permille && self->n) {
		if (bitmem_free(self->filler, self->blocks[--self->n]))
			return false;
		bitmem_trim(self->filler);
	}
	while (used(self) < self->total / 1000 * permille) {
		if (self->n == MOST)
			return false;
		self->blocks[self->n] = bitmem_alloc(self->filler, STEP, 0);
		if (!self->blocks[self->n])
			return false;
		self->n++;
	}
	return true;
}

/* Where the pools are brought to, and what must be told then: the watermarks are the usual ones. */
static const struct {
	unsigned int permille;
	enum bitmem_pressure level;
} steps[] = {
	{ 640, BITMEM_PRESSURE_LOW }, { 820, BITMEM_PRESSURE_MEDIUM },
	{ 920, BITMEM_PRESSURE_HIGH }, { 970, BITMEM_PRESSURE_CRITICAL },
	{ 860, BITMEM_PRESSURE_HIGH }, { 770, BITMEM_PRESSURE_MEDIUM },
	{ 640, BITMEM_PRESSURE_LOW }, { 300, BITMEM_PRESSURE_NONE },
};

TEST_F(fill, each_level_is_told)
{
	struct bitmem_strategy strategy;
	struct calls calls = CALLS_INIT;
	uint64_t id;

	bitmem_strategy_init(&strategy);
	strategy.flags = 0;
	strategy.sample_ms = 20;
	ASSERT_EQ(0, bitmem_set_strategy(self->watcher, &strategy));
	ASSERT_EQ(0, bitmem_pressure_watch(self->watcher, BITMEM_PRESSURE_LOW, test_note, &calls,
					   &id));
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		ASSERT_TRUE(fill_to(self, steps[i].permille)) TH_LOG("step %u", i);
		EXPECT_TRUE(WAIT_FOR(test_calls(&calls) > i)) TH_LOG("step %u", i);
		EXPECT_EQ(i + 1, test_calls(&calls));
		EXPECT_EQ(steps[i].level, calls.levels[i]) TH_LOG("step %u", i);
		EXPECT_EQ(steps[i].level, bitmem_pressure(self->watcher));
	}
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->watcher, id));
}

/*
 * The module's watermarks wake the keeper: no sample is due for an hour. One node may be filled
 * before the other: below both emergency watermarks, 5 % each, more than 97.5 % is in use.
 */
TEST_F(fill, the_module_wakes)
{
	struct bitmem_strategy strategy;
	struct calls calls = CALLS_INIT;
	uint64_t id;

	bitmem_strategy_init(&strategy);
	strategy.flags = 0;
	strategy.sample_ms = 3600 * 1000;
	ASSERT_EQ(0, bitmem_set_strategy(self->watcher, &strategy));
	ASSERT_TRUE(fill_to(self, 640));
	ASSERT_EQ(0, bitmem_pressure_watch(self->watcher, BITMEM_PRESSURE_LOW, test_note, &calls,
					   &id));
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) == 1));
	ASSERT_TRUE(fill_to(self, 985));
	EXPECT_TRUE(WAIT_FOR(test_calls(&calls) > 1 && calls.levels[test_calls(&calls) - 1] ==
			     BITMEM_PRESSURE_CRITICAL)) {
		TH_LOG("%u calls, the last one told level %d, and it is %d", test_calls(&calls),
		       calls.levels[test_calls(&calls) - 1], bitmem_pressure(self->watcher));
	}
	EXPECT_EQ(0, bitmem_pressure_unwatch(self->watcher, id));
}

/* What one context holds free goes back when another needs the pools. */
TEST_F(fill, caches_go_back_under_pressure)
{
	struct bitmem_strategy strategy;
	struct bitmem_strategy_stats stats = { .size = sizeof(stats) };
	uint64_t before;
	void *block;

	bitmem_strategy_init(&strategy);
	strategy.sample_ms = 20;
	ASSERT_EQ(0, bitmem_set_strategy(self->watcher, &strategy));
	block = bitmem_alloc(self->watcher, 1000, 0);
	ASSERT_NE(NULL, block);
	ASSERT_EQ(0, bitmem_free(self->watcher, block));
	before = test_stats(self->watcher).committed_bytes;
	ASSERT_NE(0, before);
	ASSERT_TRUE(fill_to(self, 700));
	EXPECT_EQ(before, test_stats(self->watcher).committed_bytes);
	ASSERT_TRUE(fill_to(self, 850));
	EXPECT_TRUE(WAIT_FOR(!test_stats(self->watcher).committed_bytes));
	EXPECT_TRUE(WAIT_FOR(!bitmem_strategy_stats(self->watcher, &stats) &&
			     stats.on_pressure.bytes == before));
}

TEST_HARNESS_MAIN
