/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Twelve defects that the memory manager had from which this one comes, one test each: they
 * must be impossible here.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })
#define SEGMENT (2 * MIB)

/* Whether @size bytes can be had, hold what is written, and be given back. */
static bool is_served(struct bitmem *ctx, size_t size)
{
	unsigned char *block = bitmem_alloc(ctx, size, 0);
	bool good;

	if (!block)
		return false;
	block[0] = 0x5a;
	block[size - 1] = 0xa5;
	good = (size == 1 || block[0] == 0x5a) && block[size - 1] == 0xa5 &&
	       bitmem_usable_size(ctx, block) >= size;
	return !bitmem_free(ctx, block) && good;
}

/* 1. There is no size between the small blocks and the large that nobody serves. */
TEST_F_TIMEOUT(lib, every_size_is_served, 120)
{
	for (size_t size = 1; size <= 70000; size += size < 5000 ? 1 : 61) {
		ASSERT_TRUE(is_served(self->ctx, size)) TH_LOG("%zu bytes", size);
	}
	for (size_t edge = 64 << 10; edge <= 4 * SEGMENT; edge *= 2) {
		for (size_t size = edge - 2; size <= edge + 2; size++) {
			ASSERT_TRUE(is_served(self->ctx, size)) TH_LOG("%zu bytes", size);
		}
		ASSERT_TRUE(is_served(self->ctx, edge + edge / 2 + 1));
	}
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* xorshift32 */
static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void shuffle(unsigned int *order, unsigned int n, uint32_t *state)
{
	for (unsigned int i = 0; i < n; i++)
		order[i] = i;
	for (unsigned int i = n - 1; i > 0; i--) {
		unsigned int j = next(state) % (i + 1), other = order[i];

		order[i] = order[j];
		order[j] = other;
	}
}

/*
 * 2. Whatever the order in which they are freed, all blocks of a segment become one whole again:
 * only then does a trim give the segment back as such.
 */
TEST_F_TIMEOUT(lib, free_all_is_one_whole, 240)
{
	enum { N = 100, ORDERS = 1000 };
	uint32_t state = 2463534242u;
	unsigned int order[N];
	void *blocks[N];

	for (unsigned int round = 0; round < ORDERS; round++) {
		struct bitmem_stats stats;

		for (unsigned int i = 0; i < N; i++) {
			const unsigned int log = 6 + next(&state) % 11;

			blocks[i] = bitmem_alloc(self->ctx, 1 + next(&state) % (1u << log), 0);
			ASSERT_NE(NULL, blocks[i]);
		}
		shuffle(order, N, &state);
		for (unsigned int i = 0; i < N; i++)
			ASSERT_EQ(0, bitmem_free(self->ctx, blocks[order[i]]));
		bitmem_trim(self->ctx);
		stats = test_stats(self->ctx);
		ASSERT_EQ(0, stats.segments) TH_LOG("round %u", round);
		ASSERT_EQ(0, stats.committed_bytes);
	}
}

/* 3. The alignment asked for is had, and such a block can be freed. */
TEST_F(lib, alignment_is_kept)
{
	for (size_t align = 1; align <= 16 * MIB; align *= 2) {
		void *blocks[3];

		for (unsigned int i = 0; i < 3; i++) {
			blocks[i] = bitmem_alloc(self->ctx, 100 + 1000 * i, align);
			ASSERT_NE(NULL, blocks[i]);
			EXPECT_EQ(0, (uintptr_t)blocks[i] % align);
			memset(blocks[i], 0xee, 100 + 1000 * i);
		}
		for (unsigned int i = 0; i < 3; i++)
			EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	}
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
}

/* 4. What is no live block of this context cannot be freed, and nothing changes. */
TEST_F(lib, wrong_frees_change_nothing)
{
	struct bitmem *other = test_open(SEGMENT);
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	char *small = bitmem_alloc(self->ctx, 100, 0), *large = bitmem_alloc(self->ctx, MIB, 0);
	char *foreign = bitmem_alloc(other, 100, 0);
	struct bitmem_stats before, after;
	int on_stack;

	ASSERT_TRUE(other && t && small && large && foreign);
	memset(small, 1, 100);
	before = test_stats(self->ctx);
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, foreign));
	EXPECT_EQ(-EINVAL, bitmem_free(other, small));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, small + 64));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, small + 1));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, large + 4096));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, &on_stack));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, bitmem_tensor_data(t)));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	EXPECT_TRUE(test_all_are(small, 1, 100));
	EXPECT_EQ(0, bitmem_free(self->ctx, small));
	EXPECT_EQ(0, bitmem_free(self->ctx, large));
	bitmem_tensor_unref(t);
	before = test_stats(self->ctx);
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, small));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, large));
	/* A handle that is stale. */
	bitmem_tensor_unref(t);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	EXPECT_EQ(0, bitmem_free(other, foreign));
	EXPECT_EQ(0, bitmem_close(other));
}

