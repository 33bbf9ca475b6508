/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks and tensors from a pool. Pool 0's are what others take without naming it. */
#include <errno.h>

#include "../block.h"
#include "../site.h"
#include "tensor.h"
#include "pools.h"

#undef bitmem_alloc_in
#undef bitmem_zalloc_in
#undef bitmem_tensor_new_in
#undef bitmem_tensor_empty_in

static bool is_valid(size_t size, size_t align)
{
	return size && !(align & (align - 1)) && align <= BM_ALIGN_DIRECT;
}

static void *alloc(struct bitmem *ctx, unsigned int pool, size_t size, size_t align,
		   unsigned int site, bool zeroed)
{
	const struct bm_block_request rq = {
		.size = size,
		.align = align < BM_ALIGN_MIN ? BM_ALIGN_MIN : align,
		.pool = pool,
		.state = (uint16_t)(BM_SLOT_BLOCK | site),
		.zeroed = zeroed,
	};

	if (!is_valid(size, align) || !bm_pool_exists(ctx, pool)) {
		errno = is_valid(size, align) ? ENOENT : EINVAL;
		return NULL;
	}
	return bm_block_alloc(ctx, &rq);
}

void *bitmem_alloc_in_at(struct bitmem *ctx, unsigned int pool, size_t size, size_t align,
			 struct bitmem_site *site)
{
	return pool ? alloc(ctx, pool, size, align, bm_site_number(site), false) :
		      bitmem_alloc_at(ctx, size, align, site);
}

void *bitmem_zalloc_in_at(struct bitmem *ctx, unsigned int pool, size_t size, size_t align,
			  struct bitmem_site *site)
{
	return pool ? alloc(ctx, pool, size, align, bm_site_number(site), true) :
		      bitmem_zalloc_at(ctx, size, align, site);
}

void *bitmem_alloc_in(struct bitmem *ctx, unsigned int pool, size_t size, size_t align)
{
	return alloc(ctx, pool, size, align, bm_site_of_caller(__builtin_return_address(0)),
		     false);
}

void *bitmem_zalloc_in(struct bitmem *ctx, unsigned int pool, size_t size, size_t align)
{
	return alloc(ctx, pool, size, align, bm_site_of_caller(__builtin_return_address(0)), true);
}

static struct bitmem_tensor *tensor(struct bitmem *ctx, unsigned int pool,
				    enum bitmem_dtype dtype, unsigned int ndims,
				    const uint64_t *shape, unsigned int site, bool zeroed)
{
	if (!bm_pool_exists(ctx, pool)) {
		errno = ENOENT;
		return NULL;
	}
	return bm_tensor_in_pool(ctx, pool, dtype, ndims, shape, site, zeroed);
}

struct bitmem_tensor *bitmem_tensor_new_in_at(struct bitmem *ctx, unsigned int pool,
					      enum bitmem_dtype dtype, unsigned int ndims,
					      const uint64_t *shape, struct bitmem_site *site)
{
	return pool ? tensor(ctx, pool, dtype, ndims, shape, bm_site_number(site), true) :
		      bitmem_tensor_new_at(ctx, dtype, ndims, shape, site);
}

struct bitmem_tensor *bitmem_tensor_empty_in_at(struct bitmem *ctx, unsigned int pool,
						enum bitmem_dtype dtype, unsigned int ndims,
						const uint64_t *shape, struct bitmem_site *site)
{
	return pool ? tensor(ctx, pool, dtype, ndims, shape, bm_site_number(site), false) :
		      bitmem_tensor_empty_at(ctx, dtype, ndims, shape, site);
}

struct bitmem_tensor *bitmem_tensor_new_in(struct bitmem *ctx, unsigned int pool,
					   enum bitmem_dtype dtype, unsigned int ndims,
					   const uint64_t *shape)
{
	return tensor(ctx, pool, dtype, ndims, shape,
		      bm_site_of_caller(__builtin_return_address(0)), true);
}

struct bitmem_tensor *bitmem_tensor_empty_in(struct bitmem *ctx, unsigned int pool,
					     enum bitmem_dtype dtype, unsigned int ndims,
					     const uint64_t *shape)
{
	return tensor(ctx, pool, dtype, ndims, shape,
		      bm_site_of_caller(__builtin_return_address(0)), false);
}
