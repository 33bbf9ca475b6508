/* SPDX-License-Identifier: GPL-2.0 */
/* DLPack: tensors described to other frameworks, and made of what these describe. */
#include <pthread.h>
#include <stddef.h>

#include "dlpack_test.h"
#include "lib_test.h"

/* The structures' layout on 64-bit machines, as DLPack's own bindings have it. */
_Static_assert(sizeof(DLTensor) == 48 && sizeof(DLManagedTensor) == 64 &&
	       sizeof(DLManagedTensorVersioned) == 80, "sizes");
_Static_assert(offsetof(DLTensor, device) == 8 && offsetof(DLTensor, ndim) == 16 &&
	       offsetof(DLTensor, dtype) == 20 && offsetof(DLTensor, shape) == 24 &&
	       offsetof(DLTensor, strides) == 32 && offsetof(DLTensor, byte_offset) == 40,
	       "DLTensor");
_Static_assert(offsetof(DLManagedTensor, manager_ctx) == 48 &&
	       offsetof(DLManagedTensor, deleter) == 56, "DLManagedTensor");
_Static_assert(offsetof(DLManagedTensorVersioned, manager_ctx) == 8 &&
	       offsetof(DLManagedTensorVersioned, deleter) == 16 &&
	       offsetof(DLManagedTensorVersioned, flags) == 24 &&
	       offsetof(DLManagedTensorVersioned, dl_tensor) == 32, "DLManagedTensorVersioned");

static const struct {
	enum bitmem_dtype dtype;
	uint8_t code, bits;
} pairs[] = {
	{ BITMEM_F64, 2, 64 }, { BITMEM_F32, 2, 32 }, { BITMEM_F16, 2, 16 },
	{ BITMEM_BF16, 4, 16 }, { BITMEM_C64, 5, 64 }, { BITMEM_BOOL, 6, 8 },
	{ BITMEM_I64, 0, 64 }, { BITMEM_I32, 0, 32 }, { BITMEM_I16, 0, 16 }, { BITMEM_I8, 0, 8 },
	{ BITMEM_U64, 1, 64 }, { BITMEM_U32, 1, 32 }, { BITMEM_U16, 1, 16 }, { BITMEM_U8, 1, 8 },
	{ BITMEM_F8_E4M3, 10, 8 }, { BITMEM_F8_E4M3FNUZ, 11, 8 }, { BITMEM_F8_E5M2, 12, 8 },
	{ BITMEM_F8_E5M2FNUZ, 13, 8 }, { BITMEM_F8_E8M0, 14, 8 },
	{ BITMEM_F6_E2M3, 15, 6 }, { BITMEM_F6_E3M2, 16, 6 }, { BITMEM_F4, 17, 4 },
	{ BITMEM_I4, 0, 4 }, { BITMEM_I2, 0, 2 }, { BITMEM_I1, 0, 1 },
};

#define N_PAIRS (sizeof(pairs) / sizeof(pairs[0]))

