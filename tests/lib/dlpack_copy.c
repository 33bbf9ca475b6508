/* SPDX-License-Identifier: GPL-2.0 */
/* DLPack: copies of memory that is not bitmem's, however its elements lie. */
#include "dlpack_test.h"
#include "lib_test.h"

/* What a copy must come to, element by element of @item bytes. */
static void expected_copy(const struct foreign *f, size_t item, unsigned char *to)
{
	const DLTensor *dl = &f->managed.dl_tensor;
	int64_t index[BITMEM_MAX_DIMS] = { 0 };
	int i;

	do {
		const unsigned char *from = (unsigned char *)dl->data + dl->byte_offset;

		for (i = 0; i < dl->ndim; i++)
			from += index[i] * dl->strides[i] * (int64_t)item;
		memcpy(to, from, item);
		to += item;
		for (i = dl->ndim - 1; i >= 0 && ++index[i] == dl->shape[i]; i--)
			index[i] = 0;
	} while (i >= 0);
}

static const struct layout {
	int ndim;
	int64_t shape[4], strides[4];
	uint64_t byte_offset;
} layouts[] = {
	{ 2, { 5, 7 }, { 7, 1 }, 0 },			/* dense */
	{ 2, { 5, 7 }, { 1, 5 }, 0 },			/* transposed */
	{ 3, { 2, 3, 4 }, { 100, 10, 1 }, 8 },		/* with gaps */
	{ 3, { 2, 3, 4 }, { 1, 30, 7 }, 3 },		/* unaligned */
	{ 2, { 6, 5 }, { 0, 1 }, 0 },			/* one row, broadcast */
	{ 2, { 5, 7 }, { -7, 1 }, 8 * 4 * 7 },		/* upside down */
	{ 1, { 30 }, { -2 }, 8 * 60 },			/* backwards */
	{ 4, { 1, 6, 1, 5 }, { 999999, 5, -77, 1 }, 0 },	/* dimensions of 1 have no stride */
	{ 1, { 1 }, { INT64_MAX }, 0 },
	{ 0, { 0 }, { 0 }, 16 },			/* a scalar */
};

TEST_F(lib, copies_by_strides)
{
	unsigned char data[8 * 256], expected[8 * 256];
	struct bitmem_tensor *t;
	struct foreign f;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 131 + (i >> 8));
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		for (unsigned int bits = 8; bits <= 64; bits *= 2) {
			const struct layout *l = &layouts[i];

			foreign_init(&f, kDLUInt, (uint8_t)bits, data, 1);
			foreign_shape(&f, l->ndim, l->shape, l->strides);
			f.managed.dl_tensor.byte_offset = l->byte_offset;
			t = bitmem_tensor_from_dlpack(self->ctx, &f.managed, NULL);
			ASSERT_NE(NULL, t);
			expected_copy(&f, bits / 8, expected);
			EXPECT_EQ(0, memcmp(expected, bitmem_tensor_data(t),
					    bitmem_tensor_bytes(t)));
			EXPECT_EQ(l->ndim, bitmem_tensor_ndims(t));
			EXPECT_EQ(1, f.deleted);
			bitmem_tensor_unref(t);
		}
	}
}

TEST_F(lib, no_strides_are_row_major)
{
	uint16_t data[12];
	struct bitmem_tensor *t;
	struct foreign f;

	for (uint16_t i = 0; i < 12; i++)
		data[i] = i;
	foreign_init(&f, kDLUInt, 16, data, 12);
	foreign_shape(&f, 2, (int64_t[]){ 3, 4 }, NULL);
	f.managed.deleter = NULL;
	t = bitmem_tensor_from_dlpack(self->ctx, &f.managed, NULL);
	ASSERT_NE(NULL, t);
	EXPECT_EQ(0, memcmp(data, bitmem_tensor_data(t), sizeof(data)));
	bitmem_tensor_unref(t);
	t = bitmem_tensor_from_dlpack_legacy(self->ctx, foreign_legacy(&f), NULL);
	ASSERT_NE(NULL, t);
	EXPECT_EQ(0, memcmp(data, bitmem_tensor_data(t), sizeof(data)));
	EXPECT_EQ(1, f.deleted);
	bitmem_tensor_unref(t);
}

