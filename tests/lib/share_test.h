/* SPDX-License-Identifier: GPL-2.0 */
/* Messages with tensors in the raw, for the tests of tensors over sockets. */
#ifndef BITMEM_SHARE_TEST_H
#define BITMEM_SHARE_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <bitmem/share.h>

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

/* A message as share.h describes it. */
struct message {
	uint32_t magic, version, backend, dtype, ndims, reserved;
	uint64_t offset, bytes, shape[8];
};

/* Sends @length bytes with @n descriptors. Whether that went. */
bool raw_send(int socket, const void *data, size_t length, const int *fds, size_t n);

/* Receives what bitmem_tensor_send() sends: its descriptor, or -1. */
int raw_receive(int socket, struct message *message);

/* What bitmem_tensor_send() sends of @tensor, without sending it to anybody. */
int raw_message(struct bitmem_tensor *tensor, struct message *message);

/* The bytes that wait in a socket, none of them taken; -1 with EAGAIN if there are none. */
ssize_t waiting(int socket);

#endif /* BITMEM_SHARE_TEST_H */
