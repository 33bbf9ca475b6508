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
	BITMEM_DTYPE_INVALID = 0,

	/* One element each. */
	BITMEM_F64 = 1,
	BITMEM_F32,
	BITMEM_F16,
	BITMEM_BF16,
	BITMEM_C64, /**< complex of two F32 */
	BITMEM_F8_E5M2,
	BITMEM_F8_E4M3,
	BITMEM_F8_E8M0,
	BITMEM_F8_E4M3FNUZ,
	BITMEM_F8_E5M2FNUZ,
	BITMEM_BOOL, /**< one byte */
	BITMEM_I64,
	BITMEM_I32,
	BITMEM_I16,
	BITMEM_I8,
	BITMEM_U64,
	BITMEM_U32,
	BITMEM_U16,
	BITMEM_U8,

	/* Packed below a byte, low bits first; size = ceil(bits * n / 8). */
	BITMEM_F6_E2M3 = 64,
	BITMEM_F6_E3M2,
	BITMEM_F4,
	BITMEM_I4,
	BITMEM_I2,
	BITMEM_I1,
	BITMEM_TERNARY2, /**< 2 bits: code 0, 1, 2 is -1, 0, +1 */
	BITMEM_TERNARY5, /**< base 3: five of these codes in a byte */

	/* ggml's block types. */
	BITMEM_Q4_0 = 128,
	BITMEM_Q4_1,
	BITMEM_Q5_0,
	BITMEM_Q5_1,
	BITMEM_Q8_0,
	BITMEM_Q8_1,
	BITMEM_Q2_K,
	BITMEM_Q3_K,
	BITMEM_Q4_K,
	BITMEM_Q5_K,
	BITMEM_Q6_K,
	BITMEM_Q8_K,
	BITMEM_IQ2_XXS,
	BITMEM_IQ2_XS,
	BITMEM_IQ3_XXS,
	BITMEM_IQ1_S,
	BITMEM_IQ4_NL,
	BITMEM_IQ3_S,
	BITMEM_IQ2_S,
	BITMEM_IQ4_XS,
	BITMEM_IQ1_M,
	BITMEM_TQ1_0,
	BITMEM_TQ2_0,
	BITMEM_MXFP4,
	BITMEM_NVFP4,
	BITMEM_Q1_0,
	BITMEM_Q2_0,

	/* BitNet's fork; sizes depend on the whole shape. */
	BITMEM_I2_S = 192,
	BITMEM_I8_S,
	BITMEM_TL1,
	BITMEM_TL2,
};

/** What is known of an element type. */
struct bitmem_dtype_info {
	/** "F32", "Q8_0", "F8_E4M3" …; lives for ever. */
	const char *name;
	/** Elements in a block, and bits of a block; 0 where the size is a rule of its own. */
	uint32_t block_elements, block_bits;
};

/** @return the description of a type; NULL if there is no such type. */
const struct bitmem_dtype_info *bitmem_dtype_info(enum bitmem_dtype dtype)
	__attribute__((visibility("default")));

/**
 * Exact size of a tensor; 0 if one of its dimensions is 0.
 *
 * Types packed below a byte run on across dimensions, and only the tensor's last
 * byte may be partly used. Others hold whole blocks along one dimension.
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
