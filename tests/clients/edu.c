// SPDX-License-Identifier: GPL-2.0
/*
 * A device that does DMA to and from buffers, by way of dma-bufs: QEMU's educational one, with
 * the driver in edu/. Each of its transfers takes 0.1 s.
 */
#include "../kselftest/bitmem_dmabuf.h"
#include "edu/edu.h"
#include "../kselftest/bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEED	0xed0

FIXTURE(edu) {
	struct bt t;
	int fd;
};

FIXTURE_SETUP(edu)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	self->fd = open("/dev/edu", O_RDWR | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "no /dev/edu");
}

FIXTURE_TEARDOWN_PARENT(edu)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static int map_device(int fd, int dmabuf, enum edu_direction direction, struct edu_map *map)
{
	memset(map, 0, sizeof(*map));
	map->fd = dmabuf;
	map->direction = direction;
	return bt_ioctl(fd, EDU_MAP, map);
}

static int map_error(int fd, int dmabuf, enum edu_direction direction)
{
	struct edu_map map;

	return map_device(fd, dmabuf, direction, &map);
}

static int copy(int fd, unsigned long cmd, uint64_t offset, uint32_t length)
{
	struct edu_copy arg = { .offset = offset, .length = length };

	return bt_ioctl(fd, cmd, &arg);
}

/* The device copies @length bytes from one place of the buffer to another. */
static int move(int fd, uint64_t from, uint64_t to, uint32_t length)
{
	int err = copy(fd, EDU_READ, from, length);

	return err ? err : copy(fd, EDU_WRITE, to, length);
}

static bool has_iommu(void)
{
	return !access("/sys/kernel/iommu_groups/0", F_OK);
}

/*
 * The device moves bytes within a buffer of @length bytes. What it reads and writes crosses
 * pages, and superblocks if there are several; the rest of the buffer must not change.
 */
static void transfers(struct __test_metadata *_metadata, const struct bt *t, int edu,
		      size_t length, uint32_t flags)
{
	const size_t last = length - EDU_MAX, middle = length / 2 - 1000;
	char *memory, *expected = malloc(length);
	struct bitmem_alloc alloc;
	struct edu_map map;
	int dmabuf;

	ASSERT_NE(NULL, expected);
	ASSERT_EQ(0, bt_alloc_on(t->fd, length, BITMEM_NODE_ANY, flags, &alloc));
	ASSERT_EQ(length, alloc.out_length);
	memory = bt_map(t->fd, length, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	memcpy(expected, memory, length);
	dmabuf = bt_export(t->fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, map_device(edu, dmabuf, EDU_BOTH, &map));
	TH_LOG("%zu bytes: %u pieces of memory, %u for the device, %s IOMMU", length,
	       map.out_pieces, map.out_segments, has_iommu() ? "through an" : "no");
	if (flags & BITMEM_ALLOC_CONTIG)
		EXPECT_EQ(1, map.out_segments);

	EXPECT_EQ(0, move(edu, 0, last, EDU_MAX));
	memmove(expected + last, expected, EDU_MAX);
	EXPECT_EQ(0, move(edu, last + 1, 3, 1001));
	memmove(expected + 3, expected + last + 1, 1001);
	if (map.out_segments == 1) {
		EXPECT_EQ(0, move(edu, 5, middle, 2000));
		memmove(expected + middle, expected + 5, 2000);
	}
	EXPECT_EQ(0, memcmp(expected, memory, length));
	EXPECT_EQ(0, bt_ioctl(edu, EDU_UNMAP, NULL));
	munmap(memory, length);
	close(dmabuf);
	ASSERT_EQ(0, bt_free(t->fd, alloc.out_id));
	free(expected);
}

TEST_F_TIMEOUT(edu, single_pages, 60)
{
	transfers(_metadata, &self->t, self->fd, 5 * self->t.page, 0);
}

TEST_F_TIMEOUT(edu, superblock, 60)
{
	transfers(_metadata, &self->t, self->fd, self->t.superblock, BITMEM_ALLOC_CONTIG);
}

TEST_F_TIMEOUT(edu, superblocks_and_pages, 60)
{
	transfers(_metadata, &self->t, self->fd, 4 * self->t.superblock + 7 * self->t.page, 0);
}

/* Whole superblocks are one piece each, at most; the device's view has no more pieces than that. */
TEST_F(edu, pieces)
{
	struct bitmem_alloc alloc;
	struct edu_map map;
	int dmabuf;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 16 * self->t.superblock, &alloc));
	dmabuf = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, map_device(self->fd, dmabuf, EDU_BOTH, &map));
	TH_LOG("16 superblocks: %u pieces of memory, %u for the device", map.out_pieces,
	       map.out_segments);
	EXPECT_GE(16, map.out_pieces);
	EXPECT_GE(map.out_pieces, map.out_segments);
	EXPECT_LE(self->t.superblock, map.out_length);
}