TEST_F(lib, every_type_goes_and_comes)
{
	unsigned char data[64];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 37 + 11);
	for (size_t i = 0; i < N_PAIRS; i++) {
		struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, pairs[i].dtype, 1,
							    SHAPE(8)), *copy;
		DLManagedTensorVersioned *managed;
		struct bitmem_error error;
		struct foreign f;

		ASSERT_NE(NULL, t);
		managed = bitmem_tensor_to_dlpack(t);
		ASSERT_NE(NULL, managed);
		EXPECT_EQ(1, managed->version.major);
		EXPECT_EQ(0, managed->flags);
		EXPECT_EQ(pairs[i].code, managed->dl_tensor.dtype.code);
		EXPECT_EQ(pairs[i].bits, managed->dl_tensor.dtype.bits);
		EXPECT_EQ(1, managed->dl_tensor.dtype.lanes);
		managed->deleter(managed);
		bitmem_tensor_unref(t);

		foreign_init(&f, pairs[i].code, pairs[i].bits, data, 8);
		copy = bitmem_tensor_from_dlpack(self->ctx, &f.managed, &error);
		ASSERT_NE(NULL, copy);
		EXPECT_EQ(0, error.code);
		EXPECT_EQ(1, f.deleted);
		EXPECT_EQ(pairs[i].dtype, bitmem_tensor_dtype(copy));
		EXPECT_EQ(pairs[i].bits, bitmem_tensor_bytes(copy));
		EXPECT_EQ(0, memcmp(data, bitmem_tensor_data(copy), pairs[i].bits));
		bitmem_tensor_unref(copy);
	}
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_F(lib, other_types_do_not_go)
{
	unsigned int refused = 0, gone = 0;

	for (int dtype = 0; dtype < 256; dtype++) {
		struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, (enum bitmem_dtype)dtype, 1,
							    SHAPE(256));
		DLManagedTensorVersioned *managed;

		if (!t)
			continue;
		errno = 0;
		managed = bitmem_tensor_to_dlpack(t);
		if (managed) {
			gone++;
			managed->deleter(managed);
		} else {
			refused++;
			EXPECT_EQ(EOPNOTSUPP, errno);
			EXPECT_EQ(NULL, bitmem_tensor_to_dlpack_legacy(t));
			EXPECT_EQ(EOPNOTSUPP, errno);
		}
		bitmem_tensor_unref(t);
	}
	EXPECT_EQ(N_PAIRS, gone);
	EXPECT_LT(20, refused);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_F(lib, exports_shape_and_strides)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 3, SHAPE(3, 5, 7)), *v;
	struct bitmem_tensor *scalar = bitmem_tensor_new(self->ctx, BITMEM_F64, 0, NULL);
	DLManagedTensorVersioned *managed;
	DLManagedTensor *legacy;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, scalar);
	managed = bitmem_tensor_to_dlpack(t);
	ASSERT_NE(NULL, managed);
	EXPECT_EQ(bitmem_tensor_data(t), managed->dl_tensor.data);
	EXPECT_EQ(0, managed->dl_tensor.byte_offset);
	EXPECT_EQ(kDLCPU, managed->dl_tensor.device.device_type);
	EXPECT_EQ(0, managed->dl_tensor.device.device_id);
	EXPECT_EQ(3, managed->dl_tensor.ndim);
	EXPECT_EQ(0, memcmp(managed->dl_tensor.shape, ((int64_t[]){ 3, 5, 7 }), 24));
	EXPECT_EQ(0, memcmp(managed->dl_tensor.strides, ((int64_t[]){ 35, 7, 1 }), 24));
	managed->deleter(managed);

	v = bitmem_tensor_view(t, BITMEM_F32, 2, SHAPE(2, 7), 35 * 4);
	ASSERT_NE(NULL, v);
	legacy = bitmem_tensor_to_dlpack_legacy(v);
	ASSERT_NE(NULL, legacy);
	EXPECT_EQ((char *)bitmem_tensor_data(t) + 35 * 4, legacy->dl_tensor.data);
	EXPECT_EQ(2, legacy->dl_tensor.ndim);
	EXPECT_EQ(7, legacy->dl_tensor.strides[0]);
	EXPECT_EQ(2, legacy->dl_tensor.dtype.code);
	legacy->deleter(legacy);

	managed = bitmem_tensor_to_dlpack(scalar);
	ASSERT_NE(NULL, managed);
	EXPECT_EQ(0, managed->dl_tensor.ndim);
	EXPECT_EQ(bitmem_tensor_data(scalar), managed->dl_tensor.data);
	managed->deleter(managed);
	bitmem_tensor_unref(scalar);
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(t);
}

