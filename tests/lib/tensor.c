/* SPDX-License-Identifier: GPL-2.0 */
/* Tensors: making, sharing, viewing and dropping them. */
#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

TEST_F(lib, has_what_was_asked_for)
{
	const uint64_t shape[] = { 3, 5, 7 };
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 3, shape);
	struct bitmem_stats stats = test_stats(self->ctx);

	ASSERT_NE(NULL, t);
	EXPECT_EQ(BITMEM_F32, bitmem_tensor_dtype(t));
	EXPECT_EQ(3, bitmem_tensor_ndims(t));
	EXPECT_EQ(0, memcmp(shape, bitmem_tensor_shape(t), sizeof(shape)));
	EXPECT_EQ(3 * 5 * 7 * 4, bitmem_tensor_bytes(t));
	ASSERT_NE(NULL, bitmem_tensor_data(t));
	EXPECT_EQ(0, (uintptr_t)bitmem_tensor_data(t) % 64);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), 0, bitmem_tensor_bytes(t)));
	EXPECT_EQ(1, stats.live);
	EXPECT_EQ(3 * 5 * 7 * 4, stats.live_bytes);
	bitmem_tensor_unref(t);
	stats = test_stats(self->ctx);
	EXPECT_EQ(0, stats.live);
	EXPECT_EQ(0, stats.live_bytes);
	EXPECT_EQ(1, stats.allocs);
	EXPECT_EQ(1, stats.frees);
	EXPECT_EQ(3 * 5 * 7 * 4, stats.peak_bytes);
}

TEST_F(lib, scalar_and_empty)
{
	struct bitmem_tensor *scalar = bitmem_tensor_new(self->ctx, BITMEM_F64, 0, NULL);
	struct bitmem_tensor *empty = bitmem_tensor_new(self->ctx, BITMEM_F64, 2, SHAPE(0, 9));
	struct bitmem_tensor *huge;

	ASSERT_NE(NULL, scalar);
	EXPECT_EQ(8, bitmem_tensor_bytes(scalar));
	EXPECT_EQ(0, bitmem_tensor_ndims(scalar));
	EXPECT_NE(NULL, bitmem_tensor_shape(scalar));
	ASSERT_NE(NULL, empty);
	EXPECT_EQ(0, bitmem_tensor_bytes(empty));
	EXPECT_NE(NULL, bitmem_tensor_data(empty));
	EXPECT_NE(bitmem_tensor_data(scalar), bitmem_tensor_data(empty));
	EXPECT_EQ(2, test_stats(self->ctx).live);
	EXPECT_EQ(8, test_stats(self->ctx).live_bytes);
	huge = bitmem_tensor_new(self->ctx, BITMEM_F64, 3, SHAPE(UINT64_MAX, UINT64_MAX, 0));
	ASSERT_NE(NULL, huge);
	EXPECT_EQ(0, bitmem_tensor_bytes(huge));
	bitmem_tensor_unref(huge);
	bitmem_tensor_unref(empty);
	bitmem_tensor_unref(scalar);
}

TEST_F(lib, all_dimensions)
{
	const uint64_t shape[BITMEM_MAX_DIMS + 1] = { 2, 1, 2, 1, 2, 1, 2, 32, 1 };
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_Q8_0, BITMEM_MAX_DIMS, shape);

	ASSERT_NE(NULL, t);
	EXPECT_EQ(16 * 34, bitmem_tensor_bytes(t));
	bitmem_tensor_unref(t);
	EXPECT_EQ(NULL, bitmem_tensor_new(self->ctx, BITMEM_F32, BITMEM_MAX_DIMS + 1, shape));
	EXPECT_EQ(EINVAL, errno);
}

/* Expects no tensor, the errno given, and no change of any counter. */
#define EXPECT_NO_TENSOR(err, expression)                                                          \
	do {                                                                                       \
		struct bitmem_stats before_ = test_stats(self->ctx), after_;                       \
		errno = 0;                                                                         \
		EXPECT_EQ(NULL, expression);                                                       \
		EXPECT_EQ(err, errno);                                                             \
		after_ = test_stats(self->ctx);                                                    \
		EXPECT_TRUE(test_stats_equal(&before_, &after_));                                  \
	} while (0)

