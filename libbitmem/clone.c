/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tensors made from what another has, or from zeros. */
#include <string.h>

#include <bitmem/lifetime.h>

#include "site.h"
#include "tensor.h"

#undef bitmem_tensor_zeros
#undef bitmem_tensor_copy
#undef bitmem_tensor_clone

static struct bitmem_tensor *zeros(struct bitmem *ctx, enum bitmem_dtype dtype, unsigned int ndims,
				   const uint64_t *shape, unsigned int site)
{
	struct bitmem_tensor *tensor;
	int zero = bm_dtype_zero(dtype);

	if (zero < 0) {
		errno = -zero;
		return NULL;
	}
	tensor = bm_tensor_new(ctx, dtype, ndims, shape, site, !zero);
	if (tensor && zero)
		memset(data_of(tensor), zero, bytes_of(tensor));
	return tensor;
}

struct bitmem_tensor *bitmem_tensor_zeros_at(struct bitmem *ctx, enum bitmem_dtype dtype,
					     unsigned int ndims, const uint64_t *shape,
					     struct bitmem_site *site)
{
	return zeros(ctx, dtype, ndims, shape, bm_site_number(site));
}

struct bitmem_tensor *bitmem_tensor_zeros(struct bitmem *ctx, enum bitmem_dtype dtype,
					  unsigned int ndims, const uint64_t *shape)
{
	return zeros(ctx, dtype, ndims, shape, bm_site_of_caller(__builtin_return_address(0)));
}

static struct bitmem_tensor *clone_of(struct bitmem_tensor *tensor, unsigned int site)
{
	return bm_tensor_view(tensor, dtype_of(tensor), ndims_of(tensor), shape_of(tensor), 0,
			      site);
}

struct bitmem_tensor *bitmem_tensor_clone_at(struct bitmem_tensor *tensor,
					     struct bitmem_site *site)
{
	return clone_of(tensor, bm_site_number(site));
}

struct bitmem_tensor *bitmem_tensor_clone(struct bitmem_tensor *tensor)
{
	return clone_of(tensor, bm_site_of_caller(__builtin_return_address(0)));
}

static struct bitmem_tensor *copy(struct bitmem *ctx, const struct bitmem_tensor *tensor,
				  unsigned int site)
{
	struct bitmem_tensor *new;

	if (!is_live(tensor)) {
		errno = ESTALE;
		return NULL;
	}
	new = bm_tensor_new(ctx, dtype_of(tensor), ndims_of(tensor), shape_of(tensor), site,
			    false);
	if (new)
		memcpy(data_of(new), data_of(tensor), bytes_of(tensor));
	return new;
}

struct bitmem_tensor *bitmem_tensor_copy_at(struct bitmem *ctx, const struct bitmem_tensor *tensor,
					    struct bitmem_site *site)
{
	return copy(ctx, tensor, bm_site_number(site));
}

struct bitmem_tensor *bitmem_tensor_copy(struct bitmem *ctx, const struct bitmem_tensor *tensor)
{
	return copy(ctx, tensor, bm_site_of_caller(__builtin_return_address(0)));
}
