/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Element types: each one's name, block and exact size, written out here a second
 * time from the formats' own descriptions, and the shapes that have no size.
 */
#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })
#define TOP ((uint64_t)1 << 63)

/* With the bytes of a row of 768 elements, whole blocks of any type but TERNARY5. */
struct expected {
	enum bitmem_dtype dtype;
	const char *name;
	uint32_t block_elements;
	int64_t row_768;
};

static const struct expected expected[] = {
	{ BITMEM_F64, "F64", 1, 6144 },
	{ BITMEM_F32, "F32", 1, 3072 },
	{ BITMEM_F16, "F16", 1, 1536 },
	{ BITMEM_BF16, "BF16", 1, 1536 },
	{ BITMEM_C64, "C64", 1, 6144 },
	{ BITMEM_F8_E5M2, "F8_E5M2", 1, 768 },
	{ BITMEM_F8_E4M3, "F8_E4M3", 1, 768 },
	{ BITMEM_F8_E8M0, "F8_E8M0", 1, 768 },
	{ BITMEM_F8_E4M3FNUZ, "F8_E4M3FNUZ", 1, 768 },
	{ BITMEM_F8_E5M2FNUZ, "F8_E5M2FNUZ", 1, 768 },
	{ BITMEM_BOOL, "BOOL", 1, 768 },
	{ BITMEM_I64, "I64", 1, 6144 },
	{ BITMEM_I32, "I32", 1, 3072 },
	{ BITMEM_I16, "I16", 1, 1536 },
	{ BITMEM_I8, "I8", 1, 768 },
	{ BITMEM_U64, "U64", 1, 6144 },
	{ BITMEM_U32, "U32", 1, 3072 },
	{ BITMEM_U16, "U16", 1, 1536 },
	{ BITMEM_U8, "U8", 1, 768 },
	{ BITMEM_F6_E2M3, "F6_E2M3", 1, 576 },
	{ BITMEM_F6_E3M2, "F6_E3M2", 1, 576 },
	{ BITMEM_F4, "F4", 1, 384 },
	{ BITMEM_I4, "I4", 1, 384 },
	{ BITMEM_I2, "I2", 1, 192 },
	{ BITMEM_I1, "I1", 1, 96 },
	{ BITMEM_TERNARY2, "TERNARY2", 1, 192 },
	{ BITMEM_TERNARY5, "TERNARY5", 5, 154 },
	{ BITMEM_Q4_0, "Q4_0", 32, 432 },
	{ BITMEM_Q4_1, "Q4_1", 32, 480 },
	{ BITMEM_Q5_0, "Q5_0", 32, 528 },
	{ BITMEM_Q5_1, "Q5_1", 32, 576 },
	{ BITMEM_Q8_0, "Q8_0", 32, 816 },
	{ BITMEM_Q8_1, "Q8_1", 32, 864 },
	{ BITMEM_Q2_K, "Q2_K", 256, 252 },
	{ BITMEM_Q3_K, "Q3_K", 256, 330 },
	{ BITMEM_Q4_K, "Q4_K", 256, 432 },
	{ BITMEM_Q5_K, "Q5_K", 256, 528 },
	{ BITMEM_Q6_K, "Q6_K", 256, 630 },
	{ BITMEM_Q8_K, "Q8_K", 256, 876 },
	{ BITMEM_IQ2_XXS, "IQ2_XXS", 256, 198 },
	{ BITMEM_IQ2_XS, "IQ2_XS", 256, 222 },
	{ BITMEM_IQ3_XXS, "IQ3_XXS", 256, 294 },
	{ BITMEM_IQ1_S, "IQ1_S", 256, 150 },
	{ BITMEM_IQ4_NL, "IQ4_NL", 32, 432 },
	{ BITMEM_IQ3_S, "IQ3_S", 256, 330 },
	{ BITMEM_IQ2_S, "IQ2_S", 256, 246 },
	{ BITMEM_IQ4_XS, "IQ4_XS", 256, 408 },
	{ BITMEM_IQ1_M, "IQ1_M", 256, 168 },
	{ BITMEM_TQ1_0, "TQ1_0", 256, 162 },
	{ BITMEM_TQ2_0, "TQ2_0", 256, 198 },
	{ BITMEM_MXFP4, "MXFP4", 32, 408 },
	{ BITMEM_NVFP4, "NVFP4", 64, 432 },
	{ BITMEM_Q1_0, "Q1_0", 128, 108 },
	{ BITMEM_Q2_0, "Q2_0", 64, 216 },
	{ BITMEM_I2_S, "I2_S", 4, 768 / 4 + 32 },
	{ BITMEM_I8_S, "I8_S", 1, 768 },
	{ BITMEM_TL1, "TL1", 4, 768 / 4 + 32 },
	/* 512 / 3 * 5 / 8 = 106, 256 / 2 * 4 / 8 = 64, together 170, padded 192, and the scale. */
	{ BITMEM_TL2, "TL2", 1, 192 + 32 },
};

