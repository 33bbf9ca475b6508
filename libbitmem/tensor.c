/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tensors: an element type and a shape on memory, reference-counted.
 *
 * A tensor owns a block, owns a part of a segment, or is a view: a view holds
 * the tensor that owns the memory, never another view, so that chains of views
 * keep nothing else alive. What the tensor holds, holds the context.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "context.h"
#include "segment.h"

enum tensor_kind {
	TENSOR_BLOCK,
	TENSOR_SEGMENT,
	TENSOR_VIEW,
};

struct bitmem_tensor {
	atomic_size_t refs;
	union {
		struct bitmem *ctx;	    /* TENSOR_BLOCK */
		struct bm_segment *segment; /* TENSOR_SEGMENT */
		struct bitmem_tensor *root; /* TENSOR_VIEW */
	};
	void *data;
	size_t bytes;
	uint16_t dtype;
	uint8_t ndims;
	uint8_t kind;
	uint64_t shape[];
};

/* A record with one reference, to be finished by the caller. */
static struct bitmem_tensor *record_new(enum tensor_kind kind, enum bitmem_dtype dtype,
					unsigned int ndims, const uint64_t *shape, size_t bytes)
{
	struct bitmem_tensor *tensor = malloc(sizeof(*tensor) + ndims * sizeof(*shape));

	if (!tensor)
		return NULL;
	atomic_init(&tensor->refs, 1);
	tensor->bytes = bytes;
	tensor->dtype = (uint16_t)dtype;
	tensor->ndims = (uint8_t)ndims;
	tensor->kind = (uint8_t)kind;
	if (ndims)
		memcpy(tensor->shape, shape, ndims * sizeof(*shape));
	return tensor;
}

/* Bytes of a tensor whose last dimension runs fastest. 0 or -errno. */
static int tensor_size(enum bitmem_dtype dtype, unsigned int ndims, const uint64_t *shape,
		       size_t *size)
{
	uint64_t bytes;
	int ret;

	if (ndims && !shape)
		return -EINVAL;
	ret = bitmem_dtype_bytes(dtype, ndims, shape, ndims ? ndims - 1 : 0, &bytes);
	if (ret)
		return ret;
	if (bytes > SIZE_MAX)
		return -EOVERFLOW;
	*size = (size_t)bytes;
	return 0;
}

struct bitmem_tensor *bitmem_tensor_new(struct bitmem *ctx, enum bitmem_dtype dtype,
					unsigned int ndims, const uint64_t *shape)
{
	struct bitmem_tensor *tensor;
	size_t bytes;
	int ret;

	ret = tensor_size(dtype, ndims, shape, &bytes);
	if (ret) {
		errno = -ret;
		return NULL;
	}
	tensor = record_new(TENSOR_BLOCK, dtype, ndims, shape, bytes);
	if (!tensor)
		return NULL;
	tensor->data = bm_block_alloc(ctx, bytes, BM_ALIGN_MIN, BM_OWNER_TENSOR,
				      bm_meta_size(tensor));
	if (!tensor->data) {
		free(tensor);
		errno = ENOMEM;
		return NULL;
	}
	tensor->ctx = bm_context_ref(ctx);
	return tensor;
}

struct bitmem_tensor *bm_tensor_on_segment(struct bitmem *ctx, struct bm_segment *segment,
					   size_t offset, size_t bytes, enum bitmem_dtype dtype,
					   unsigned int ndims, const uint64_t *shape)
{
	struct bitmem_tensor *tensor;

	tensor = record_new(TENSOR_SEGMENT, dtype, ndims, shape, bytes);
	if (!tensor)
		return NULL;
	tensor->segment = bm_segment_ref(segment);
	tensor->data = (char *)segment->range.addr + offset;
	pthread_mutex_lock(&ctx->lock);
	bm_count_alloc(&ctx->counters, bytes, bm_meta_size(tensor));
	pthread_mutex_unlock(&ctx->lock);
	return tensor;
}

