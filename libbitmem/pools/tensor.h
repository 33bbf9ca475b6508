/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tensors do for pools (tensor.c). */
#ifndef BITMEM_POOLS_TENSOR_H
#define BITMEM_POOLS_TENSOR_H

#include "../internal.h"

/* A tensor with a block from a pool, or where its policy has it come from; NULL with errno. */
struct bitmem_tensor *bm_tensor_in_pool(struct bitmem *ctx, unsigned int pool,
					enum bitmem_dtype dtype, unsigned int ndims,
					const uint64_t *shape, unsigned int site, bool zeroed);

/*
 * Whether a tensor has memory of its own: 0; -ESTALE if there is no such tensor any more, -EINVAL
 * if it is a view. *@alone: nobody else has a reference.
 */
int bm_tensor_check_own(const struct bitmem_tensor *tensor, bool *alone);

/*
 * Puts a tensor that nobody else uses on another block, as it has one, with the lock held. -ENOMEM,
 * and no change, if that is too far for its record.
 */
int bm_tensor_set_block(struct bitmem_tensor *tensor, void *ptr);

#endif /* BITMEM_POOLS_TENSOR_H */