TEST_F(lib, empty_tensors)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 3, SHAPE(4, 0, 6));
	struct bitmem_tensor *copy;
	struct bitmem_tensor *huge = bitmem_tensor_new(self->ctx, BITMEM_U8, 2,
						       SHAPE(0, UINT64_MAX));
	struct bitmem_tensor *wide = bitmem_tensor_new(self->ctx, BITMEM_U8, 3,
						       SHAPE(INT64_MAX, INT64_MAX, 0));
	DLManagedTensorVersioned *managed;
	struct foreign f;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, huge);
	ASSERT_NE(NULL, wide);
	managed = bitmem_tensor_to_dlpack(t);
	ASSERT_NE(NULL, managed);
	EXPECT_EQ(NULL, managed->dl_tensor.data);
	EXPECT_EQ(0, managed->dl_tensor.shape[1]);
	EXPECT_NE(NULL, managed->dl_tensor.strides);
	managed->deleter(managed);
	EXPECT_EQ(NULL, bitmem_tensor_to_dlpack(huge));
	EXPECT_EQ(EOVERFLOW, errno);
	EXPECT_EQ(NULL, bitmem_tensor_to_dlpack(wide));
	EXPECT_EQ(EOVERFLOW, errno);

	foreign_init(&f, kDLFloat, 32, NULL, 0);
	foreign_shape(&f, 3, (int64_t[]){ 4, 0, 6 }, (int64_t[]){ 6, 6, 1 });
	copy = bitmem_tensor_from_dlpack(self->ctx, &f.managed, NULL);
	ASSERT_NE(NULL, copy);
	EXPECT_EQ(0, bitmem_tensor_bytes(copy));
	EXPECT_EQ(6, bitmem_tensor_shape(copy)[2]);
	bitmem_tensor_unref(copy);
	bitmem_tensor_unref(wide);
	bitmem_tensor_unref(huge);
	bitmem_tensor_unref(t);
}

TEST_F(lib, export_holds_the_tensor)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(5000));
	DLManagedTensorVersioned *managed = bitmem_tensor_to_dlpack(t);
	DLManagedTensor *legacy = bitmem_tensor_to_dlpack_legacy(t);

	ASSERT_NE(NULL, managed);
	ASSERT_NE(NULL, legacy);
	memset(bitmem_tensor_data(t), 0x5a, 5000);
	bitmem_tensor_unref(t);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	managed->deleter(managed);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	EXPECT_EQ(1, bitmem_close(self->ctx));
	self->ctx = NULL;
	EXPECT_TRUE(test_all_are(legacy->dl_tensor.data, 0x5a, 5000));
	legacy->deleter(legacy);
}

TEST_F(lib, own_tensor_comes_back)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F16, 2, SHAPE(3, 4)), *back;
	struct bitmem *other = test_open(2 * MIB);
	struct bitmem_stats before = test_stats(self->ctx), after;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, other);
	memset(bitmem_tensor_data(t), 0x21, 24);
	back = bitmem_tensor_from_dlpack(self->ctx, bitmem_tensor_to_dlpack(t), NULL);
	EXPECT_EQ(t, back);
	bitmem_tensor_unref(back);
	back = bitmem_tensor_from_dlpack_legacy(self->ctx, bitmem_tensor_to_dlpack_legacy(t), NULL);
	EXPECT_EQ(t, back);
	bitmem_tensor_unref(back);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));

	/* Another context's is a copy, as anybody's. */
	back = bitmem_tensor_from_dlpack(other, bitmem_tensor_to_dlpack(t), NULL);
	ASSERT_NE(NULL, back);
	EXPECT_NE(t, back);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(back), 0x21, 24));
	EXPECT_EQ(1, test_stats(other).live);
	bitmem_tensor_unref(back);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, test_stats(self->ctx).live);
	EXPECT_EQ(0, bitmem_close(other));
}