/* The context of a tensor that owns memory. */
static struct bitmem *context_of(const struct bitmem_tensor *root)
{
	return root->kind == TENSOR_BLOCK ? root->ctx : root->segment->ctx;
}

/* A view came to be (@n is 1) or went (-1), with its record of @meta bytes. */
static void count_view(const struct bitmem_tensor *root, int n, size_t meta)
{
	struct bitmem *ctx = context_of(root);

	pthread_mutex_lock(&ctx->lock);
	ctx->counters.views += (uint64_t)(int64_t)n;
	ctx->counters.meta_bytes += (uint64_t)((int64_t)n * (int64_t)meta);
	pthread_mutex_unlock(&ctx->lock);
}

struct bitmem_tensor *bitmem_tensor_view(struct bitmem_tensor *tensor, enum bitmem_dtype dtype,
					 unsigned int ndims, const uint64_t *shape, size_t offset)
{
	struct bitmem_tensor *view;
	size_t bytes;
	int ret;

	ret = tensor_size(dtype, ndims, shape, &bytes);
	if (!ret && (offset > tensor->bytes || bytes > tensor->bytes - offset))
		ret = -EINVAL;
	if (ret) {
		errno = -ret;
		return NULL;
	}
	view = record_new(TENSOR_VIEW, dtype, ndims, shape, bytes);
	if (!view)
		return NULL;
	view->root = bitmem_tensor_ref(tensor->kind == TENSOR_VIEW ? tensor->root : tensor);
	view->data = (char *)tensor->data + offset;
	count_view(view->root, 1, bm_meta_size(view));
	return view;
}

struct bitmem_tensor *bitmem_tensor_ref(struct bitmem_tensor *tensor)
{
	if (tensor)
		atomic_fetch_add_explicit(&tensor->refs, 1, memory_order_relaxed);
	return tensor;
}

static void free_block(struct bitmem_tensor *tensor)
{
	struct bitmem *ctx = tensor->ctx;

	bm_block_free(ctx, tensor->data, BM_OWNER_TENSOR, bm_meta_size(tensor));
	free(tensor);
	bm_context_unref(ctx);
}

static void free_segment(struct bitmem_tensor *tensor)
{
	struct bm_segment *segment = tensor->segment;
	struct bitmem *ctx = segment->ctx;

	pthread_mutex_lock(&ctx->lock);
	bm_count_free(&ctx->counters, tensor->bytes, bm_meta_size(tensor));
	pthread_mutex_unlock(&ctx->lock);
	free(tensor);
	bm_segment_unref(segment);
}

void bitmem_tensor_unref(struct bitmem_tensor *tensor)
{
	struct bitmem_tensor *root;

	if (!tensor || atomic_fetch_sub_explicit(&tensor->refs, 1, memory_order_acq_rel) != 1)
		return;
	switch ((enum tensor_kind)tensor->kind) {
	case TENSOR_BLOCK:
		free_block(tensor);
		break;
	case TENSOR_SEGMENT:
		free_segment(tensor);
		break;
	case TENSOR_VIEW:
		root = tensor->root;
		count_view(root, -1, bm_meta_size(tensor));
		free(tensor);
		bitmem_tensor_unref(root);
		break;
	}
}

void bitmem_tensor_unrefp(struct bitmem_tensor **tensor)
{
	bitmem_tensor_unref(*tensor);
	*tensor = NULL;
}

void *bitmem_tensor_data(const struct bitmem_tensor *tensor)
{
	return tensor->data;
}

size_t bitmem_tensor_bytes(const struct bitmem_tensor *tensor)
{
	return tensor->bytes;
}

enum bitmem_dtype bitmem_tensor_dtype(const struct bitmem_tensor *tensor)
{
	return (enum bitmem_dtype)tensor->dtype;
}

unsigned int bitmem_tensor_ndims(const struct bitmem_tensor *tensor)
{
	return tensor->ndims;
}

const uint64_t *bitmem_tensor_shape(const struct bitmem_tensor *tensor)
{
	return tensor->shape;
}
