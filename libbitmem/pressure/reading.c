/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which sources count for a context's backend.
 *
 * A stall counts where giving memory back helps: that of the process's control
 * group, and of the host, for memfd, whose pages are charged to the group; that of
 * the host for the device, whose pools are nobody's.
 */
#include <string.h>

#include "context.h"
#include "pools/pools.h"
#include "source.h"

#define PROC "/proc"
#define STALL_FILE "pressure/memory"
#define GROUP_STALL_FILE "memory.pressure"

/* Where version 2 is mounted: alone, or beside version 1. */
static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

static bool find_cgroup(struct bm_cgroup *group)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		if (bm_cgroup_find(PROC, mounts[i], group))
			return true;
	}
	return false;
}

static unsigned int larger(unsigned int a, unsigned int b)
{
	return a > b ? a : b;
}

void bm_pressure_read(const struct bitmem *ctx, struct bm_reading *reading)
{
	int node = BITMEM_NODE_ANY, fd = bm_backend_device_fd(ctx->backend, &node);
	struct bm_cgroup group;
	uint64_t available;

	memset(reading, 0, sizeof(*reading));
	available = bm_host_read(PROC, &reading->usage[0]);
	reading->stall = bm_stall_read(PROC, STALL_FILE);
	if (fd >= 0) {
		bm_pools_read(fd, node, 0, available, &reading->usage[0], &reading->floor);
	} else if (find_cgroup(&group)) {
		bm_cgroup_read(&group, &reading->usage[1]);
		reading->stall = larger(reading->stall,
					bm_stall_read(group.path, GROUP_STALL_FILE));
	}
	bm_pools_add_readings(ctx, reading);
}

int bm_pressure_stall_fd(const struct bitmem *ctx)
{
	struct bm_cgroup group;
	int node, fd = -1;

	if (bm_backend_device_fd(ctx->backend, &node) < 0 && find_cgroup(&group))
		fd = bm_stall_open(group.path, GROUP_STALL_FILE);
	return fd >= 0 ? fd : bm_stall_open(PROC, STALL_FILE);
}