/* Expects that it is refused with @err and words, and nothing else happens. */
#define EXPECT_REFUSED(err, from, managed)                                                         \
	do {                                                                                       \
		struct bitmem_stats before_ = test_stats(self->ctx), after_;                       \
		struct bitmem_error error_ = { .code = 0 };                                        \
		f.deleted = 0;                                                                     \
		errno = 0;                                                                         \
		EXPECT_EQ(NULL, from(self->ctx, managed, &error_));                                \
		EXPECT_EQ(err, errno);                                                             \
		EXPECT_EQ(-(err), error_.code);                                                    \
		EXPECT_NE('\0', error_.text[0]);                                                   \
		EXPECT_EQ(0, f.deleted);                                                           \
		EXPECT_EQ(NULL, from(self->ctx, managed, NULL));                                   \
		after_ = test_stats(self->ctx);                                                    \
		EXPECT_TRUE(test_stats_equal(&before_, &after_));                                  \
	} while (0)

/* One member is wrong, in what is fine otherwise. */
#define EXPECT_WRONG(err, change)                                                                  \
	do {                                                                                       \
		foreign_init(&f, kDLFloat, 32, data, 4);                                           \
		change;                                                                            \
		EXPECT_REFUSED(err, bitmem_tensor_from_dlpack, &f.managed);                        \
	} while (0)

TEST_F(lib, refuses_what_it_cannot_read)
{
	unsigned char data[64] = { 0 };
	struct foreign f;

	EXPECT_WRONG(EOPNOTSUPP, f.managed.version.major = 2);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.version.major = 0);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.flags = 8);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.flags = 1ull << 63);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.dl_tensor.device.device_type = kDLCUDA);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.dl_tensor.device.device_type = kDLCUDAHost);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.dl_tensor.dtype.code = kDLOpaqueHandle);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.dl_tensor.dtype.code = kDLFloat8_e3m4);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.dl_tensor.dtype.code = 255);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.dl_tensor.dtype.bits = 128);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.dl_tensor.dtype.bits = 0);
	EXPECT_WRONG(EOPNOTSUPP, f.managed.dl_tensor.dtype.lanes = 0);
	foreign_init(&f, kDLComplex, 128, data, 2);
	EXPECT_REFUSED(EOPNOTSUPP, bitmem_tensor_from_dlpack, &f.managed);
	foreign_init(&f, kDLUInt, 4, data, 2);
	EXPECT_REFUSED(EOPNOTSUPP, bitmem_tensor_from_dlpack, &f.managed);
	foreign_init(&f, kDLBool, 1, data, 2);
	EXPECT_REFUSED(EOPNOTSUPP, bitmem_tensor_from_dlpack, &f.managed);
	/* Below a byte: padded; not known; a vector that ends inside a byte. */
	foreign_init(&f, kDLInt, 4, data, 2);
	f.managed.flags = DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED;
	EXPECT_REFUSED(EOPNOTSUPP, bitmem_tensor_from_dlpack, &f.managed);
	EXPECT_REFUSED(EOPNOTSUPP, bitmem_tensor_from_dlpack_legacy, foreign_legacy(&f));
	foreign_init(&f, kDLFloat6_e2m3fn, 6, data, 2);
	f.managed.dl_tensor.dtype.lanes = 2;
	EXPECT_REFUSED(EOPNOTSUPP, bitmem_tensor_from_dlpack, &f.managed);
}

