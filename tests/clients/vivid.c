// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's virtual camera captures into buffers, V4L2_MEMORY_DMABUF: a client that nobody
 * wrote for bitmem. Which of its ways to reach memory it takes (vmalloc: the kernel's mapping;
 * dma-contig: one range of device addresses) is up to how vivid was loaded.
 */
#include "../kselftest/bitmem_dmabuf.h"
#include "../kselftest/bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define SEED	0x41d
#define BUFFERS	4
#define FRAMES	12
#define BARS	8

FIXTURE(vivid) {
	struct bt t;
	int fd;
	struct v4l2_pix_format pix;
};

static int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

/* A capturing node of vivid's, set to 640 x 360 YUYV; or -1. */
static int open_camera(struct v4l2_pix_format *pix)
{
	struct v4l2_format format = { .type = type };
	struct v4l2_capability cap;
	char path[32];
	int i, fd;

	for (i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/dev/video%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		memset(&cap, 0, sizeof(cap));
		if (!bt_ioctl(fd, VIDIOC_QUERYCAP, &cap) && !strcmp((char *)cap.driver, "vivid") &&
		    (cap.device_caps & V4L2_CAP_VIDEO_CAPTURE))
			break;
		close(fd);
	}
	if (i == 8)
		return -1;
	format.fmt.pix.width = 640;
	format.fmt.pix.height = 360;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	if (bt_ioctl(fd, VIDIOC_S_FMT, &format))
		return -1;
	*pix = format.fmt.pix;
	return fd;
}

FIXTURE_SETUP(vivid)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	self->fd = open_camera(&self->pix);
	if (self->fd < 0)
		SKIP(return, "no vivid");
}

FIXTURE_TEARDOWN_PARENT(vivid)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static int request(int fd, enum v4l2_memory memory, uint32_t count)
{
	struct v4l2_requestbuffers arg = { .type = type, .memory = memory, .count = count };

	return bt_ioctl(fd, VIDIOC_REQBUFS, &arg);
}

/* Hands buffer @index to the camera; @dmabuf is -1 where the memory is the camera's own. */
static int queue(int fd, uint32_t index, int dmabuf)
{
	struct v4l2_buffer arg = { .type = type, .index = index };

	arg.memory = dmabuf < 0 ? V4L2_MEMORY_MMAP : V4L2_MEMORY_DMABUF;
	if (dmabuf >= 0)
		arg.m.fd = dmabuf;
	return bt_ioctl(fd, VIDIOC_QBUF, &arg);
}

/* Waits for a frame; the index of its buffer, or -errno. */
static int dequeue(int fd, enum v4l2_memory memory, struct v4l2_buffer *arg)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int err;

	memset(arg, 0, sizeof(*arg));
	arg->type = type;
	arg->memory = memory;
	if (poll(&p, 1, 10000) != 1)
		return -ETIMEDOUT;
	err = bt_ioctl(fd, VIDIOC_DQBUF, arg);
	if (err)
		return err;
	return arg->flags & V4L2_BUF_FLAG_ERROR ? -EIO : (int)arg->index;
}

/* The number of colours in the bars of a line. The text never reaches the last one. */
static int bars(const char *line, const struct v4l2_pix_format *pix)
{
	uint32_t colour[BARS], i, j, n = 0;

	for (i = 0; i < BARS; i++) {
		/* Two pixels share a word; one from the middle of each bar. */
		size_t at = (pix->width * (2 * i + 1) / (2 * BARS) & ~1u) * 2;

		memcpy(&colour[i], line + at, sizeof(colour[i]));
		for (j = 0; j < i && colour[j] != colour[i]; j++)
			;
		n += i == j;
	}
	return n;
}

/* The last line of a frame in memory of the camera's own, for comparison. */
static int reference(int fd, const struct v4l2_pix_format *pix, char *line)
{
	struct v4l2_buffer arg = { .type = type, .memory = V4L2_MEMORY_MMAP };
	char *frame;
	int err;

	err = request(fd, V4L2_MEMORY_MMAP, 2);
	if (err)
		return err;
	err = bt_ioctl(fd, VIDIOC_QUERYBUF, &arg);
	if (err)
		return err;
	frame = mmap(NULL, arg.length, PROT_READ, MAP_SHARED, fd, arg.m.offset);
	if (frame == MAP_FAILED)
		return -errno;
	if (queue(fd, 0, -1) || bt_ioctl(fd, VIDIOC_STREAMON, &type))
		return -EIO;
	err = dequeue(fd, V4L2_MEMORY_MMAP, &arg);
	memcpy(line, frame + pix->sizeimage - pix->bytesperline, pix->bytesperline);
	munmap(frame, arg.length);
	if (bt_ioctl(fd, VIDIOC_STREAMOFF, &type))
		return -EIO;
	return err ? err : request(fd, V4L2_MEMORY_MMAP, 0);
}

struct target {
	struct bitmem_alloc alloc;
	char *memory;
	int dmabuf;
};

/* A buffer for a frame and a little more, in one piece, with a pattern in it. */
static int target_make(int fd, const struct v4l2_pix_format *pix, struct target *target)
{
	int err = bt_alloc_on(fd, pix->sizeimage, BITMEM_NODE_ANY, BITMEM_ALLOC_CONTIG,
			      &target->alloc);

	if (err)
		return err;
	target->memory = bt_map(fd, target->alloc.out_length, target->alloc.out_offset);
	if (!target->memory)
		return -errno;
	bt_fill(target->memory, target->alloc.out_length, SEED);
	target->dmabuf = bt_export(fd, target->alloc.out_id, 0);
	return target->dmabuf < 0 ? target->dmabuf : 0;
}

