/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Views with another shape of the same elements, or of some that lie together.
 *
 * Where a size is a rule of its own (block_bits is 0), rows may be laid out by their length,
 * and the scale lies behind all of them: such a tensor keeps its rows, and is sliced as a
 * whole only.
 */
#include <inttypes.h>

#include <bitmem/lifetime.h>

#include "site.h"
#include "tensor.h"

#undef bitmem_tensor_reshape
#undef bitmem_tensor_slice
#undef bitmem_tensor_part

/* The elements of a shape, or -1 if there are too many. */
static int count_elements(unsigned int ndims, const uint64_t *shape, uint64_t *n)
{
	bool overflow = false;

	*n = 1;
	for (unsigned int i = 0; i < ndims; i++) {
		if (!shape[i]) {
			*n = 0;
			return 0;
		}
	}
	for (unsigned int i = 0; i < ndims; i++)
		overflow |= __builtin_mul_overflow(*n, shape[i], n);
	return overflow ? -1 : 0;
}

static int stale(struct bitmem_error *error)
{
	return bm_error(error, -ESTALE, "the tensor was dropped");
}

/* A view, or NULL with words. */
static struct bitmem_tensor *make_view(struct bitmem_tensor *tensor, unsigned int ndims,
				       const uint64_t *shape, size_t offset, unsigned int site,
				       struct bitmem_error *error)
{
	struct bitmem_tensor *view = bm_tensor_view(tensor, dtype_of(tensor), ndims, shape,
						    offset, site);

	if (!view && errno == ESTALE)
		stale(error);
	else if (!view && errno == ENOMEM)
		bm_error(error, -ENOMEM, "out of memory");
	else if (!view)
		bm_error(error, -errno, "the shape is none of type %s",
			 bitmem_dtype_info(dtype_of(tensor))->name);
	return view;
}

/* --- reshape --- */

/* Copies a shape, with the dimension that is to follow from the others worked out. 0 or -errno. */
static int complete(unsigned int ndims, const uint64_t *from, uint64_t elements, uint64_t *shape,
		    struct bitmem_error *error)
{
	unsigned int open = ndims;
	uint64_t others;

	for (unsigned int i = 0; i < ndims; i++) {
		shape[i] = from[i];
		if (from[i] != BITMEM_INFER)
			continue;
		if (open < ndims)
			return bm_error(error, -EINVAL,
					"shape[%u]: shape[%u] is left open as well", i, open);
		open = i;
		shape[i] = 1;
	}
	if (count_elements(ndims, shape, &others))
		return bm_error(error, -EINVAL, "shape: has more than %" PRIu64 " elements",
				elements);
	if (open < ndims) {
		if (!others || elements % others)
			return bm_error(error, -EINVAL,
					"shape[%u]: %" PRIu64 " elements are no multiple of %"
					PRIu64, open, elements, others);
		shape[open] = elements / others;
	} else if (others != elements) {
		return bm_error(error, -EINVAL, "shape: has %" PRIu64 " elements, not %" PRIu64,
				others, elements);
	}
	return 0;
}

/* Whether rows of @ndims dimensions are as long as the tensor's. */
static bool keeps_rows(const struct bitmem_tensor *tensor, unsigned int ndims,
		       const uint64_t *shape)
{
	const unsigned int old = ndims_of(tensor);

	return ndims && old && shape[ndims - 1] == shape_of(tensor)[old - 1];
}

static struct bitmem_tensor *reshape(struct bitmem_tensor *tensor, unsigned int ndims,
				     const uint64_t *shape, struct bitmem_error *error,
				     unsigned int site)
{
	uint64_t elements, full[BITMEM_MAX_DIMS];
	const struct bitmem_dtype_info *info;

	if (!is_live(tensor)) {
		stale(error);
		return NULL;
	}
	if (ndims > BITMEM_MAX_DIMS || (ndims && !shape)) {
		bm_error(error, -EINVAL, "shape: %u dimensions%s", ndims,
			 ndims > BITMEM_MAX_DIMS ? "" : ", and none given");
		return NULL;
	}
	(void)count_elements(ndims_of(tensor), shape_of(tensor), &elements);
	if (complete(ndims, shape, elements, full, error))
		return NULL;
	info = bitmem_dtype_info(dtype_of(tensor));
	if (!info->block_bits && !keeps_rows(tensor, ndims, full)) {
		bm_error(error, -EINVAL, "shape: the rows of type %s keep their length",
			 info->name);
		return NULL;
	}
	return make_view(tensor, ndims, full, 0, site, error);
}

struct bitmem_tensor *bitmem_tensor_reshape_at(struct bitmem_tensor *tensor, unsigned int ndims,
					       const uint64_t *shape, struct bitmem_error *error,
					       struct bitmem_site *site)
{
	return reshape(tensor, ndims, shape, error, bm_site_number(site));
}

struct bitmem_tensor *bitmem_tensor_reshape(struct bitmem_tensor *tensor, unsigned int ndims,
					    const uint64_t *shape, struct bitmem_error *error)
{
	return reshape(tensor, ndims, shape, error,
		       bm_site_of_caller(__builtin_return_address(0)));
}

/* --- slices --- */

/* What is to be cut out of a tensor. */
struct cut {
	unsigned int ndims;
	const uint64_t *shape, *start, *count;
	uint64_t first, n;	/* elements before it, and in it, if they lie together */
};