/* The device sees what was written before it was mapped, and the CPU what the device wrote. */
TEST_F_TIMEOUT(edu, sync, 60)
{
	struct dma_buf_sync begin = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct dma_buf_sync end = { .flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW };
	const size_t length = 2 * self->t.page;
	int dmabuf = bt_orphan(length, SEED);
	struct edu_map map;
	char *memory;

	ASSERT_LE(0, dmabuf);
	memory = bt_map(dmabuf, length, 0);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, map_device(self->fd, dmabuf, EDU_BOTH, &map));
	ASSERT_EQ(0, bt_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &begin));
	bt_fill(memory, length, SEED + 1);
	ASSERT_EQ(0, bt_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &end));
	ASSERT_EQ(0, move(self->fd, 0, self->t.page, 4000));
	ASSERT_EQ(0, bt_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &begin));
	EXPECT_EQ(0, memcmp(memory, memory + self->t.page, 4000));
	EXPECT_EQ(-1, bt_wrong(memory, self->t.page, SEED + 1));
	ASSERT_EQ(0, bt_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &end));
}

/* The device may read what is exported to be read, and do nothing else with it. */
TEST_F_TIMEOUT(edu, readonly, 60)
{
	struct bitmem_alloc alloc;
	uint64_t sum;
	char *memory;
	int dmabuf;

	memory = bt_new(self->t.fd, self->t.page, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, self->t.page, SEED);
	dmabuf = bt_export(self->t.fd, alloc.out_id, BITMEM_EXPORT_READONLY);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(-EACCES, map_error(self->fd, dmabuf, EDU_WRITES));
	EXPECT_EQ(-EACCES, map_error(self->fd, dmabuf, EDU_BOTH));
	sum = dmabuf;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->fd, EDU_SUM, &sum));
	EXPECT_EQ(0, bt_flags(self->t.fd, alloc.out_id));
	ASSERT_EQ(0, map_error(self->fd, dmabuf, EDU_READS));
	EXPECT_EQ(0, copy(self->fd, EDU_READ, 0, 4000));
	EXPECT_EQ(-1, bt_wrong(memory, self->t.page, SEED));
}

/* The kernel's own mapping shows the same bytes, and lasts no longer than its user. */
TEST_F(edu, kernel_mapping)
{
	const size_t length = self->t.superblock + 3 * self->t.page;
	struct bitmem_alloc alloc;
	uint64_t sum, expected = 0;
	unsigned char *memory;
	int dmabuf;
	size_t i;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	for (i = 0; i < length; i++)
		expected += memory[i];
	dmabuf = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	sum = dmabuf;
	ASSERT_EQ(0, bt_ioctl(self->fd, EDU_SUM, &sum));
	EXPECT_EQ(expected, sum);
	EXPECT_EQ(0, bt_flags(self->t.fd, alloc.out_id));
}

/* Nothing moves or goes from map to unmap. */
TEST_F_TIMEOUT(edu, held_in_place, 60)
{
	const size_t length = self->t.superblock + 4 * self->t.page;
	const struct bt *t = &self->t;
	struct bitmem_migrate migrate;
	struct bitmem_range range;
	struct bitmem_alloc alloc;
	int dmabuf;

	ASSERT_EQ(0, bt_alloc(t->fd, length, &alloc));
	dmabuf = bt_export(t->fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, map_error(self->fd, dmabuf, EDU_BOTH));
	EXPECT_EQ(BITMEM_BUFFER_FIXED, bt_flags(t->fd, alloc.out_id));
	EXPECT_EQ(-EBUSY, bt_range(t->fd, BITMEM_DECOMMIT, alloc.out_id, 0, t->page, &range));
	EXPECT_EQ(-EBUSY, bt_migrate(t->fd, alloc.out_id, 0, &migrate));
	/* A second device's, or another driver's, mapping of the same buffer. */
	EXPECT_EQ(-EINVAL, map_error(self->fd, dmabuf, EDU_BOTH));
	EXPECT_EQ(0, bt_ioctl(self->fd, EDU_UNMAP, NULL));
	EXPECT_EQ(0, bt_flags(t->fd, alloc.out_id));
	/* Who has the dma-buf may map it at any time: all of it stays. */
	EXPECT_EQ(-EBUSY, bt_range(t->fd, BITMEM_DECOMMIT, alloc.out_id, 0, t->page, &range));
	ASSERT_EQ(0, map_error(self->fd, dmabuf, EDU_BOTH));
	EXPECT_EQ(0, copy(self->fd, EDU_WRITE, 0, 100));
}

