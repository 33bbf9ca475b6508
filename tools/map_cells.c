// SPDX-License-Identifier: GPL-2.0
/*
 * What cells show: bytes shared out over them, or superblocks one after the other.
 */
#include "map.h"

#include <math.h>

uint64_t map_node_bytes(const struct map_node *node)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < MAP_KINDS; i++)
		bytes += node->bytes[i];
	return bytes;
}

/* Superblocks that are missing from the target, the last one perhaps in part. */
static uint64_t missing_superblocks(const struct map *map, const struct map_node *node)
{
	return (node->bytes[MAP_MISSING] + map->superblock - 1) / map->superblock;
}

/* What cells are needed for. */
static uint64_t drawn_bytes(const struct map *map, const struct map_node *node)
{
	if (!node->superblocks)
		return map_node_bytes(node);
	return (node->superblocks + missing_superblocks(map, node)) * map->superblock;
}

uint64_t map_unit(const struct map *map, size_t cells)
{
	uint64_t most = 0;
	uint64_t unit = map->superblock;

	for (size_t i = 0; i < map->n_nodes; i++) {
		if (most < drawn_bytes(map, &map->nodes[i]))
			most = drawn_bytes(map, &map->nodes[i]);
	}
	while ((most + unit - 1) / unit > cells)
		unit *= 2;
	return unit;
}

/* Takes a cell from the kind that has most more than its bytes are worth. */
static void take_cell(const struct map_node *node, uint64_t unit, size_t cells[MAP_KINDS])
{
	unsigned int from = 0;
	double most = -INFINITY;

	for (unsigned int i = 0; i < MAP_KINDS; i++) {
		double over = (double)cells[i] - (double)node->bytes[i] / (double)unit;

		if (cells[i] > 1 && over > most) {
			most = over;
			from = i;
		}
	}
	cells[from]--;
}

size_t map_share(const struct map_node *node, uint64_t unit, size_t cells[MAP_KINDS])
{
	size_t total = (size_t)((map_node_bytes(node) + unit - 1) / unit);
	size_t used = 0;
	size_t kinds = 0;

	for (unsigned int i = 0; i < MAP_KINDS; i++) {
		cells[i] = (size_t)((node->bytes[i] + unit - 1) / unit);
		used += cells[i];
		kinds += cells[i] > 0;
	}
	/* Each was rounded up. */
	if (total < kinds)
		total = kinds;
	for (; used > total; used--)
		take_cell(node, unit, cells);
	return total;
}

size_t map_walk_begin(struct map_walk *walk, const struct map *map, const struct map_node *node,
		      uint64_t unit)
{
	*walk = (struct map_walk){.node = node};
	if (!node->superblocks)
		return map_share(node, unit, walk->shares);
	walk->per_cell = unit / map->superblock;
	walk->missing = missing_superblocks(map, node);
	return (size_t)((drawn_bytes(map, node) + unit - 1) / unit);
}

static struct map_cell next_share(struct map_walk *walk)
{
	unsigned int kind = 0;

	while (!walk->shares[kind])
		kind++;
	walk->shares[kind]--;
	return (struct map_cell){.kind = kind};
}

/* The superblocks of the next cell by kind, of each how many, and how many of them are split. */
static void count_places(struct map_walk *walk, uint64_t all[MAP_KINDS], uint64_t split[MAP_KINDS])
{
	uint64_t left = walk->per_cell;

	while (left && walk->run < walk->node->n_runs) {
		const struct map_run *run = &walk->node->runs[walk->run];
		uint64_t n = run->is.count - walk->done;

		if (n > left)
			n = left;
		all[run->kind] += n;
		split[run->kind] += run->is.split ? n : 0;
		left -= n;
		walk->done += n;
		if (walk->done == run->is.count) {
			walk->run++;
			walk->done = 0;
		}
	}
	if (left > walk->missing)
		left = walk->missing;
	all[MAP_MISSING] += left;
	walk->missing -= left;
}

struct map_cell map_walk_next(struct map_walk *walk)
{
	uint64_t all[MAP_KINDS] = {0};
	uint64_t split[MAP_KINDS] = {0};
	unsigned int most = 0;

	if (!walk->node->superblocks)
		return next_share(walk);
	count_places(walk, all, split);
	for (unsigned int kind = 1; kind < MAP_KINDS; kind++) {
		if (all[kind] > all[most])
			most = kind;
	}
	return (struct map_cell){.kind = most, .split = 2 * split[most] > all[most]};
}
