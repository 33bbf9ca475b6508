/* SPDX-License-Identifier: GPL-2.0 */
/* Blocks that are runs of a class, of up to 1 MiB: their waste, caches, and wrong frees. */
#include <errno.h>

#include "../../libbitmem/context.h"
#include "../../libbitmem/runs.h"
#include "lib_test.h"

#define SMALLEST	((size_t)32768 + 1)
#define LARGEST		MIB
/* What the caches of a context may hold. */
#define RUN_BYTES_MAX	((size_t)128 * MIB)

/* Bytes of runs in a cache, or that its stacks have room for. */
static size_t bytes_in(const struct bm_cache *cache, bool room)
{
	size_t bytes = 0;

	for (unsigned int i = 1; i < BM_NR_RUN_CLASSES; i++) {
		const struct bm_stack *stack = &cache->runs[i];
		size_t n = bm_stack_level(stack);

		if (room && stack->base)
			n = (size_t)(stack->limit - stack->base) - 1;
		bytes += n * bm_run_class_units(i) * BM_UNIT;
	}
	return bytes;
}

TEST_F(lib, classes_are_the_shortest_that_fit)
{
	unsigned int class, last = 0;

	for (uint32_t n = 0; n <= BM_CACHED_UNITS + 1; n++) {
		class = bm_run_class_of(n);
		if (n * BM_UNIT < SMALLEST || n > BM_CACHED_UNITS) {
			EXPECT_EQ(0, class);
			continue;
		}
		EXPECT_LE(last, class);
		EXPECT_GE(last + 1, class);
		EXPECT_LE(n, bm_run_class_units(class));
		if (class > 1)
			EXPECT_GT(n, bm_run_class_units(class - 1));
		last = class;
	}
	EXPECT_EQ(BM_NR_RUN_CLASSES - 1, last);
}

TEST_F(lib, waste_is_an_eighth_at_most)
{
	size_t room, again;
	void *block;

	for (size_t size = SMALLEST; size <= LARGEST; size += 509) {
		block = bitmem_alloc(self->ctx, size, 0);
		ASSERT_NE(NULL, block);
		room = bitmem_usable_size(self->ctx, block);
		EXPECT_LE(size, room);
		EXPECT_GE(size / 8, room - size);
		EXPECT_EQ(size, test_stats(self->ctx).live_bytes);
		ASSERT_EQ(0, bitmem_free(self->ctx, block));
		/* From the cache. */
		block = bitmem_alloc(self->ctx, size, 0);
		again = bitmem_usable_size(self->ctx, block);
		EXPECT_LE(size, again);
		EXPECT_GE(size / 8, again - size);
		ASSERT_EQ(0, bitmem_free(self->ctx, block));
	}
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
}

/* In a cache, and alive with a cache to go to. */
TEST_F(lib, wrong_frees_of_runs_change_nothing)
{
	enum { N = 8, SIZE = 200000 };
	struct bitmem_stats before, after;
	unsigned char *blocks[N];

	for (int i = 0; i < N; i++) {
		blocks[i] = bitmem_alloc(self->ctx, SIZE, 0);
		ASSERT_NE(NULL, blocks[i]);
		memset(blocks[i], i, SIZE);
	}
	for (int i = 0; i < N; i += 2)
		ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	before = test_stats(self->ctx);
	for (int i = 0; i < N; i++) {
		if (i % 2 == 0)
			EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, blocks[i]));
		for (size_t offset = 1; offset <= SIZE; offset = 2 * offset + 62)
			EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, blocks[i] + offset));
		for (size_t offset = BM_UNIT; offset < SIZE; offset += BM_UNIT)
			EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, blocks[i] + offset));
	}
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	for (int i = 0; i < N; i += 2) {
		blocks[i] = bitmem_alloc(self->ctx, SIZE, 0);
		ASSERT_NE(NULL, blocks[i]);
		memset(blocks[i], i, SIZE);
	}
	for (int i = 0; i < N; i++) {
		EXPECT_TRUE(test_all_are(blocks[i], (unsigned char)i, SIZE));
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	}
}

