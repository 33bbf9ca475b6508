/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tensor's record as tensor.c and its neighbours read it.
 *
 * The state is one word, changed by atomic operations alone:
 *
 *	bits 0-7	the element type
 *	bits 8, 9	what kind of tensor it is, of which bit 9 says that it has no block
 *	bit 10		there is something beside the record (side.h); changes under the context's
 *			lock, while there are references
 *	bits 11-31	references; from the highest bit on they are not counted any more
 *
 * With 0 references the record is free, and a handle that leads to it is stale. What drops
 * the last one looks at bits 9 and 10 together: a mark costs those nothing that have none.
 */
#ifndef BITMEM_TENSOR_H
#define BITMEM_TENSOR_H

#include <errno.h>

#include "context.h"

enum tensor_kind {
	TENSOR_BLOCK,
	TENSOR_FAR_BLOCK,
	TENSOR_SEGMENT,
	TENSOR_VIEW,
};

#define DTYPE_MASK	0xffu
#define KIND_SHIFT	8
#define KIND_MASK	3u
#define OTHER_KIND	(2u << KIND_SHIFT) /* set in those of a segment, and in views */
#define MARKED		(1u << 10)
#define REF_SHIFT	11
#define REF		(1u << REF_SHIFT)
/* From here on references are not counted any more, and the tensor stays. */
#define REFS_STUCK	(1u << 31)

#define EXTRA_WORDS	2u

struct bitmem_tensor {
	struct bm_record record;
};

_Static_assert(BITMEM_MAX_DIMS + EXTRA_WORDS <= BM_RECORD_WORDS, "records are long enough");

static inline uint32_t state_of(const struct bitmem_tensor *tensor)
{
	return __atomic_load_n(&tensor->record.state, __ATOMIC_RELAXED);
}

static inline enum tensor_kind kind_of(uint32_t state)
{
	return (enum tensor_kind)(state >> KIND_SHIFT & KIND_MASK);
}

static inline unsigned int extra_of(uint32_t state)
{
	return kind_of(state) == TENSOR_BLOCK ? 0 : EXTRA_WORDS;
}

/* Whether the handle is one of a tensor, as far as can be seen: it may be another one by now. */
static inline bool is_live(const struct bitmem_tensor *tensor)
{
	return state_of(tensor) >= REF;
}

static inline struct bitmem *context_of(const struct bitmem_tensor *tensor)
{
	return bm_record_page(tensor)->ctx;
}

/* What the words of a tensor that is no block of its own are. */
static inline void *holder_of(const struct bitmem_tensor *tensor)
{
	return (void *)(uintptr_t)tensor->record.words[1];
}

static inline unsigned int ndims_of(const struct bitmem_tensor *tensor)
{
	return bm_record_page(tensor)->words - extra_of(state_of(tensor));
}

static inline const uint64_t *shape_of(const struct bitmem_tensor *tensor)
{
	return tensor->record.words + extra_of(state_of(tensor));
}

static inline enum bitmem_dtype dtype_of(const struct bitmem_tensor *tensor)
{
	return (enum bitmem_dtype)(state_of(tensor) & DTYPE_MASK);
}

static inline void *data_of(const struct bitmem_tensor *tensor)
{
	if (extra_of(state_of(tensor)))
		return (void *)(uintptr_t)tensor->record.words[0];
	return bm_record_page(tensor)->base + (size_t)tensor->record.place * BM_ALIGN_MIN;
}

/* Bytes of a tensor whose last dimension runs fastest. 0 or -errno. */
static inline int tensor_size(enum bitmem_dtype dtype, unsigned int ndims, const uint64_t *shape,
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

static inline size_t bytes_of(const struct bitmem_tensor *tensor)
{
	size_t bytes = 0;

	/* It was right when the tensor was made. */
	(void)tensor_size(dtype_of(tensor), ndims_of(tensor), shape_of(tensor), &bytes);
	return bytes;
}

/* Takes a reference. False, and no change, if there is none: the handle is stale. */
static inline bool bm_tensor_try_ref(struct bitmem_tensor *tensor)
{
	uint32_t state = state_of(tensor);

	do {
		if (unlikely(state < REF || state & REFS_STUCK))
			return state >= REF;
	} while (!__atomic_compare_exchange_n(&tensor->record.state, &state, state + REF, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

#endif /* BITMEM_TENSOR_H */
