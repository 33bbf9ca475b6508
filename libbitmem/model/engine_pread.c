/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the windows one after the other, where the kernel refuses io_uring. */
#include <errno.h>
#include <unistd.h>

#include "loader.h"

static int read_window(struct bm_loader *loader, struct bm_window *window)
{
	int ret;

	do {
		unsigned int length = bm_window_length(window);
		ssize_t n = pread(window->source->fd, bm_window_to(window), length,
				  (off_t)bm_window_from(window));

		ret = bm_window_done(loader, window, n < 0 ? -errno : (int)n);
	} while (ret > 0);
	return ret;
}

int bm_engine_pread(struct bm_loader *loader)
{
	struct bm_window window;
	int ret = bm_loader_next(loader, &window);

	while (ret > 0) {
		ret = read_window(loader, &window);
		if (!ret)
			ret = bm_loader_tell(loader);
		if (!ret)
			ret = bm_loader_next(loader, &window);
	}
	return ret;
}
