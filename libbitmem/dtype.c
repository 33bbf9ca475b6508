/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Element types and the exact size of tensors of them.
 *
 * ggml's sizes are those of its block structures (ggml-common.h) as its type
 * traits give them. The types of BitNet's fork of llama.cpp are sized by
 * ggml_nbytes() in that fork's ggml/src/ggml.c (branch merge-dev of
 * Eddie-Wang1120/llama.cpp, which microsoft/BitNet builds): I2_S and TL1 hold
 * four elements in a byte and 32 bytes of scale; TL2 has the rule of tl2_bytes()
 * below; I8_S has no rule there and is plain bytes (its type traits: blocks of
 * one element, one byte each).
 */
#include <errno.h>
#include <stdbool.h>

#include "context.h"

enum rule {
	RULE_NONE,   /* no such type */
	RULE_BLOCKS, /* whole blocks along the fastest dimension */
	RULE_PACKED, /* across dimensions, the last block may be partly filled */
	RULE_SCALED, /* RULE_BLOCKS of one byte each, and a scale */
	RULE_TL2,
};

struct type {
	struct bitmem_dtype_info info;
	enum rule rule;
};

/* Bytes that BitNet's types keep for the scale behind the elements. */
#define SCALE_BYTES 32

#define ELEMENT(type, bits)	      [BITMEM_##type] = { { #type, 1, bits }, RULE_BLOCKS }
#define PACKED(type, elements, bits)  [BITMEM_##type] = { { #type, elements, bits }, RULE_PACKED }
#define BLOCK(type, elements, bytes)  [BITMEM_##type] = { { #type, elements, 8 * (bytes) }, \
							  RULE_BLOCKS }
#define SPECIAL(type, elements, rule) [BITMEM_##type] = { { #type, elements, 0 }, rule }