/* What the camera must not have touched. */
static bool rest_intact(const struct target *target, size_t frame)
{
	static char expected[8 * BT_MIB];

	if (target->alloc.out_length > sizeof(expected))
		return false;
	bt_fill(expected, target->alloc.out_length, SEED);
	return !memcmp(expected + frame, target->memory + frame,
		       target->alloc.out_length - frame);
}

TEST_F_TIMEOUT(vivid, frames, 120)
{
	const struct v4l2_pix_format *pix = &self->pix;
	char line[8192], *last, *before;
	struct target targets[BUFFERS];
	struct v4l2_buffer arg;
	unsigned int i;
	int index;

	ASSERT_GE(sizeof(line), pix->bytesperline);
	ASSERT_EQ(0, reference(self->fd, pix, line));
	ASSERT_LE(BARS - 1, bars(line, pix));
	ASSERT_EQ(0, request(self->fd, V4L2_MEMORY_DMABUF, BUFFERS));
	before = malloc(pix->sizeimage);
	ASSERT_NE(NULL, before);
	memset(before, 0, pix->sizeimage);
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, target_make(self->t.fd, pix, &targets[i]));
		ASSERT_EQ(0, queue(self->fd, i, targets[i].dmabuf));
	}
	ASSERT_EQ(0, bt_ioctl(self->fd, VIDIOC_STREAMON, &type));
	for (i = 0; i < FRAMES; i++) {
		index = dequeue(self->fd, V4L2_MEMORY_DMABUF, &arg);
		ASSERT_LE(0, index);
		ASSERT_GT(BUFFERS, index);
		EXPECT_EQ(pix->sizeimage, arg.bytesused);
		EXPECT_EQ(BITMEM_BUFFER_FIXED, bt_flags(self->t.fd, targets[index].alloc.out_id));
		last = targets[index].memory + pix->sizeimage - pix->bytesperline;
		EXPECT_EQ(0, memcmp(line, last, pix->bytesperline));
		/* The time stands in the picture. */
		EXPECT_NE(0, memcmp(before, targets[index].memory, pix->sizeimage));
		EXPECT_TRUE(rest_intact(&targets[index], pix->sizeimage));
		memcpy(before, targets[index].memory, pix->sizeimage);
		bt_fill(targets[index].memory, pix->sizeimage, SEED);
		ASSERT_EQ(0, queue(self->fd, index, targets[index].dmabuf));
	}
	ASSERT_EQ(0, bt_ioctl(self->fd, VIDIOC_STREAMOFF, &type));
	ASSERT_EQ(0, request(self->fd, V4L2_MEMORY_DMABUF, 0));
	for (i = 0; i < BUFFERS; i++)
		EXPECT_EQ(0, bt_flags(self->t.fd, targets[i].alloc.out_id));
}

/* A camera writes. What may only be read is refused, and nothing is left behind. */
TEST_F(vivid, readonly)
{
	struct target target;
	int dmabuf;

	ASSERT_EQ(0, target_make(self->t.fd, &self->pix, &target));
	dmabuf = bt_export(self->t.fd, target.alloc.out_id, BITMEM_EXPORT_READONLY);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, request(self->fd, V4L2_MEMORY_DMABUF, 1));
	EXPECT_GT(0, queue(self->fd, 0, dmabuf));
	EXPECT_EQ(0, bt_flags(self->t.fd, target.alloc.out_id));
	EXPECT_EQ(0, queue(self->fd, 0, target.dmabuf));
	EXPECT_EQ(-1, bt_wrong(target.memory, target.alloc.out_length, SEED));
}

/* The camera has all there is of the buffer when its maker dies in the middle of a capture. */
TEST_F_TIMEOUT(vivid, killed, 120)
{
	uint64_t before = bt_allocated(self->t.fd);
	int ready[2], i;

	close(self->fd);
	for (i = 0; i < 5; i++) {
		pid_t child;

		ASSERT_EQ(0, pipe(ready));
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			int fd = bt_open(), camera = open_camera(&self->pix), n;
			struct v4l2_buffer arg;
			struct target target;

			if (request(camera, V4L2_MEMORY_DMABUF, BUFFERS))
				_exit(1);
			for (n = 0; n < BUFFERS; n++) {
				if (target_make(fd, &self->pix, &target) ||
				    queue(camera, n, target.dmabuf))
					_exit(2);
				munmap(target.memory, target.alloc.out_length);
				close(target.dmabuf);
			}
			close(fd);
			if (bt_ioctl(camera, VIDIOC_STREAMON, &type) ||
			    dequeue(camera, V4L2_MEMORY_DMABUF, &arg) < 0)
				_exit(3);
			bt_signal(ready);
			pause();
		}
		close(ready[1]);
		ASSERT_EQ(0, bt_await(ready));
		close(ready[0]);
		EXPECT_LT(before, bt_allocated(self->t.fd));
		bt_sleep_ms(11 * i);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 5000));
	}
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_quarantined, 0, 2000));
}

BT_MAIN
