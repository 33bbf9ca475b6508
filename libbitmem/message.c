/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of a fixed size and one file descriptor, over UNIX sockets.
 *
 * The kernel never splits so small a message, of a stream socket neither, and a read
 * takes the descriptors of one message only: one call sends it all or nothing, and one
 * call receives it all, or it was another program's.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"

/* glibc has it from 2.39 on; the kernel's include/linux/socket.h. */
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/*
 * Room for a few descriptors, so that too many are seen as such, beside what the socket's
 * owner may have asked for: credentials, a security label. More are closed by the kernel.
 */
#define CONTROL_BYTES 512

union control {
	struct cmsghdr align;
	char bytes[CONTROL_BYTES];
};

/* Other families take descriptors and forget them. */
static int check_socket(int socket)
{
	socklen_t length = sizeof(int);
	int domain;

	if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length))
		return -errno;
	return domain == AF_UNIX ? 0 : -EINVAL;
}

int bm_message_send(int socket, const void *data, size_t length, int fd)
{
	union control control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = length };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(fd)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int ret = check_socket(socket);
	ssize_t sent;

	if (ret)
		return ret;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	do {
		sent = sendmsg(socket, &msg, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -errno;
	return (size_t)sent == length ? 0 : -EMSGSIZE;
}

/* Descriptors in a control message. */
static size_t descriptors(const struct cmsghdr *cmsg)
{
	if (cmsg->cmsg_level != SOL_SOCKET ||
	    (cmsg->cmsg_type != SCM_RIGHTS && cmsg->cmsg_type != SCM_PIDFD))
		return 0;
	return (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

/*
 * Takes the one descriptor that the message is to have, and closes all others. Returns it,
 * or -1 if there is none or more than one. The receiver's own request for a
 * pidfd makes no difference.
 */
static int take_descriptor(struct msghdr *msg)
{
	size_t count = 0;
	int taken = -1;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t n = descriptors(cmsg);
		int fd;

		for (size_t i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			if (cmsg->cmsg_type == SCM_RIGHTS && !count++)
				taken = fd;
			else if (fd >= 0)
				close(fd);
		}
	}
	if (count > 1)
		close(taken);
	return count == 1 ? taken : -1;
}

int bm_message_receive(int socket, void *data, size_t length, struct bitmem_error *error)
{
	union control control;
	struct iovec iov = { .iov_base = data, .iov_len = length };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int ret = check_socket(socket), fd;
	ssize_t got;

	if (ret)
		return bm_error(error, ret, "socket: %s", ret == -EINVAL ?
				"is not a UNIX socket" : strerror(-ret));
	do {
		got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return bm_error(error, -errno, "recvmsg: %s", strerror(errno));
	fd = take_descriptor(&msg);
	if (fd >= 0 && (size_t)got == length && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return fd;
	if (fd >= 0)
		close(fd);
	else if (!got)
		return bm_error(error, -ENODATA, "no more messages");
	else if (msg.msg_flags & MSG_CTRUNC && msg.msg_controllen == 0)
		return bm_error(error, -EMFILE, "message: its descriptor could not be taken");
	return bm_error(error, -EPROTO, "message: %zd bytes%s, %s descriptor%s", got,
			msg.msg_flags & MSG_TRUNC ? " of more" : "",
			fd >= 0 ? "one" : "not one",
			msg.msg_flags & MSG_CTRUNC ? ", some lost" : "");
}