/* Whether the cut lies in the tensor. */
static int check_inside(const struct cut *cut, struct bitmem_error *error)
{
	for (unsigned int i = 0; i < cut->ndims; i++) {
		if (cut->start[i] > cut->shape[i] || cut->count[i] > cut->shape[i] - cut->start[i])
			return bm_error(error, -EINVAL,
					"dimension %u: %" PRIu64 " from %" PRIu64 " of %" PRIu64,
					i, cut->count[i], cut->start[i], cut->shape[i]);
	}
	return 0;
}

/*
 * Works out where the elements lie. From the slowest dimension on there may be such of which
 * one element is taken, then one of which a part is, and the rest must be whole.
 */
static int locate(struct cut *cut, struct bitmem_error *error)
{
	bool parted = false;

	(void)count_elements(cut->ndims, cut->count, &cut->n);
	cut->first = 0;
	if (!cut->n)
		return 0;
	for (unsigned int i = 0; i < cut->ndims; i++) {
		if (parted && cut->count[i] != cut->shape[i])
			return bm_error(error, -EINVAL, "dimension %u: %" PRIu64 " of %" PRIu64
					" do not lie together with the slower ones' parts",
					i, cut->count[i], cut->shape[i]);
		parted |= cut->count[i] > 1;
		cut->first = cut->first * cut->shape[i] + cut->start[i];
	}
	return 0;
}

/* The byte where the cut begins. It begins and ends where bytes and blocks do. */
static int find_offset(const struct cut *cut, const struct bitmem_dtype_info *info, uint64_t all,
		       size_t *offset, struct bitmem_error *error)
{
	const uint64_t unit = info->block_elements, end = cut->first + cut->n;
	const uint64_t bits = cut->first / unit * info->block_bits;

	*offset = 0;
	if (!cut->n || cut->n == all)
		return 0;
	if (!info->block_bits)
		return bm_error(error, -EINVAL, "type %s: its scale is behind the whole tensor",
				info->name);
	if (cut->first % unit || bits % 8)
		return bm_error(error, -EINVAL,
				"type %s: element %" PRIu64 " does not begin a byte or block",
				info->name, cut->first);
	if (end != all && (end % unit || end / unit * info->block_bits % 8))
		return bm_error(error, -EINVAL,
				"type %s: element %" PRIu64 " does not begin a byte or block",
				info->name, end);
	*offset = (size_t)(bits / 8);
	return 0;
}

static struct bitmem_tensor *part(struct bitmem_tensor *tensor, const uint64_t *start,
				  const uint64_t *count, struct bitmem_error *error,
				  unsigned int site)
{
	struct cut cut = { .start = start, .count = count };
	uint64_t all;
	size_t offset;

	if (!is_live(tensor)) {
		stale(error);
		return NULL;
	}
	cut.ndims = ndims_of(tensor);
	cut.shape = shape_of(tensor);
	if (cut.ndims && (!start || !count)) {
		bm_error(error, -EINVAL, "%s: none given", start ? "count" : "start");
		return NULL;
	}
	(void)count_elements(cut.ndims, cut.shape, &all);
	if (check_inside(&cut, error) || locate(&cut, error) ||
	    find_offset(&cut, bitmem_dtype_info(dtype_of(tensor)), all, &offset, error))
		return NULL;
	return make_view(tensor, cut.ndims, count, offset, site, error);
}

struct bitmem_tensor *bitmem_tensor_part_at(struct bitmem_tensor *tensor, const uint64_t *start,
					    const uint64_t *count, struct bitmem_error *error,
					    struct bitmem_site *site)
{
	return part(tensor, start, count, error, bm_site_number(site));
}

struct bitmem_tensor *bitmem_tensor_part(struct bitmem_tensor *tensor, const uint64_t *start,
					 const uint64_t *count, struct bitmem_error *error)
{
	return part(tensor, start, count, error, bm_site_of_caller(__builtin_return_address(0)));
}

static struct bitmem_tensor *slice(struct bitmem_tensor *tensor, uint64_t start, uint64_t count,
				   struct bitmem_error *error, unsigned int site)
{
	uint64_t starts[BITMEM_MAX_DIMS] = { start }, counts[BITMEM_MAX_DIMS] = { count };
	unsigned int ndims;

	if (!is_live(tensor)) {
		stale(error);
		return NULL;
	}
	ndims = ndims_of(tensor);
	if (!ndims) {
		bm_error(error, -EINVAL, "a tensor without dimensions has no slices");
		return NULL;
	}
	for (unsigned int i = 1; i < ndims; i++)
		counts[i] = shape_of(tensor)[i];
	return part(tensor, starts, counts, error, site);
}

struct bitmem_tensor *bitmem_tensor_slice_at(struct bitmem_tensor *tensor, uint64_t start,
					     uint64_t count, struct bitmem_error *error,
					     struct bitmem_site *site)
{
	return slice(tensor, start, count, error, bm_site_number(site));
}

struct bitmem_tensor *bitmem_tensor_slice(struct bitmem_tensor *tensor, uint64_t start,
					  uint64_t count, struct bitmem_error *error)
{
	return slice(tensor, start, count, error, bm_site_of_caller(__builtin_return_address(0)));
}
