/* SPDX-License-Identifier: GPL-2.0 */
/* Other shapes of the same memory: which there are, that they hold it, and words for the rest. */
#include <bitmem/lifetime.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

/* Expects no view, the errno given, words that have @part in them, and no change. */
#define EXPECT_REFUSED(err, part, call)                                                            \
	do {                                                                                       \
		struct bitmem_stats before_ = test_stats(self->ctx), after_;                       \
		error = (struct bitmem_error){ 0 };                                                \
		errno = 0;                                                                         \
		EXPECT_EQ(NULL, call);                                                             \
		EXPECT_EQ(err, errno);                                                             \
		EXPECT_EQ(-(err), error.code);                                                     \
		EXPECT_NE(NULL, strstr(error.text, part)) {                                        \
			TH_LOG("\"%s\"", error.text);                                              \
		}                                                                                  \
		after_ = test_stats(self->ctx);                                                    \
		EXPECT_TRUE(test_stats_equal(&before_, &after_));                                  \
	} while (0)

static bool has_shape(const struct bitmem_tensor *t, unsigned int ndims, const uint64_t *shape)
{
	if (bitmem_tensor_ndims(t) != ndims)
		return false;
	return !ndims || !memcmp(bitmem_tensor_shape(t), shape, ndims * sizeof(*shape));
}

/* Whether a view, which it drops, has that shape and begins @offset bytes into @t. */
static bool is_view(struct bitmem_tensor *view, const struct bitmem_tensor *t, unsigned int ndims,
		    const uint64_t *shape, size_t offset)
{
	bool good = view && has_shape(view, ndims, shape) &&
		    bitmem_tensor_dtype(view) == bitmem_tensor_dtype(t) &&
		    (char *)bitmem_tensor_data(view) == (char *)bitmem_tensor_data(t) + offset;

	bitmem_tensor_unref(view);
	return good;
}

TEST_F(lib, reshape)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 3, SHAPE(2, 3, 4));
	struct bitmem_tensor *scalar = bitmem_tensor_new(self->ctx, BITMEM_F32, 0, NULL);

	ASSERT_NE(NULL, t);
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 1, SHAPE(24), NULL), t, 1, SHAPE(24), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 2, SHAPE(4, 6), NULL), t, 2, SHAPE(4, 6), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 8, SHAPE(1, 2, 1, 2, 1, 2, 1, 3), NULL), t, 8,
			    SHAPE(1, 2, 1, 2, 1, 2, 1, 3), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 2, SHAPE(BITMEM_INFER, 8), NULL), t, 2,
			    SHAPE(3, 8), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 1, SHAPE(BITMEM_INFER), NULL), t, 1,
			    SHAPE(24), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(scalar, 2, SHAPE(1, BITMEM_INFER), NULL), scalar,
			    2, SHAPE(1, 1), 0));
	EXPECT_EQ(0, test_stats(self->ctx).views);
	bitmem_tensor_unref(t);
	t = bitmem_tensor_new(self->ctx, BITMEM_F32, 1, SHAPE(1));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 0, NULL, NULL), t, 0, NULL, 0));
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(scalar);
}

TEST_F(lib, reshape_of_none)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_I4, 2, SHAPE(0, 5));
	struct bitmem_error error;

	ASSERT_NE(NULL, t);
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 1, SHAPE(0), NULL), t, 1, SHAPE(0), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 3, SHAPE(UINT64_MAX - 1, UINT64_MAX - 1, 0),
						  NULL),
			    t, 3, SHAPE(UINT64_MAX - 1, UINT64_MAX - 1, 0), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(t, 2, SHAPE(BITMEM_INFER, 7), NULL), t, 2,
			    SHAPE(0, 7), 0));
	test_warm_up(self->ctx);
	/* As many as one likes. */
	EXPECT_REFUSED(EINVAL, "shape[1]", bitmem_tensor_reshape(t, 2, SHAPE(0, BITMEM_INFER),
								 &error));
	bitmem_tensor_unref(t);
}

