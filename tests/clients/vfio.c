// SPDX-License-Identifier: GPL-2.0
/*
 * A device driven from user space: VFIO pins a mapped buffer for the IOMMU, and QEMU's
 * educational device, bound to vfio-pci, does DMA to and from it. Nothing here is a dma-buf:
 * long-term pins are what user-space drivers and RDMA take.
 */
#include "../kselftest/bitmem_dmabuf.h"
#include "../kselftest/bitmem_harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEED		0xf10
/* Registers may be written in halves, of which the device only takes the lower one. */
#define IOVA		0x40000000ull
#define BUS		"/sys/bus/pci/devices/"

/* The device's registers, its own buffer, and the most it moves at once. */
#define EDU_ID		0x11e81234
#define EDU_SOURCE	0x80
#define EDU_DESTINATION	0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_START	1
#define EDU_TO_MEMORY	2
#define EDU_BUFFER	0x40000
#define EDU_MAX		4095

FIXTURE(vfio) {
	struct bt t;
	int container;
	int group;
	int device;
	uint64_t bar;
};

static bool device_is_edu(const char *name)
{
	char path[512];
	uint32_t id = 0;
	int fd;

	snprintf(path, sizeof(path), BUS "%s/config", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, &id, sizeof(id)) != sizeof(id))
		id = 0;
	close(fd);
	return id == EDU_ID;
}

/* The name of the device on its bus; false if there is none. */
static bool find_device(char *name, size_t size)
{
	DIR *dir = opendir(BUS);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		found = device_is_edu(entry->d_name);
		if (found)
			snprintf(name, size, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Opens the group of the device, or -1. */
static int open_group(const char *name)
{
	char path[PATH_MAX], target[PATH_MAX] = "";

	snprintf(path, sizeof(path), BUS "%s/iommu_group", name);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		return -1;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* Lets the device master the bus, without which it does no DMA. */
static int enable(int device)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	uint16_t command;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pread(device, &command, 2, config.offset + PCI_COMMAND) != 2)
		return -errno;
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	return pwrite(device, &command, 2, config.offset + PCI_COMMAND) == 2 ? 0 : -errno;
}

/* Container, group and device, ready for DMA. NULL, or what is missing. */
static const char *open_device(FIXTURE_DATA(vfio) *self)
{
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	char name[256];

	if (!find_device(name, sizeof(name)))
		return "no edu device";
	self->group = open_group(name);
	if (self->group < 0)
		return "no VFIO group: no IOMMU, or the device is not bound to vfio-pci";
	self->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (self->container < 0 ||
	    ioctl(self->group, VFIO_GROUP_SET_CONTAINER, &self->container) ||
	    ioctl(self->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return "no VFIO container of type 1";
	self->device = ioctl(self->group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (self->device < 0 || enable(self->device) ||
	    ioctl(self->device, VFIO_DEVICE_GET_REGION_INFO, &bar))
		return "the device cannot be had";
	self->bar = bar.offset;
	return NULL;
}

FIXTURE_SETUP(vfio)
{
	const char *why = bt_begin(&self->t);

	if (!why)
		why = open_device(self);
	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN_PARENT(vfio)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static int map_dma(int container, void *memory, size_t length)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory, .iova = IOVA, .size = length,
	};

	return bt_ioctl(container, VFIO_IOMMU_MAP_DMA, &arg);
}

static int unmap_dma(int container, size_t length)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg), .iova = IOVA, .size = length,
	};

	return bt_ioctl(container, VFIO_IOMMU_UNMAP_DMA, &arg);
}

static int set(const FIXTURE_DATA(vfio) *self, uint64_t reg, uint64_t value)
{
	return pwrite(self->device, &value, sizeof(value), self->bar + reg) == sizeof(value) ?
		0 : -EIO;
}

static int transfer(const FIXTURE_DATA(vfio) *self, uint64_t from, uint64_t to, uint64_t length,
		    uint64_t command)
{
	const uint64_t began = bt_now_ns();

	if (set(self, EDU_SOURCE, from) || set(self, EDU_DESTINATION, to) ||
	    set(self, EDU_COUNT, length) || set(self, EDU_COMMAND, command | EDU_START))
		return -EIO;
	do {
		bt_sleep_ms(5);
		if (pread(self->device, &command, sizeof(command), self->bar + EDU_COMMAND) !=
		    sizeof(command))
			return -EIO;
	} while ((command & EDU_START) && bt_now_ns() - began < 5000000000ull);
	return command & EDU_START ? -ETIMEDOUT : 0;
}