#define N_EXPECTED (sizeof(expected) / sizeof(expected[0]))

/* Bytes of a tensor whose last dimension is the fastest; -errno if there is no such size. */
static int64_t bytes_of(enum bitmem_dtype dtype, unsigned int ndims, const uint64_t *shape)
{
	uint64_t bytes = 12345;
	int ret = bitmem_dtype_bytes(dtype, ndims, shape, ndims ? ndims - 1 : 0, &bytes);

	if (ret && bytes != 12345)
		return -EIO;
	return ret ? ret : (int64_t)bytes;
}

TEST(table)
{
	for (size_t i = 0; i < N_EXPECTED; i++) {
		const struct bitmem_dtype_info *info = bitmem_dtype_info(expected[i].dtype);

		ASSERT_NE(NULL, info) TH_LOG("%s", expected[i].name);
		EXPECT_STREQ(expected[i].name, info->name);
		EXPECT_EQ(expected[i].block_elements, info->block_elements);
		EXPECT_EQ(expected[i].row_768, bytes_of(expected[i].dtype, 1, SHAPE(768)))
			TH_LOG("%s", info->name);
		if (info->block_bits && 768 % info->block_elements == 0)
			EXPECT_EQ((uint64_t)expected[i].row_768 * 8,
				  768 / info->block_elements * info->block_bits);
	}
}

TEST(table_is_complete)
{
	size_t known = 0;

	EXPECT_EQ(NULL, bitmem_dtype_info(BITMEM_DTYPE_INVALID));
	EXPECT_EQ(NULL, bitmem_dtype_info((enum bitmem_dtype)-1));
	EXPECT_EQ(NULL, bitmem_dtype_info((enum bitmem_dtype)INT32_MAX));
	for (int dtype = -300; dtype < 3000; dtype++) {
		if (bitmem_dtype_info((enum bitmem_dtype)dtype))
			known++;
		else
			EXPECT_EQ(-EINVAL, bytes_of((enum bitmem_dtype)dtype, 1, SHAPE(0)));
	}
	EXPECT_EQ(N_EXPECTED, known);
}

TEST(values_are_abi)
{
	EXPECT_EQ(1, BITMEM_F64);
	EXPECT_EQ(19, BITMEM_U8);
	EXPECT_EQ(64, BITMEM_F6_E2M3);
	EXPECT_EQ(71, BITMEM_TERNARY5);
	EXPECT_EQ(128, BITMEM_Q4_0);
	EXPECT_EQ(154, BITMEM_Q2_0);
	EXPECT_EQ(192, BITMEM_I2_S);
	EXPECT_EQ(195, BITMEM_TL2);
}