/* 5. Cleaning up never touches what is alive, and no address is handed out twice at once. */
TEST_F(lib, cleanup_spares_the_living)
{
	enum { N = 500 };
	unsigned char *blocks[N];
	uint32_t state = 88172645u;

	for (unsigned int i = 0; i < N; i++) {
		blocks[i] = bitmem_alloc(self->ctx, 1000 + i, 0);
		ASSERT_NE(NULL, blocks[i]);
		memset(blocks[i], (int)i & 0xff, 1000 + i);
	}
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = round % 2; i < N; i += 2) {
			ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
			blocks[i] = NULL;
		}
		bitmem_trim(self->ctx);
		for (unsigned int i = (round + 1) % 2; i < N; i += 2)
			ASSERT_TRUE(test_all_are(blocks[i], i & 0xff, 1000 + i));
		for (unsigned int i = round % 2; i < N; i += 2) {
			blocks[i] = bitmem_alloc(self->ctx, 1000 + i, next(&state) % 2 ? 0 : 4096);
			ASSERT_NE(NULL, blocks[i]);
			memset(blocks[i], (int)i & 0xff, 1000 + i);
		}
	}
	for (unsigned int i = 0; i < N; i++) {
		ASSERT_TRUE(test_all_are(blocks[i], i & 0xff, 1000 + i));
		ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	}
}

/*
 * 6. Dropping one tensor costs the same with few and with many alive. What it costs is a figure of
 * the benchmark's; here: the same calls to the system, which are none, and the same books.
 */
TEST_F(lib, drop_is_for_one)
{
	enum { MANY = 100000 };
	struct bitmem_tensor **tensors = calloc(MANY, sizeof(*tensors));
	struct bitmem_stats before, after;

	ASSERT_NE(NULL, tensors);
	for (unsigned int i = 0; i < MANY; i++) {
		tensors[i] = bitmem_tensor_empty(self->ctx, BITMEM_U8, 1, SHAPE(64));
		ASSERT_NE(NULL, tensors[i]);
	}
	for (unsigned int i = 0; i < MANY; i += MANY / 10) {
		before = test_stats(self->ctx);
		bitmem_tensor_unref(tensors[i]);
		after = test_stats(self->ctx);
		EXPECT_EQ(before.live - 1, after.live);
		EXPECT_EQ(before.live_bytes - 64, after.live_bytes);
		EXPECT_EQ(before.frees + 1, after.frees);
		EXPECT_EQ(before.committed_bytes, after.committed_bytes);
		tensors[i] = NULL;
	}
	for (unsigned int i = 0; i < MANY; i++)
		bitmem_tensor_unref(tensors[i]);
	free(tensors);
}

/* 7. Each context cleans up after itself, and none has to be made known to anybody. */
TEST_F(lib, cleanup_is_the_contexts_own)
{
	struct bitmem *other = test_open(SEGMENT);
	struct bitmem_stats before, after;
	void *mine, *theirs;

	ASSERT_NE(NULL, other);
	mine = bitmem_alloc(self->ctx, 1000, 0);
	theirs = bitmem_alloc(other, 1000, 0);
	ASSERT_TRUE(mine && theirs);
	EXPECT_EQ(0, bitmem_free(other, theirs));
	before = test_stats(other);
	EXPECT_NE(0, before.committed_bytes);
	bitmem_trim(self->ctx);
	after = test_stats(other);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	before = test_stats(self->ctx);
	bitmem_trim(other);
	EXPECT_EQ(0, test_stats(other).committed_bytes);
	EXPECT_EQ(0, bitmem_close(other));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	EXPECT_EQ(0, bitmem_free(self->ctx, mine));
}