/* The device copies from one place of the mapped buffer to another. */
static int move(const FIXTURE_DATA(vfio) *self, uint64_t from, uint64_t to, uint64_t length)
{
	int err = transfer(self, IOVA + from, EDU_BUFFER, length, 0);

	return err ? err : transfer(self, EDU_BUFFER, IOVA + to, length, EDU_TO_MEMORY);
}

TEST_F_TIMEOUT(vfio, transfers, 60)
{
	const size_t length = 2 * self->t.superblock + 5 * self->t.page;
	const size_t last = length - EDU_MAX, middle = self->t.superblock - 1000;
	char *memory, *expected = malloc(length);
	struct bitmem_alloc alloc;
	struct bitmem_query query;

	ASSERT_NE(NULL, expected);
	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	bt_fill(expected, length, SEED);
	ASSERT_EQ(0, map_dma(self->container, memory, length));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(length, query.out_pinned);
	EXPECT_EQ(0, query.out_flags);

	/* Addresses of the device do not end where pages and superblocks do. */
	EXPECT_EQ(0, move(self, 0, last, EDU_MAX));
	memmove(expected + last, expected, EDU_MAX);
	EXPECT_EQ(0, move(self, last + 1, middle, 2001));
	memmove(expected + middle, expected + last + 1, 2001);
	EXPECT_EQ(0, move(self, middle, 3, 4000));
	memmove(expected + 3, expected + middle, 4000);
	EXPECT_EQ(0, memcmp(expected, memory, length));

	ASSERT_EQ(0, unmap_dma(self->container, length));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(0, query.out_pinned);
	free(expected);
}

/* Pinned pages keep their place and content, one by one; the others can be given back. */
TEST_F_TIMEOUT(vfio, pinned, 60)
{
	const size_t page = self->t.page, pinned = 2 * page, length = 5 * page;
	struct bitmem_alloc alloc;
	struct bitmem_range done;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	ASSERT_EQ(0, map_dma(self->container, memory, pinned));
	ASSERT_EQ(0, bt_range(self->t.fd, BITMEM_DECOMMIT, alloc.out_id, 0, length, &done));
	EXPECT_EQ(pinned, done.out_skipped);
	EXPECT_EQ(length - pinned, done.out_done);
	EXPECT_EQ(-1, bt_wrong(memory, pinned, SEED));
	EXPECT_EQ(0, move(self, 0, page, 4000));
	EXPECT_EQ(0, memcmp(memory, memory + page, 4000));
	ASSERT_EQ(0, unmap_dma(self->container, pinned));
	ASSERT_EQ(0, bt_range(self->t.fd, BITMEM_DECOMMIT, alloc.out_id, 0, length, &done));
	EXPECT_EQ(pinned, done.out_done);
}

/* The pins outlive the mapping and the id: quarantine, until VFIO lets go. */
TEST_F_TIMEOUT(vfio, outlives, 60)
{
	const size_t length = self->t.superblock + 3 * self->t.page;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	ASSERT_EQ(0, map_dma(self->container, memory, length));
	munmap(memory, length);
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, length, 2000));
	EXPECT_EQ(0, move(self, 0, self->t.superblock, EDU_MAX));
	ASSERT_EQ(0, unmap_dma(self->container, length));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, 0, 2000));
}

TEST_F_TIMEOUT(vfio, killed, 60)
{
	const size_t length = 3 * self->t.superblock + self->t.page;
	uint64_t before = bt_allocated(self->t.fd);
	int ready[2], i;

	close(self->device);
	close(self->group);
	close(self->container);
	for (i = 0; i < 5; i++) {
		pid_t child;

		ASSERT_EQ(0, pipe(ready));
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_alloc alloc;
			int fd = bt_open();
			char *memory = bt_new(fd, length, &alloc);

			if (!memory || open_device(self) ||
			    map_dma(self->container, memory, length))
				_exit(1);
			bt_signal(ready);
			for (;;)
				move(self, 0, self->t.superblock, EDU_MAX);
		}
		close(ready[1]);
		ASSERT_EQ(0, bt_await(ready));
		close(ready[0]);
		bt_sleep_ms(29 * i);
		EXPECT_EQ(before + length, bt_allocated(self->t.fd));
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 2000));
		EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, 0, 2000));
	}
}

BT_MAIN
