/* SPDX-License-Identifier: GPL-2.0 */
/* Plain blocks: bitmem_alloc(), bitmem_free(), bitmem_usable_size(), bitmem_trim(). */
#include <time.h>
#include <unistd.h>

#include "lib_test.h"

#define SEGMENT (2 * MIB)

TEST_F(lib, every_size_around_the_boundaries)
{
	static const size_t sizes[] = { 1, 2, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 65535,
					MIB - 1, MIB, MIB + 1, SEGMENT - 1, SEGMENT, SEGMENT + 1,
					2 * SEGMENT - 1, 2 * SEGMENT, 2 * SEGMENT + 1 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned char *block = bitmem_zalloc(self->ctx, sizes[i], 0);
		size_t usable;

		ASSERT_NE(NULL, block) TH_LOG("size %zu", sizes[i]);
		EXPECT_EQ(0, (uintptr_t)block % 64);
		usable = bitmem_usable_size(self->ctx, block);
		ASSERT_LE(sizes[i], usable);
		EXPECT_TRUE(test_all_are(block, 0, sizes[i]));
		memset(block, 0xff, usable);
		EXPECT_EQ(sizes[i], test_stats(self->ctx).live_bytes);
		EXPECT_EQ(0, bitmem_free(self->ctx, block));
	}
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
}

TEST_F(lib, small_sizes_have_no_hole)
{
	for (size_t size = 1; size <= 40000; size++) {
		void *block = bitmem_alloc(self->ctx, size, 0);

		ASSERT_NE(NULL, block);
		EXPECT_LE(bitmem_usable_size(self->ctx, block),
			  size < 512 ? size + 63 : size + size / 8);
		EXPECT_EQ(0, bitmem_free(self->ctx, block));
	}
}

TEST_F(lib, refuses_what_cannot_be)
{
	static const size_t aligns[] = { 3, 63, 65, 96, 4097, 2048 * MIB, SIZE_MAX,
					 SIZE_MAX / 2 + 1 };
	struct bitmem_stats before = test_stats(self->ctx), after;

	errno = 0;
	EXPECT_EQ(NULL, bitmem_alloc(self->ctx, 0, 0));
	EXPECT_EQ(EINVAL, errno);
	for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
		errno = 0;
		EXPECT_EQ(NULL, bitmem_alloc(self->ctx, 100, aligns[i]));
		EXPECT_EQ(EINVAL, errno);
	}
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

TEST_F(lib, out_of_memory_changes_nothing)
{
	static const size_t sizes[] = { SIZE_MAX,	   SIZE_MAX - 63, SIZE_MAX / 2 + 1,
					SIZE_MAX / 2,	   SIZE_MAX / 4,  (size_t)1 << 50,
					(size_t)1 << 44 };
	struct bitmem_stats before, after;
	void *block;

	test_warm_up(self->ctx);
	before = test_stats(self->ctx);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		errno = 0;
		EXPECT_EQ(NULL, bitmem_alloc(self->ctx, sizes[i], 0));
		EXPECT_EQ(ENOMEM, errno);
	}
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));

	block = bitmem_alloc(self->ctx, 100, 0);
	EXPECT_NE(NULL, block);
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

TEST_F(lib, alignment_is_what_was_asked_for)
{
	static const size_t sizes[] = { 1, 64, 100, 4096, 5000, 65536, 100000, SEGMENT - 64,
					SEGMENT, SEGMENT + 1 };
	void *held[32];
	int n = 0;

	for (size_t align = 1; align <= 2 * MIB; align *= 2) {
		/* Leaves the next free address unaligned. */
		held[n] = bitmem_zalloc(self->ctx, 64, 0);
		ASSERT_NE(NULL, held[n++]);
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			void *block = bitmem_zalloc(self->ctx, sizes[i], align);

			ASSERT_NE(NULL, block);
			EXPECT_EQ(0, (uintptr_t)block % align);
			EXPECT_EQ(0, (uintptr_t)block % 64);
			EXPECT_TRUE(test_all_are(block, 0, sizes[i]));
			memset(block, 0xff, sizes[i]);
			EXPECT_EQ(0, bitmem_free(self->ctx, block));
		}
	}
	while (n)
		EXPECT_EQ(0, bitmem_free(self->ctx, held[--n]));
}