TEST_F(lib, refuses_shapes_that_cannot_be)
{
	const int64_t nine[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	unsigned char data[64] = { 0 };
	struct foreign f;

	test_warm_up(self->ctx);
	EXPECT_WRONG(EINVAL, f.managed.dl_tensor.ndim = -1);
	EXPECT_WRONG(EINVAL, f.managed.dl_tensor.ndim = INT32_MAX);
	EXPECT_WRONG(EINVAL, foreign_shape(&f, 9, nine, nine));
	EXPECT_WRONG(EINVAL, foreign_shape(&f, 8, nine, nine); f.managed.dl_tensor.dtype.lanes = 2);
	EXPECT_WRONG(EINVAL, f.managed.dl_tensor.shape = NULL);
	EXPECT_WRONG(EINVAL, f.shape[0] = -1);
	EXPECT_WRONG(EINVAL, f.shape[0] = INT64_MIN);
	EXPECT_WRONG(EINVAL, f.managed.dl_tensor.data = NULL);
	EXPECT_WRONG(EOVERFLOW, f.managed.dl_tensor.byte_offset = UINT64_MAX);
	EXPECT_WRONG(EOVERFLOW, f.shape[0] = INT64_MAX);
	EXPECT_WRONG(EOVERFLOW, f.strides[0] = INT64_MAX);
	EXPECT_WRONG(EOVERFLOW, f.strides[0] = INT64_MIN);
	EXPECT_WRONG(EOVERFLOW, f.strides[0] = -(1ll << 55));
	EXPECT_WRONG(EOVERFLOW, foreign_shape(&f, 2, (int64_t[]){ 1ll << 32, 1ll << 32 },
					      (int64_t[]){ 0, 0 }));
	EXPECT_WRONG(EOVERFLOW, foreign_shape(&f, 3, (int64_t[]){ INT64_MAX, INT64_MAX, 4 }, NULL));
	EXPECT_WRONG(EOVERFLOW, foreign_shape(&f, 2, (int64_t[]){ 2, 2 },
					      (int64_t[]){ INT64_MAX, INT64_MIN }));
	EXPECT_WRONG(ENOMEM, foreign_shape(&f, 1, (int64_t[]){ 1ll << 45 }, (int64_t[]){ 0 }));
	/* Read-only and copied make no difference to who copies. */
	foreign_init(&f, kDLFloat, 32, data, 4);
	f.managed.flags = DLPACK_FLAG_BITMASK_READ_ONLY | DLPACK_FLAG_BITMASK_IS_COPIED;
	bitmem_tensor_unref(bitmem_tensor_from_dlpack(self->ctx, &f.managed, NULL));
	EXPECT_EQ(1, f.deleted);
}

TEST_F(lib, legacy_says_nothing_of_packing)
{
	for (size_t i = 0; i < N_PAIRS; i++) {
		struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, pairs[i].dtype, 1, SHAPE(8));
		DLManagedTensor *legacy;

		ASSERT_NE(NULL, t);
		errno = 0;
		legacy = bitmem_tensor_to_dlpack_legacy(t);
		if (pairs[i].bits < 8) {
			EXPECT_EQ(NULL, legacy);
			EXPECT_EQ(EOPNOTSUPP, errno);
		} else {
			ASSERT_NE(NULL, legacy);
			EXPECT_EQ(pairs[i].code, legacy->dl_tensor.dtype.code);
			legacy->deleter(legacy);
		}
		bitmem_tensor_unref(t);
	}
}

#define THREADS 4
#define ROUNDS 2000

/* All threads describe one tensor, take it back or copy it, and drop all of it. */
static void *exchange(void *arg)
{
	struct bitmem_tensor *t = arg;
	struct bitmem *other = test_open(2 * MIB);
	size_t bad = !other;

	for (int i = 0; other && i < ROUNDS; i++) {
		DLManagedTensorVersioned *managed = bitmem_tensor_to_dlpack(t);
		struct bitmem_tensor *copy;

		if (!managed) {
			bad++;
			continue;
		}
		if (i % 2) {
			managed->deleter(managed);
			continue;
		}
		copy = bitmem_tensor_from_dlpack(other, managed, NULL);
		bad += !copy || memcmp(bitmem_tensor_data(copy), bitmem_tensor_data(t), 400);
		bitmem_tensor_unref(copy);
	}
	return (void *)(bad + bitmem_close(other));
}

TEST_F(lib, many_threads)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 1, SHAPE(100));
	pthread_t threads[THREADS];
	void *bad;

	ASSERT_NE(NULL, t);
	memset(bitmem_tensor_data(t), 0x44, 400);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, exchange, t));
	for (int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &bad));
		EXPECT_EQ(NULL, bad);
	}
	EXPECT_EQ(1, test_stats(self->ctx).live);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_HARNESS_MAIN