TEST(packed_types_round_up_once)
{
	EXPECT_EQ(1, bytes_of(BITMEM_I1, 1, SHAPE(1)));
	EXPECT_EQ(1, bytes_of(BITMEM_I1, 1, SHAPE(8)));
	EXPECT_EQ(2, bytes_of(BITMEM_I1, 1, SHAPE(9)));
	EXPECT_EQ(2, bytes_of(BITMEM_I1, 2, SHAPE(3, 3)));
	EXPECT_EQ(1, bytes_of(BITMEM_I2, 1, SHAPE(3)));
	EXPECT_EQ(2, bytes_of(BITMEM_I2, 1, SHAPE(5)));
	EXPECT_EQ(3, bytes_of(BITMEM_I4, 1, SHAPE(5)));
	EXPECT_EQ(1, bytes_of(BITMEM_F6_E3M2, 1, SHAPE(1)));
	EXPECT_EQ(2, bytes_of(BITMEM_F6_E3M2, 1, SHAPE(2)));
	EXPECT_EQ(3, bytes_of(BITMEM_F6_E3M2, 1, SHAPE(3)));
	EXPECT_EQ(3, bytes_of(BITMEM_F6_E3M2, 1, SHAPE(4)));
	EXPECT_EQ(4, bytes_of(BITMEM_F6_E3M2, 1, SHAPE(5)));
	EXPECT_EQ(1, bytes_of(BITMEM_TERNARY2, 1, SHAPE(4)));
	EXPECT_EQ(1, bytes_of(BITMEM_TERNARY5, 1, SHAPE(5)));
	EXPECT_EQ(2, bytes_of(BITMEM_TERNARY5, 1, SHAPE(6)));
	EXPECT_EQ(20, bytes_of(BITMEM_TERNARY5, 2, SHAPE(10, 10)));
	EXPECT_EQ(1, bytes_of(BITMEM_TERNARY5, 0, NULL));
}

TEST(blocks_run_along_the_fastest)
{
	uint64_t bytes = 0;

	EXPECT_EQ(0, bitmem_dtype_bytes(BITMEM_Q8_0, 2, SHAPE(3, 64), 1, &bytes));
	EXPECT_EQ(3 * 2 * 34, bytes);
	EXPECT_EQ(-EINVAL, bitmem_dtype_bytes(BITMEM_Q8_0, 2, SHAPE(3, 64), 0, &bytes));
	EXPECT_EQ(0, bitmem_dtype_bytes(BITMEM_Q8_0, 2, SHAPE(64, 3), 0, &bytes));
	EXPECT_EQ(3 * 2 * 34, bytes);
	EXPECT_EQ(-EINVAL, bitmem_dtype_bytes(BITMEM_Q8_0, 2, SHAPE(64, 64), 2, &bytes));
	EXPECT_EQ(-EINVAL, bitmem_dtype_bytes(BITMEM_F32, 1, SHAPE(1), UINT32_MAX, &bytes));
	EXPECT_EQ(0, bitmem_dtype_bytes(BITMEM_F32, 0, NULL, 7, &bytes));
	EXPECT_EQ(4, bytes);
	for (size_t i = 0; i < N_EXPECTED; i++) {
		const uint64_t off = expected[i].block_elements + 1;
		int64_t got = bytes_of(expected[i].dtype, 1, &off);

		if (expected[i].block_elements > 1 && expected[i].dtype != BITMEM_TERNARY5)
			EXPECT_EQ(-EINVAL, got);
	}
}

TEST(empty_and_scalar)
{
	for (size_t i = 0; i < N_EXPECTED; i++) {
		EXPECT_EQ(0, bytes_of(expected[i].dtype, 1, SHAPE(0)));
		EXPECT_EQ(0, bytes_of(expected[i].dtype, 3, SHAPE(UINT64_MAX, 0, 768)));
		EXPECT_EQ(0, bytes_of(expected[i].dtype, 3, SHAPE(0, UINT64_MAX, 768)));
	}
	EXPECT_EQ(8, bytes_of(BITMEM_C64, 0, NULL));
	EXPECT_EQ(-EINVAL, bytes_of(BITMEM_Q4_0, 0, NULL));
	EXPECT_EQ(-EINVAL, bytes_of(BITMEM_TL2, 0, NULL));
	EXPECT_EQ(-EINVAL, bytes_of(BITMEM_F32, BITMEM_MAX_DIMS + 1,
				    SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1)));
	EXPECT_EQ(4, bytes_of(BITMEM_F32, BITMEM_MAX_DIMS, SHAPE(1, 1, 1, 1, 1, 1, 1, 1)));
}

