/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dma-bufs to and from other processes.
 *
 * Whoever has an id of a buffer may decommit it, and then touching it is a SIGBUS in
 * every process that maps it. The module decommits nothing of a buffer that some
 * dma-buf still holds, and a mapping of a dma-buf holds the dma-buf. So each side has
 * such a mapping: the receiver maps the memory that way, the sender, who has it mapped
 * before there is a dma-buf, maps one page of it that nobody can touch.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "share_device.h"

/* Several threads may share a range: one of them leaves its mapping there. */
static int hold(int fd, size_t page_size, struct bm_range *range)
{
	void *none = NULL, *page;

	if (__atomic_load_n(&range->hold, __ATOMIC_RELAXED))
		return 0;
	page = mmap(NULL, page_size, PROT_NONE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	if (!__atomic_compare_exchange_n(&range->hold, &none, page, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		munmap(page, page_size);
	return 0;
}

int bm_device_share(int device, size_t page_size, struct bm_range *range)
{
	struct bitmem_export arg = { .size = sizeof(arg), .id = (uint32_t)range->handle };
	int ret;

	if (ioctl(device, BITMEM_EXPORT, &arg))
		return errno == ENOTTY ? -EOPNOTSUPP : -errno;
	ret = hold(arg.out_fd, page_size, range);
	if (ret) {
		close(arg.out_fd);
		return ret;
	}
	return arg.out_fd;
}

void bm_device_unhold(size_t page_size, struct bm_range *range)
{
	if (range->hold)
		munmap(range->hold, page_size);
}

int bm_device_import(int device, struct bitmem_import *arg, struct bitmem_error *error)
{
	if (!ioctl(device, BITMEM_IMPORT, arg))
		return 0;
	if (errno == EINVAL || errno == EBADF)
		return bm_error(error, -EPROTO, "descriptor: is no buffer of the module");
	return bm_error(error, errno == ENOTTY ? -EOPNOTSUPP : -errno, "BITMEM_IMPORT: %s",
			strerror(errno));
}

int bm_device_map(const struct bitmem_import *arg, int fd, size_t align, struct bm_range *range,
		  struct bitmem_error *error)
{
	range->addr = bm_map_aligned(fd, 0, arg->out_length, align);
	if (!range->addr)
		return bm_error(error, errno == EACCES ? -EPROTO : -errno, "mmap: %s",
				strerror(errno));
	close(fd);
	range->length = arg->out_length;
	range->pinned = arg->out_length;
	range->handle = arg->out_id;
	range->hold = NULL;
	range->outside = true;
	return 0;
}
