/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend on /dev/bitmem: each range is one buffer of the kernel module.
 *
 * The module zeroes, pins and counts the memory, and takes it back when the
 * file goes away, however the process ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/bitmem.h>

#include "backend.h"
#include "context.h"

#define DEFAULT_DEVICE "/dev/bitmem"

struct device {
	struct bm_backend base;
	int fd;
	int node;
};

static struct device *to_device(struct bm_backend *backend)
{
	return (struct device *)backend;
}

static void free_buffer(int fd, uint32_t id)
{
	struct bitmem_free arg = { .size = sizeof(arg), .id = id };

	ioctl(fd, BITMEM_FREE, &arg);
}

static int alloc_buffer(const struct device *device, size_t length, const char *tag,
			struct bitmem_alloc *arg)
{
	memset(arg, 0, sizeof(*arg));
	arg->size = sizeof(*arg);
	arg->length = length;
	arg->node = device->node;
	if (tag)
		strncpy((char *)arg->tag, tag, sizeof(arg->tag) - 1);
	return ioctl(device->fd, BITMEM_ALLOC, arg) ? -errno : 0;
}

static int device_map(struct bm_backend *backend, size_t length, const char *tag,
		      struct bm_range *range)
{
	struct device *device = to_device(backend);
	size_t align = backend->superblock_size;
	struct bitmem_alloc arg;
	void *addr;
	int ret;

	ret = alloc_buffer(device, length, tag, &arg);
	if (ret)
		return ret;
	if (align < BM_ALIGN_MAX)
		align = BM_ALIGN_MAX;
	addr = bm_map_aligned(device->fd, arg.out_offset, arg.out_length, align);
	if (!addr) {
		ret = -errno;
		free_buffer(device->fd, arg.out_id);
		return ret;
	}
	range->addr = addr;
	range->length = arg.out_length;
	range->pinned = arg.out_length;
	range->handle = arg.out_id;
	return 0;
}

static void device_unmap(struct bm_backend *backend, struct bm_range *range)
{
	munmap(range->addr, range->length);
	free_buffer(to_device(backend)->fd, (uint32_t)range->handle);
}

static bool is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* Asks the module what it is. */
static int read_info(struct device *device, const char *path, const struct bitmem_options *options)
{
	struct bitmem_info info = { .size = sizeof(info) };

	if (ioctl(device->fd, BITMEM_INFO, &info))
		return bm_error(options->error, -EPROTO, "%s: is not a bitmem device: %s", path,
				strerror(errno));
	if (info.out_abi != BITMEM_ABI)
		return bm_error(options->error, -EPROTO,
				"%s: the module speaks ABI %u, this library %u", path,
				info.out_abi, BITMEM_ABI);
	if (!is_power_of_two(info.out_page_size) || !is_power_of_two(info.out_superblock_size) ||
	    info.out_superblock_size < info.out_page_size ||
	    info.out_superblock_size > PTRDIFF_MAX)
		return bm_error(options->error, -EPROTO,
				"%s: the module reports pages of %u and superblocks of %llu bytes",
				path, info.out_page_size,
				(unsigned long long)info.out_superblock_size);
	device->base.page_size = info.out_page_size;
	device->base.superblock_size = info.out_superblock_size;
	return 0;
}

/* Only the module knows its nodes: a page is asked for and given back. */
static int check_node(struct device *device, const char *path, const struct bitmem_options *options)
{
	struct bitmem_alloc arg;
	int ret;

	device->node = options->node;
	if (device->node == BITMEM_NODE_ANY)
		return 0;
	ret = alloc_buffer(device, device->base.page_size, "probe", &arg);
	if (!ret)
		free_buffer(device->fd, arg.out_id);
	if (ret == -EINVAL)
		return bm_error(options->error, ret, "%s: node: there is no node %d", path,
				device->node);
	return 0;
}

static const char *device_path(const struct bitmem_options *options)
{
	const char *path = options->device;

	if (!path)
		path = secure_getenv("BITMEM_DEVICE");
	return path && *path ? path : DEFAULT_DEVICE;
}

static void device_close(struct bm_backend *backend)
{
	close(to_device(backend)->fd);
	free(backend);
}

static struct bm_backend *device_open(const struct bitmem_options *options)
{
	const char *path = device_path(options);
	struct device *device = calloc(1, sizeof(*device));
	int ret;

	if (!device) {
		bm_error(options->error, -ENOMEM, "out of memory");
		return NULL;
	}
	device->base.ops = &bm_backend_device;
	device->fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->fd < 0) {
		ret = bm_error(options->error, -errno, "%s: %s", path, strerror(errno));
		free(device);
		errno = -ret;
		return NULL;
	}
	ret = read_info(device, path, options);
	if (!ret)
		ret = check_node(device, path, options);
	if (ret) {
		device_close(&device->base);
		errno = -ret;
		return NULL;
	}
	return &device->base;
}

const struct bm_backend_ops bm_backend_device = {
	.kind = BITMEM_BACKEND_DEVICE,
	.open = device_open,
	.close = device_close,
	.map = device_map,
	.unmap = device_unmap,
};
