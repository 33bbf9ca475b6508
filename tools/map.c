// SPDX-License-Identifier: GPL-2.0
/*
 * Counters and the list of buffers are not read at one instant. They are read again while
 * they do not fit together; what does not fit in the end is cut off.
 */
#include "map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "text.h"

#define ATTEMPTS 5

/* --- pools --- */

static struct map_node *find_node(struct map *map, uint32_t node)
{
	for (size_t i = 0; i < map->n_nodes; i++) {
		if (map->nodes[i].node == node)
			return &map->nodes[i];
	}
	return NULL;
}

/* "pool 0" becomes "pools 0, 2". */
static int name_pool(struct map_node *node, uint32_t index)
{
	char *name;
	int n;

	if (node->pools)
		n = asprintf(&name, "pools %s, %u", strchr(node->pools, ' ') + 1, index);
	else
		n = asprintf(&name, "pool %u", index);
	if (n < 0)
		return -1;
	free(node->pools);
	node->pools = name;
	return 0;
}

static int add_pool(struct map *map, const struct bitmem_pool_info *pool)
{
	struct map_node *node = find_node(map, (uint32_t)pool->out_node);
	struct map_node *nodes;

	if (!node) {
		nodes = reallocarray(map->nodes, map->n_nodes + 1, sizeof(*nodes));
		if (!nodes)
			return -1;
		map->nodes = nodes;
		node = &nodes[map->n_nodes++];
		*node = (struct map_node){.node = (uint32_t)pool->out_node};
	}
	node->capacity += pool->out_capacity;
	node->free += pool->out_zeroed + pool->out_dirty;
	node->whole += pool->out_largest;
	node->split += pool->out_split;
	node->bytes[MAP_UNSEEN] += pool->out_allocated;
	node->bytes[MAP_QUARANTINED] += pool->out_quarantined;
	node->bytes[MAP_RETIRED] += pool->out_retired;
	node->bytes[MAP_DIRTY] += pool->out_dirty;
	node->bytes[MAP_ZEROED] += pool->out_zeroed;
	if (pool->out_target > pool->out_capacity)
		node->bytes[MAP_MISSING] += pool->out_target - pool->out_capacity;
	return name_pool(node, pool->index);
}

/* --- owners --- */

static int compare_bytes(const void *a, const void *b)
{
	const struct owner *first = a;
	const struct owner *second = b;

	if (first->bytes != second->bytes)
		return first->bytes < second->bytes ? 1 : -1;
	return (first->file > second->file) - (first->file < second->file);
}

static char *name_owner(const struct owner *owner)
{
	char *who;
	char *text;
	int n;

	if (!owner->pid)
		n = asprintf(&who, "file %" PRIu64, owner->file);
	else
		n = asprintf(&who, "%s%spid %u, file %" PRIu64, owner->comm,
			     *owner->comm ? ", " : "", owner->pid, owner->file);
	if (n < 0)
		return NULL;
	n = asprintf(&text, "%s%s%s%s", who, owner->closed ? ", closed" : "",
		     *owner->tag ? ": " : "", owner->tag);
	free(who);
	if (n < 0)
		return NULL;
	who = text_escape(text);
	free(text);
	return who;
}

/* What @owner has on each node is taken out of what is not told by whom. */
static void add_owner(struct map *map, const struct owner *owner, unsigned int kind)
{
	for (size_t i = 0; i < map->n_nodes; i++) {
		struct map_node *node = &map->nodes[i];
		uint64_t bytes = owner->nodes[node->node];

		if (bytes > node->bytes[MAP_UNSEEN])
			bytes = node->bytes[MAP_UNSEEN];
		node->bytes[kind] += bytes;
		node->bytes[MAP_UNSEEN] -= bytes;
	}
}

static int add_owners(struct map *map, struct owners *owners)
{
	if (owners->n)
		qsort(owners->list, owners->n, sizeof(*owners->list), compare_bytes);
	for (size_t i = 0; i < owners->n; i++) {
		unsigned int kind = i < MAP_OWNERS ? (unsigned int)i : MAP_OTHERS;

		add_owner(map, &owners->list[i], kind);
		if (kind == MAP_OTHERS)
			continue;
		map->files[i] = owners->list[i].file;
		map->legend[kind].text = name_owner(&owners->list[i]);
		if (!map->legend[kind].text)
			return -1;
	}
	return 0;
}

