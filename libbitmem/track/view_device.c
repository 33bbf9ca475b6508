/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/ioctl.h>

#include <linux/bitmem.h>

#include "backend_view.h"

int bm_device_view(int fd, struct bm_backend_view *view)
{
	struct bitmem_query query = { .size = sizeof(query), .flags = BITMEM_QUERY_NEXT };

	*view = (struct bm_backend_view) { 0 };
	while (!ioctl(fd, BITMEM_QUERY, &query)) {
		view->segments++;
		view->bytes += query.out_length;
		view->resident += query.out_resident;
		view->exported += query.out_exports != 0;
		view->named += (query.out_flags & BITMEM_BUFFER_NAMED) != 0;
		query.id = query.out_id;
	}
	if (errno != ENOENT)
		return -errno;
	/* None of its memory can be paged out. */
	view->pinned = view->resident;
	return 0;
}
