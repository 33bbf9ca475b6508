// SPDX-License-Identifier: GPL-2.0
/*
 * What programs without a library for it do: a header from malloc() that counts references, and
 * holds a block from memalign().
 */
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "replay.h"

#define REPLAY	      tensors_malloc
#define REPLAY_ZEROES false

struct tensor {
	atomic_uint refs;
	unsigned int dtype, ndims;
	uint64_t shape[8];
	void *data;
};

static inline void *block_alloc(size_t size)
{
	struct tensor *tensor = malloc(sizeof(*tensor));

	if (!tensor)
		return NULL;
	tensor->data = memalign(BLOCK_ALIGN, size);
	if (!tensor->data) {
		free(tensor);
		return NULL;
	}
	tensor->dtype = 0;
	tensor->ndims = 1;
	tensor->shape[0] = size / sizeof(float);
	atomic_init(&tensor->refs, 1);
	return tensor;
}

static inline void block_free(void *block)
{
	struct tensor *tensor = block;

	if (atomic_fetch_sub_explicit(&tensor->refs, 1, memory_order_acq_rel) > 1)
		return;
	free(tensor->data);
	free(tensor);
}

#include "replay_impl.h"