/* --- the whole --- */

static int add_legend(struct map *map)
{
	static const char *const texts[MAP_KINDS] = {
		[MAP_OTHERS] = "other files",
		[MAP_UNSEEN] = "allocated, not told by whom",
		[MAP_MIXED] = "split among several files",
		[MAP_QUARANTINED] = "quarantined: given back, but still referenced",
		[MAP_RETIRED] = "retired: hardware-poisoned",
		[MAP_DIRTY] = "free, to be zeroed",
		[MAP_ZEROED] = "free, zeroed",
		[MAP_MISSING] = "missing from the target",
	};

	for (unsigned int kind = 0; kind < MAP_KINDS; kind++) {
		for (size_t i = 0; i < map->n_nodes; i++)
			map->legend[kind].bytes += map->nodes[i].bytes[kind];
		map->legend[kind].shown = map->legend[kind].bytes;
		if (!texts[kind])
			continue;
		map->legend[kind].text = strdup(texts[kind]);
		if (!map->legend[kind].text)
			return -1;
	}
	return 0;
}

static int build(const struct device *device, struct map *map, const struct bitmem_pool_info *pools,
		 struct owners *owners)
{
	int err = 0;

	map->superblock = device->info.out_superblock_size;
	for (uint32_t i = 0; i < device->info.out_pools && !err; i++)
		err = add_pool(map, &pools[i]);
	if (!err)
		err = add_owners(map, owners);
	if (!err)
		err = add_legend(map);
	if (!err)
		map_places_assign(map);
	if (err)
		output_error("%s", strerror(ENOMEM));
	return err;
}

/* What pools have allocated: whether it changed while the buffers were listed. */
static bool same_allocated(const struct device *device, const struct bitmem_pool_info *a,
			   const struct bitmem_pool_info *b)
{
	for (uint32_t i = 0; i < device->info.out_pools; i++) {
		if (a[i].out_allocated != b[i].out_allocated || a[i].out_allocs != b[i].out_allocs)
			return false;
	}
	return true;
}

/* What netlink tells, into @owners and @map. 0 or -ENOMEM. */
static int read_told(const struct device *device, struct owners *owners, struct map *map)
{
	int err;

	owners_free(owners);
	err = owners_read(owners, device->info.out_nodes);
	map->owners_error = err;
	if (err)
		owners_why(err, map->why);
	return err == -ENOMEM ? err : map_places_read(map);
}

/* A new array, or NULL after saying on stderr what failed. */
static struct bitmem_pool_info *read_all(const struct device *device, struct owners *owners,
					 struct map *map)
{
	struct bitmem_pool_info *before;
	struct bitmem_pool_info *pools = NULL;
	bool same = false;
	int err;

	for (int i = 0; i < ATTEMPTS && !same; i++) {
		free(pools);
		before = device_pools(device);
		if (!before)
			return NULL;
		err = read_told(device, owners, map);
		pools = err ? NULL : device_pools(device);
		same = pools && same_allocated(device, before, pools);
		free(before);
		if (err)
			output_error("%s", strerror(-err));
		if (!pools) {
			owners_free(owners);
			return NULL;
		}
	}
	return pools;
}

int map_read(const struct device *device, struct map *map)
{
	struct bitmem_pool_info *pools;
	struct owners owners = {0};
	int err;

	*map = (struct map){0};
	pools = read_all(device, &owners, map);
	if (!pools) {
		map_free(map);
		return -1;
	}
	err = build(device, map, pools, &owners);
	free(pools);
	owners_free(&owners);
	if (err)
		map_free(map);
	return err;
}

void map_free(struct map *map)
{
	for (size_t i = 0; i < map->n_nodes; i++)
		free(map->nodes[i].pools);
	free(map->nodes);
	map_places_free(map);
	for (unsigned int i = 0; i < MAP_KINDS; i++)
		free(map->legend[i].text);
	*map = (struct map){0};
}
