/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Idle memory goes piece by piece. What the keeper does every idle_ms is done here by hand, so
 * that nothing depends on the time: with 0 ms each look is one.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "../../libbitmem/pressure/strategy.h"
#include "lib_test.h"
#include "pools_test.h"
#include "pressure_test.h"

static size_t look(struct bitmem *ctx)
{
	return bm_return_idle(ctx, 0);
}

/* Runs of pages: what was taken in between stays until it was not needed for as long itself. */
TEST_F(lib, runs)
{
	enum { N = 16 };
	const size_t size = 64 << 10;
	const uint64_t all = 2 * MIB;
	void *blocks[N], *block;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	for (int i = 0; i < N; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(self->ctx, 1, size, 0));
	for (int i = 0; i < N; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	EXPECT_EQ(0, look(self->ctx));
	EXPECT_EQ(all, test_committed(self->ctx));
	/* One of the pieces is needed. */
	block = bitmem_alloc_in(self->ctx, 1, size, 0);
	ASSERT_NE(NULL, block);
	memset(block, 1, size);
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	EXPECT_EQ(all - (N / 2 + 1) * size, look(self->ctx));
	EXPECT_EQ((N / 2 + 1) * size, test_committed(self->ctx));
	EXPECT_EQ(size, test_usage(self->ctx, 1).free);
	/* And then it is not. */
	EXPECT_EQ(size, look(self->ctx));
	EXPECT_EQ(0, look(self->ctx));
	EXPECT_EQ(N / 2 * size, test_committed(self->ctx));
	/* What is live was never touched. */
	for (int i = 1; i < N; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	EXPECT_EQ(0, look(self->ctx));
	EXPECT_EQ(N / 2 * size, look(self->ctx));
	EXPECT_EQ(0, test_committed(self->ctx));
}

/* Slots of slabs that have pages of their own. */
TEST_F(lib, slots)
{
	enum { N = 32 };
	void *blocks[N], *block;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	for (int i = 0; i < N; i++) {
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(self->ctx, 1, 8192, 0));
		memset(blocks[i], i, 8192);
	}
	/* All else is gone: of what is left each page is known. */
	look(self->ctx);
	look(self->ctx);
	EXPECT_EQ(N * 8192, test_committed(self->ctx));
	for (int i = 0; i < N; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	EXPECT_EQ(0, look(self->ctx));
	block = bitmem_alloc_in(self->ctx, 1, 8000, 0);
	ASSERT_NE(NULL, block);
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	EXPECT_EQ((N / 2 - 1) * 8192, look(self->ctx));
	EXPECT_EQ(8192, look(self->ctx));
	EXPECT_EQ(0, look(self->ctx));
	EXPECT_EQ(N / 2 * 8192, test_committed(self->ctx));
	for (int i = 1; i < N; i += 2) {
		EXPECT_TRUE(test_all_are(blocks[i], (unsigned char)i, 8192));
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	}
}

/*
 * A slab that is empty was in use a moment ago, as far as is known: it stays until it has been for
 * as long itself. All that goes is counted.
 */
static void check_slabs(struct __test_metadata *_metadata, struct bitmem *ctx, size_t size,
			size_t rest)
{
	enum { N = 400 };
	void *blocks[N], *block;
	uint64_t before;

	ASSERT_EQ(1, test_pool(ctx, test_node(0)));
	for (int i = 0; i < N; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(ctx, 1, size, 0));
	look(ctx);
	look(ctx);
	before = test_committed(ctx);
	EXPECT_LE(N * size, before);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(0, bitmem_free(ctx, blocks[i]));
	EXPECT_EQ(0, look(ctx));
	EXPECT_EQ(before, test_committed(ctx));
	/* One is needed, and so is its slab, of which that stays which has no pages of its own. */
	block = bitmem_alloc_in(ctx, 1, size, 0);
	ASSERT_NE(NULL, block);
	EXPECT_EQ(0, bitmem_free(ctx, block));
	EXPECT_EQ(before - rest, look(ctx));
	EXPECT_EQ(rest, test_committed(ctx));
	EXPECT_EQ(rest, look(ctx));
	EXPECT_EQ(0, test_committed(ctx));
	EXPECT_EQ(0, look(ctx));
}

TEST_F(lib, empty_slabs_of_pages)
{
	check_slabs(_metadata, self->ctx, 20480, 20480);
}

/* The slabs of a class double: the one with most free slots that is used then is a whole frame. */
TEST_F(lib, empty_slabs_of_small_slots)
{
	check_slabs(_metadata, self->ctx, 1024, 128 << 10);
}

/* Of a thread's cache goes what lay at the bottom; what comes and goes on top of it stays. */
static void check_cache(struct __test_metadata *_metadata, struct bitmem *ctx, size_t size)
{
	enum { N = 400, KEPT = 2 };
	void *blocks[N], *some[KEPT];
	struct bitmem_stats before;
	uint64_t cached;

	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < N; i++)
			ASSERT_NE(NULL, blocks[i] = bitmem_alloc(ctx, size, 0));
		for (int i = 0; i < N; i++)
			EXPECT_EQ(0, bitmem_free(ctx, blocks[i]));
	}
	cached = test_usage(ctx, 0).cached;
	EXPECT_LT(KEPT * size, cached);
	before = test_stats(ctx);
	look(ctx);
	EXPECT_EQ(cached, test_usage(ctx, 0).cached);
	for (int k = 0; k < 3; k++) {
		for (int i = 0; i < KEPT; i++)
			ASSERT_NE(NULL, some[i] = bitmem_alloc(ctx, size, 0));
		for (int i = 0; i < KEPT; i++)
			EXPECT_EQ(0, bitmem_free(ctx, some[i]));
		look(ctx);
		EXPECT_EQ(KEPT * size, test_usage(ctx, 0).cached);
	}
	EXPECT_GE(2 * MIB, test_committed(ctx));
	look(ctx);
	EXPECT_EQ(0, test_usage(ctx, 0).cached);
	look(ctx);
	look(ctx);
	EXPECT_EQ(0, test_committed(ctx));
	EXPECT_EQ(before.live, test_stats(ctx).live);
	EXPECT_EQ(before.allocs + 3 * KEPT, test_stats(ctx).allocs);
	EXPECT_EQ(before.frees + 3 * KEPT, test_stats(ctx).frees);
	EXPECT_EQ(before.peak_bytes, test_stats(ctx).peak_bytes);
}

