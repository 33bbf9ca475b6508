/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of the thirty tests of tensors' memory that came with the engine this library was made for:
 * those of the pools, of what is used and of what comes back.
 */
#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })
#define SEGMENT (2 * MIB)

static struct bitmem_tensor *bytes_tensor(struct bitmem *ctx, uint64_t bytes)
{
	return bitmem_tensor_new(ctx, BITMEM_U8, 1, &bytes);
}

/* Each shape comes out of the pool, and what the pool holds covers what is alive. */
TEST_F(lib, allocation_from_pools)
{
	static const uint64_t shapes[][2] = {
		{ 1, 1 }, { 16, 16 }, { 64, 64 }, { 128, 256 }, { 512, 512 }, { 1024, 1024 },
	};
	struct bitmem_tensor *tensors[6];
	struct bitmem_stats stats;
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < 6; i++) {
		tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, shapes[i]);
		ASSERT_NE(NULL, tensors[i]);
		bytes += 4 * shapes[i][0] * shapes[i][1];
		memset(bitmem_tensor_data(tensors[i]), (int)i, bitmem_tensor_bytes(tensors[i]));
		stats = test_stats(self->ctx);
		EXPECT_EQ(i + 1, stats.live);
		EXPECT_EQ(bytes, stats.live_bytes);
		EXPECT_LE(bytes, stats.committed_bytes);
	}
	for (unsigned int i = 0; i < 6; i++) {
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(tensors[i]), (unsigned char)i,
					 bitmem_tensor_bytes(tensors[i])));
		bitmem_tensor_unref(tensors[i]);
	}
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
}

/* A hundred tensors of each shape: had within 500 ms of work, and dropped within 100. */
TEST_F(lib, pool_efficiency)
{
	static const uint64_t shapes[][2] = { { 32, 32 }, { 64, 64 }, { 128, 128 }, { 256, 256 } };
	struct bitmem_tensor *tensors[100];

	for (unsigned int s = 0; s < 4; s++) {
		double start = test_cpu_ms(), made, dropped;

		for (unsigned int i = 0; i < 100; i++) {
			tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, shapes[s]);
			ASSERT_NE(NULL, tensors[i]);
		}
		made = test_cpu_ms();
		for (unsigned int i = 0; i < 100; i++)
			bitmem_tensor_unref(tensors[i]);
		dropped = test_cpu_ms();
		TH_LOG("100 of %llu x %llu: %.3f ms, dropped: %.3f ms",
		       (unsigned long long)shapes[s][0], (unsigned long long)shapes[s][1],
		       made - start, dropped - made);
		EXPECT_GT(500, made - start);
		EXPECT_GT(100, dropped - made);
	}
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* Sixty of six sizes, every other one dropped: six more fit into the gaps. */
TEST_F(lib, pool_fragmentation_with_tensors)
{
	static const uint64_t sizes[] = { 1000, 4096, 10000, 20000, 50000, 100000 };
	struct bitmem_tensor *tensors[60], *more[6];
	struct bitmem_stats full, half, again;

	for (unsigned int i = 0; i < 60; i++) {
		tensors[i] = bytes_tensor(self->ctx, sizes[i % 6]);
		ASSERT_NE(NULL, tensors[i]);
		memset(bitmem_tensor_data(tensors[i]), (int)i, sizes[i % 6]);
	}
	full = test_stats(self->ctx);
	EXPECT_EQ(60, full.live);
	for (unsigned int i = 0; i < 60; i += 2)
		bitmem_tensor_unref(tensors[i]);
	half = test_stats(self->ctx);
	EXPECT_EQ(30, half.live);
	EXPECT_GT(full.live_bytes, half.live_bytes);
	for (unsigned int i = 0; i < 6; i++) {
		more[i] = bytes_tensor(self->ctx, sizes[i]);
		ASSERT_NE(NULL, more[i]);
	}
	again = test_stats(self->ctx);
	EXPECT_EQ(36, again.live);
	EXPECT_GE(full.committed_bytes, again.committed_bytes);
	for (unsigned int i = 1; i < 60; i += 2) {
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(tensors[i]), (unsigned char)i,
					 sizes[i % 6]));
		bitmem_tensor_unref(tensors[i]);
	}
	for (unsigned int i = 0; i < 6; i++)
		bitmem_tensor_unref(more[i]);
}

