/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is to be drawn of the pools: for each NUMA node its memory, parted into cells by
 * state and owner.
 *
 * Root is told of each superblock in which state and whose it is: cells are places then, in the
 * order in which superblocks came to their pool. Others are told how much of a pool is in each
 * state, and how much of their own buffers is on each node: cells are shares, in the order
 * of the kinds.
 */
#ifndef TOOLS_MAP_H
#define TOOLS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bitmem/events.h>

#include "device.h"
#include "owners.h"

/* Files that are told apart; those with less together are one. */
#define MAP_OWNERS 12

/* What a cell can show, in the order in which cells stand. */
enum map_kind {
	MAP_OWNER_FIRST,
	MAP_OTHERS = MAP_OWNER_FIRST + MAP_OWNERS, /* files that are not told apart */
	MAP_UNSEEN,				   /* allocated, and not told by whom */
	MAP_MIXED,				   /* places only: single pages of several */
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
	/* There is such a cell, though perhaps no bytes. */
	bool shown;
};

/* Some superblocks in a row that are alike. */
struct map_run {
	struct bitmem_nl_superblock is;
	/* What they show. */
	unsigned int kind;
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
	/* What is single pages of several is its owners' here. */
	uint64_t bytes[MAP_KINDS];
	/* Its superblocks, if they were told of, and how many these are. */
	const struct map_run *runs;
	size_t n_runs;
	uint64_t superblocks;
};

struct map {
	struct map_node *nodes;
	size_t n_nodes;
	struct map_legend legend[MAP_KINDS];
	uint64_t superblock;
	/* 0, or the negative errno for which nothing is told of owners, and it in words. */
	int owners_error;
	char why[OWNERS_WHY_LEN];
	/* The numbers of the files that are told apart, in the order of their kinds. */
	uint64_t files[MAP_OWNERS];
	/* 0 if it told of superblocks, else the negative errno why not. */
	int places;
	struct map_run *runs;
	size_t n_runs;
};

struct map_cell {
	unsigned int kind;
	/* Split into single pages. */
	bool split;
};

/* On the way through a node's cells. */
struct map_walk {
	const struct map_node *node;
	/* Shares: cells of each kind still to come. */
	size_t shares[MAP_KINDS];
	/* Places: superblocks in a cell; the run at hand, what of it is done; what is missing. */
	uint64_t per_cell;
	size_t run;
	uint64_t done;
	uint64_t missing;
};

/* Reads it. 0, or -1 after saying on stderr what failed, and nothing to free. */
int map_read(const struct device *device, struct map *map);
void map_free(struct map *map);

/* "file", "quarantined", ... */
const char *map_kind_name(unsigned int kind);

/* What a cell looks like without colours: a letter or a sign of ASCII. */
char map_cell_letter(struct map_cell cell);

/* Its colour, of the terminals' 256, and as 0xRRGGBB. */
unsigned int map_kind_colour(unsigned int kind);
unsigned int map_kind_rgb(unsigned int kind);

/* Bytes of a node's shares. */
uint64_t map_node_bytes(const struct map_node *node);

/* Bytes of a cell so that no node has more than @cells: a superblock times a power of two. */
uint64_t map_unit(const struct map *map, size_t cells);

/*
 * Shares a node's cells of @unit bytes out over the kinds: what there is of a kind at all has
 * one at least. Returns the number of cells.
 */
size_t map_share(const struct map_node *node, uint64_t unit, size_t cells[MAP_KINDS]);

/*
 * Goes through a node's cells of @unit bytes: as many as the first returns. A place that stands
 * for several superblocks shows what most of them are.
 */
size_t map_walk_begin(struct map_walk *walk, const struct map *map, const struct map_node *node,
		      uint64_t unit);
struct map_cell map_walk_next(struct map_walk *walk);

/* Asks for the superblocks, anew. 0 or -ENOMEM; whether they were told of stands in the map. */
int map_places_read(struct map *map);

/* Puts them to their nodes, and says what they show. */
void map_places_assign(struct map *map);
void map_places_free(struct map *map);

#endif /* TOOLS_MAP_H */