TEST_F(lib, cached_slots)
{
	check_cache(_metadata, self->ctx, 64);
}

TEST_F(lib, cached_pages)
{
	check_cache(_metadata, self->ctx, 8192);
}

TEST_F(lib, cached_runs)
{
	check_cache(_metadata, self->ctx, 128 << 10);
}

/* While a context is used what it does not need goes, by itself. */
TEST_F(lib, in_use)
{
	struct bitmem_strategy strategy = test_strategy(BITMEM_RETURN_IDLE);
	void *blocks[8];
	bool gone = false;

	for (int i = 0; i < 8; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc(self->ctx, 2 * MIB - 4096, 0));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	for (int i = 0; i < 8; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc(self->ctx, 900 << 10, 0));
	for (int i = 1; i < 8; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	EXPECT_LT(MIB, test_committed(self->ctx));
	ASSERT_EQ(0, bitmem_set_strategy(self->ctx, &strategy));
	for (int i = 0; !gone && i < 20000; i++) {
		void *block = bitmem_alloc(self->ctx, 1000, 0);

		EXPECT_NE(NULL, block);
		EXPECT_EQ(0, bitmem_free(self->ctx, block));
		usleep(1000);
		gone = test_committed(self->ctx) <= (900 << 10) + (256 << 10);
	}
	EXPECT_TRUE(gone);
	EXPECT_EQ(0, bitmem_free(self->ctx, blocks[0]));
}

static atomic_bool stop;

static void *churn(void *arg)
{
	struct bitmem *ctx = arg;
	unsigned char *blocks[64] = { NULL };
	unsigned int seed = 1;
	size_t bad = 0;

	for (int i = 0; !stop; i++) {
		int k = rand_r(&seed) % 64;

		if (blocks[k])
			bad += !test_all_are(blocks[k], (unsigned char)k, 64) ||
			       bitmem_free(ctx, blocks[k]);
		blocks[k] = bitmem_alloc_in(ctx, (unsigned int)i % 2,
					    (size_t)64 << (rand_r(&seed) % 13), 0);
		if (blocks[k])
			memset(blocks[k], k, 64);
		bad += !blocks[k];
	}
	for (int k = 0; k < 64; k++)
		bad += bitmem_free(ctx, blocks[k]) != 0;
	return (void *)bad;
}

TEST_F(lib, under_threads)
{
	pthread_t threads[2];
	void *bad;

	stop = false;
	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, self->ctx));
	for (int i = 0; i < 200; i++) {
		look(self->ctx);
		EXPECT_NE(1, test_usage(self->ctx, BITMEM_ALL_POOLS).committed);
	}
	stop = true;
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0, pthread_join(threads[i], &bad));
		EXPECT_EQ(NULL, bad);
	}
	for (int i = 0; i < 4; i++)
		look(self->ctx);
	EXPECT_EQ(0, test_committed(self->ctx));
}

TEST_HARNESS_MAIN