TEST_F(lib, wrong_frees_change_nothing)
{
	struct bitmem *other = test_open(SEGMENT);
	unsigned char *block = bitmem_alloc(self->ctx, 1000, 0);
	unsigned char *own = bitmem_alloc(self->ctx, SEGMENT + 1, 0);
	unsigned char *gone = bitmem_alloc(self->ctx, 1000, 0);
	struct bitmem_stats before, after, other_before, other_after;
	unsigned char local[256];

	ASSERT_NE(NULL, other);
	ASSERT_NE(NULL, block);
	ASSERT_NE(NULL, own);
	ASSERT_NE(NULL, gone);
	memset(block, 0x5a, 1000);
	EXPECT_EQ(0, bitmem_free(self->ctx, gone));
	before = test_stats(self->ctx);
	other_before = test_stats(other);

	EXPECT_EQ(0, bitmem_free(self->ctx, NULL));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, gone));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, local));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, (void *)-1));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, (void *)1));
	EXPECT_EQ(-EINVAL, bitmem_free(other, block));
	for (size_t i = 1; i < 1100; i++)
		EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, block + i));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, block - 64));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, own + 64));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, own + SEGMENT + 1));

	after = test_stats(self->ctx);
	other_after = test_stats(other);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	EXPECT_TRUE(test_stats_equal(&other_before, &other_after));
	EXPECT_TRUE(test_all_are(block, 0x5a, 1000));

	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, block));
	EXPECT_EQ(0, bitmem_free(self->ctx, own));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, own));
	EXPECT_EQ(0, bitmem_close(other));
}

TEST_F(lib, usable_size_of_no_block_is_0)
{
	unsigned char *block = bitmem_alloc(self->ctx, 1000, 0);

	ASSERT_NE(NULL, block);
	EXPECT_LE(1000, bitmem_usable_size(self->ctx, block));
	EXPECT_EQ(0, bitmem_usable_size(self->ctx, block + 64));
	EXPECT_EQ(0, bitmem_usable_size(self->ctx, NULL));
	EXPECT_EQ(0, bitmem_usable_size(self->ctx, &block));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	EXPECT_EQ(0, bitmem_usable_size(self->ctx, block));
}

TEST_F(lib, reused_memory_is_zeroed_on_request)
{
	unsigned char *keep = bitmem_alloc(self->ctx, 64, 0);
	unsigned char *first[8], *block;
	size_t usable;

	for (int i = 0; i < 8; i++) {
		first[i] = bitmem_alloc(self->ctx, 10000, 0);
		ASSERT_NE(NULL, first[i]);
		memset(first[i], 0xff, bitmem_usable_size(self->ctx, first[i]));
	}
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, first[i]));
	/* Over what was written, in other cuts, and past its end. */
	for (size_t size = 1000; size <= SEGMENT - 64; size = size * 7 + 13) {
		block = bitmem_zalloc(self->ctx, size, 0);
		ASSERT_NE(NULL, block);
		usable = bitmem_usable_size(self->ctx, block);
		EXPECT_TRUE(test_all_are(block, 0, size));
		memset(block, 0xff, usable);
		EXPECT_EQ(0, bitmem_free(self->ctx, block));
	}
	EXPECT_EQ(0, bitmem_free(self->ctx, keep));
}

/* In random orders, all sizes: when all is freed and trimmed, nothing is held. */
TEST_F_TIMEOUT(lib, free_blocks_merge_back_to_one_whole, 120)
{
	enum { N = 200, ROUNDS = 1000 };
	struct bitmem_stats stats;
	void *blocks[N];
	unsigned int state = 1;

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < N; i++) {
			state = state * 1664525u + 1013904223u;
			blocks[i] = bitmem_alloc(self->ctx, 1 + (state >> 8) % (4096u << i % 5), 0);
			ASSERT_NE(NULL, blocks[i]);
		}
		for (int i = N; i > 0; i--) {
			state = state * 1664525u + 1013904223u;
			int pick = (int)((state >> 8) % (unsigned int)i);

			ASSERT_EQ(0, bitmem_free(self->ctx, blocks[pick]));
			blocks[pick] = blocks[i - 1];
		}
		bitmem_trim(self->ctx);
		stats = test_stats(self->ctx);
		ASSERT_EQ(0, stats.committed_bytes);
		ASSERT_EQ(0, stats.segments);
	}
}

