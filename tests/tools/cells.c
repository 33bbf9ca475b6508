// SPDX-License-Identifier: GPL-2.0
/*
 * How a map shares cells out, for pools of all sizes: cells ROUNDS
 *
 * Whatever a node has, every cell is somebody's, what there is at all has one, no kind has
 * more than its bytes fill, and none less by more than the kinds that were given one for
 * nothing. Prints what is wrong; fails if anything was.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../tools/map.h"

#define SUPERBLOCK ((uint64_t)2 << 20)

static uint64_t some_bytes(void)
{
	/* Of every magnitude up to 4 TiB, in pages; often nothing. */
	uint64_t pages = (uint64_t)rand() << (rand() % 31) >> 30;

	return rand() % 3 ? pages << 12 : 0;
}

static int check(const struct map *map, size_t most)
{
	const struct map_node *node = map->nodes;
	uint64_t unit = map_unit(map, most);
	size_t cells[MAP_KINDS];
	size_t total = map_share(node, unit, cells);
	size_t sum = 0;
	int wrong = 0;

	wrong |= unit % SUPERBLOCK || ((unit / SUPERBLOCK) & (unit / SUPERBLOCK - 1));
	wrong |= (total > most && total > MAP_KINDS) || total * unit < map_node_bytes(node);
	for (unsigned int i = 0; i < MAP_KINDS; i++) {
		uint64_t full = (node->bytes[i] + unit - 1) / unit;

		sum += cells[i];
		wrong |= !cells[i] != !node->bytes[i] || cells[i] > full ||
			 cells[i] + MAP_KINDS < full;
	}
	wrong |= sum != total;
	if (wrong)
		printf("unit %llu, %zu cells of %zu wanted, %zu shared out\n",
		       (unsigned long long)unit, total, most, sum);
	return wrong;
}

int main(int argc, char **argv)
{
	int rounds = argc == 2 ? atoi(argv[1]) : 0;
	struct map_node node = {0};
	struct map map = {.nodes = &node, .n_nodes = 1, .superblock = SUPERBLOCK};
	int wrong = 0;

	srand(1);
	for (int i = 0; i < rounds; i++) {
		for (unsigned int kind = 0; kind < MAP_KINDS; kind++)
			node.bytes[kind] = some_bytes();
		wrong |= check(&map, (size_t)(rand() % 2000 + 1));
	}
	return wrong || rounds <= 0;
}
