// SPDX-License-Identifier: GPL-2.0
/*
 * What the pools have, beside what they were asked to have.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "counters.h"
#include "doctor.h"
#include "text.h"

static void look_at_size(struct doctor *doctor, const struct bitmem_pool_info *pool)
{
	char capacity[TEXT_SIZE_LEN], target[TEXT_SIZE_LEN], free[TEXT_SIZE_LEN];

	text_size(pool->out_capacity, capacity);
	text_size(pool->out_target, target);
	text_size(pool->out_zeroed + pool->out_dirty, free);
	if (counters_filling(pool)) {
		doctor_add(doctor, "pool", DOCTOR_NOTE, "pool %u, node %d: being filled, %s of %s",
			   pool->index, pool->out_node, capacity, target);
		doctor_remedy(doctor, "bitmem info --wait");
	} else if (pool->out_capacity < pool->out_target) {
		doctor_add(doctor, "pool", DOCTOR_WARNING,
			   "pool %u, node %d: %s instead of %s, as the system had no more",
			   pool->index, pool->out_node, capacity, target);
		doctor_remedy(doctor,
			      "load the module early at boot (/etc/modules-load.d), or free "
			      "memory; the pool goes on trying");
	} else if (pool->out_capacity) {
		doctor_add(doctor, "pool", DOCTOR_OK, "pool %u, node %d: %s, %s of it free",
			   pool->index, pool->out_node, capacity, free);
	}
}

static void look_at_level(struct doctor *doctor, const struct bitmem_pool_info *pool)
{
	char free[TEXT_SIZE_LEN], low[TEXT_SIZE_LEN];

	if (pool->out_level == BITMEM_LEVEL_NONE)
		return;
	doctor_add(doctor, "pressure", DOCTOR_WARNING,
		   "pool %u, node %d: level %s, %s free, low is %s", pool->index, pool->out_node,
		   counters_level(pool->out_level),
		   text_size(pool->out_zeroed + pool->out_dirty, free),
		   text_size(pool->out_low, low));
	doctor_remedy(
		doctor,
		"see who holds it (bitmem ps), or let it grow: bitmem pools --pool %u --max SIZE",
		pool->index);
}

static void look_at_pages(struct doctor *doctor, const struct bitmem_pool_info *pool)
{
	char size[TEXT_SIZE_LEN];

	if (pool->out_retired) {
		doctor_add(doctor, "poison", DOCTOR_WARNING,
			   "pool %u, node %d: %s hardware-poisoned and retired", pool->index,
			   pool->out_node, text_size(pool->out_retired, size));
		doctor_remedy(doctor, "find the module in the memory controller's log (rasdaemon, "
				      "dmesg) and replace it");
	}
	if (pool->out_gathered) {
		doctor_add(
			doctor, "pieces", DOCTOR_NOTE,
			"pool %u, node %d: %s put together from single pages, mapped page by page",
			pool->index, pool->out_node, text_size(pool->out_gathered, size));
		doctor_remedy(doctor,
			      "load the module earlier at boot, before memory is in pieces; "
			      "the pool joins them when it can");
	}
	if (pool->out_quarantined)
		doctor_add(doctor, "quarantine", DOCTOR_NOTE,
			   "pool %u, node %d: %s given back are still in use by I/O or a device",
			   pool->index, pool->out_node, text_size(pool->out_quarantined, size));
}

/* --- nodes --- */

static uint64_t node_bytes(unsigned int node)
{
	char path[64];
	char line[128];
	uint64_t kb = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/meminfo", node);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in) &&
	       sscanf(line, "Node %*u MemTotal: %" SCNu64 " kB", &kb) != 1)
		;
	if (in)
		fclose(in);
	return kb << 10;
}

static bool has_pool(const struct doctor *doctor, const struct bitmem_pool_info *pools,
		     unsigned int node)
{
	for (uint32_t i = 0; i < doctor->device.info.out_pools; i++) {
		if (pools[i].out_node == (int)node && pools[i].out_capacity)
			return true;
	}
	return false;
}

static void look_at_nodes(struct doctor *doctor, const struct bitmem_pool_info *pools)
{
	unsigned int with = 0, without = 0;
	char size[TEXT_SIZE_LEN];

	for (uint32_t node = 0; node < doctor->device.info.out_nodes; node++) {
		uint64_t bytes = node_bytes(node);

		if (!bytes)
			continue;
		with++;
		if (has_pool(doctor, pools, node))
			continue;
		without++;
		doctor_add(
			doctor, "numa", DOCTOR_WARNING,
			"node %u has %s, and no memory in a pool: its buffers come from elsewhere",
			node, text_size(bytes, size));
		doctor_remedy(doctor,
			      "modprobe with pool_mb=N,N,...: MiB for each node that has memory");
	}
	if (!without && with)
		doctor_add(doctor, "numa", DOCTOR_OK, "%u %s with memory, %s", with,
			   with == 1 ? "node" : "nodes",
			   with == 1 ? "with a pool" : "each with a pool");
}

static void look_at_all(struct doctor *doctor, const struct bitmem_pool_info *pools)
{
	uint64_t capacity = 0;

	for (uint32_t i = 0; i < doctor->device.info.out_pools; i++) {
		look_at_size(doctor, &pools[i]);
		look_at_level(doctor, &pools[i]);
		look_at_pages(doctor, &pools[i]);
		capacity += pools[i].out_capacity;
		doctor->filling |= counters_filling(&pools[i]);
	}
	if (capacity || doctor->filling)
		return;
	doctor_add(doctor, "pool", DOCTOR_PROBLEM, "there is no memory in any pool");
	doctor_remedy(doctor, "bitmem pools --pool 0 --max SIZE --target SIZE, or load the module "
			      "with pool_mb=MIB");
}

void doctor_pools(struct doctor *doctor)
{
	struct bitmem_pool_info *pools;

	if (!doctor->has_device)
		return;
	pools = device_pools(&doctor->device);
	if (!pools) {
		doctor_add(doctor, "pool", DOCTOR_PROBLEM, "the counters cannot be read");
		return;
	}
	look_at_all(doctor, pools);
	look_at_nodes(doctor, pools);
	free(pools);
}