/* With a block in it that keeps the segment, what is free is one piece again. */
TEST_F(lib, neighbours_merge)
{
	enum { N = (SEGMENT - 65536) / 65536 };
	void *keep = bitmem_alloc(self->ctx, 65536, 0), *blocks[N], *whole;

	ASSERT_NE(NULL, keep);
	for (int stride = 1; stride <= 7; stride += 2) {
		for (int i = 0; i < N; i++) {
			blocks[i] = bitmem_alloc(self->ctx, 65536, 0);
			ASSERT_NE(NULL, blocks[i]);
		}
		EXPECT_EQ(1, test_stats(self->ctx).segments);
		for (int first = 0; first < stride; first++) {
			for (int i = first; i < N; i += stride)
				ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
		}
		bitmem_trim(self->ctx);
		whole = bitmem_alloc(self->ctx, N * 65536, 0);
		ASSERT_NE(NULL, whole);
		EXPECT_EQ(1, test_stats(self->ctx).segments);
		EXPECT_EQ(0, bitmem_free(self->ctx, whole));
	}
	EXPECT_EQ(0, bitmem_free(self->ctx, keep));
}

TEST_F(lib, holes_are_filled_before_memory_is_taken)
{
	void *blocks[60];
	struct bitmem_stats stats;

	for (int i = 0; i < 60; i++) {
		blocks[i] = bitmem_alloc(self->ctx, 30000, 0);
		ASSERT_NE(NULL, blocks[i]);
	}
	stats = test_stats(self->ctx);
	for (int i = 0; i < 60; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	for (int i = 0; i < 60; i += 2) {
		blocks[i] = bitmem_alloc(self->ctx, 30000, 0);
		ASSERT_NE(NULL, blocks[i]);
	}
	EXPECT_EQ(stats.committed_bytes, test_stats(self->ctx).committed_bytes);
	for (int i = 0; i < 60; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
}

TEST_F(lib, large_blocks_cost_their_pages)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	static const size_t sizes[] = { SEGMENT + 1, SEGMENT + 4096, 3 * SEGMENT - 1, 5 * MIB };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t pages = (sizes[i] + page_size - 1) / page_size;
		void *block = bitmem_alloc(self->ctx, sizes[i], 2 * MIB);

		ASSERT_NE(NULL, block);
		EXPECT_EQ(pages * page_size, test_stats(self->ctx).committed_bytes);
		EXPECT_EQ(pages * page_size, bitmem_usable_size(self->ctx, block));
		EXPECT_EQ(1, test_stats(self->ctx).segments);
		EXPECT_EQ(0, bitmem_free(self->ctx, block));
		/* And they go back at once. */
		EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
		EXPECT_FALSE(test_is_mapped(block));
	}
}

TEST_F(lib, trim_gives_back_what_is_free)
{
	const size_t size = SEGMENT / 2 + 4096, page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t pages = (size + page - 1) / page * page;
	size_t rest;
	void *a, *b;

	EXPECT_EQ(0, bitmem_trim(self->ctx));
	a = bitmem_alloc(self->ctx, size, 0);
	b = bitmem_alloc(self->ctx, size, 0);
	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	EXPECT_EQ(2 * SEGMENT, test_stats(self->ctx).committed_bytes);
	/* Pages that nobody uses go, unless they are huge. */
	rest = bitmem_trim(self->ctx);
	EXPECT_TRUE(rest == 2 * (SEGMENT - pages) || rest == 0);
	EXPECT_EQ(2 * SEGMENT - rest, test_stats(self->ctx).committed_bytes);
	EXPECT_EQ(0, bitmem_trim(self->ctx));
	memset(a, 1, size);
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(SEGMENT - rest / 2, bitmem_trim(self->ctx));
	EXPECT_FALSE(test_is_mapped(a));
	EXPECT_EQ(SEGMENT - rest / 2, test_stats(self->ctx).committed_bytes);
	EXPECT_EQ(0, bitmem_trim(self->ctx));
	EXPECT_EQ(0, bitmem_free(self->ctx, b));
	EXPECT_EQ(SEGMENT - rest / 2, bitmem_trim(self->ctx));
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
	EXPECT_EQ(0, test_stats(self->ctx).segments);
	EXPECT_EQ(0, test_stats(self->ctx).pinned_bytes);
	EXPECT_EQ(0, bitmem_trim(self->ctx));
}