static const struct type types[] = {
	ELEMENT(F64, 64),
	ELEMENT(F32, 32),
	ELEMENT(F16, 16),
	ELEMENT(BF16, 16),
	ELEMENT(C64, 64),
	ELEMENT(F8_E5M2, 8),
	ELEMENT(F8_E4M3, 8),
	ELEMENT(F8_E8M0, 8),
	ELEMENT(F8_E4M3FNUZ, 8),
	ELEMENT(F8_E5M2FNUZ, 8),
	ELEMENT(BOOL, 8),
	ELEMENT(I64, 64),
	ELEMENT(I32, 32),
	ELEMENT(I16, 16),
	ELEMENT(I8, 8),
	ELEMENT(U64, 64),
	ELEMENT(U32, 32),
	ELEMENT(U16, 16),
	ELEMENT(U8, 8),

	PACKED(F6_E2M3, 1, 6),
	PACKED(F6_E3M2, 1, 6),
	PACKED(F4, 1, 4),
	PACKED(I4, 1, 4),
	PACKED(I2, 1, 2),
	PACKED(I1, 1, 1),
	PACKED(TERNARY2, 1, 2),
	PACKED(TERNARY5, 5, 8),

	BLOCK(Q4_0, 32, 18),
	BLOCK(Q4_1, 32, 20),
	BLOCK(Q5_0, 32, 22),
	BLOCK(Q5_1, 32, 24),
	BLOCK(Q8_0, 32, 34),
	BLOCK(Q8_1, 32, 36),
	BLOCK(Q2_K, 256, 84),
	BLOCK(Q3_K, 256, 110),
	BLOCK(Q4_K, 256, 144),
	BLOCK(Q5_K, 256, 176),
	BLOCK(Q6_K, 256, 210),
	BLOCK(Q8_K, 256, 292),
	BLOCK(IQ2_XXS, 256, 66),
	BLOCK(IQ2_XS, 256, 74),
	BLOCK(IQ3_XXS, 256, 98),
	BLOCK(IQ1_S, 256, 50),
	BLOCK(IQ4_NL, 32, 18),
	BLOCK(IQ3_S, 256, 110),
	BLOCK(IQ2_S, 256, 82),
	BLOCK(IQ4_XS, 256, 136),
	BLOCK(IQ1_M, 256, 56),
	BLOCK(TQ1_0, 256, 54),
	BLOCK(TQ2_0, 256, 66),
	BLOCK(MXFP4, 32, 17),
	BLOCK(NVFP4, 64, 36),
	BLOCK(Q1_0, 128, 18),
	BLOCK(Q2_0, 64, 18),

	SPECIAL(I2_S, 4, RULE_SCALED),
	ELEMENT(I8_S, 8),
	SPECIAL(TL1, 4, RULE_SCALED),
	SPECIAL(TL2, 1, RULE_TL2),
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

static const struct type *find_type(enum bitmem_dtype dtype)
{
	if ((unsigned int)dtype >= N_TYPES || types[dtype].rule == RULE_NONE)
		return NULL;
	return &types[dtype];
}

const struct bitmem_dtype_info *bitmem_dtype_info(enum bitmem_dtype dtype)
{
	const struct type *type = find_type(dtype);

	return type ? &type->info : NULL;
}

/*
 * Where there is a scale, 0 is what it is and makes everything 0. The codes of ternary types are
 * 1 for a 0: 01 01 01 01, and 11111 to the base of 3. An F8_E8M0 is a power of two.
 */
int bm_dtype_zero(enum bitmem_dtype dtype)
{
	switch (dtype) {
	case BITMEM_TERNARY2:
		return 0x55;
	case BITMEM_TERNARY5:
		return 1 + 3 + 9 + 27 + 81;
	case BITMEM_F8_E8M0:
		return -EINVAL;
	default:
		return find_type(dtype) ? 0 : -EINVAL;
	}
}

/* The product of @n counts; a 0 among them makes it 0, whatever the others are. */
static int product(unsigned int n, const uint64_t *counts, uint64_t *result)
{
	bool overflow = false;

	*result = 1;
	for (unsigned int i = 0; i < n; i++) {
		if (!counts[i]) {
			*result = 0;
			return 0;
		}
	}
	for (unsigned int i = 0; i < n; i++)
		overflow |= __builtin_mul_overflow(*result, counts[i], result);
	return overflow ? -EOVERFLOW : 0;
}

/* ceil(@n / @elements) blocks of @bits bits each, in bytes rounded up. */
static int block_bytes(uint64_t n, uint32_t elements, uint32_t bits, uint64_t *bytes)
{
	/* What most types are needs no divisions, which take longer than all the rest. */
	uint64_t blocks = elements == 1 ? n : n / elements + (n % elements != 0);

	if (__builtin_mul_overflow(blocks / 8, (uint64_t)bits, bytes) ||
	    __builtin_add_overflow(*bytes, (blocks % 8 * bits + 7) / 8, bytes))
		return -EOVERFLOW;
	return 0;
}

/*
 * The rows of a TL2 matrix: all but their last 256 elements go three to five
 * bits, the last 256 two to four bits. Each division truncates, as the fork's
 * own do; the sum is rounded up to the scale, which follows.
 */
static int tl2_bytes(uint64_t columns, uint64_t rows, uint64_t *bytes)
{
	uint64_t three, two;

	if (columns < 256)
		return -EINVAL;
	if (__builtin_mul_overflow(columns - 256, rows, &three) ||
	    __builtin_mul_overflow(three / 3, (uint64_t)5, &three) ||
	    __builtin_mul_overflow((uint64_t)256, rows, &two) ||
	    __builtin_mul_overflow(two / 2, (uint64_t)4, &two) ||
	    __builtin_add_overflow(three / 8, two / 8, bytes) ||
	    __builtin_add_overflow(*bytes, (uint64_t)(2 * SCALE_BYTES - 1), bytes))
		return -EOVERFLOW;
	*bytes &= ~(uint64_t)(SCALE_BYTES - 1);
	return 0;
}

/* A TL2 tensor is a matrix: of the other dimensions at most one may count more than 1. */
static int tl2_shape_bytes(unsigned int ndims, const uint64_t *shape, unsigned int fastest,
			   uint64_t *bytes)
{
	uint64_t rows = 1;

	for (unsigned int i = 0; i < ndims; i++) {
		if (i == fastest || shape[i] == 1)
			continue;
		if (rows != 1)
			return -EINVAL;
		rows = shape[i];
	}
	return tl2_bytes(shape[fastest], rows, bytes);
}

int bitmem_dtype_bytes(enum bitmem_dtype dtype, unsigned int ndims, const uint64_t *shape,
		       unsigned int fastest, uint64_t *bytes)
{
	const struct type *type = find_type(dtype);
	uint64_t n, size = 0;
	int ret;

	if (!type || ndims > BITMEM_MAX_DIMS || (ndims && fastest >= ndims))
		return -EINVAL;
	if (type->rule != RULE_PACKED && type->info.block_elements != 1 &&
	    (ndims ? shape[fastest] : 1) % type->info.block_elements)
		return -EINVAL;
	ret = product(ndims, shape, &n);
	if (!ret && n) {
		switch (type->rule) {
		case RULE_SCALED:
			size = n / type->info.block_elements + SCALE_BYTES;
			break;
		case RULE_TL2:
			ret = ndims ? tl2_shape_bytes(ndims, shape, fastest, &size) : -EINVAL;
			break;
		default:
			ret = block_bytes(n, type->info.block_elements, type->info.block_bits,
					  &size);
		}
	}
	if (!ret)
		*bytes = size;
	return ret;
}
