// SPDX-License-Identifier: GPL-2.0
/*
 * The sequences of failnth that are mappings, faults, dma-bufs and the heap.
 */
#include "bitmem_dmabuf.h"
#include "failnth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int run_mmap(struct scene *scene)
{
	return scene_map(scene);
}

static int run_mmap_anonymous(struct scene *scene)
{
	return scene_map(scene);
}

static int with_untouched(struct scene *scene)
{
	return with_buffer(scene) ?: scene_map(scene);
}

/* A fault that found no memory is had once more: no error ever comes here. */
static int run_fault(struct scene *scene)
{
	bt_touch(scene->memory, scene->length, scene->t->page);
	return 0;
}

static int run_fault_split(struct scene *scene)
{
	bt_touch(scene->memory, scene->t->superblock / 2, scene->t->page);
	return 0;
}

static int run_munmap_part(struct scene *scene)
{
	return munmap(scene->memory + scene->t->page, scene->t->page) ? -errno : 0;
}

static int run_fork(struct scene *scene)
{
	scene->child = fork();
	if (!scene->child)
		_exit(0);
	return scene->child < 0 ? -errno : 0;
}

static int run_export(struct scene *scene)
{
	return scene_export(scene);
}

static int run_import(struct scene *scene)
{
	struct bitmem_import import;

	return bt_import(scene->fd, scene->dmabuf, &import);
}

static int run_dmabuf_mmap(struct scene *scene)
{
	scene->memory = bt_map(scene->dmabuf, scene->length, 0);
	if (!scene->memory)
		return -errno;
	bt_touch(scene->memory, scene->length, scene->t->page);
	return 0;
}

static int run_dmabuf_sync(struct scene *scene)
{
	struct dma_buf_sync begin = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct dma_buf_sync end = { DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW };

	return bt_ioctl(scene->dmabuf, DMA_BUF_IOCTL_SYNC, &begin) ?:
	       bt_ioctl(scene->dmabuf, DMA_BUF_IOCTL_SYNC, &end);
}

static int with_heap(struct scene *scene)
{
	scene->other = open("/dev/dma_heap/bitmem", O_RDWR | O_CLOEXEC);
	return scene->other < 0 ? -errno : 0;
}

static int run_heap(struct scene *scene)
{
	struct dma_heap_allocation_data data = {
		.len = scene->length, .fd_flags = O_RDWR | O_CLOEXEC,
	};
	int err = bt_ioctl(scene->other, DMA_HEAP_IOCTL_ALLOC, &data);

	if (!err)
		scene->dmabuf = data.fd;
	return err;
}

DEFINE(mmap, with_buffer);
DEFINE(mmap_anonymous, with_file);
DEFINE(fault, with_untouched);
DEFINE(fault_split, with_holes);
DEFINE(munmap_part, with_mapping);
DEFINE(fork, with_mapping);
DEFINE(export, with_buffer);
DEFINE(import, with_dmabuf);
DEFINE(dmabuf_mmap, with_dmabuf);
DEFINE(dmabuf_sync, with_dmabuf);
DEFINE(heap, with_heap);
