// SPDX-License-Identifier: GPL-2.0
/*
 * DMA into mappings, and memory that is given back while somebody still has a
 * reference on it: it is quarantined, to the page, nobody gets it, and it comes
 * back within a second of the reference's end.
 *
 * The reference is a page of a mapping in a pipe (vmsplice), which every kernel
 * holds until somebody reads the pipe.
 *
 * $BITMEM_NVME names a block device whose contents do not matter; without it
 * /dev/nvme0n1 is used, and only read.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SEED	0xd1a

FIXTURE(pin) {
	struct bt t;
	int pipe[2];
	struct bitmem_pool_info before;
};

FIXTURE_SETUP(pin)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, pipe(self->pipe));
	ASSERT_EQ(0, bt_total(self->t.fd, &self->before));
}

FIXTURE_TEARDOWN_PARENT(pin)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* Reads a page from the pipe; its contents are those of @at in a buffer filled with SEED. */
static int unpin_page(FIXTURE_DATA(pin) *self, size_t at)
{
	return bt_unpin(self->pipe, self->t.page, at, SEED);
}

/* Takes all that is free, and writes all over it. */
static int use_the_rest(int fd, struct bitmem_alloc *alloc)
{
	struct bitmem_pool_info now;
	void *memory;
	int err = bt_total(fd, &now);

	if (err)
		return err;
	memory = bt_new(fd, bt_free_bytes(&now), alloc);
	if (!memory)
		return -errno;
	err = bt_nonzero(memory, alloc->out_length) == -1 ? 0 : -EBADMSG;
	memset(memory, 0xee, alloc->out_length);
	munmap(memory, alloc->out_length);
	return err;
}

/* One pinned page keeps its whole superblock; nobody else gets a byte of it. */
TEST_F(pin, whole_superblock)
{
	const size_t length = self->t.superblock, at = 7 * self->t.page;
	struct bitmem_alloc alloc, rest;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	ASSERT_EQ(0, bt_pin(self->pipe, memory + at, self->t.page));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_TRUE(bt_quarantined(self->t.fd, &self->before, length));
	ASSERT_EQ(0, use_the_rest(self->t.fd, &rest));
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, 1, &alloc));
	EXPECT_EQ(0, unpin_page(self, at));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, self->before.out_quarantined, 1000));
	/* And then it is as good as any other. */
	EXPECT_EQ(0, bt_alloc(self->t.fd, length, &alloc));
	EXPECT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, bt_free(self->t.fd, rest.out_id));
}

/* In a tail only the page itself. */
TEST_F(pin, split_tail)
{
	const size_t length = 9 * self->t.page;
	struct bitmem_alloc alloc;
	char *memory;
	int i;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	ASSERT_EQ(0, bt_pin(self->pipe, memory + 2 * self->t.page, self->t.page));
	ASSERT_EQ(0, bt_pin(self->pipe, memory + 5 * self->t.page, 2 * self->t.page));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_TRUE(bt_quarantined(self->t.fd, &self->before, 3 * self->t.page));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, unpin_page(self, (i ? 4 + i : 2) * self->t.page));
		EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined,
				     self->before.out_quarantined + (2 - i) * self->t.page,
				     1000));
	}
}

/* Both kinds of one buffer. */
TEST_F(pin, superblock_and_tail)
{
	const size_t length = 3 * self->t.superblock + 4 * self->t.page;
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	/* The last page of the second superblock, and the second of the tail. */
	ASSERT_EQ(0, bt_pin(self->pipe, memory + 2 * self->t.superblock - self->t.page,
			       self->t.page));
	ASSERT_EQ(0, bt_pin(self->pipe, memory + 3 * self->t.superblock + self->t.page,
			       self->t.page));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_TRUE(bt_quarantined(self->t.fd, &self->before, self->t.superblock + self->t.page));
	EXPECT_EQ(0, unpin_page(self, 2 * self->t.superblock - self->t.page));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined,
			     self->before.out_quarantined + self->t.page, 1000));
	EXPECT_EQ(0, unpin_page(self, 3 * self->t.superblock + self->t.page));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, self->before.out_quarantined, 1000));
}

/* Quarantine of many pages at once, and of pages that were pinned twice. */
TEST_F(pin, often)
{
	const size_t length = 40 * self->t.page;
	struct bitmem_alloc alloc;
	char *memory;
	int i;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, bt_pin(self->pipe, memory + 3 * i / 2 * self->t.page, self->t.page));
	ASSERT_EQ(0, bt_pin(self->pipe, memory, self->t.page));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_TRUE(bt_quarantined(self->t.fd, &self->before, 8 * self->t.page));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(0, unpin_page(self, 3 * i / 2 * self->t.page));
	/* Seven are free now; the first page is still in the pipe once. */
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined,
			     self->before.out_quarantined + self->t.page, 1000));
	EXPECT_EQ(0, unpin_page(self, 0));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, self->before.out_quarantined, 1000));
}