/* Pages may have moved between two mappings: the device finds them where they are now. */
TEST_F_TIMEOUT(edu, moved, 60)
{
	const size_t length = self->t.superblock + 4 * self->t.page;
	const size_t last = length - EDU_MAX;
	struct bitmem_migrate migrate;
	struct bitmem_alloc alloc;
	char *memory;
	int dmabuf;

	if (self->t.nodes < 2)
		SKIP(return, "one NUMA node only");
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, length, 0, BITMEM_ALLOC_BIND, &alloc));
	memory = bt_map(self->t.fd, length, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	dmabuf = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, map_error(self->fd, dmabuf, EDU_BOTH));
	ASSERT_EQ(0, move(self->fd, 0, last, 4000));
	ASSERT_EQ(0, bt_ioctl(self->fd, EDU_UNMAP, NULL));
	ASSERT_EQ(0, bt_migrate(self->t.fd, alloc.out_id, 1, &migrate));
	EXPECT_EQ(length, migrate.out_moved);
	ASSERT_EQ(0, map_error(self->fd, dmabuf, EDU_BOTH));
	EXPECT_EQ(0, memcmp(memory, memory + last, 4000));
	ASSERT_EQ(0, move(self->fd, 100, last, 4000));
	EXPECT_EQ(0, memcmp(memory + 100, memory + last, 4000));
}

/* A mapping holds the memory, and the device works on it, when all else is gone. */
TEST_F_TIMEOUT(edu, outlives, 60)
{
	const size_t length = self->t.superblock + self->t.page;
	uint64_t before = bt_allocated(self->t.fd);
	int dmabuf = bt_orphan(length, SEED);
	struct bitmem_import in;

	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, bt_import(self->t.fd, dmabuf, &in));
	ASSERT_EQ(0, map_error(self->fd, dmabuf, EDU_BOTH));
	ASSERT_EQ(0, close(dmabuf));
	EXPECT_EQ(1, bt_exports(self->t.fd, in.out_id));
	EXPECT_EQ(0, move(self->fd, 8, 0, 4000));
	EXPECT_NE(-1, bt_wrong_at(self->t.fd, length, in.out_offset, SEED));
	ASSERT_EQ(0, bt_free(self->t.fd, in.out_id));
	EXPECT_EQ(before + length, bt_allocated(self->t.fd));
	EXPECT_EQ(0, move(self->fd, 0, 8, 4000));
	EXPECT_EQ(0, bt_ioctl(self->fd, EDU_UNMAP, NULL));
	EXPECT_EQ(before, bt_allocated(self->t.fd));
}

TEST_F_TIMEOUT(edu, killed, 60)
{
	const size_t length = 3 * self->t.superblock + self->t.page;
	uint64_t before = bt_allocated(self->t.fd);
	int ready[2], i;

	close(self->fd);
	for (i = 0; i < 5; i++) {
		pid_t child;

		ASSERT_EQ(0, pipe(ready));
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			int edu = open("/dev/edu", O_RDWR | O_CLOEXEC);

			if (map_error(edu, bt_orphan(length, SEED), EDU_BOTH))
				_exit(1);
			bt_signal(ready);
			for (;;)
				move(edu, 0, self->t.superblock, EDU_MAX);
		}
		close(ready[1]);
		ASSERT_EQ(0, bt_await(ready));
		close(ready[0]);
		bt_sleep_ms(37 * i);
		EXPECT_EQ(before + length, bt_allocated(self->t.fd));
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 2000));
	}
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, 0, 2000));
}

/* 0 if the text is written. */
static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
	close(fd);
	return ret;
}

#define TRACING	"/sys/kernel/tracing/"

TEST_F(edu, tracepoints)
{
	static char text[65536];
	int dmabuf, fd;

	if (access(TRACING "events/bitmem/bitmem_dma_map/enable", W_OK))
		SKIP(return, "no tracing here");
	ASSERT_EQ(0, put(TRACING "trace", ""));
	ASSERT_EQ(0, put(TRACING "events/bitmem/bitmem_export/enable", "1"));
	ASSERT_EQ(0, put(TRACING "events/bitmem/bitmem_dma_map/enable", "1"));
	dmabuf = bt_orphan(3 * self->t.page, SEED);
	EXPECT_LE(0, dmabuf);
	EXPECT_EQ(0, map_error(self->fd, dmabuf, EDU_READS));
	EXPECT_EQ(0, put(TRACING "events/bitmem/bitmem_export/enable", "0"));
	EXPECT_EQ(0, put(TRACING "events/bitmem/bitmem_dma_map/enable", "0"));
	fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	ASSERT_LT(0, read(fd, text, sizeof(text) - 1));
	EXPECT_NE(NULL, strstr(text, "bitmem_export: "));
	EXPECT_NE(NULL, strstr(text, "bitmem_dma_map: "));
	/* DMA_TO_DEVICE, and the device by its name on the bus. */
	EXPECT_NE(NULL, strstr(text, " dir=1 "));
	EXPECT_NE(NULL, strstr(text, " device=0000:"));
}

BT_MAIN
