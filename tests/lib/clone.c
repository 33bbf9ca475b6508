/* SPDX-License-Identifier: GPL-2.0 */
/* Clones share, copies do not, and zeros are 0 in every type. */
#include <bitmem/lifetime.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

static bool alike(const struct bitmem_tensor *a, const struct bitmem_tensor *b)
{
	return a && b && bitmem_tensor_dtype(a) == bitmem_tensor_dtype(b) &&
	       bitmem_tensor_ndims(a) == bitmem_tensor_ndims(b) &&
	       !memcmp(bitmem_tensor_shape(a), bitmem_tensor_shape(b),
		       bitmem_tensor_ndims(a) * sizeof(uint64_t)) &&
	       bitmem_tensor_bytes(a) == bitmem_tensor_bytes(b) &&
	       !memcmp(bitmem_tensor_data(a), bitmem_tensor_data(b), bitmem_tensor_bytes(a));
}

/* Tensors with the same content are two; a clone is the same memory. */
TEST_F(lib, deduplication)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, SHAPE(8, 16));
	struct bitmem_tensor *twin = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, SHAPE(8, 16));
	struct bitmem_tensor *clone = bitmem_tensor_clone(t);

	ASSERT_NE(NULL, twin);
	ASSERT_NE(NULL, clone);
	EXPECT_NE(bitmem_tensor_data(t), bitmem_tensor_data(twin));
	EXPECT_NE(t, clone);
	EXPECT_EQ(bitmem_tensor_data(t), bitmem_tensor_data(clone));
	EXPECT_EQ(2, test_stats(self->ctx).live);
	EXPECT_EQ(2 * 512, test_stats(self->ctx).live_bytes);
	memset(bitmem_tensor_data(t), 0x44, 512);
	EXPECT_TRUE(alike(t, clone));
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(twin), 0, 512));
	bitmem_tensor_unref(t);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(clone), 0x44, 512));
	t = bitmem_tensor_clone(clone);
	bitmem_tensor_unref(clone);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), 0x44, 512));
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(twin);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_F(lib, copies)
{
	struct bitmem *other = test_open(2 * MIB);
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_TERNARY2, 2, SHAPE(7, 9));
	struct bitmem_tensor *large = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(3 * MIB));
	struct bitmem_tensor *part, *copy;

	ASSERT_NE(NULL, other);
	ASSERT_NE(NULL, large);
	memset(bitmem_tensor_data(t), 0x99, 16);
	memset(bitmem_tensor_data(large), 0x33, 3 * MIB);
	memset(bitmem_tensor_data(large), 0x22, 100);
	copy = bitmem_tensor_copy(self->ctx, t);
	EXPECT_TRUE(alike(t, copy));
	EXPECT_NE(bitmem_tensor_data(t), bitmem_tensor_data(copy));
	EXPECT_EQ(0, test_stats(self->ctx).views);
	EXPECT_EQ(3, test_stats(self->ctx).live);
	memset(bitmem_tensor_data(t), 0, 16);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(copy), 0x99, 16));
	bitmem_tensor_unref(copy);

	/* A view's copy is of the view; in another context. */
	part = bitmem_tensor_slice(large, 90, 20, NULL);
	copy = bitmem_tensor_copy(other, part);
	EXPECT_TRUE(alike(part, copy));
	EXPECT_EQ(20, test_stats(other).live_bytes);
	bitmem_tensor_unref(copy);
	copy = bitmem_tensor_copy(other, large);
	EXPECT_TRUE(alike(large, copy));
	bitmem_tensor_unref(part);
	bitmem_tensor_unref(large);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0x33, ((unsigned char *)bitmem_tensor_data(copy))[3 * MIB - 1]);
	bitmem_tensor_unref(copy);
	EXPECT_EQ(0, bitmem_close(other));
}

TEST_F(lib, copies_of_nothing)
{
	struct bitmem_tensor *none = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, SHAPE(0, 3));
	struct bitmem_tensor *scalar = bitmem_tensor_zeros(self->ctx, BITMEM_F64, 0, NULL), *copy;

	copy = bitmem_tensor_copy(self->ctx, none);
	EXPECT_TRUE(alike(none, copy));
	bitmem_tensor_unref(copy);
	copy = bitmem_tensor_copy(self->ctx, scalar);
	EXPECT_TRUE(alike(scalar, copy));
	bitmem_tensor_unref(copy);
	bitmem_tensor_unref(none);
	bitmem_tensor_unref(scalar);
}

