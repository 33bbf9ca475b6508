/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hash tables of nodes that lie in what they are for. A table has memory only while
 * something is in it, and a node can always be taken out.
 *
 * Who uses one has a lock for it.
 */
#ifndef BITMEM_HASH_H
#define BITMEM_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bm_hash_node {
	struct bm_hash_node *next;	/* in its bucket */
	uint64_t hash;
};

struct bm_hash {
	struct bm_hash_node **buckets;	/* NULL if it is empty */
	size_t size;			/* buckets, a power of two */
	size_t n;			/* nodes */
};

/* Well mixed numbers, as tables need them. */
uint64_t bm_hash_of_pointer(const void *pointer);
uint64_t bm_hash_of_text(const char *text);

/* Puts a node with its hash in. False, and no change, without memory. @meta: as it is counted. */
bool bm_hash_add(struct bm_hash *table, struct bm_hash_node *node, uint64_t hash, uint64_t *meta);
void bm_hash_remove(struct bm_hash *table, struct bm_hash_node *node, uint64_t *meta);

/* The first node of a hash, and the next after one; the latest comes first. NULL: no more. */
struct bm_hash_node *bm_hash_first(const struct bm_hash *table, uint64_t hash);
struct bm_hash_node *bm_hash_next(const struct bm_hash_node *node);

/* All nodes one after the other: the first (NULL), or the next after one. NULL: no more. */
struct bm_hash_node *bm_hash_each(const struct bm_hash *table, const struct bm_hash_node *after);

#endif /* BITMEM_HASH_H */
