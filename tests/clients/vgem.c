// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's virtual GEM driver as importer: DRM's way of taking dma-bufs, and the source of
 * dma-bufs that are not ours.
 */
#include "../kselftest/bitmem_dmabuf.h"
#include "../kselftest/bitmem_harness.h"

#include <drm/drm.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define SEED	0x49e3

FIXTURE(vgem) {
	struct bt t;
	int fd;
};

/* The driver's node, or -1. */
static int open_vgem(void)
{
	char path[32], name[8];
	int i, fd;

	for (i = 0; i < 16; i++) {
		struct drm_version version = { .name = name, .name_len = sizeof(name) };

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!bt_ioctl(fd, DRM_IOCTL_VERSION, &version) && version.name_len == 4 &&
		    !memcmp(name, "vgem", 4))
			return fd;
		close(fd);
	}
	return -1;
}

FIXTURE_SETUP(vgem)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	self->fd = open_vgem();
	if (self->fd < 0)
		SKIP(return, "no vgem");
}

FIXTURE_TEARDOWN_PARENT(vgem)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static int to_handle(int fd, int dmabuf, uint32_t *handle)
{
	struct drm_prime_handle arg = { .fd = dmabuf };
	int err = bt_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &arg);

	*handle = arg.handle;
	return err;
}

static int close_handle(int fd, uint32_t handle)
{
	struct drm_gem_close arg = { .handle = handle };

	return bt_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &arg);
}

/* A handle keeps the memory, also of a buffer that nothing else knows any more. */
TEST_F(vgem, import)
{
	const size_t length = self->t.superblock + 3 * self->t.page;
	uint64_t before = bt_allocated(self->t.fd);
	struct bitmem_import in;
	uint32_t handle;
	int dmabuf;

	dmabuf = bt_orphan(length, SEED);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, bt_import(self->t.fd, dmabuf, &in));
	ASSERT_EQ(0, to_handle(self->fd, dmabuf, &handle));
	close(dmabuf);
	TH_LOG("this kernel's vgem %s at import",
	       bt_flags(self->t.fd, in.out_id) & BITMEM_BUFFER_FIXED ? "maps" : "only attaches");
	EXPECT_EQ(1, bt_exports(self->t.fd, in.out_id));
	ASSERT_EQ(0, bt_free(self->t.fd, in.out_id));
	EXPECT_EQ(before + length, bt_allocated(self->t.fd));
	ASSERT_EQ(0, close_handle(self->fd, handle));
	EXPECT_EQ(before, bt_allocated(self->t.fd));
}

/* The dma-buf comes back out as the same one, and is still ours. */
TEST_F(vgem, there_and_back)
{
	struct drm_prime_handle back = { .flags = O_RDWR | O_CLOEXEC };
	const size_t length = 2 * self->t.page;
	int dmabuf = bt_orphan(length, SEED);
	struct bitmem_import in;

	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, to_handle(self->fd, dmabuf, &back.handle));
	close(dmabuf);
	ASSERT_EQ(0, bt_ioctl(self->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &back));
	ASSERT_EQ(0, bt_import(self->t.fd, back.fd, &in));
	EXPECT_EQ(length, in.out_length);
	EXPECT_EQ(-1, bt_wrong_at(self->t.fd, length, in.out_offset, SEED));
}

/* A dma-buf that vgem made itself. */
TEST_F(vgem, foreign)
{
	struct drm_mode_create_dumb dumb = { .width = 64, .height = 64, .bpp = 32 };
	struct drm_prime_handle prime = { .flags = O_RDWR | O_CLOEXEC };
	struct bitmem_import in;

	ASSERT_EQ(0, bt_ioctl(self->fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb));
	prime.handle = dumb.handle;
	ASSERT_EQ(0, bt_ioctl(self->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	EXPECT_EQ(-EINVAL, bt_import(self->t.fd, prime.fd, &in));
}

TEST_F(vgem, killed)
{
	const size_t length = 2 * self->t.superblock + self->t.page;
	uint64_t before = bt_allocated(self->t.fd);
	int ready[2];
	pid_t child;

	close(self->fd);
	ASSERT_EQ(0, pipe(ready));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int dmabuf = bt_orphan(length, SEED), fd = open_vgem();
		uint32_t handle;

		if (to_handle(fd, dmabuf, &handle) || close(dmabuf))
			_exit(1);
		bt_signal(ready);
		pause();
	}
	close(ready[1]);
	ASSERT_EQ(0, bt_await(ready));
	EXPECT_EQ(before + length, bt_allocated(self->t.fd));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(256 + SIGKILL, bt_reap(child));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 2000));
}

BT_MAIN
