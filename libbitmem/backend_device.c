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
#include <unistd.h>

#include <linux/bitmem.h>

#include "backend.h"
#include "batch.h"
#include "share_device.h"

#define DEFAULT_DEVICE "/dev/bitmem"

struct device {
	struct bm_backend base;
	int fd;
	bool rings;	/* the module takes commands from io_uring */
	struct bm_ring ring;
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

static void fill_in(const struct bm_where *where, size_t length, const char *tag,
		    struct bitmem_alloc *arg)
{
	memset(arg, 0, sizeof(*arg));
	arg->size = sizeof(*arg);
	arg->flags = where->bind ? BITMEM_ALLOC_BIND : 0;
	arg->length = length;
	arg->node = where->node;
	arg->width = where->width;
	if (tag)
		strncpy((char *)arg->tag, tag, sizeof(arg->tag) - 1);
}

static int alloc_buffer(const struct device *device, const struct bm_where *where, size_t length,
			const char *tag, struct bitmem_alloc *arg)
{
	fill_in(where, length, tag, arg);
	return ioctl(device->fd, BITMEM_ALLOC, arg) ? -errno : 0;
}

/* Maps a buffer. It stays where it is if that fails. */
static int map_buffer(const struct device *device, const struct bitmem_alloc *arg,
		      struct bm_range *range)
{
	int ret = bm_map_at(device->fd, arg->out_offset, range);

	if (ret)
		return ret;
	range->pinned = arg->out_length;
	range->handle = arg->out_id;
	range->hold = NULL;
	return 0;
}

static int device_map(struct bm_backend *backend, const struct bm_where *where, const char *tag,
		      struct bm_range *range)
{
	struct device *device = to_device(backend);
	struct bitmem_alloc arg;
	int ret;

	ret = alloc_buffer(device, where, range->length, tag, &arg);
	if (ret)
		return ret;
	ret = map_buffer(device, &arg, range);
	if (ret)
		free_buffer(device->fd, arg.out_id);
	return ret;
}

/* Maps all of the buffers, or takes them all away again. */
static int map_buffers(struct device *device, const struct bm_batch_item *items,
		       struct bm_wanted *wanted, size_t n, size_t *failed)
{
	int ret;

	for (size_t i = 0; i < n; i++) {
		ret = map_buffer(device, &items[i].arg, &wanted[i].range);
		if (!ret)
			continue;
		*failed = i;
		for (size_t j = 0; j < n; j++) {
			if (j < i)
				bm_unmap_at(&wanted[j].range);
			free_buffer(device->fd, items[j].arg.out_id);
		}
		return ret;
	}
	return 0;
}

static int device_map_many(struct bm_backend *backend, const struct bm_where *where,
			   struct bm_wanted *wanted, size_t n, size_t *failed)
{
	struct device *device = to_device(backend);
	struct bm_batch_item *items = calloc(n, sizeof(*items));
	size_t total = 0;
	int ret;

	*failed = 0;
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		fill_in(where, wanted[i].length, wanted[i].tag, &items[i].arg);
		total += wanted[i].length;
	}
	/* A ring pays when there is something to zero for each of its workers. */
	ret = bm_batch_alloc(device->fd, device->rings && total / n >= backend->superblock_size ?
			     &device->ring : NULL, items, n, failed);
	if (!ret)
		ret = map_buffers(device, items, wanted, n, failed);
	free(items);
	return ret;
}

static void device_unmap(struct bm_backend *backend, struct bm_range *range)
{
	bm_unmap_at(range);
	bm_device_unhold(backend->page_size, range);
	free_buffer(to_device(backend)->fd, (uint32_t)range->handle);
}

static int device_share(struct bm_backend *backend, struct bm_range *range)
{
	return bm_device_share(to_device(backend)->fd, backend->page_size, range);
}

static int device_adopt(struct bm_backend *backend, int fd, struct bm_range *range,
			struct bitmem_error *error)
{
	struct device *device = to_device(backend);
	struct bitmem_import arg = { .size = sizeof(arg), .fd = fd };
	int ret = bm_device_import(device->fd, &arg, error);

	if (ret)
		return ret;
	ret = bm_device_map(&arg, fd, backend->superblock_size, range, error);
	if (ret)
		free_buffer(device->fd, arg.out_id);
	return ret;
}

static void device_unmap_many(struct bm_backend *backend, struct bm_range *ranges, size_t n)
{
	uint32_t ids[64];
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		bm_unmap_at(&ranges[i]);
		bm_device_unhold(backend->page_size, &ranges[i]);
		ids[used++] = (uint32_t)ranges[i].handle;
		if (used == sizeof(ids) / sizeof(*ids) || i == n - 1) {
			bm_batch_free(to_device(backend)->fd, ids, used);
			used = 0;
		}
	}
}

/* Both commands on part of a range; all that has memory is pinned. 0 or -errno. */
static int change_range(struct bm_backend *backend, unsigned long command,
			const struct bm_range *range, size_t offset, size_t length,
			struct bm_change *change)
{
	struct bitmem_range arg = {
		.size = sizeof(arg), .id = (uint32_t)range->handle,
		.offset = offset, .length = length,
	};

	if (ioctl(to_device(backend)->fd, command, &arg))
		return -errno;
	change->bytes = arg.out_done;
	change->pinned = arg.out_done;
	return 0;
}

