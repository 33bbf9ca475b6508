// SPDX-License-Identifier: GPL-2.0
/* Tensors of one dimension instead of blocks; what a slot holds is a handle. */
#include <bitmem/bitmem.h>

#include "replay.h"

#define REPLAY	      tensors_bitmem
#define REPLAY_ZEROES true

static inline void *block_alloc(size_t size)
{
	const uint64_t shape = size / sizeof(float);

	return bitmem_tensor_empty(replay_ctx, BITMEM_F32, 1, &shape);
}

static inline void block_free(void *tensor)
{
	bitmem_tensor_unref(tensor);
}

#include "replay_impl.h"
