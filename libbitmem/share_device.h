/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dma-bufs to and from other processes, for the device backend. */
#ifndef BITMEM_SHARE_DEVICE_H
#define BITMEM_SHARE_DEVICE_H

#include <linux/bitmem.h>

#include "internal.h"

/*
 * A new dma-buf of the buffer that the range is of; as long as the range is there,
 * no process that gets it can take memory from the buffer. Or -errno.
 */
int bm_device_share(int device, size_t page_size, struct bm_range *range);

/* Undoes what bm_device_share() did to the range, if anything. */
void bm_device_unhold(size_t page_size, struct bm_range *range);

/*
 * Finds the buffer behind arg->fd, which may be anything. 0; -EPROTO with words if
 * there is none of the module's; another -errno if it cannot be had.
 */
int bm_device_import(int device, struct bitmem_import *arg, struct bitmem_error *error);

/*
 * Maps an imported buffer by way of its dma-buf, at a multiple of @align: as long as it
 * is mapped, nobody can take memory from it. @fd is closed then. 0 or -errno with words.
 */
int bm_device_map(const struct bitmem_import *arg, int fd, size_t align, struct bm_range *range,
		  struct bitmem_error *error);

#endif /* BITMEM_SHARE_DEVICE_H */
