/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the backends share. */
#ifndef BITMEM_BACKEND_H
#define BITMEM_BACKEND_H

#include "internal.h"

/*
 * Maps @length bytes of @fd at @offset, shared, at a multiple of @align, outside the arena. NULL
 * with errno.
 */
void *bm_map_aligned(int fd, uint64_t offset, size_t length, size_t align);

/*
 * Maps @fd from @offset on, shared, over the reserved addresses of @range. 0, or -errno; then
 * @range->addr is NULL if the addresses may be somebody else's now.
 */
int bm_map_at(int fd, uint64_t offset, struct bm_range *range);
/*
 * Makes them reserved again; what lies outside the arena is nobody's then. @range->addr is NULL
 * afterwards if the addresses may be somebody else's.
 */
void bm_unmap_at(struct bm_range *range);

/* The width of the module's pools that serve a device's, 0 being any. */
static inline unsigned int bm_device_width(unsigned int width)
{
	return width && width < 64 ? 32 : 64;
}

#endif /* BITMEM_BACKEND_H */