/* Views, references, other sizes in between: what is free in the end is whole. */
TEST_F(lib, fragmentation_with_operations)
{
	struct bitmem_tensor *tensors[200] = { NULL }, *views[200] = { NULL };
	uint32_t state = 12345;

	for (unsigned int step = 0; step < 5000; step++) {
		unsigned int i = (state = state * 1664525u + 1013904223u) >> 8;
		const uint64_t size = 64 + (i >> 3) % 60000;

		i %= 200;
		if (tensors[i] && step % 3) {
			bitmem_tensor_unref(views[i]);
			bitmem_tensor_unref(tensors[i]);
			tensors[i] = views[i] = NULL;
			continue;
		}
		if (tensors[i])
			continue;
		tensors[i] = bytes_tensor(self->ctx, size);
		ASSERT_NE(NULL, tensors[i]);
		views[i] = bitmem_tensor_view(tensors[i], BITMEM_U8, 1, SHAPE(size / 2), size / 4);
		ASSERT_NE(NULL, views[i]);
	}
	for (unsigned int i = 0; i < 200; i++) {
		bitmem_tensor_unref(tensors[i]);
		bitmem_tensor_unref(views[i]);
	}
	EXPECT_EQ(0, test_stats(self->ctx).views);
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

/* A million bytes each, which is neither a power of two nor whole pages. */
TEST_F(lib, memory_reclamation)
{
	struct bitmem_tensor *tensors[20];
	uint64_t before = test_stats(self->ctx).committed_bytes, most;

	for (unsigned int round = 0; round < 5; round++) {
		for (unsigned int i = 0; i < 20; i++) {
			tensors[i] = bytes_tensor(self->ctx, 1000000);
			ASSERT_NE(NULL, tensors[i]);
		}
		most = test_stats(self->ctx).committed_bytes;
		EXPECT_LE(20 * 1000000, most);
		/* At most two in a segment of 2 MiB, and one segment more. */
		EXPECT_GE(11 * SEGMENT, most);
		for (unsigned int i = 0; i < 20; i++)
			bitmem_tensor_unref(tensors[i]);
		EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
		/* What is kept for the next round is no more than this one had. */
		EXPECT_GE(most, test_stats(self->ctx).committed_bytes);
	}
	bitmem_trim(self->ctx);
	EXPECT_EQ(before, test_stats(self->ctx).committed_bytes);
}

TEST_F(lib, usage_tracking)
{
	struct bitmem_stats stats = test_stats(self->ctx);
	struct bitmem_tensor *tensors[10];
	uint64_t bytes = 0, peak;

	EXPECT_EQ(0, stats.live);
	for (unsigned int i = 0; i < 10; i++) {
		tensors[i] = bytes_tensor(self->ctx, 5000 * (i + 1));
		ASSERT_NE(NULL, tensors[i]);
		bytes += 5000 * (i + 1);
		stats = test_stats(self->ctx);
		EXPECT_EQ(i + 1, stats.live);
		EXPECT_EQ(i + 1, stats.allocs);
		EXPECT_EQ(bytes, stats.live_bytes);
		EXPECT_EQ(bytes, stats.peak_bytes);
	}
	peak = bytes;
	for (unsigned int i = 0; i < 10; i++) {
		bitmem_tensor_unref(tensors[i]);
		bytes -= 5000 * (i + 1);
		stats = test_stats(self->ctx);
		EXPECT_EQ(i + 1, stats.frees);
		EXPECT_EQ(bytes, stats.live_bytes);
		EXPECT_EQ(peak, stats.peak_bytes);
	}
}

/* Last in first out, first in first out, in and out by turns, and all at once. */
TEST_F(lib, allocation_deallocation_patterns)
{
	struct bitmem_tensor *tensors[64];
	uint64_t committed = 0;

	for (unsigned int pattern = 0; pattern < 4; pattern++) {
		for (unsigned int i = 0; i < 64; i++) {
			tensors[i] = bytes_tensor(self->ctx, 1024 * (i % 8 + 1));
			ASSERT_NE(NULL, tensors[i]);
			if (pattern == 2 && i % 2)
				bitmem_tensor_unrefp(&tensors[i]);
		}
		if (pattern == 0) {
			for (unsigned int i = 64; i-- > 0;)
				bitmem_tensor_unref(tensors[i]);
		} else {
			for (unsigned int i = 0; i < 64; i++)
				bitmem_tensor_unref(tensors[i]);
		}
		EXPECT_EQ(0, test_stats(self->ctx).live);
		/* Whatever the order, the next round needs no more. */
		if (committed)
			EXPECT_GE(committed, test_stats(self->ctx).committed_bytes);
		committed = test_stats(self->ctx).committed_bytes;
	}
}

/* 64 bytes for each type, which is more than any of them needs, views at offsets not included. */
TEST_F(lib, alignment_for_dtypes)
{
	for (int type = 1; type < 256; type++) {
		const struct bitmem_dtype_info *info = bitmem_dtype_info((enum bitmem_dtype)type);
		struct bitmem_tensor *small, *large;

		if (!info)
			continue;
		small = bitmem_tensor_new(self->ctx, (enum bitmem_dtype)type, 2, SHAPE(32, 256));
		large = bitmem_tensor_new(self->ctx, (enum bitmem_dtype)type, 2, SHAPE(256, 1024));
		ASSERT_NE(NULL, small) TH_LOG("%s", info->name);
		ASSERT_NE(NULL, large) TH_LOG("%s", info->name);
		EXPECT_EQ(0, (uintptr_t)bitmem_tensor_data(small) % 64);
		EXPECT_EQ(0, (uintptr_t)bitmem_tensor_data(large) % 64);
		bitmem_tensor_unref(small);
		bitmem_tensor_unref(large);
	}
}

TEST_HARNESS_MAIN
