// SPDX-License-Identifier: GPL-2.0
#include "space.h"

#include "allocator.h"

static uint64_t beyond(uint64_t value, uint64_t base)
{
	return value > base ? value - base : 0;
}

void space_read(const struct spaces *spaces, const struct allocator *allocator, struct space *space)
{
	footprint_read(&space->outside);
	space->outside.resident = beyond(space->outside.resident, spaces->base.resident);
	space->outside.anonymous = beyond(space->outside.anonymous, spaces->base.anonymous);
	allocator_stats(allocator, &space->stats);
	space->stats.meta_bytes = beyond(space->stats.meta_bytes, spaces->base_stats.meta_bytes);
}