/* 8. A trim tells what really went back: nothing where there is nothing. */
TEST_F(lib, trim_tells_the_truth)
{
	uint64_t committed;
	void *blocks[64];
	size_t told;

	EXPECT_EQ(0, bitmem_trim(self->ctx));
	for (unsigned int i = 0; i < 64; i++) {
		blocks[i] = bitmem_alloc(self->ctx, MIB / 8, 0);
		ASSERT_NE(NULL, blocks[i]);
		memset(blocks[i], 1, MIB / 8);
	}
	committed = test_stats(self->ctx).committed_bytes;
	told = bitmem_trim(self->ctx);
	EXPECT_EQ(committed - test_stats(self->ctx).committed_bytes, told);
	for (unsigned int i = 0; i < 64; i += 2)
		ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	for (int i = 0; i < 3; i++) {
		committed = test_stats(self->ctx).committed_bytes;
		told = bitmem_trim(self->ctx);
		EXPECT_EQ(committed - test_stats(self->ctx).committed_bytes, told);
	}
	for (unsigned int i = 1; i < 64; i += 2)
		ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	committed = test_stats(self->ctx).committed_bytes;
	EXPECT_EQ(committed, bitmem_trim(self->ctx));
	EXPECT_EQ(0, bitmem_trim(self->ctx));
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

struct hand_over {
	struct bitmem *ctx;
	void *blocks[1000];
	atomic_bool failed;
};

static void *free_all(void *arg)
{
	struct hand_over *job = arg;

	for (unsigned int i = 0; i < 1000; i++) {
		if (bitmem_free(job->ctx, job->blocks[i]))
			job->failed = true;
	}
	return NULL;
}

/*
 * 9. What another thread frees is free when it has freed it: nobody has to poll, and the one who
 * allocated may be gone.
 */
TEST_F(lib, remote_frees_complete)
{
	struct hand_over job = { .ctx = self->ctx };
	struct bitmem_stats stats;
	pthread_t threads[2];

	for (unsigned int round = 0; round < 10; round++) {
		for (unsigned int i = 0; i < 1000; i++) {
			job.blocks[i] = bitmem_alloc(self->ctx, 64 + 8 * i, 0);
			ASSERT_NE(NULL, job.blocks[i]);
		}
		ASSERT_EQ(0, pthread_create(&threads[0], NULL, free_all, &job));
		ASSERT_EQ(0, pthread_join(threads[0], NULL));
		stats = test_stats(self->ctx);
		EXPECT_EQ(0, stats.live);
		EXPECT_EQ(0, stats.live_bytes);
		EXPECT_EQ(stats.allocs, stats.frees);
		EXPECT_FALSE(job.failed);
	}
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

/* 10. What somebody else has written is never seen: fresh memory is zero, and so is zeroed. */
TEST_F(lib, reused_memory_is_clean)
{
	for (size_t size = 64; size <= 2 * SEGMENT; size *= 4) {
		struct bitmem *other = test_open(SEGMENT);
		unsigned char *block;

		ASSERT_NE(NULL, other);
		block = bitmem_alloc(other, size, 0);
		ASSERT_NE(NULL, block);
		memset(block, 0xdd, size);
		ASSERT_EQ(0, bitmem_free(other, block));
		/* The same owner's, asked for with zeros. */
		block = bitmem_zalloc(other, size, 0);
		ASSERT_NE(NULL, block);
		EXPECT_TRUE(test_all_are(block, 0, size));
		memset(block, 0xdd, size);
		EXPECT_EQ(1, bitmem_close(other));
		/* Another owner's. */
		other = test_open(SEGMENT);
		ASSERT_NE(NULL, other);
		block = bitmem_alloc(other, size, 0);
		ASSERT_NE(NULL, block);
		EXPECT_TRUE(test_all_are(block, 0, size));
		EXPECT_EQ(1, bitmem_close(other));
	}
}

struct counting {
	struct bitmem *ctx;
	atomic_bool stop;
	atomic_uint failures;
};

static void *allocate_and_free(void *arg)
{
	struct counting *job = arg;
	void *blocks[16];

	while (!job->stop) {
		for (unsigned int i = 0; i < 16; i++)
			blocks[i] = bitmem_alloc(job->ctx, 1000, 0);
		for (unsigned int i = 0; i < 16; i++)
			job->failures += !blocks[i] || bitmem_free(job->ctx, blocks[i]);
	}
	return NULL;
}

/* 11. Peak, current and totals are exact at every instant, with threads. */
TEST_F(lib, counters_are_exact)
{
	struct counting job = { .ctx = self->ctx };
	pthread_t threads[3];
	uint64_t peak = 0;

	for (unsigned int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, allocate_and_free, &job));
	for (unsigned int i = 0; i < 2000; i++) {
		struct bitmem_stats stats = test_stats(self->ctx);

		ASSERT_EQ(1000 * stats.live, stats.live_bytes);
		ASSERT_EQ(stats.allocs - stats.frees, stats.live);
		ASSERT_GE(3 * 16, stats.live);
		ASSERT_LE(stats.live_bytes, stats.peak_bytes);
		ASSERT_GE(3 * 16 * 1000, stats.peak_bytes);
		ASSERT_EQ(0, stats.peak_bytes % 1000);
		ASSERT_LE(peak, stats.peak_bytes);
		peak = stats.peak_bytes;
	}
	while (test_stats(self->ctx).allocs < 3000)
		sched_yield();
	job.stop = true;
	for (unsigned int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(0, job.failures);
	EXPECT_LE(16 * 1000, test_stats(self->ctx).peak_bytes);
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
}

/* 12. Views hold the memory that they show, whoever else lets go of it. */
TEST_F(lib, views_do_not_dangle)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 2, SHAPE(10, 1000));
	struct bitmem_tensor *flat, *row;
	void *data;

	ASSERT_NE(NULL, t);
	data = bitmem_tensor_data(t);
	memset(data, 7, 10000);
	flat = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(10000), 0);
	ASSERT_NE(NULL, flat);
	row = bitmem_tensor_view(flat, BITMEM_U8, 1, SHAPE(1000), 5000);
	ASSERT_NE(NULL, row);
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(flat);
	bitmem_trim(self->ctx);
	for (unsigned int i = 0; i < 100; i++) {
		void *block = bitmem_alloc(self->ctx, 10000, 0);

		ASSERT_NE(NULL, block);
		ASSERT_NE(data, block);
		memset(block, 0xff, 10000);
		ASSERT_EQ(0, bitmem_free(self->ctx, block));
	}
	EXPECT_EQ((char *)data + 5000, bitmem_tensor_data(row));
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(row), 7, 1000));
	EXPECT_EQ(1, test_stats(self->ctx).live);
	bitmem_tensor_unref(row);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_HARNESS_MAIN
