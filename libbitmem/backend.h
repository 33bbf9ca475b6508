/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the backends share. */
#ifndef BITMEM_BACKEND_H
#define BITMEM_BACKEND_H

#include "internal.h"

/*
 * Maps @length bytes of @fd at @offset, shared, at a multiple of @align. NULL
 * with errno.
 */
void *bm_map_aligned(int fd, uint64_t offset, size_t length, size_t align);

#endif /* BITMEM_BACKEND_H */
