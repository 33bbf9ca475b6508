/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Elements that lie in memory by strides. */
#ifndef BITMEM_STRIDED_H
#define BITMEM_STRIDED_H

#include "internal.h"

struct bm_strided {
	/* The element whose indexes are all 0. */
	const void *data;
	/* Bits of an element; packed, the first in the lowest bits. */
	uint32_t bits;
	unsigned int ndims;
	uint64_t shape[BITMEM_MAX_DIMS];
	/* In elements, of either sign. */
	int64_t strides[BITMEM_MAX_DIMS];
};

/* Sets the strides of elements without gaps, the last dimension's fastest. 0 or -EOVERFLOW. */
int bm_strided_set_dense(struct bm_strided *strided);

/* 0; -EOVERFLOW if some element lies beyond what addresses can tell. None of @shape is 0. */
int bm_strided_check(const struct bm_strided *strided);

/*
 * Copies the elements without gaps to @to, the last dimension's fastest. @to is
 * zeroed and has room for them; bm_strided_check() was content.
 */
void bm_strided_copy(void *to, const struct bm_strided *strided);

#endif /* BITMEM_STRIDED_H */