TEST_F(lib, reshape_to_what_it_is_not)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, SHAPE(2, 12));
	const uint64_t top = (uint64_t)1 << 63;
	struct bitmem_error error;

	ASSERT_NE(NULL, t);
	bitmem_tensor_unref(bitmem_tensor_reshape(t, 1, SHAPE(24), NULL));
	EXPECT_REFUSED(EINVAL, "25 elements, not 24",
		       bitmem_tensor_reshape(t, 1, SHAPE(25), &error));
	EXPECT_REFUSED(EINVAL, "1 elements", bitmem_tensor_reshape(t, 0, NULL, &error));
	EXPECT_REFUSED(EINVAL, "0 elements", bitmem_tensor_reshape(t, 2, SHAPE(24, 0), &error));
	EXPECT_REFUSED(EINVAL, "multiple of 5",
		       bitmem_tensor_reshape(t, 2, SHAPE(5, BITMEM_INFER), &error));
	EXPECT_REFUSED(EINVAL, "shape[2]: shape[0]",
		       bitmem_tensor_reshape(t, 3, SHAPE(BITMEM_INFER, 2, BITMEM_INFER), &error));
	EXPECT_REFUSED(EINVAL, "more than 24", bitmem_tensor_reshape(t, 2, SHAPE(top, 2), &error));
	EXPECT_REFUSED(EINVAL, "more than 24",
		       bitmem_tensor_reshape(t, 3, SHAPE(top, 2, BITMEM_INFER), &error));
	EXPECT_REFUSED(EINVAL, "9 dimensions",
		       bitmem_tensor_reshape(t, 9, SHAPE(24, 1, 1, 1, 1, 1, 1, 1, 1), &error));
	EXPECT_REFUSED(EINVAL, "none given", bitmem_tensor_reshape(t, 1, NULL, &error));
	bitmem_tensor_unref(t);
	EXPECT_REFUSED(ESTALE, "dropped", bitmem_tensor_reshape(t, 1, SHAPE(24), &error));
}

TEST_F(lib, reshape_of_blocks)
{
	struct bitmem_tensor *q = bitmem_tensor_new(self->ctx, BITMEM_Q8_0, 2, SHAPE(4, 64));
	struct bitmem_tensor *odd = bitmem_tensor_new(self->ctx, BITMEM_TERNARY2, 2, SHAPE(3, 3));
	struct bitmem_tensor *own = bitmem_tensor_new(self->ctx, BITMEM_I2_S, 2, SHAPE(4, 128));
	struct bitmem_error error;

	ASSERT_NE(NULL, q);
	ASSERT_NE(NULL, odd);
	ASSERT_NE(NULL, own);
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(q, 2, SHAPE(8, 32), NULL), q, 2, SHAPE(8, 32),
			    0));
	EXPECT_REFUSED(EINVAL, "Q8_0", bitmem_tensor_reshape(q, 2, SHAPE(16, 16), &error));
	EXPECT_REFUSED(EINVAL, "Q8_0", bitmem_tensor_reshape(q, 2, SHAPE(256, 1), &error));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(odd, 1, SHAPE(9), NULL), odd, 1, SHAPE(9), 0));
	/* The same bytes, but not the same elements. */
	EXPECT_REFUSED(EINVAL, "10 elements", bitmem_tensor_reshape(odd, 1, SHAPE(10), &error));
	EXPECT_TRUE(is_view(bitmem_tensor_reshape(own, 3, SHAPE(2, BITMEM_INFER, 128), NULL), own,
			    3, SHAPE(2, 2, 128), 0));
	EXPECT_REFUSED(EINVAL, "I2_S", bitmem_tensor_reshape(own, 1, SHAPE(512), &error));
	bitmem_tensor_unref(q);
	bitmem_tensor_unref(odd);
	bitmem_tensor_unref(own);
}