/* Tensors' memory is not for bitmem_free(), whichever way it goes. */
TEST_F(lib, owners_of_runs_differ)
{
	const uint64_t shape = 100000;
	struct bitmem_tensor *tensors[4];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 4; i++) {
			tensors[i] = bitmem_tensor_empty(self->ctx, BITMEM_U8, 1, &shape);
			ASSERT_NE(NULL, tensors[i]);
			EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, bitmem_tensor_data(tensors[i])));
		}
		EXPECT_EQ(4 * shape, test_stats(self->ctx).live_bytes);
		for (int i = 0; i < 4; i++)
			bitmem_tensor_unref(tensors[i]);
		EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
	}
}

/* However many are freed, of how many sizes: what the cache holds stays within its budget. */
TEST_F(lib, caches_of_runs_are_bounded)
{
	enum { N = 400 };
	struct bitmem *ctx = test_open(16 * MIB);
	static void *blocks[N];
	unsigned int state = 1;

	ASSERT_NE(NULL, ctx);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < N; i++) {
			state = state * 1664525u + 1013904223u;
			blocks[i] = bitmem_alloc(ctx, SMALLEST + (state >> 8) % (LARGEST / 2), 0);
			ASSERT_NE(NULL, blocks[i]);
		}
		for (int i = 0; i < N; i++) {
			ASSERT_EQ(0, bitmem_free(ctx, blocks[i]));
			ASSERT_GE(RUN_BYTES_MAX, bytes_in(ctx->caches, true));
			ASSERT_LE(bytes_in(ctx->caches, false), bytes_in(ctx->caches, true));
			ASSERT_EQ(bytes_in(ctx->caches, true), ctx->caches->run_bytes);
		}
		EXPECT_LT(0, bytes_in(ctx->caches, false));
	}
	bitmem_trim(ctx);
	EXPECT_EQ(0, test_stats(ctx).committed_bytes);
	EXPECT_EQ(0, bitmem_close(ctx));
}

/* Allocates @n blocks, and the last of them twice. Whether it got them. */
static bool fill(struct bitmem *ctx, void **blocks, int n, size_t size)
{
	for (int i = 0; i < n; i++)
		blocks[i] = bitmem_alloc(ctx, size, 0);
	if (bitmem_free(ctx, blocks[n - 1]))
		return false;
	blocks[n - 1] = bitmem_alloc(ctx, size, 0);
	return blocks[n - 1] && !bytes_in(ctx->caches, false);
}

/* From the heap, for who has given one back; and counted as nobody's. */
TEST_F(lib, several_runs_are_taken_at_once)
{
	enum { SIZE = 200000, N = 24 };
	struct bitmem *ctx = test_open(16 * MIB);
	struct bitmem_stats before, after;
	void *blocks[N];

	ASSERT_NE(NULL, ctx);
	ASSERT_TRUE(fill(ctx, blocks, N / 2, SIZE));
	before = test_stats(ctx);
	for (int i = N / 2; i < N; i++) {
		blocks[i] = bitmem_alloc(ctx, SIZE, 0);
		ASSERT_NE(NULL, blocks[i]);
		memset(blocks[i], i, SIZE);
		EXPECT_EQ(i % 4 == 3, !bytes_in(ctx->caches, false));
	}
	after = test_stats(ctx);
	EXPECT_EQ(before.allocs + N / 2, after.allocs);
	EXPECT_EQ(before.frees, after.frees);
	EXPECT_EQ(N * SIZE, after.live_bytes);
	EXPECT_EQ(N * SIZE, after.peak_bytes);
	for (int i = N / 2; i < N; i++)
		EXPECT_TRUE(test_all_are(blocks[i], (unsigned char)i, SIZE));
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, bitmem_free(ctx, blocks[i]));
	bitmem_trim(ctx);
	EXPECT_EQ(0, test_stats(ctx).committed_bytes);
	EXPECT_EQ(0, bitmem_close(ctx));
}

/* Two fit into a segment: for the second there are no more, which is no reason for another. */
TEST_F(lib, no_memory_comes_for_more_runs)
{
	const size_t size = self->ctx->segment_size / 2 - BM_UNIT;
	void *blocks[2];

	if (size > LARGEST)
		SKIP(return, "segments are too large");
	ASSERT_TRUE(fill(self->ctx, blocks, 1, size));
	blocks[1] = bitmem_alloc(self->ctx, size, 0);
	ASSERT_NE(NULL, blocks[1]);
	EXPECT_EQ(0, bytes_in(self->ctx->caches, false));
	EXPECT_EQ(self->ctx->segment_size, test_stats(self->ctx).committed_bytes);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
}

TEST_HARNESS_MAIN
