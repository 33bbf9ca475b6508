/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory files from other processes, for the memfd backend. */
#ifndef BITMEM_SHARE_MEMFD_H
#define BITMEM_SHARE_MEMFD_H

#include "internal.h"

/* The handle of a range whose descriptor is kept is this and the descriptor. */
#define BM_MEMFD_KEPT 2u

/*
 * Maps all of @fd, which may be anything, at a multiple of @align; the range has @fd
 * then. 0; -EPROTO with words if it is no file whose memory is sure to stay; another
 * -errno if it cannot be mapped.
 */
int bm_memfd_adopt(int fd, size_t page_size, size_t align, struct bm_range *range,
		   struct bitmem_error *error);

#endif /* BITMEM_SHARE_MEMFD_H */
