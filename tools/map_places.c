// SPDX-License-Identifier: GPL-2.0
/*
 * Superblocks, as the kernel tells root of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

static int take_superblock(const struct bitmem_nl_superblock *superblock, void *data)
{
	struct map *map = data;
	struct map_run *runs = map->runs;

	/* As many more whenever their number is a power of two. */
	if (!(map->n_runs & (map->n_runs - 1))) {
		runs = reallocarray(runs, map->n_runs ? 2 * map->n_runs : 1, sizeof(*runs));
		if (!runs)
			return -ENOMEM;
		map->runs = runs;
	}
	runs[map->n_runs++] = (struct map_run){.is = *superblock};
	return 0;
}

int map_places_read(struct map *map)
{
	map_places_free(map);
	map->places = bitmem_nl_superblocks(take_superblock, map);
	if (map->places)
		map_places_free(map);
	return map->places == -ENOMEM ? -ENOMEM : 0;
}

static int compare_runs(const void *a, const void *b)
{
	const struct bitmem_nl_superblock *first = &((const struct map_run *)a)->is;
	const struct bitmem_nl_superblock *second = &((const struct map_run *)b)->is;

	if (first->node != second->node)
		return first->node < second->node ? -1 : 1;
	if (first->pool != second->pool)
		return first->pool < second->pool ? -1 : 1;
	return (first->index > second->index) - (first->index < second->index);
}

static unsigned int kind_of_file(const struct map *map, uint64_t file)
{
	for (unsigned int i = 0; i < MAP_OWNERS; i++) {
		if (map->files[i] == file)
			return MAP_OWNER_FIRST + i;
	}
	return MAP_OTHERS;
}

/* What is used is shown before what is free, however little it is. */
static unsigned int kind_of_place(const struct map *map, const struct bitmem_nl_superblock *is)
{
	if (is->allocated && is->file)
		return kind_of_file(map, is->file);
	if (is->allocated)
		return is->split ? MAP_MIXED : MAP_UNSEEN;
	if (is->quarantined)
		return MAP_QUARANTINED;
	if (is->retired)
		return MAP_RETIRED;
	return is->dirty > is->zeroed ? MAP_DIRTY : MAP_ZEROED;
}

void map_places_assign(struct map *map)
{
	size_t at = 0;

	if (map->n_runs)
		qsort(map->runs, map->n_runs, sizeof(*map->runs), compare_runs);
	for (size_t i = 0; i < map->n_runs; i++) {
		struct map_run *run = &map->runs[i];
		struct map_legend *legend;

		run->kind = kind_of_place(map, &run->is);
		legend = &map->legend[run->kind];
		legend->shown = true;
		if (run->kind == MAP_MIXED)
			legend->bytes += run->is.count * run->is.allocated;
	}
	for (size_t i = 0; i < map->n_nodes; i++) {
		struct map_node *node = &map->nodes[i];

		while (at < map->n_runs && map->runs[at].is.node < node->node)
			at++;
		node->runs = map->runs + at;
		for (; at < map->n_runs && map->runs[at].is.node == node->node; at++) {
			node->superblocks += map->runs[at].is.count;
			node->n_runs++;
		}
	}
}

void map_places_free(struct map *map)
{
	free(map->runs);
	map->runs = NULL;
	map->n_runs = 0;
}
