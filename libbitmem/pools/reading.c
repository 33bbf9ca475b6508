/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The figures for a pool.
 *
 * Stalls are the host's and say nothing of a node. A pool without a node on memfd takes
 * from the host; that is what the context's own pressure is, and is read here in the same way.
 */
#include <string.h>

#include "../pressure/source.h"
#include "nodes.h"
#include "pools.h"

#define PROC "/proc"

void bm_pool_read(const struct bitmem *ctx, unsigned int pool, struct bm_reading *reading)
{
	const struct bm_where *where = &ctx->pools[pool].where;
	int preferred, fd = bm_backend_device_fd(ctx->backend, &preferred);
	uint64_t available;

	memset(reading, 0, sizeof(*reading));
	available = bm_host_read(PROC, &reading->usage[0]);
	if (fd >= 0)
		bm_pools_read(fd, where->node, where->width, available, &reading->usage[0],
			      &reading->floor);
	else if (where->node != BITMEM_NODE_ANY)
		bm_node_read(BM_NODES, where->node, &reading->usage[0]);
}
