/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chains, in arrays that double when they have as many nodes as buckets, and halve when
 * they have eight times the buckets. Where there is no memory for another array, the one there
 * is goes on.
 */
#include <stdlib.h>

#include "hash.h"
#include "util.h"

#define MIN_SIZE ((size_t)8)

uint64_t bm_hash_of_pointer(const void *pointer)
{
	const uint64_t product = (uint64_t)(uintptr_t)pointer * UINT64_C(0x9e3779b97f4a7c15);

	return product ^ product >> 32;
}

/* FNV-1a */
uint64_t bm_hash_of_text(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	while (*text)
		hash = (hash ^ (unsigned char)*text++) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}

static void insert(struct bm_hash *table, struct bm_hash_node *node)
{
	struct bm_hash_node **bucket = &table->buckets[node->hash & (table->size - 1)];

	node->next = *bucket;
	*bucket = node;
}

/* Moves what is in one bucket, the last first, so that equal hashes stay in their order. */
static void move_bucket(struct bm_hash *table, struct bm_hash_node *node)
{
	struct bm_hash_node *reversed = NULL, *next;

	for (; node; node = next) {
		next = node->next;
		node->next = reversed;
		reversed = node;
	}
	for (; reversed; reversed = next) {
		next = reversed->next;
		insert(table, reversed);
	}
}

static void resize(struct bm_hash *table, size_t size, uint64_t *meta)
{
	struct bm_hash old = *table;

	table->buckets = calloc(size, sizeof(*table->buckets));
	if (!table->buckets) {
		table->buckets = old.buckets;
		return;
	}
	table->size = size;
	*meta += bm_meta_size(table->buckets);
	for (size_t i = 0; i < old.size; i++)
		move_bucket(table, old.buckets[i]);
	if (old.buckets)
		*meta -= bm_meta_size(old.buckets);
	free(old.buckets);
}

bool bm_hash_add(struct bm_hash *table, struct bm_hash_node *node, uint64_t hash, uint64_t *meta)
{
	if (table->n >= table->size)
		resize(table, table->size ? 2 * table->size : MIN_SIZE, meta);
	if (!table->size)
		return false;
	node->hash = hash;
	insert(table, node);
	table->n++;
	return true;
}

void bm_hash_remove(struct bm_hash *table, struct bm_hash_node *node, uint64_t *meta)
{
	struct bm_hash_node **link = &table->buckets[node->hash & (table->size - 1)];

	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
	if (!--table->n) {
		*meta -= bm_meta_size(table->buckets);
		free(table->buckets);
		*table = (struct bm_hash) { 0 };
	} else if (table->size > MIN_SIZE && table->n <= table->size / 8) {
		resize(table, table->size / 2, meta);
	}
}

static struct bm_hash_node *first_of(struct bm_hash_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct bm_hash_node *bm_hash_first(const struct bm_hash *table, uint64_t hash)
{
	return table->n ? first_of(table->buckets[hash & (table->size - 1)], hash) : NULL;
}

struct bm_hash_node *bm_hash_next(const struct bm_hash_node *node)
{
	return first_of(node->next, node->hash);
}

struct bm_hash_node *bm_hash_each(const struct bm_hash *table, const struct bm_hash_node *after)
{
	size_t i = 0;

	if (after && after->next)
		return after->next;
	if (after)
		i = (after->hash & (table->size - 1)) + 1;
	while (i < table->size && !table->buckets[i])
		i++;
	return i < table->size ? table->buckets[i] : NULL;
}