/* What was given back comes again when it is needed, zeroed. */
TEST_F(lib, trimmed_pages_come_back)
{
	unsigned char *keep = bitmem_alloc(self->ctx, 100000, 0), *blocks[64];
	struct bitmem_stats before, after;

	ASSERT_NE(NULL, keep);
	memset(keep, 0x5a, 100000);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 64; i++) {
			blocks[i] = bitmem_alloc(self->ctx, 5000u * (1 + (unsigned int)i % 9), 0);
			ASSERT_NE(NULL, blocks[i]);
			memset(blocks[i], 0xff, 5000u * (1 + (unsigned int)i % 9));
		}
		before = test_stats(self->ctx);
		for (int i = 0; i < 64; i += 2)
			ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
		after = test_stats(self->ctx);
		EXPECT_EQ(before.committed_bytes, after.committed_bytes);
		EXPECT_EQ(bitmem_trim(self->ctx) + test_stats(self->ctx).committed_bytes,
			  before.committed_bytes);
		for (int i = 0; i < 64; i += 2) {
			const size_t size = 5000u * (1 + (unsigned int)i % 9);

			blocks[i] = bitmem_zalloc(self->ctx, size, 0);
			ASSERT_NE(NULL, blocks[i]);
			EXPECT_TRUE(test_all_are(blocks[i], 0, size));
			memset(blocks[i], 0xff, bitmem_usable_size(self->ctx, blocks[i]));
		}
		for (int i = 0; i < 64; i++)
			ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
		bitmem_trim(self->ctx);
		EXPECT_TRUE(test_all_are(keep, 0x5a, 100000));
	}
	EXPECT_EQ(0, bitmem_free(self->ctx, keep));
}

TEST_F(lib, at_most_one_empty_segment_is_kept)
{
	void *blocks[5];

	for (int i = 0; i < 5; i++) {
		blocks[i] = bitmem_alloc(self->ctx, SEGMENT, 0);
		ASSERT_NE(NULL, blocks[i]);
	}
	EXPECT_EQ(5, test_stats(self->ctx).segments);
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	EXPECT_EQ(1, test_stats(self->ctx).segments);
}

TEST_F(lib, close_counts_and_takes_plain_blocks)
{
	void *small = bitmem_alloc(self->ctx, 100, 0), *large = bitmem_alloc(self->ctx, 3 * MIB, 0);

	ASSERT_NE(NULL, small);
	ASSERT_NE(NULL, large);
	ASSERT_NE(NULL, bitmem_alloc(self->ctx, 100, 0));
	EXPECT_EQ(3, bitmem_close(self->ctx));
	self->ctx = NULL;
	EXPECT_FALSE(test_is_mapped(small));
	EXPECT_FALSE(test_is_mapped(large));
}

static double seconds_of_pairs(struct bitmem *ctx, int pairs)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < pairs; i++)
		bitmem_free(ctx, bitmem_alloc(ctx, 64, 0));
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

/* The best of some rounds, so that a busy machine does not matter. */
static double best_of_pairs(struct bitmem *ctx)
{
	double best = 1e9;

	for (int round = 0; round < 10; round++) {
		double seconds = seconds_of_pairs(ctx, 2000);

		if (best > seconds)
			best = seconds;
	}
	return best;
}

/* A search through the live blocks would take hundreds of times as long. */
TEST_F(lib, cost_does_not_grow_with_live_blocks)
{
	const size_t few = 100, many = 100000;
	void **blocks = calloc(many, sizeof(*blocks));
	double few_seconds, many_seconds;
	size_t n;

	ASSERT_NE(NULL, blocks);
	for (n = 0; n < few; n++) {
		blocks[n] = bitmem_alloc(self->ctx, 64, 0);
		ASSERT_NE(NULL, blocks[n]);
	}
	few_seconds = best_of_pairs(self->ctx);
	for (; n < many; n++) {
		blocks[n] = bitmem_alloc(self->ctx, 64, 0);
		ASSERT_NE(NULL, blocks[n]);
	}
	many_seconds = best_of_pairs(self->ctx);
	EXPECT_LT(many_seconds, 50 * few_seconds);
	TH_LOG("%.0f ns a pair with %zu others, %.0f with %zu", few_seconds / 2000 * 1e9, few,
	       many_seconds / 2000 * 1e9, many);
	while (n)
		ASSERT_EQ(0, bitmem_free(self->ctx, blocks[--n]));
	free(blocks);
}

TEST_HARNESS_MAIN