TEST(overflow)
{
	uint64_t bytes;

	EXPECT_EQ(0, bitmem_dtype_bytes(BITMEM_U8, 1, SHAPE(UINT64_MAX), 0, &bytes));
	EXPECT_EQ(UINT64_MAX, bytes);
	EXPECT_EQ(0, bitmem_dtype_bytes(BITMEM_U16, 1, SHAPE(TOP - 1), 0, &bytes));
	EXPECT_EQ(UINT64_MAX - 1, bytes);
	EXPECT_EQ(-EOVERFLOW, bytes_of(BITMEM_U16, 1, SHAPE(TOP)));
	EXPECT_EQ(-EOVERFLOW, bytes_of(BITMEM_F32, 2, SHAPE(1ull << 31, 1ull << 31)));
	EXPECT_EQ(-EOVERFLOW, bytes_of(BITMEM_U8, 2, SHAPE(1ull << 32, 1ull << 32)));
	EXPECT_EQ(-EOVERFLOW, bytes_of(BITMEM_I1, 3, SHAPE(UINT64_MAX, UINT64_MAX, 2)));
	EXPECT_EQ(-EOVERFLOW, bytes_of(BITMEM_Q8_1, 1, SHAPE(UINT64_MAX - 31)));
	EXPECT_EQ(-EOVERFLOW, bytes_of(BITMEM_TL2, 2, SHAPE(4, TOP)));
	EXPECT_EQ(-EOVERFLOW, bytes_of(BITMEM_TL2, 2, SHAPE(1ull << 55, 256)));
	/* Bits that would not fit are no reason, if the bytes do. */
	EXPECT_EQ(0, bitmem_dtype_bytes(BITMEM_I1, 1, SHAPE(UINT64_MAX), 0, &bytes));
	EXPECT_EQ((uint64_t)1 << 61, bytes);
	EXPECT_EQ(0, bitmem_dtype_bytes(BITMEM_I4, 1, SHAPE(UINT64_MAX), 0, &bytes));
	EXPECT_EQ(TOP, bytes);
	EXPECT_EQ(0, bitmem_dtype_bytes(BITMEM_I2_S, 1, SHAPE(UINT64_MAX - 3), 0, &bytes));
	EXPECT_EQ(UINT64_MAX / 4 + 32, bytes);
}

TEST(tl2)
{
	/* The matrices of the 2B4T model: 2560 x 2560 and 6912 x 2560. */
	EXPECT_EQ(2304 * 2560 / 3 * 5 / 8 + 256 * 2560 / 2 * 4 / 8 + 32,
		  bytes_of(BITMEM_TL2, 2, SHAPE(2560, 2560)));
	EXPECT_EQ(6656LL * 2560 / 3 * 5 / 8 / 32 * 32 + 32 + 256 * 2560 / 4 + 32,
		  bytes_of(BITMEM_TL2, 2, SHAPE(2560, 6912)));
	EXPECT_EQ(64 + 32, bytes_of(BITMEM_TL2, 1, SHAPE(256)));
	EXPECT_EQ(64 + 32, bytes_of(BITMEM_TL2, 3, SHAPE(1, 1, 256)));
	EXPECT_EQ(128 + 32, bytes_of(BITMEM_TL2, 3, SHAPE(1, 2, 256)));
	EXPECT_EQ(128 + 32, bytes_of(BITMEM_TL2, 3, SHAPE(2, 1, 256)));
	/* 257 columns: 1 / 3 is nothing; 3 more rows of it make 5 / 8, which is nothing too. */
	EXPECT_EQ(64 + 32, bytes_of(BITMEM_TL2, 1, SHAPE(257)));
	EXPECT_EQ(-EINVAL, bytes_of(BITMEM_TL2, 1, SHAPE(255)));
	EXPECT_EQ(-EINVAL, bytes_of(BITMEM_TL2, 3, SHAPE(2, 2, 256)));
}

TEST_HARNESS_MAIN
