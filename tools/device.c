// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls that only look. libbitmem hands memory out; it does not describe
 * the pools, so the tool asks the kernel itself.
 */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "output.h"

const char *device_path(void)
{
	const char *path = getenv("BITMEM_DEVICE");

	return path && *path ? path : "/dev/bitmem";
}

const char *device_remedy(int err)
{
	switch (err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return " (is the module loaded? try: modprobe bitmem)";
	case EACCES:
	case EPERM:
		return " (try as root, or as a member of the device's group)";
	default:
		return "";
	}
}

/* 0 or an errno. */
static int read_info(struct device *device)
{
	struct bitmem_info *info = &device->info;

	*info = (struct bitmem_info){.size = sizeof(*info)};
	if (ioctl(device->fd, BITMEM_INFO, info))
		return errno;
	return info->out_abi == BITMEM_ABI ? 0 : EPROTO;
}

int device_try(struct device *device, bool *opened)
{
	int err;

	*device = (struct device){.path = device_path()};
	device->fd = open(device->path, O_RDWR | O_CLOEXEC);
	*opened = device->fd >= 0;
	if (!*opened)
		return errno;
	err = read_info(device);
	if (err)
		device_close(device);
	return err;
}

int device_open(struct device *device)
{
	bool opened;
	int err = device_try(device, &opened);

	if (!err)
		return 0;
	if (!opened)
		output_error("%s: %s%s", device->path, strerror(err), device_remedy(err));
	else if (err == EPROTO)
		output_error("%s: abi: the module speaks %u, this program %u", device->path,
			     device->info.out_abi, BITMEM_ABI);
	else
		output_error("%s: INFO: %s%s", device->path, strerror(err),
			     err == ENOTTY ? " (not a bitmem device)" : "");
	return -1;
}

void device_close(struct device *device)
{
	close(device->fd);
	device->fd = -1;
}

bool device_no_pool(const struct device *device, uint32_t index)
{
	if (index < device->info.out_pools)
		return false;
	output_error("--pool: no such pool: %u (%s has %u)", index, device->path,
		     device->info.out_pools);
	return true;
}

int device_pool(const struct device *device, uint32_t index, struct bitmem_pool_info *pool)
{
	*pool = (struct bitmem_pool_info){.size = sizeof(*pool), .index = index};
	if (ioctl(device->fd, BITMEM_POOL_INFO, pool)) {
		output_error("%s: POOL_INFO: pool %u: %s", device->path, index, strerror(errno));
		return -1;
	}
	return 0;
}

struct bitmem_pool_info *device_pools(const struct device *device)
{
	uint32_t n = device->info.out_pools;
	struct bitmem_pool_info *pools = calloc((size_t)n + 1, sizeof(*pools));

	if (!pools) {
		output_error("%s", strerror(ENOMEM));
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (device_pool(device, i, &pools[i])) {
			free(pools);
			return NULL;
		}
	}
	return pools;
}
