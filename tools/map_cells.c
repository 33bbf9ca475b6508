// SPDX-License-Identifier: GPL-2.0
/*
 * Bytes shared out over cells.
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

uint64_t map_unit(const struct map *map, size_t cells)
{
	uint64_t most = 0;
	uint64_t unit = map->superblock;

	for (size_t i = 0; i < map->n_nodes; i++) {
		if (most < map_node_bytes(&map->nodes[i]))
			most = map_node_bytes(&map->nodes[i]);
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
