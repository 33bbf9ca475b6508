/* SPDX-License-Identifier: GPL-2.0 */
/* A framework that is not bitmem, for the tests of DLPack. */
#ifndef BITMEM_DLPACK_TEST_H
#define BITMEM_DLPACK_TEST_H

#include <bitmem/dlpack.h>

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

/* What a foreign framework describes; counts the calls of its deleter. */
struct foreign {
	DLManagedTensorVersioned managed;
	DLManagedTensor legacy;
	int64_t shape[BITMEM_MAX_DIMS + 1], strides[BITMEM_MAX_DIMS + 1];
	int deleted;
};

/* Elements of @bits bits at @data in a row of @n, of version 1.3. */
void foreign_init(struct foreign *f, uint8_t code, uint8_t bits, void *data, int64_t n);

/* Sets dimensions and strides (NULL for none) of what foreign_init() made. */
void foreign_shape(struct foreign *f, int ndim, const int64_t *shape, const int64_t *strides);

/* The same in the legacy structure. */
DLManagedTensor *foreign_legacy(struct foreign *f);

#endif /* BITMEM_DLPACK_TEST_H */