static void device_decommit(struct bm_backend *backend, const struct bm_range *range,
			    size_t offset, size_t length, struct bm_change *change)
{
	change_range(backend, BITMEM_DECOMMIT, range, offset, length, change);
}

static int device_commit(struct bm_backend *backend, const struct bm_range *range, size_t offset,
			 size_t length, struct bm_change *change)
{
	return change_range(backend, BITMEM_COMMIT, range, offset, length, change);
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
	device->rings = info.out_features & BITMEM_FEATURE_URING;
	return 0;
}

/* Only the module knows its nodes: a page is asked for and given back. */
static int probe(struct device *device, const struct bm_where *where)
{
	struct bitmem_alloc arg;
	int ret = alloc_buffer(device, where, device->base.page_size, "probe", &arg);

	if (!ret)
		free_buffer(device->fd, arg.out_id);
	return ret;
}

static int check_node(struct device *device, const char *path, const struct bitmem_options *options)
{
	device->base.where.node = options->node;
	if (options->node != BITMEM_NODE_ANY && probe(device, &device->base.where) == -EINVAL)
		return bm_error(options->error, -EINVAL, "%s: node: there is no node %d", path,
				options->node);
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
	bm_ring_destroy(&to_device(backend)->ring);
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
	bm_ring_init(&device->ring);
	device->fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->fd < 0) {
		ret = bm_error(options->error, -errno, "%s: %s", path, strerror(errno));
		bm_ring_destroy(&device->ring);
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

/* Goes on to the next of the module's pools that serve @where. False at the end. */
static bool next_pool(struct device *device, const struct bm_where *where,
		      struct bitmem_pool_info *info, uint32_t *index)
{
	for (;; (*index)++) {
		*info = (struct bitmem_pool_info){ .size = sizeof(*info), .index = *index };
		if (ioctl(device->fd, BITMEM_POOL_INFO, info))
			return false;
		if (info->out_width != bm_device_width(where->width))
			continue;
		if (where->node == BITMEM_NODE_ANY || where->node == info->out_node)
			return true;
	}
}

static int device_check(struct bm_backend *backend, const struct bm_where *where,
			struct bitmem_error *error)
{
	struct device *device = to_device(backend);
	struct bitmem_pool_info info;
	uint32_t index = 0;
	int ret = probe(device, where);

	if (ret == -EINVAL)
		return bm_error(error, ret, "node: there is no node %d", where->node);
	if (ret == -EOPNOTSUPP)
		return bm_error(error, ret, "width: there is no pool for %u bits", where->width);
	if (where->bind && !next_pool(device, where, &info, &index))
		return bm_error(error, -EOPNOTSUPP, "node: node %d has no pool for %u bits",
				where->node, where->width ? where->width : 64);
	return 0;
}

static int device_migrate(struct bm_backend *backend, const struct bm_where *where,
			  struct bm_range *range)
{
	struct bitmem_migrate arg = {
		.size = sizeof(arg), .id = (uint32_t)range->handle, .node = where->node,
	};

	if (where->node == BITMEM_NODE_ANY)
		return 0;
	if (ioctl(to_device(backend)->fd, BITMEM_MIGRATE, &arg))
		return -errno;
	return arg.out_skipped ? -EBUSY : 0;
}

static int device_compact(struct bm_backend *backend, const struct bm_where *where,
			  uint64_t *moved, uint64_t *freed)
{
	struct device *device = to_device(backend);
	struct bitmem_pool_info info;

	for (uint32_t index = 0; next_pool(device, where, &info, &index); index++) {
		struct bitmem_compact arg = { .size = sizeof(arg), .index = index };

		if (ioctl(device->fd, BITMEM_COMPACT, &arg))
			return -errno;
		*moved += arg.out_moved;
		*freed += arg.out_freed;
	}
	return 0;
}

int bm_backend_device_fd(const struct bm_backend *backend, int *node)
{
	const struct device *device = (const struct device *)backend;

	if (backend->ops != &bm_backend_device)
		return -1;
	*node = device->base.where.node;
	return device->fd;
}

void bm_backend_device_move_fd(struct bm_backend *backend, int min)
{
	struct device *device = to_device(backend);
	int fd;

	if (backend->ops != &bm_backend_device)
		return;
	fd = fcntl(device->fd, F_DUPFD_CLOEXEC, min);
	if (fd < 0)
		return;
	close(device->fd);
	device->fd = fd;
}

void bm_backend_device_leave(struct bm_backend *backend)
{
	struct device *device = to_device(backend);
	struct bitmem_info info = { .size = sizeof(info) };

	if (backend->ops != &bm_backend_device)
		return;
	if (!ioctl(device->fd, BITMEM_INFO, &info))
		close(device->fd);
	device->fd = -1;
}

const struct bm_backend_ops bm_backend_device = {
	.kind = BITMEM_BACKEND_DEVICE,
	.open = device_open,
	.close = device_close,
	.map = device_map,
	.unmap = device_unmap,
	.map_many = device_map_many,
	.unmap_many = device_unmap_many,
	.decommit = device_decommit,
	.commit = device_commit,
	.share = device_share,
	.adopt = device_adopt,
	.check = device_check,
	.migrate = device_migrate,
	.compact = device_compact,
};
