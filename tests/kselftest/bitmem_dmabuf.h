/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of dma-bufs share. As in bitmem_test.h, functions return 0 or a
 * negative errno unless they say otherwise.
 */
#ifndef BITMEM_DMABUF_H
#define BITMEM_DMABUF_H

#include "bitmem_test.h"

/** bt_export() - a dma-buf of a buffer: the descriptor or -errno. */
int bt_export(int fd, uint32_t id, uint32_t flags);

int bt_import(int fd, int dmabuf, struct bitmem_import *arg);

/** bt_charged() - bytes charged to a file; UINT64_MAX if nobody knows. */
uint64_t bt_charged(int fd);

/** bt_exports() - the number of a buffer's dma-bufs, or -errno. */
int bt_exports(int fd, uint32_t id);

/** bt_flags() - BITMEM_BUFFER_* of a buffer; all ones if there is none. */
uint32_t bt_flags(int fd, uint32_t id);

/** bt_allocated() - bytes in buffers, of all pools; UINT64_MAX if nobody knows. */
uint64_t bt_allocated(int fd);

/** bt_orphan() - a dma-buf filled with a pattern, which nothing else holds; or -errno. */
int bt_orphan(size_t length, uint64_t seed);

/** bt_wrong_at() - -1 if @fd, mapped at @offset, has the pattern; else something else. */
ssize_t bt_wrong_at(int fd, size_t length, uint64_t offset, uint64_t seed);

/** bt_send_fd() and bt_receive_fd() - a descriptor through a socket. */
int bt_send_fd(int sock, int fd);
int bt_receive_fd(int sock);

#endif /* BITMEM_DMABUF_H */