/* The element @i of @bits bits at @data, the first in the lowest bits. */
static unsigned int element(const unsigned char *data, unsigned int bits, int64_t i)
{
	unsigned int value = 0;

	for (unsigned int b = 0; b < bits; b++)
		value |= (data[(i * bits + b) / 8] >> (i * bits + b) % 8 & 1u) << b;
	return value;
}

static const struct {
	uint8_t code, bits;
} packed[] = { { kDLInt, 4 }, { kDLInt, 2 }, { kDLInt, 1 }, { kDLFloat6_e3m2fn, 6 },
	       { kDLFloat4_e2m1fn, 4 } };

TEST_F(lib, packed_elements)
{
	unsigned char data[256];
	struct bitmem_tensor *t;
	struct foreign f;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 167 + 5);
	for (size_t p = 0; p < sizeof(packed) / sizeof(packed[0]); p++) {
		unsigned int bits = packed[p].bits;
		const unsigned char *copy;

		/* Without gaps: 35 elements, of which the last do not fill their byte. */
		foreign_init(&f, packed[p].code, bits, data, 35);
		t = bitmem_tensor_from_dlpack(self->ctx, &f.managed, NULL);
		ASSERT_NE(NULL, t);
		copy = bitmem_tensor_data(t);
		EXPECT_EQ((35 * bits + 7) / 8, bitmem_tensor_bytes(t));
		for (int64_t i = 0; i < 35; i++)
			EXPECT_EQ(element(data, bits, i), element(copy, bits, i));
		EXPECT_EQ(0, copy[35 * bits / 8] >> 35 * bits % 8);
		bitmem_tensor_unref(t);

		/* Transposed, and backwards from where all of them start at a byte. */
		foreign_shape(&f, 2, (int64_t[]){ 5, 7 }, (int64_t[]){ -2, 11 });
		f.managed.dl_tensor.byte_offset = 18;
		t = bitmem_tensor_from_dlpack(self->ctx, &f.managed, NULL);
		ASSERT_NE(NULL, t);
		copy = bitmem_tensor_data(t);
		for (int64_t i = 0; i < 5; i++) {
			for (int64_t j = 0; j < 7; j++)
				EXPECT_EQ(element(data, bits, 18 * 8 / bits + 11 * j - 2 * i),
					  element(copy, bits, 7 * i + j));
		}
		bitmem_tensor_unref(t);
	}
}

TEST_F(lib, vectors_are_a_dimension)
{
	unsigned char data[48];
	struct bitmem_tensor *t;
	struct foreign f;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i + 1);
	/* Three vectors of two floats, every other one. */
	foreign_init(&f, kDLFloat, 32, data, 3);
	f.managed.dl_tensor.dtype.lanes = 2;
	f.strides[0] = 2;
	t = bitmem_tensor_from_dlpack(self->ctx, &f.managed, NULL);
	ASSERT_NE(NULL, t);
	EXPECT_EQ(2, bitmem_tensor_ndims(t));
	EXPECT_EQ(3, bitmem_tensor_shape(t)[0]);
	EXPECT_EQ(2, bitmem_tensor_shape(t)[1]);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, memcmp(data + 16 * i, (char *)bitmem_tensor_data(t) + 8 * i, 8));
	bitmem_tensor_unref(t);

	/* Two halves of a byte are no question of packing, in the legacy structure neither. */
	foreign_init(&f, kDLFloat4_e2m1fn, 4, data, 20);
	f.managed.dl_tensor.dtype.lanes = 2;
	t = bitmem_tensor_from_dlpack_legacy(self->ctx, foreign_legacy(&f), NULL);
	ASSERT_NE(NULL, t);
	EXPECT_EQ(20, bitmem_tensor_bytes(t));
	EXPECT_EQ(0, memcmp(data, bitmem_tensor_data(t), 20));
	bitmem_tensor_unref(t);
}

TEST_HARNESS_MAIN