TEST_F(lib, refuses_what_cannot_be)
{
	struct bitmem *ctx = self->ctx;
	const uint64_t top = (uint64_t)1 << 63;

	test_warm_up(self->ctx);
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, BITMEM_DTYPE_INVALID, 1, SHAPE(1)));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, (enum bitmem_dtype)63, 1, SHAPE(1)));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, (enum bitmem_dtype)-1, 1, SHAPE(1)));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, (enum bitmem_dtype)9999, 1, SHAPE(1)));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, BITMEM_F32, 1, NULL));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, BITMEM_F32, UINT32_MAX, SHAPE(1)));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, BITMEM_Q8_0, 1, SHAPE(33)));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, BITMEM_Q8_0, 2, SHAPE(32, 31)));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_new(ctx, BITMEM_Q8_0, 0, NULL));
	EXPECT_NO_TENSOR(EOVERFLOW, bitmem_tensor_new(ctx, BITMEM_U8, 2, SHAPE(top, 2)));
	EXPECT_NO_TENSOR(EOVERFLOW, bitmem_tensor_new(ctx, BITMEM_F32, 1, SHAPE(top / 2)));
	EXPECT_NO_TENSOR(EOVERFLOW, bitmem_tensor_new(ctx, BITMEM_F64, 2, SHAPE(1ull << 32,
									      1ull << 29)));
	EXPECT_NO_TENSOR(EOVERFLOW, bitmem_tensor_new(ctx, BITMEM_F32, 3, SHAPE(1ull << 32,
									      1ull << 32, 7)));
	EXPECT_NO_TENSOR(ENOMEM, bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(UINT64_MAX)));
	EXPECT_NO_TENSOR(ENOMEM, bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(top)));
	EXPECT_NO_TENSOR(ENOMEM, bitmem_tensor_new(ctx, BITMEM_F32, 1, SHAPE(1ull << 44)));
}

TEST_F(lib, references)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));

	ASSERT_NE(NULL, t);
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(t, bitmem_tensor_ref(t));
	EXPECT_EQ(1, test_stats(self->ctx).live);
	for (int i = 0; i < 100; i++)
		bitmem_tensor_unref(t);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	bitmem_tensor_unrefp(&t);
	EXPECT_EQ(NULL, t);
	EXPECT_EQ(0, test_stats(self->ctx).live);
	EXPECT_EQ(NULL, bitmem_tensor_ref(NULL));
	bitmem_tensor_unref(NULL);
	bitmem_tensor_unrefp(&t);
}

TEST_F(lib, scope_drops_its_tensor)
{
	for (int i = 0; i < 20; i++) {
		bitmem_auto struct bitmem_tensor *t =
			bitmem_tensor_new(self->ctx, BITMEM_F16, 1, SHAPE(1000));
		bitmem_auto struct bitmem_tensor *none = NULL;

		ASSERT_NE(NULL, t);
		EXPECT_EQ(NULL, none);
		EXPECT_EQ(1, test_stats(self->ctx).live);
		if (i % 2)
			continue;
	}
	EXPECT_EQ(0, test_stats(self->ctx).live);
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
}

TEST_F(lib, data_is_no_block_to_free)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_stats before = test_stats(self->ctx), after;

	ASSERT_NE(NULL, t);
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, bitmem_tensor_data(t)));
	EXPECT_EQ(0, bitmem_usable_size(self->ctx, bitmem_tensor_data(t)));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	memset(bitmem_tensor_data(t), 1, 100);
	bitmem_tensor_unref(t);
}

TEST_F(lib, reused_memory_is_zeroed)
{
	for (size_t n = 100; n < 5 * MIB; n = n * 5 + 7) {
		for (int round = 0; round < 3; round++) {
			bitmem_auto struct bitmem_tensor *t =
				bitmem_tensor_new(self->ctx, BITMEM_I8, 1, SHAPE(n));

			ASSERT_NE(NULL, t);
			EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), 0, n));
			memset(bitmem_tensor_data(t), 0xff, n);
		}
	}
}

TEST_F(lib, view_lies_inside)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(1000)), *v;
	unsigned char *data = bitmem_tensor_data(t);

	ASSERT_NE(NULL, t);
	v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(1000), 0);
	ASSERT_NE(NULL, v);
	EXPECT_EQ(data, bitmem_tensor_data(v));
	bitmem_tensor_unref(v);
	v = bitmem_tensor_view(t, BITMEM_F32, 2, SHAPE(10, 20), 200);
	ASSERT_NE(NULL, v);
	EXPECT_EQ(data + 200, bitmem_tensor_data(v));
	EXPECT_EQ(800, bitmem_tensor_bytes(v));
	EXPECT_EQ(BITMEM_F32, bitmem_tensor_dtype(v));
	EXPECT_EQ(2, bitmem_tensor_ndims(v));
	EXPECT_EQ(20, bitmem_tensor_shape(v)[1]);
	bitmem_tensor_unref(v);
	/* At any byte, up to the end, where nothing is left. */
	v = bitmem_tensor_view(t, BITMEM_F16, 0, NULL, 997);
	ASSERT_NE(NULL, v);
	EXPECT_EQ(data + 997, bitmem_tensor_data(v));
	bitmem_tensor_unref(v);
	v = bitmem_tensor_view(t, BITMEM_F16, 1, SHAPE(0), 1000);
	ASSERT_NE(NULL, v);
	bitmem_tensor_unref(v);
	EXPECT_EQ(0, test_stats(self->ctx).views);
	bitmem_tensor_unref(t);
}

