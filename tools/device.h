/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device, as far as looking at it goes.
 */
#ifndef TOOLS_DEVICE_H
#define TOOLS_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bitmem.h>

struct device {
	const char *path;
	int fd;
	struct bitmem_info info;
};

/* BITMEM_DEVICE from the environment, else /dev/bitmem. */
const char *device_path(void);

/* What to do about an errno of open(2) on the device; "" if there is no telling. */
const char *device_remedy(int err);

/*
 * Opens the device and reads its INFO, and says nothing. 0, or an errno: of open(), if it was
 * not @opened; or of INFO, EPROTO if the module speaks another abi.
 */
int device_try(struct device *device, bool *opened);

/* Opens the device and reads its INFO. 0, or -1 after saying on stderr what failed. */
int device_open(struct device *device);
void device_close(struct device *device);

/* Whether there is no pool of this index; says so on stderr. */
bool device_no_pool(const struct device *device, uint32_t index);

/* Reads one pool's counters. 0, or -1 after saying on stderr what failed. */
int device_pool(const struct device *device, uint32_t index, struct bitmem_pool_info *pool);

/*
 * Reads the counters of all pools into a new array, device->info.out_pools long,
 * to be freed by free(). NULL after saying on stderr what failed.
 */
struct bitmem_pool_info *device_pools(const struct device *device);

#endif /* TOOLS_DEVICE_H */
