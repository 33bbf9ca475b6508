/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of the thirty tests of tensors' memory: what a tensor takes, by type, and what is kept of it.
 */
#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

struct expected {
	enum bitmem_dtype dtype;
	uint64_t bytes;	/* of 1000 x 256 elements */
};

static const struct expected plain[] = {
	{ BITMEM_F64, 2048000 }, { BITMEM_F32, 1024000 }, { BITMEM_F16, 512000 },
	{ BITMEM_BF16, 512000 }, { BITMEM_I64, 2048000 }, { BITMEM_I32, 1024000 },
	{ BITMEM_I8, 256000 }, { BITMEM_U8, 256000 }, { BITMEM_BOOL, 256000 },
};

/* Sources: ggml's block sizes; bits rounded up to a byte at the tensor's end. */
static const struct expected quantized[] = {
	{ BITMEM_I4, 128000 }, { BITMEM_I2, 64000 }, { BITMEM_I1, 32000 },
	{ BITMEM_TERNARY2, 64000 }, { BITMEM_TERNARY5, 51200 },
	{ BITMEM_Q4_0, 256000 / 32 * 18 }, { BITMEM_Q8_0, 256000 / 32 * 34 },
	{ BITMEM_Q4_K, 256000 / 256 * 144 }, { BITMEM_Q6_K, 256000 / 256 * 210 },
	{ BITMEM_TQ1_0, 256000 / 256 * 54 }, { BITMEM_TQ2_0, 256000 / 256 * 66 },
};

/* Whether the tensor, and the context's counters, have the bytes expected and not one more. */
static bool is_exact(struct bitmem *ctx, const struct expected *expected)
{
	const uint64_t before = test_stats(ctx).live_bytes;
	struct bitmem_tensor *t = bitmem_tensor_new(ctx, expected->dtype, 2, SHAPE(1000, 256));
	bool exact = t && bitmem_tensor_bytes(t) == expected->bytes &&
		     test_stats(ctx).live_bytes - before == expected->bytes;

	if (t)
		memset(bitmem_tensor_data(t), 0xff, expected->bytes);
	bitmem_tensor_unref(t);
	return exact && test_stats(ctx).live_bytes == before;
}

TEST_F(lib, efficiency_by_dtype)
{
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		EXPECT_TRUE(is_exact(self->ctx, &plain[i])) {
			TH_LOG("%s", bitmem_dtype_info(plain[i].dtype)->name);
		}
	}
}

TEST_F(lib, quantized_efficiency)
{
	for (size_t i = 0; i < sizeof(quantized) / sizeof(*quantized); i++) {
		EXPECT_TRUE(is_exact(self->ctx, &quantized[i])) {
			TH_LOG("%s", bitmem_dtype_info(quantized[i].dtype)->name);
		}
		/* That is what they are for. */
		EXPECT_LT(quantized[i].bytes, 1024000 / 3);
	}
}

/* What is kept of a hundred tensors is below a tenth of what they hold. */
TEST_F(lib, overhead_analysis)
{
	struct bitmem_tensor *tensors[100];
	struct bitmem_stats before, after;
	uint64_t bytes = 0;

	test_warm_up(self->ctx);
	before = test_stats(self->ctx);
	for (unsigned int i = 0; i < 100; i++) {
		tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(1024 + 10 * i));
		ASSERT_NE(NULL, tensors[i]);
		bytes += 1024 + 10 * i;
	}
	after = test_stats(self->ctx);
	EXPECT_EQ(bytes, after.live_bytes - before.live_bytes);
	EXPECT_GT(bytes / 10, after.meta_bytes - before.meta_bytes);
	for (unsigned int i = 0; i < 100; i++)
		bitmem_tensor_unref(tensors[i]);
}

/* A block has at most an eighth more than what was asked for, or less than 64 bytes. */
TEST_F(lib, internal_waste)
{
	for (size_t size = 1; size <= 3 * MIB; size += 1 + size / 97) {
		void *block = bitmem_alloc(self->ctx, size, 0);
		const size_t room = bitmem_usable_size(self->ctx, block);

		ASSERT_NE(NULL, block);
		EXPECT_LE(size, room);
		EXPECT_GE(size + (size < 512 ? 63 : size / 8), room) {
			TH_LOG("%zu of %zu bytes", size, room);
		}
		ASSERT_EQ(0, bitmem_free(self->ctx, block));
	}
}

TEST_HARNESS_MAIN
