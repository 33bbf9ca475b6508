/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block allocator: what bitmem_alloc() and tensors get their memory from.
 *
 * The functions take ctx->lock themselves and keep the context's counters. All
 * that the allocator knows of a block it keeps outside the memory it manages.
 */
#ifndef BITMEM_BLOCK_H
#define BITMEM_BLOCK_H

#include "internal.h"

/* Whom a block belongs to: a block is freed only as what it was allocated as. */
enum bm_owner {
	BM_OWNER_NONE, /* free */
	BM_OWNER_USER, /* bitmem_alloc() */
	BM_OWNER_TENSOR,
};

/* An allocator that takes segments of @segment_size bytes. NULL with errno. */
struct bm_blocks *bm_blocks_new(size_t segment_size);

/* Nothing may be allocated any more. */
void bm_blocks_delete(struct bm_blocks *blocks);

/* Bytes that the allocator's own root costs. */
size_t bm_blocks_meta(const struct bm_blocks *blocks);

/*
 * A zeroed block for @size bytes (0 still gives an address of its own). @align
 * is a power of two of at least BM_ALIGN_MIN and at most BM_ALIGN_MAX. @meta is
 * what the caller's own record of the block costs. NULL with errno ENOMEM.
 */
void *bm_block_alloc(struct bitmem *ctx, size_t size, size_t align, enum bm_owner owner,
		     size_t meta);

/* Frees what bm_block_alloc() gave to @owner. -EINVAL, and no change, if @ptr is no such block. */
int bm_block_free(struct bitmem *ctx, void *ptr, enum bm_owner owner, size_t meta);

/* Bytes usable at @ptr; 0 if it is no block of @owner. */
size_t bm_block_usable(struct bitmem *ctx, const void *ptr, enum bm_owner owner);

/* Gives segments that hold no block back to the backend. Returns their bytes. */
size_t bm_blocks_trim(struct bitmem *ctx);

/* Frees the blocks of BM_OWNER_USER; from now on no free memory is kept. */
void bm_blocks_close(struct bitmem *ctx);

#endif /* BITMEM_BLOCK_H */