TEST_F(lib, view_out_of_bounds)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(1000)), *v;
	const uint64_t top = (uint64_t)1 << 63;

	ASSERT_NE(NULL, t);
	v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(500), 100);
	ASSERT_NE(NULL, v);
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(1001), 0));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(1), 1000));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(0), 1001));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(1), SIZE_MAX));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(UINT64_MAX), 2));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(t, BITMEM_DTYPE_INVALID, 1, SHAPE(1), 0));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(t, BITMEM_Q4_0, 1, SHAPE(31), 0));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(t, BITMEM_U8, 1, NULL, 0));
	EXPECT_NO_TENSOR(EOVERFLOW, bitmem_tensor_view(t, BITMEM_U16, 1, SHAPE(top), 0));
	/* A view's view is bounded by the view, not by the tensor. */
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(v, BITMEM_U8, 1, SHAPE(501), 0));
	EXPECT_NO_TENSOR(EINVAL, bitmem_tensor_view(v, BITMEM_U8, 1, SHAPE(1), 500));
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(t);
}

TEST_F(lib, views_keep_the_memory)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(4096)), *v, *w;
	struct bitmem_tensor *other;
	unsigned char *data = bitmem_tensor_data(t);

	ASSERT_NE(NULL, t);
	memset(data, 0x77, 4096);
	v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(2048), 1024);
	w = bitmem_tensor_view(v, BITMEM_U8, 1, SHAPE(1024), 512);
	ASSERT_NE(NULL, v);
	ASSERT_NE(NULL, w);
	EXPECT_EQ(data + 1024 + 512, bitmem_tensor_data(w));
	EXPECT_EQ(2, test_stats(self->ctx).views);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	EXPECT_EQ(4096, test_stats(self->ctx).live_bytes);

	bitmem_tensor_unref(t);
	bitmem_tensor_unref(v);
	EXPECT_EQ(1, test_stats(self->ctx).views);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	other = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(4096));
	ASSERT_NE(NULL, other);
	EXPECT_NE(data, bitmem_tensor_data(other));
	memset(bitmem_tensor_data(other), 0, 4096);
	EXPECT_TRUE(test_all_are(data, 0x77, 4096));

	bitmem_tensor_unref(w);
	EXPECT_EQ(0, test_stats(self->ctx).views);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	bitmem_tensor_unref(other);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_F(lib, handles_add_no_memory)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, SHAPE(32, 32));
	struct bitmem_tensor *handles[100];
	struct bitmem_stats before = test_stats(self->ctx), after;

	ASSERT_NE(NULL, t);
	for (int i = 0; i < 100; i++)
		handles[i] = bitmem_tensor_ref(t);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	for (int i = 0; i < 100; i++)
		bitmem_tensor_unref(handles[i]);
	bitmem_tensor_unref(t);
}

TEST_F(lib, identical_tensors_stay_distinct)
{
	struct bitmem_tensor *a = bitmem_tensor_new(self->ctx, BITMEM_F32, 1, SHAPE(16));
	struct bitmem_tensor *b = bitmem_tensor_new(self->ctx, BITMEM_F32, 1, SHAPE(16));

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	EXPECT_NE(bitmem_tensor_data(a), bitmem_tensor_data(b));
	memset(bitmem_tensor_data(a), 1, 64);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(b), 0, 64));
	bitmem_tensor_unref(a);
	bitmem_tensor_unref(b);
}

TEST_F(lib, outlives_its_context)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(1000));
	struct bitmem_tensor *large = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(3 * MIB));
	struct bitmem_tensor *v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(10), 5), *w;
	void *block = bitmem_alloc(self->ctx, 100, 0);
	unsigned char *data = bitmem_tensor_data(t), *large_data = bitmem_tensor_data(large);

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, large);
	ASSERT_NE(NULL, v);
	ASSERT_NE(NULL, block);
	memset(data, 0x11, 1000);
	memset(large_data, 0x22, 3 * MIB);
	EXPECT_EQ(3, bitmem_close(self->ctx));
	self->ctx = NULL;

	EXPECT_TRUE(test_all_are(data, 0x11, 1000));
	EXPECT_TRUE(test_all_are(large_data, 0x22, 3 * MIB));
	bitmem_tensor_unref(bitmem_tensor_ref(t));
	w = bitmem_tensor_view(large, BITMEM_U8, 1, SHAPE(10), 3 * MIB - 10);
	ASSERT_NE(NULL, w);
	bitmem_tensor_unref(large);
	EXPECT_TRUE(test_is_mapped(large_data));
	bitmem_tensor_unref(w);
	EXPECT_FALSE(test_is_mapped(large_data));
	bitmem_tensor_unref(t);
	EXPECT_TRUE(test_all_are(data, 0x11, 1000));
	bitmem_tensor_unref(v);
	EXPECT_FALSE(test_is_mapped(data));
}

TEST_F(lib, close_with_only_tensors)
{
	struct bitmem_tensor *tensors[10];
	void *data;

	for (int i = 0; i < 10; i++) {
		tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(MIB));
		ASSERT_NE(NULL, tensors[i]);
	}
	data = bitmem_tensor_data(tensors[9]);
	EXPECT_EQ(10, bitmem_close(self->ctx));
	self->ctx = NULL;
	for (int i = 0; i < 10; i++)
		bitmem_tensor_unref(tensors[i]);
	EXPECT_FALSE(test_is_mapped(data));
}

TEST_HARNESS_MAIN