TEST_F(lib, slices)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, SHAPE(10, 6)), *v, *w;

	ASSERT_NE(NULL, t);
	EXPECT_TRUE(is_view(bitmem_tensor_slice(t, 0, 10, NULL), t, 2, SHAPE(10, 6), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_slice(t, 3, 4, NULL), t, 2, SHAPE(4, 6), 3 * 24));
	EXPECT_TRUE(is_view(bitmem_tensor_slice(t, 9, 1, NULL), t, 2, SHAPE(1, 6), 9 * 24));
	EXPECT_TRUE(is_view(bitmem_tensor_slice(t, 10, 0, NULL), t, 2, SHAPE(0, 6), 0));
	/* Of a slice, and of that in another shape. */
	v = bitmem_tensor_slice(t, 2, 5, NULL);
	ASSERT_NE(NULL, v);
	EXPECT_TRUE(is_view(bitmem_tensor_slice(v, 1, 2, NULL), t, 2, SHAPE(2, 6), 3 * 24));
	w = bitmem_tensor_reshape(v, 1, SHAPE(30), NULL);
	ASSERT_NE(NULL, w);
	EXPECT_TRUE(is_view(bitmem_tensor_slice(w, 7, 3, NULL), t, 1, SHAPE(3), 2 * 24 + 28));
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(w);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_F(lib, parts)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U16, 3, SHAPE(4, 5, 6));
	struct bitmem_error error;

	ASSERT_NE(NULL, t);
	EXPECT_TRUE(is_view(bitmem_tensor_part(t, SHAPE(2, 1, 0), SHAPE(1, 3, 6), NULL), t, 3,
			    SHAPE(1, 3, 6), 2 * (2 * 30 + 6)));
	EXPECT_TRUE(is_view(bitmem_tensor_part(t, SHAPE(3, 4, 2), SHAPE(1, 1, 4), NULL), t, 3,
			    SHAPE(1, 1, 4), 2 * (3 * 30 + 4 * 6 + 2)));
	EXPECT_TRUE(is_view(bitmem_tensor_part(t, SHAPE(1, 0, 0), SHAPE(3, 5, 6), NULL), t, 3,
			    SHAPE(3, 5, 6), 2 * 30));
	EXPECT_TRUE(is_view(bitmem_tensor_part(t, SHAPE(1, 2, 3), SHAPE(2, 0, 1), NULL), t, 3,
			    SHAPE(2, 0, 1), 0));
	EXPECT_REFUSED(EINVAL, "dimension 1",
		       bitmem_tensor_part(t, SHAPE(0, 0, 0), SHAPE(2, 4, 6), &error));
	EXPECT_REFUSED(EINVAL, "dimension 2",
		       bitmem_tensor_part(t, SHAPE(0, 0, 0), SHAPE(1, 2, 5), &error));
	EXPECT_REFUSED(EINVAL, "dimension 2",
		       bitmem_tensor_part(t, SHAPE(0, 0, 0), SHAPE(4, 5, 1), &error));
	EXPECT_REFUSED(EINVAL, "dimension 1: 2 from 4 of 5",
		       bitmem_tensor_part(t, SHAPE(0, 4, 0), SHAPE(1, 2, 6), &error));
	EXPECT_REFUSED(EINVAL, "dimension 2",
		       bitmem_tensor_part(t, SHAPE(0, 0, 7), SHAPE(1, 1, 0), &error));
	EXPECT_REFUSED(EINVAL, "dimension 0",
		       bitmem_tensor_part(t, SHAPE(1, 0, 0), SHAPE(UINT64_MAX, 5, 6), &error));
	EXPECT_REFUSED(EINVAL, "start", bitmem_tensor_part(t, NULL, SHAPE(1, 2, 6), &error));
	EXPECT_REFUSED(EINVAL, "count", bitmem_tensor_part(t, SHAPE(0, 0, 0), NULL, &error));
	bitmem_tensor_unref(t);
	EXPECT_REFUSED(ESTALE, "dropped",
		       bitmem_tensor_part(t, SHAPE(0, 0, 0), SHAPE(1, 1, 1), &error));
	EXPECT_REFUSED(ESTALE, "dropped", bitmem_tensor_slice(t, 0, 1, &error));
}

TEST_F(lib, slices_of_a_scalar)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 0, NULL);
	struct bitmem_error error;

	ASSERT_NE(NULL, t);
	EXPECT_TRUE(is_view(bitmem_tensor_part(t, NULL, NULL, NULL), t, 0, NULL, 0));
	test_warm_up(self->ctx);
	EXPECT_REFUSED(EINVAL, "dimensions", bitmem_tensor_slice(t, 0, 1, &error));
	bitmem_tensor_unref(t);
}

