/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel tells of NUMA nodes. Nothing is kept from one call to the next. */
#ifndef BITMEM_POOLS_NODES_H
#define BITMEM_POOLS_NODES_H

#include <stdint.h>

#include "../pressure/level.h"

#define BM_NODES "/sys/devices/system/node"

/* The distance of a node to itself, and that of those of which nothing is known. */
#define BM_DISTANCE_LOCAL	10u
#define BM_DISTANCE_UNKNOWN	255u

/* From one node to another, either of which may be BITMEM_NODE_ANY. @dir is BM_NODES. */
uint8_t bm_node_distance(const char *dir, int from, int to);

/*
 * A node's memory. Returns the bytes that are available there without taking any from
 * anybody; with 0, and a total of 0, if that is not known.
 */
uint64_t bm_node_read(const char *dir, int node, struct bm_usage *usage);

#endif /* BITMEM_POOLS_NODES_H */
