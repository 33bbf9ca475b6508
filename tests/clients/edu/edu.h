/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/edu: what the driver of QEMU's educational device and its test agree on. A file
 * has one dma-buf mapped for the device at a time.
 */
#ifndef EDU_H
#define EDU_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The most that one transfer of the device may move. */
#define EDU_MAX		4095

/* Who reads what the device is to do with the dma-buf. */
enum edu_direction {
	EDU_READS,	/* DMA_TO_DEVICE */
	EDU_WRITES,	/* DMA_FROM_DEVICE */
	EDU_BOTH,	/* DMA_BIDIRECTIONAL */
};

/**
 * struct edu_map - ioctl(EDU_MAP)
 * @fd: the dma-buf
 * @direction: enum edu_direction
 * @out_pieces: entries of the table that the exporter made
 * @out_segments: address ranges that the device sees
 * @out_length: bytes of the first of them
 */
struct edu_map {
	__s32 fd;
	__u32 direction;
	__u32 out_pieces;
	__u32 out_segments;
	__u64 out_length;
};

/**
 * struct edu_copy - ioctl(EDU_READ), ioctl(EDU_WRITE)
 * @offset: in the dma-buf
 * @length: at most EDU_MAX
 */
struct edu_copy {
	__u64 offset;
	__u32 length;
	__u32 __reserved;
};

#define EDU_MAP		_IOWR('E', 0, struct edu_map)
#define EDU_UNMAP	_IO('E', 1)
/* The device reads from the dma-buf into memory of its own, or writes from there to it. */
#define EDU_READ	_IOW('E', 2, struct edu_copy)
#define EDU_WRITE	_IOW('E', 3, struct edu_copy)
/* Maps the dma-buf of the descriptor for the kernel, sums up its bytes, and unmaps it. */
#define EDU_SUM		_IOWR('E', 4, __u64)

#endif /* EDU_H */
