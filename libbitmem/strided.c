/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elements that lie in memory by strides.
 *
 * Positions are counted in bits, so that elements of less than a byte need no rules
 * of their own: whatever starts and ends at bytes is copied as bytes.
 */
#include <errno.h>
#include <string.h>

#include "strided.h"

int bm_strided_set_dense(struct bm_strided *strided)
{
	int64_t stride = 1;

	for (unsigned int i = strided->ndims; i--;) {
		uint64_t count = strided->shape[i] ? strided->shape[i] : 1;

		strided->strides[i] = stride;
		if (__builtin_mul_overflow(stride, count, &stride))
			return -EOVERFLOW;
	}
	return 0;
}

int bm_strided_check(const struct bm_strided *strided)
{
	uintptr_t start = (uintptr_t)strided->data;
	int64_t low = 0, high = 1, reach;
	bool overflow = false;

	for (unsigned int i = 0; i < strided->ndims; i++) {
		overflow |= __builtin_mul_overflow(strided->shape[i] - 1, strided->strides[i],
						   &reach);
		overflow |= __builtin_add_overflow(reach < 0 ? low : high, reach,
						   reach < 0 ? &low : &high);
	}
	/* The distance of both ends must fit, too. */
	overflow |= __builtin_sub_overflow(high, low, &reach);
	overflow |= __builtin_mul_overflow(reach, (int64_t)strided->bits, &reach);
	if (overflow)
		return -EOVERFLOW;
	low = -low * strided->bits / 8 + 1;
	high = high * strided->bits / 8 + 1;
	return (uintptr_t)low > start || (uintptr_t)high > UINTPTR_MAX - start ? -EOVERFLOW : 0;
}

/* Bits behind the last whole byte; @to is zero there. */
static void copy_tail(unsigned char *to, const unsigned char *from, unsigned int bits)
{
	if (bits)
		*to |= *from & ((1u << bits) - 1);
}

/* @bits bits, from the bit @from_bit of @from to the bit @to_bit of @to, which are zero. */
static void copy_bits(unsigned char *to, int64_t to_bit, const unsigned char *from,
		      int64_t from_bit, int64_t bits)
{
	if (to_bit % 8 == 0 && from_bit % 8 == 0) {
		to += to_bit / 8;
		from += from_bit / 8;
		memcpy(to, from, (size_t)(bits / 8));
		copy_tail(to + bits / 8, from + bits / 8, bits % 8);
		return;
	}
	for (; bits--; to_bit++, from_bit++) {
		/* A position before the start is negative: round down, not towards 0. */
		unsigned int shift = (uint64_t)from_bit % 8;
		unsigned int bit = from[(from_bit - shift) / 8] >> shift & 1;

		to[to_bit / 8] |= (unsigned char)(bit << to_bit % 8);
	}
}

void bm_strided_copy(void *to, const struct bm_strided *s)
{
	uint64_t index[BITMEM_MAX_DIMS] = { 0 };
	int64_t run = 1, from = 0, at = 0;
	unsigned int outer = s->ndims, i;

	/* What lies without gaps already goes in one piece. */
	while (outer && (s->shape[outer - 1] == 1 || s->strides[outer - 1] == run))
		run *= (int64_t)s->shape[--outer];
	do {
		copy_bits(to, at, s->data, from * s->bits, run * s->bits);
		at += run * s->bits;
		for (i = outer; i--; index[i] = 0) {
			if (++index[i] < s->shape[i]) {
				from += s->strides[i];
				break;
			}
			from -= s->strides[i] * (int64_t)(s->shape[i] - 1);
		}
	} while (i < outer);
}