/* Makes memory that is not zero, to be used again. */
static void soil(struct bitmem *ctx, size_t bytes)
{
	struct bitmem_tensor *t = bitmem_tensor_empty(ctx, BITMEM_U8, 1, SHAPE(bytes));

	if (t)
		memset(bitmem_tensor_data(t), 0xee, bytes);
	bitmem_tensor_unref(t);
}

TEST_F(lib, zeros)
{
	for (int dtype = 1; dtype < 256; dtype++) {
		const struct bitmem_dtype_info *info = bitmem_dtype_info(dtype);
		struct bitmem_tensor *t;
		unsigned char zero = 0;

		if (!info || dtype == BITMEM_F8_E8M0)
			continue;
		if (dtype == BITMEM_TERNARY2)
			zero = 0x55;
		else if (dtype == BITMEM_TERNARY5)
			zero = 121;
		soil(self->ctx, 4096);
		t = bitmem_tensor_zeros(self->ctx, dtype, 2, SHAPE(3, 512));
		ASSERT_NE(NULL, t) {
			TH_LOG("%s", info->name);
		}
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), zero, bitmem_tensor_bytes(t))) {
			TH_LOG("%s", info->name);
		}
		bitmem_tensor_unref(t);
	}
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* Each code taken out by itself is that of a 0. */
TEST_F(lib, zeros_of_ternaries)
{
	for (uint64_t n = 0; n < 20; n++) {
		struct bitmem_tensor *two, *five;
		const unsigned char *data;

		soil(self->ctx, 64);
		two = bitmem_tensor_zeros(self->ctx, BITMEM_TERNARY2, 1, &n);
		five = bitmem_tensor_zeros(self->ctx, BITMEM_TERNARY5, 1, &n);
		ASSERT_NE(NULL, two);
		ASSERT_NE(NULL, five);
		data = bitmem_tensor_data(two);
		for (unsigned int i = 0; i < n; i++)
			EXPECT_EQ(1, data[i / 4] >> i % 4 * 2 & 3);
		data = bitmem_tensor_data(five);
		for (unsigned int i = 0; i < n; i++) {
			unsigned int code = data[i / 5];

			for (unsigned int j = 0; j < i % 5; j++)
				code /= 3;
			EXPECT_EQ(1, code % 3);
		}
		bitmem_tensor_unref(two);
		bitmem_tensor_unref(five);
	}
}

TEST_F(lib, zeros_that_cannot_be)
{
	struct bitmem_stats before, after;

	test_warm_up(self->ctx);
	before = test_stats(self->ctx);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_tensor_zeros(self->ctx, BITMEM_F8_E8M0, 1, SHAPE(4)));
	EXPECT_EQ(EINVAL, errno);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_tensor_zeros(self->ctx, BITMEM_DTYPE_INVALID, 1, SHAPE(4)));
	EXPECT_EQ(EINVAL, errno);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_tensor_zeros(self->ctx, BITMEM_Q8_0, 1, SHAPE(4)));
	EXPECT_EQ(EINVAL, errno);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_tensor_zeros(self->ctx, BITMEM_TERNARY2, 2,
					    SHAPE(UINT64_MAX, UINT64_MAX)));
	EXPECT_EQ(EOVERFLOW, errno);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

/* Functions by their addresses, without a site of the place of the call. */
TEST_F(lib, without_macros)
{
	struct bitmem_tensor *t = (bitmem_tensor_zeros)(self->ctx, BITMEM_TERNARY2, 1, SHAPE(16));
	struct bitmem_tensor *copy = (bitmem_tensor_copy)(self->ctx, t);

	EXPECT_TRUE(alike(t, copy));
	bitmem_tensor_unref(t);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(copy), 0x55, 4));
	bitmem_tensor_unref(copy);
}

TEST_HARNESS_MAIN
