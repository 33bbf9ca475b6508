// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring on mappings. Plain reads go everywhere; fixed buffers, which pin the
 * memory for as long as they are registered, from Linux 6.5 on: older kernels
 * refuse them for any character device.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>

#define SEED	0x10

FIXTURE(uring) {
	struct bt t;
	struct io_uring ring;
	bool pins;		/* whether this kernel registers the mapping */
	size_t length;
	int file;		/* of @length bytes with the pattern */
	struct bitmem_pool_info before;
};

/* A file with the pattern, opened with O_DIRECT where possible; or -errno. */
static int make_file(size_t length)
{
	char *bytes = aligned_alloc(4096, length);
	int fd, err = 0;

	if (!bytes)
		return -ENOMEM;
	fd = bt_file(O_DIRECT);
	if (fd < 0)
		fd = bt_file(0);
	bt_fill(bytes, length, SEED);
	if (fd >= 0 && pwrite(fd, bytes, length, 0) != (ssize_t)length) {
		err = -EIO;
		close(fd);
	}
	free(bytes);
	return err ?: fd;
}

FIXTURE_SETUP(uring)
{
	const char *why = bt_begin(&self->t);
	int err;

	if (why)
		SKIP(return, "%s", why);
	err = io_uring_queue_init(8, &self->ring, 0);
	if (err)
		SKIP(return, "io_uring: %s", strerror(-err));
	self->pins = !bt_kernel_before(6, 5);
	self->length = 2 * self->t.superblock + 8 * self->t.page;
	self->file = make_file(self->length);
	ASSERT_LE(0, self->file);
	ASSERT_EQ(0, bt_total(self->t.fd, &self->before));
}

FIXTURE_TEARDOWN_PARENT(uring)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* What one request came to: bytes, or -errno. */
static int run(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int err = io_uring_submit_and_wait(ring, 1);

	if (err < 0)
		return err;
	err = io_uring_peek_cqe(ring, &cqe);
	if (err)
		return err;
	err = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return err;
}

static int read_plain(FIXTURE_DATA(uring) *self, void *memory, size_t length, uint64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

	io_uring_prep_read(sqe, self->file, memory, length, offset);
	return run(&self->ring);
}

static int read_fixed(FIXTURE_DATA(uring) *self, void *memory, size_t length, uint64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

	io_uring_prep_read_fixed(sqe, self->file, memory, length, offset, 0);
	return run(&self->ring);
}

static int register_memory(FIXTURE_DATA(uring) *self, void *memory, size_t length)
{
	const struct iovec iov = { memory, length };

	return io_uring_register_buffers(&self->ring, &iov, 1);
}

TEST_F(uring, plain_read)
{
	struct bitmem_alloc alloc;
	char *memory;

	memory = bt_new(self->t.fd, self->length, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(self->length, read_plain(self, memory, self->length, 0));
	EXPECT_EQ(-1, bt_wrong(memory, self->length, SEED));
}

TEST_F(uring, fixed_read)
{
	const size_t half = self->t.superblock;
	struct bitmem_alloc alloc;
	char *memory;
	int err;

	memory = bt_new(self->t.fd, self->length, &alloc);
	ASSERT_NE(NULL, memory);
	err = register_memory(self, memory, self->length);
	if (!self->pins) {
		EXPECT_EQ(-EOPNOTSUPP, err);
		return;
	}
	ASSERT_EQ(0, err);
	ASSERT_EQ(half, read_fixed(self, memory, half, 0));
	ASSERT_EQ(self->length - half,
		  read_fixed(self, memory + half, self->length - half, half));
	EXPECT_EQ(-1, bt_wrong(memory, self->length, SEED));
	EXPECT_EQ(0, io_uring_unregister_buffers(&self->ring));
}

/* Registered memory stays out of everybody's hands after its buffer is gone. */
TEST_F(uring, freed_while_registered)
{
	struct bitmem_pool_info total;
	struct bitmem_alloc alloc, rest;
	char *memory, *other;

	if (!self->pins)
		SKIP(return, "this kernel registers no device memory");
	memory = bt_new(self->t.fd, self->length, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, register_memory(self, memory, self->length));
	ASSERT_EQ(0, munmap(memory, self->length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_TRUE(bt_quarantined(self->t.fd, &self->before, self->length));

	/* A read into it goes through, and hits nobody. */
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	other = bt_new(self->t.fd, bt_free_bytes(&total), &rest);
	ASSERT_NE(NULL, other);
	ASSERT_EQ(self->length, read_fixed(self, memory, self->length, 0));
	EXPECT_EQ(-1, bt_nonzero(other, rest.out_length));
	EXPECT_EQ(-ENOMEM, bt_alloc(self->t.fd, 1, &alloc));
	ASSERT_EQ(0, munmap(other, rest.out_length));
	ASSERT_EQ(0, bt_free(self->t.fd, rest.out_id));

	ASSERT_EQ(0, io_uring_unregister_buffers(&self->ring));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, self->before.out_quarantined, 1000));
}

/* Part of a buffer is registered: the whole superblock there, the single pages here. */
TEST_F(uring, partly_registered)
{
	struct bitmem_alloc alloc;
	char *memory;

	if (!self->pins)
		SKIP(return, "this kernel registers no device memory");
	memory = bt_new(self->t.fd, self->length, &alloc);
	ASSERT_NE(NULL, memory);
	ASSERT_EQ(0, register_memory(self, memory + 2 * self->t.superblock - self->t.page,
				     3 * self->t.page));
	ASSERT_EQ(0, munmap(memory, self->length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_TRUE(bt_quarantined(self->t.fd, &self->before,
				   self->t.superblock + 2 * self->t.page));
	ASSERT_EQ(0, io_uring_unregister_buffers(&self->ring));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, self->before.out_quarantined, 1000));
}

/* The ring drops its pins some time after its killed owner's files are closed. */
TEST_F(uring, killed_while_registered)
{
	int i;

	if (!self->pins)
		SKIP(return, "this kernel registers no device memory");
	for (i = 0; i < 5; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_alloc alloc;
			int fd;
			char *memory = bt_new_file(&fd, self->length, &alloc);

			if (!memory || bt_pin_long(memory, self->length) < 0)
				_exit(1);
			kill(getpid(), SIGKILL);
		}
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(NULL, bt_end(&self->t));
	}
}

BT_MAIN
