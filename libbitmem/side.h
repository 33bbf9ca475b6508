/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What only a few tensors have, beside their records: weak handles, a name, a tag.
 *
 * A tensor that has any of it has an entry here, found by its address, and the mark in its
 * state (tensor.h), by which the last reference knows. It takes the entry away before the
 * record may become another tensor's: so while there is an entry, and the lock is held, the
 * record is the tensor's that it was made for, though its references may be 0 by then.
 *
 * All of it is guarded by the context's lock.
 */
#ifndef BITMEM_SIDE_H
#define BITMEM_SIDE_H

#include "hash.h"

struct bitmem;
struct bitmem_tensor;

struct bm_name {
	struct bm_hash_node node;	/* by its text */
	struct bm_side *side;
	char text[];
};

/* One for all tensors that have it. */
struct bm_tag {
	struct bm_hash_node node;	/* by its text */
	size_t refs;
	char text[];
};

struct bm_side {
	struct bm_hash_node node;	/* by the tensor */
	struct bitmem_tensor *tensor;
	uint64_t generation;		/* what its weak handles have; 0: there are none */
	struct bm_name *name;		/* NULL: none */
	struct bm_tag *tag;		/* NULL: none */
};

static inline struct bm_side *bm_side_of(const struct bm_hash_node *node)
{
	return (struct bm_side *)((uintptr_t)node - offsetof(struct bm_side, node));
}

/* Of a context. */
struct bm_sides {
	struct bm_hash tensors, names, tags;
	uint64_t generations;		/* so many were there */
};

/* --- with the lock held --- */

/* A tensor's entry, or NULL. */
struct bm_side *bm_side_find(const struct bitmem *ctx, const struct bitmem_tensor *tensor);
/* The same, made if there is none. -ESTALE if the handle is, -ENOMEM. */
int bm_side_get(struct bitmem *ctx, struct bitmem_tensor *tensor, struct bm_side **side);
/* An entry in which nothing is goes. */
void bm_side_tidy(struct bitmem *ctx, struct bm_side *side);

/* --- without --- */

/* The end of a marked tensor: its references are 0, its record is still its own. */
void bm_side_drop(struct bitmem *ctx, struct bitmem_tensor *tensor);

#endif /* BITMEM_SIDE_H */
