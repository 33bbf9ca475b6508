/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of tensors over sockets share; see share_test.h. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "share_test.h"

#define MOST_FDS 253

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
};

bool raw_send(int socket, const void *data, size_t length, const int *fds, size_t n)
{
	union control control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = length };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg = &control.align;

	if (n) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) == (ssize_t)length;
}

int raw_receive(int socket, struct message *message)
{
	union control control;
	struct iovec iov = { .iov_base = message, .iov_len = sizeof(*message) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != sizeof(*message))
		return -1;
	if (CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

int raw_message(struct bitmem_tensor *tensor, struct message *message)
{
	int sockets[2], fd = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -1;
	if (!bitmem_tensor_send(sockets[0], tensor))
		fd = raw_receive(sockets[1], message);
	close(sockets[0]);
	close(sockets[1]);
	return fd;
}

ssize_t waiting(int socket)
{
	char byte;

	return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
}
