/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is to be drawn of the pools: for each NUMA node its memory, parted into cells by
 * state and owner.
 *
 * The kernel does not tell which superblock is in which state or whose: it tells how much of a
 * pool is in each state, and how much of each buffer is on each node. So cells stand for
 * shares, in the order of the kinds, and not for places.
 */
#ifndef TOOLS_MAP_H
#define TOOLS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"

/* Files that are told apart; those with less together are one. */
#define MAP_OWNERS 12

/* What a cell can show, in the order in which cells stand. */
enum map_kind {
	MAP_OWNER_FIRST,
	MAP_OTHERS = MAP_OWNER_FIRST + MAP_OWNERS, /* files that are not told apart */
	MAP_UNSEEN,				   /* allocated, and not told by whom */
	MAP_QUARANTINED,
	MAP_RETIRED,
	MAP_DIRTY,
	MAP_ZEROED,
	MAP_MISSING, /* the target is not reached yet */
	MAP_KINDS,
};

struct map_legend {
	/* What it is, fit for a terminal. */
	char *text;
	uint64_t bytes;
};

struct map_node {
	uint32_t node;
	/* "pool 0", "pools 0, 2". */
	char *pools;
	uint64_t capacity;
	uint64_t free;
	/* Of the free memory, how much is whole superblocks. */
	uint64_t whole;
	/* In superblocks that are split into single pages. */
	uint64_t split;
	uint64_t bytes[MAP_KINDS];
};

struct map {
	struct map_node *nodes;
	size_t n_nodes;
	struct map_legend legend[MAP_KINDS];
	uint64_t superblock;
	/* Whether the kernel told of owners at all. */
	bool owners;
};

/* Reads it. 0, or -1 after saying on stderr what failed, and nothing to free. */
int map_read(const struct device *device, struct map *map);
void map_free(struct map *map);

/* "file", "quarantined", ... */
const char *map_kind_name(unsigned int kind);

/* What a cell of the kind looks like without colours: a letter or a sign of ASCII. */
char map_kind_letter(unsigned int kind);

/* Its colour, of the terminals' 256, and as 0xRRGGBB. */
unsigned int map_kind_colour(unsigned int kind);
unsigned int map_kind_rgb(unsigned int kind);

/* Bytes of all that is drawn of a node. */
uint64_t map_node_bytes(const struct map_node *node);

/* Bytes of a cell so that no node has more than @cells: a superblock times a power of two. */
uint64_t map_unit(const struct map *map, size_t cells);

/*
 * Shares a node's cells of @unit bytes out over the kinds: what there is of a kind at all has
 * one at least. Returns the number of cells.
 */
size_t map_share(const struct map_node *node, uint64_t unit, size_t cells[MAP_KINDS]);

#endif /* TOOLS_MAP_H */