/* QUERY sees pins, and tells them from mappings. */
TEST_F(pin, queried)
{
	const size_t length = 2 * self->t.superblock + 3 * self->t.page;
	struct bitmem_alloc alloc;
	struct bitmem_query query;
	char *memory;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(0, query.out_pinned);
	ASSERT_EQ(0, bt_pin(self->pipe, memory + self->t.superblock, self->t.page));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(self->t.superblock, query.out_pinned);
	ASSERT_EQ(0, bt_pin(self->pipe, memory + 2 * self->t.superblock, self->t.page));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(self->t.superblock + self->t.page, query.out_pinned);
	EXPECT_EQ(length, query.out_resident);
	EXPECT_EQ(0, unpin_page(self, self->t.superblock));
	EXPECT_EQ(0, unpin_page(self, 2 * self->t.superblock));
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(0, query.out_pinned);
}

/* The owner is killed; what it had in the pipe stays behind until it is read. */
TEST_F(pin, owner_killed)
{
	const size_t length = 2 * self->t.superblock + 2 * self->t.page;
	pid_t child = fork();

	ASSERT_LE(0, child);
	if (!child) {
		struct bitmem_alloc alloc;
		int fd;
		char *memory = bt_new_file(&fd, length, &alloc);

		if (!memory)
			_exit(1);
		bt_fill(memory, length, SEED);
		if (bt_pin(self->pipe, memory, self->t.page) ||
		    bt_pin(self->pipe, memory + 2 * self->t.superblock, self->t.page))
			_exit(2);
		kill(getpid(), SIGKILL);
	}
	ASSERT_EQ(256 + SIGKILL, bt_reap(child));
	EXPECT_TRUE(bt_quarantined(self->t.fd, &self->before, self->t.superblock + self->t.page));
	EXPECT_EQ(0, unpin_page(self, 0));
	EXPECT_EQ(0, unpin_page(self, 2 * self->t.superblock));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, self->before.out_quarantined, 1000));
}

BT_FIXTURE(dma);

/* Reads @length bytes through the page cache into ordinary memory, or NULL. */
static char *read_cached(int direct, size_t length)
{
	char path[32], *bytes = malloc(length);
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", direct);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !bytes || pread(fd, bytes, length, 0) != (ssize_t)length) {
		free(bytes);
		bytes = NULL;
	}
	if (fd >= 0)
		close(fd);
	return bytes;
}

/* The device writes into the mapping itself, over superblocks and tail. */
TEST_F(dma, read_from_disk)
{
	const size_t length = 2 * self->t.superblock + 8 * self->t.page;
	struct bitmem_alloc alloc;
	char *memory, *want;
	bool ours;
	int fd = bt_disk(&ours);

	if (fd < 0)
		SKIP(return, "no disk: %s", strerror(-fd));
	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	if (ours) {
		bt_fill(memory, length, SEED);
		ASSERT_EQ(length, pwrite(fd, memory, length, 0));
	}
	memset(memory, 0xa5, length);
	ASSERT_EQ(length, pread(fd, memory, length, 0));
	if (ours)
		EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	want = read_cached(fd, length);
	ASSERT_NE(NULL, want);
	EXPECT_EQ(0, memcmp(want, memory, length));
	free(want);
	close(fd);
}

TEST_F(dma, file)
{
	const size_t length = self->t.superblock + 16 * self->t.page;
	struct bitmem_alloc alloc;
	int fd = bt_file(O_DIRECT);
	char *memory;

	if (fd < 0)
		SKIP(return, "no file with O_DIRECT: %s", strerror(-fd));
	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	ASSERT_EQ(length, pwrite(fd, memory, length, 0));
	memset(memory, 0, length);
	ASSERT_EQ(length, pread(fd, memory, length, 0));
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	close(fd);
}

/* Killed in the middle of reading, over and over: no DMA may hit what was given back. */
TEST_F_TIMEOUT(dma, killed_while_reading, 300)
{
	const size_t length = 4 * self->t.superblock;
	const unsigned int rounds = bt_rounds(20);
	unsigned int i;
	bool ours;
	int fd = bt_disk(&ours);

	if (fd < 0)
		SKIP(return, "no disk: %s", strerror(-fd));
	for (i = 0; i < rounds; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_alloc alloc;
			int own;
			char *memory = bt_new_file(&own, length, &alloc);

			while (memory && pread(fd, memory, length, 0) > 0)
				;
			_exit(1);
		}
		bt_sleep_ms(5 + i % 20);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(NULL, bt_end(&self->t));
	}
	close(fd);
}

BT_MAIN
