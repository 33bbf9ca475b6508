// SPDX-License-Identifier: GPL-2.0
/*
 * What the cells of a map show, for pools of all sizes: cells ROUNDS
 *
 * Shares: whatever a node has, every cell is somebody's, what there is at all has one, no kind has
 * more than its bytes fill, and none less by more than the kinds that were given one for
 * nothing. Places: every superblock is in one cell, in their order, and a cell shows what most
 * of its own are. Prints what is wrong; fails if anything was.
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

#define PLACES 5000

/* Runs of up to 40 superblocks, of few kinds, so that cells have several. Returns how many. */
static size_t some_runs(struct map_node *node, struct map_run *runs, struct map_cell *all)
{
	size_t n = 0;

	node->n_runs = 0;
	while (n < PLACES && rand() % 500) {
		struct map_run *run = &runs[node->n_runs++];

		*run = (struct map_run){.kind = (unsigned int)rand() % 4 * 5};
		run->is.split = rand() % 4 == 0;
		run->is.count = run->is.split ? 1 : 1 + (uint64_t)rand() % 40;
		if (run->is.count > PLACES - n)
			run->is.count = PLACES - n;
		for (uint64_t i = 0; i < run->is.count; i++)
			all[n++] = (struct map_cell){.kind = run->kind, .split = run->is.split};
	}
	node->superblocks = n;
	return n;
}

/* Is it what most of @n superblocks are? */
static int is_most(struct map_cell cell, const struct map_cell *of, size_t n)
{
	size_t kinds[MAP_KINDS] = {0};
	size_t split = 0;

	for (size_t i = 0; i < n; i++) {
		kinds[of[i].kind]++;
		split += of[i].kind == cell.kind && of[i].split;
	}
	for (unsigned int kind = 0; kind < MAP_KINDS; kind++) {
		if (kinds[kind] > kinds[cell.kind])
			return 0;
	}
	return kinds[cell.kind] && cell.split == (2 * split > kinds[cell.kind]);
}

static int check_places(struct map *map, size_t most)
{
	static struct map_cell all[2 * PLACES];
	static struct map_run runs[PLACES];
	struct map_node node = {.runs = runs};
	size_t n = some_runs(&node, runs, all);
	size_t missing = (size_t)rand() % 3 * ((size_t)rand() % PLACES), per_cell, total;
	struct map_walk walk;
	int wrong = 0;

	if (!n)
		return 0;
	map->nodes = &node;
	missing = missing > PLACES ? PLACES : missing;
	node.bytes[MAP_MISSING] = missing * SUPERBLOCK;
	for (size_t i = 0; i < missing; i++)
		all[n++] = (struct map_cell){.kind = MAP_MISSING};
	per_cell = (size_t)(map_unit(map, most) / SUPERBLOCK);
	total = map_walk_begin(&walk, map, &node, per_cell * SUPERBLOCK);
	wrong |= total > most || total != (n + per_cell - 1) / per_cell;
	for (size_t i = 0; i < total; i++) {
		size_t left = n - i * per_cell;

		wrong |= !is_most(map_walk_next(&walk), all + i * per_cell,
				  left < per_cell ? left : per_cell);
	}
	if (wrong)
		printf("%zu superblocks, %zu cells of %zu wanted\n", n, total, most);
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
		map.nodes = &node;
		wrong |= check(&map, (size_t)(rand() % 2000 + 1));
		if (i % 50 == 0)
			wrong |= check_places(&map, (size_t)(rand() % 2000 + 1));
	}
	return wrong || rounds <= 0;
}
