/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is to know of a tensor. Of a stale handle: that there is nothing. */
#include "tensor.h"

void *bitmem_tensor_data(const struct bitmem_tensor *tensor)
{
	return likely(is_live(tensor)) ? data_of(tensor) : NULL;
}

size_t bitmem_tensor_bytes(const struct bitmem_tensor *tensor)
{
	return likely(is_live(tensor)) ? bytes_of(tensor) : 0;
}

enum bitmem_dtype bitmem_tensor_dtype(const struct bitmem_tensor *tensor)
{
	return likely(is_live(tensor)) ? dtype_of(tensor) : BITMEM_DTYPE_INVALID;
}

unsigned int bitmem_tensor_ndims(const struct bitmem_tensor *tensor)
{
	return likely(is_live(tensor)) ? ndims_of(tensor) : 0;
}

const uint64_t *bitmem_tensor_shape(const struct bitmem_tensor *tensor)
{
	return shape_of(tensor);
}

bool bm_tensor_look(struct bm_record *record, struct bm_tensor_look *look)
{
	const struct bitmem_tensor *tensor = (const struct bitmem_tensor *)record;
	const uint32_t state = __atomic_load_n(&record->state, __ATOMIC_ACQUIRE);
	const enum tensor_kind kind = kind_of(state);
	const bool foreign = kind == TENSOR_SEGMENT || kind == TENSOR_VIEW;

	/* The last reference of the others may be gone, and the rest is to come under the lock. */
	if (state < REF && !foreign)
		return false;
	*look = (struct bm_tensor_look) {
		.tensor = tensor, .data = data_of(tensor),
		.dtype = dtype_of(tensor), .foreign = foreign,
		.view = kind == TENSOR_VIEW, .bytes = bytes_of(tensor),
	};
	if (!foreign)
		return true;
	look->stamp = &record->place;
	look->segment = bm_tensor_segment(tensor);
	return true;
}