TEST_F(lib, slices_begin_and_end_at_bytes)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_TERNARY2, 2, SHAPE(7, 3));
	struct bitmem_tensor *five = bitmem_tensor_new(self->ctx, BITMEM_TERNARY5, 1, SHAPE(22));
	struct bitmem_tensor *six = bitmem_tensor_new(self->ctx, BITMEM_F6_E2M3, 1, SHAPE(10));
	struct bitmem_error error;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, five);
	ASSERT_NE(NULL, six);
	EXPECT_TRUE(is_view(bitmem_tensor_slice(t, 0, 4, NULL), t, 2, SHAPE(4, 3), 0));
	EXPECT_TRUE(is_view(bitmem_tensor_slice(t, 4, 3, NULL), t, 2, SHAPE(3, 3), 3));
	EXPECT_REFUSED(EINVAL, "element 3", bitmem_tensor_slice(t, 1, 3, &error));
	EXPECT_REFUSED(EINVAL, "element 15", bitmem_tensor_slice(t, 4, 1, &error));
	EXPECT_TRUE(is_view(bitmem_tensor_slice(five, 5, 10, NULL), five, 1, SHAPE(10), 1));
	EXPECT_TRUE(is_view(bitmem_tensor_slice(five, 15, 7, NULL), five, 1, SHAPE(7), 3));
	EXPECT_REFUSED(EINVAL, "element 4", bitmem_tensor_slice(five, 4, 1, &error));
	EXPECT_REFUSED(EINVAL, "element 6", bitmem_tensor_slice(five, 5, 1, &error));
	EXPECT_TRUE(is_view(bitmem_tensor_slice(six, 4, 4, NULL), six, 1, SHAPE(4), 3));
	EXPECT_REFUSED(EINVAL, "element 2", bitmem_tensor_slice(six, 2, 8, &error));
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(five);
	bitmem_tensor_unref(six);
}

TEST_F(lib, slices_of_blocks)
{
	struct bitmem_tensor *q = bitmem_tensor_new(self->ctx, BITMEM_Q4_0, 2, SHAPE(4, 96));
	struct bitmem_tensor *own = bitmem_tensor_new(self->ctx, BITMEM_TL1, 2, SHAPE(4, 128));
	struct bitmem_error error;

	ASSERT_NE(NULL, q);
	ASSERT_NE(NULL, own);
	EXPECT_TRUE(is_view(bitmem_tensor_slice(q, 1, 2, NULL), q, 2, SHAPE(2, 96), 3 * 18));
	EXPECT_TRUE(is_view(bitmem_tensor_part(q, SHAPE(2, 32), SHAPE(1, 64), NULL), q, 2,
			    SHAPE(1, 64), 7 * 18));
	EXPECT_REFUSED(EINVAL, "Q4_0",
		       bitmem_tensor_part(q, SHAPE(2, 16), SHAPE(1, 64), &error));
	EXPECT_REFUSED(EINVAL, "Q4_0",
		       bitmem_tensor_part(q, SHAPE(2, 32), SHAPE(1, 16), &error));
	EXPECT_REFUSED(EINVAL, "Q4_0",
		       bitmem_tensor_part(q, SHAPE(0, 0), SHAPE(0, 16), &error));
	EXPECT_REFUSED(EINVAL, "dimension 1",
		       bitmem_tensor_part(q, SHAPE(0, 0), SHAPE(2, 32), &error));
	EXPECT_TRUE(is_view(bitmem_tensor_slice(own, 0, 4, NULL), own, 2, SHAPE(4, 128), 0));
	EXPECT_REFUSED(EINVAL, "TL1", bitmem_tensor_slice(own, 0, 2, &error));
	bitmem_tensor_unref(q);
	bitmem_tensor_unref(own);
}

/* Whatever is dropped first, the memory is there for the last. */
TEST_F(lib, views_never_dangle)
{
	for (int order = 0; order < 24; order++) {
		struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(4096));
		struct bitmem_tensor *all[4] = { t }, *last = NULL;
		int rest = order;

		ASSERT_NE(NULL, t);
		memset(bitmem_tensor_data(t), 0x5a, 4096);
		all[1] = bitmem_tensor_reshape(t, 2, SHAPE(64, BITMEM_INFER), NULL);
		all[2] = bitmem_tensor_slice(all[1], 10, 20, NULL);
		all[3] = bitmem_tensor_clone(all[2]);
		for (int n = 4; n; n--) {
			struct bitmem_tensor *other;
			int i = rest % n;

			rest /= n;
			last = all[i];
			all[i] = all[n - 1];
			EXPECT_TRUE(test_all_are(bitmem_tensor_data(last), 0x5a,
						 bitmem_tensor_bytes(last)));
			EXPECT_EQ(1, test_stats(self->ctx).live);
			bitmem_tensor_unref(last);
			other = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(4096));
			memset(bitmem_tensor_data(other), 0xff, 4096);
			bitmem_tensor_unref(other);
		}
		EXPECT_EQ(0, test_stats(self->ctx).live);
		EXPECT_EQ(0, test_stats(self->ctx).views);
	}
}

TEST_HARNESS_MAIN
