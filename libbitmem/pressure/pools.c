/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The module's pools, as a source of pressure.
 *
 * A request takes from the node it prefers first, and from the others then. So a
 * context that prefers none is short of memory only when all pools together are,
 * and the lowest of their levels counts; one that prefers a node wants its memory there.
 *
 * A pool that may grow is as large as it could become: up to its max, as far as the
 * host has memory for that.
 */
#include <linux/bitmem.h>
#include <sys/ioctl.h>

#include "../backend.h"
#include "source.h"

/* More than any host has nodes: ends the loop whatever the device says. */
#define MAX_POOLS 4096

struct sum {
	uint64_t used, capacity, growth, reclaimable;
	uint32_t level;		/* the lowest, an enum bitmem_level */
	unsigned int pools;
};

static void add(struct sum *sum, const struct bitmem_pool_info *info)
{
	uint64_t free = info->out_zeroed + info->out_dirty;

	sum->used += free < info->out_capacity ? info->out_capacity - free : 0;
	sum->capacity += info->out_capacity;
	sum->growth += info->out_max > info->out_capacity ? info->out_max - info->out_capacity : 0;
	sum->reclaimable += info->out_reclaimable;
	if (!sum->pools++ || info->out_level < sum->level)
		sum->level = info->out_level;
}

static enum bitmem_pressure floor_of(uint32_t level)
{
	switch (level) {
	case BITMEM_LEVEL_NONE:
		return BITMEM_PRESSURE_NONE;
	case BITMEM_LEVEL_LOW:
		return BITMEM_PRESSURE_MEDIUM;
	default:
		return BITMEM_PRESSURE_CRITICAL;
	}
}

void bm_pools_read(int fd, int node, unsigned int width, uint64_t available,
		   struct bm_usage *usage, enum bitmem_pressure *floor)
{
	struct sum all = { 0 }, near = { 0 };
	const struct sum *sum;
	uint64_t growth;

	*usage = (struct bm_usage){ 0 };
	*floor = BITMEM_PRESSURE_NONE;
	for (uint32_t i = 0; i < MAX_POOLS; i++) {
		struct bitmem_pool_info info = { .size = sizeof(info), .index = i };

		if (ioctl(fd, BITMEM_POOL_INFO, &info))
			break;
		if (info.out_width != bm_device_width(width))
			continue;
		add(&all, &info);
		if (info.out_node == node)
			add(&near, &info);
	}
	sum = near.pools ? &near : &all;
	if (!sum->pools)
		return;
	/* What the pools could give back is available as well, but they have it already. */
	growth = available > sum->reclaimable ? available - sum->reclaimable : 0;
	if (growth > sum->growth)
		growth = sum->growth;
	usage->used = sum->used;
	usage->total = sum->capacity + growth;
	*floor = floor_of(sum->level);
}

bool bm_pools_acknowledge(int fd)
{
	struct bitmem_info info = { .size = sizeof(info) };

	return !ioctl(fd, BITMEM_INFO, &info);
}
