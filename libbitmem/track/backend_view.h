/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a backend has for a context, by its own account. */
#ifndef BITMEM_TRACK_BACKEND_VIEW_H
#define BITMEM_TRACK_BACKEND_VIEW_H

#include "../context.h"

/* A segment, as it was under the lock. */
struct bm_extent {
	uintptr_t addr;
	size_t length;
};

struct bm_backend_view {
	uint64_t segments, bytes, resident, pinned;
	uint64_t exported, named;
};

/* The buffers that the kernel has for the file @fd. 0 or -errno. */
int bm_device_view(int fd, struct bm_backend_view *view);

/*
 * The mappings of this process that lie in the @n extents, which are sorted. A segment counts if
 * all of it is mapped. 0 or -errno.
 */
int bm_memfd_view(const struct bm_extent *extents, size_t n, struct bm_backend_view *view);

#endif /* BITMEM_TRACK_BACKEND_VIEW_H */
