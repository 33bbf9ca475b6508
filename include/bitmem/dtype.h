/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file dtype.h
 * @brief Element types of tensors.
 *
 * Sources: ggml's type traits (ggml.c, type ids 0 to 42), BitNet's fork of
 * llama.cpp (ids 36 to 39), the dtypes of the safetensors format.
 */
#ifndef BITMEM_DTYPE_H
#define BITMEM_DTYPE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Element types. The values are part of the ABI. */
enum bitmem_dtype {
	BITMEM_DTYPE_INVALID = 0, /**< no type */

	/* One element each. */
	BITMEM_F64 = 1, /**< IEEE 754 binary64 */
	BITMEM_F32, /**< IEEE 754 binary32 */
	BITMEM_F16, /**< IEEE 754 binary16 */
	BITMEM_BF16, /**< the upper half of a binary32 */
	BITMEM_C64, /**< complex of two F32 */
	BITMEM_F8_E5M2, /**< 8 bits: 5 of exponent, 2 of mantissa */
	BITMEM_F8_E4M3, /**< 8 bits: 4 and 3; no infinities */
	BITMEM_F8_E8M0, /**< 8 bits of exponent: a power of two, a scale */
	BITMEM_F8_E4M3FNUZ, /**< as F8_E4M3, without infinities and -0 */
	BITMEM_F8_E5M2FNUZ, /**< as F8_E5M2, without infinities and -0 */
	BITMEM_BOOL, /**< one byte */
	BITMEM_I64, /**< signed, 8 bytes */
	BITMEM_I32, /**< signed, 4 bytes */
	BITMEM_I16, /**< signed, 2 bytes */
	BITMEM_I8, /**< signed, 1 byte */
	BITMEM_U64, /**< unsigned, 8 bytes */
	BITMEM_U32, /**< unsigned, 4 bytes */
	BITMEM_U16, /**< unsigned, 2 bytes */
	BITMEM_U8, /**< unsigned, 1 byte */

	/* Packed below a byte, low bits first; size = ceil(bits * n / 8). */
	BITMEM_F6_E2M3 = 64, /**< 6 bits: 2 of exponent, 3 of mantissa */
	BITMEM_F6_E3M2, /**< 6 bits: 3 and 2 */
	BITMEM_F4, /**< 4 bits: 2 of exponent, 1 of mantissa */
	BITMEM_I4, /**< 4 bits */
	BITMEM_I2, /**< 2 bits */
	BITMEM_I1, /**< 1 bit */
	BITMEM_TERNARY2, /**< 2 bits: code 0, 1, 2 is -1, 0, +1 */
	BITMEM_TERNARY5, /**< base 3: five of these codes in a byte */

	/* ggml's block types. */
	BITMEM_Q4_0 = 128, /**< 32 elements in 18 bytes */
	BITMEM_Q4_1, /**< 32 elements in 20 bytes */
	BITMEM_Q5_0, /**< 32 elements in 22 bytes */
	BITMEM_Q5_1, /**< 32 elements in 24 bytes */
	BITMEM_Q8_0, /**< 32 elements in 34 bytes */
	BITMEM_Q8_1, /**< 32 elements in 36 bytes */
	BITMEM_Q2_K, /**< 256 elements in 84 bytes */
	BITMEM_Q3_K, /**< 256 elements in 110 bytes */
	BITMEM_Q4_K, /**< 256 elements in 144 bytes */
	BITMEM_Q5_K, /**< 256 elements in 176 bytes */
	BITMEM_Q6_K, /**< 256 elements in 210 bytes */
	BITMEM_Q8_K, /**< 256 elements in 292 bytes */
	BITMEM_IQ2_XXS, /**< 256 elements in 66 bytes */
	BITMEM_IQ2_XS, /**< 256 elements in 74 bytes */
	BITMEM_IQ3_XXS, /**< 256 elements in 98 bytes */
	BITMEM_IQ1_S, /**< 256 elements in 50 bytes */
	BITMEM_IQ4_NL, /**< 32 elements in 18 bytes */
	BITMEM_IQ3_S, /**< 256 elements in 110 bytes */
	BITMEM_IQ2_S, /**< 256 elements in 82 bytes */
	BITMEM_IQ4_XS, /**< 256 elements in 136 bytes */
	BITMEM_IQ1_M, /**< 256 elements in 56 bytes */
	BITMEM_TQ1_0, /**< 256 elements in 54 bytes */
	BITMEM_TQ2_0, /**< 256 elements in 66 bytes */
	BITMEM_MXFP4, /**< 32 elements in 17 bytes */
	BITMEM_NVFP4, /**< 64 elements in 36 bytes */
	BITMEM_Q1_0, /**< 128 elements in 18 bytes */
	BITMEM_Q2_0, /**< 64 elements in 18 bytes */

	/* BitNet's fork; sizes depend on the whole shape. */
	BITMEM_I2_S = 192, /**< ternary, 2 bits; one scale */
	BITMEM_I8_S, /**< 8 bits */
	BITMEM_TL1, /**< ternary, for look-ups by pairs */
	BITMEM_TL2, /**< ternary, for look-ups by threes */
};

/** What is known of an element type. */
struct bitmem_dtype_info {
	/** "F32", "Q8_0", "F8_E4M3" …; lives for ever. */
	const char *name;
	/** Elements in a block; 0 where the size is a rule of its own. */
	uint32_t block_elements;
	uint32_t block_bits;	 /**< bits of a block; 0 as well */
};

/** @return the description of a type; NULL if there is no such type. */
const struct bitmem_dtype_info *bitmem_dtype_info(enum bitmem_dtype dtype)
	__attribute__((visibility("default")));

/**
 * Exact size of a tensor; 0 if one of its dimensions is 0.
 *
 * Types packed below a byte run on across dimensions, and only the tensor's last
 * byte may be partly used. Others hold whole blocks along one dimension.
 * @param dtype    element type.
 * @param ndims    0 (a scalar) to BITMEM_MAX_DIMS.
 * @param shape    @p ndims element counts.
 * @param fastest  index into @p shape of the dimension whose elements lie next to
 *                 each other, which is the one that blocks run along. With
 *                 @p ndims 0 it is ignored.
 * @param bytes    set on success.
 * @return 0; -EINVAL (no such type, too many dimensions, the fastest dimension is
 *         not a multiple of the block, a TL2 tensor that is no matrix of at least
 *         256 columns); -EOVERFLOW.
 */
int bitmem_dtype_bytes(enum bitmem_dtype dtype, unsigned int ndims, const uint64_t *shape,
		       unsigned int fastest, uint64_t *bytes)
	__attribute__((visibility("default")));

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_DTYPE_H */
