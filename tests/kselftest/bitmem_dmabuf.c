// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers of bitmem_dmabuf.h. No state.
 */
#include "bitmem_dmabuf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int bt_export(int fd, uint32_t id, uint32_t flags)
{
	struct bitmem_export arg = { .size = sizeof(arg), .flags = flags, .id = id };
	int err = bt_ioctl(fd, BITMEM_EXPORT, &arg);

	return err ? err : arg.out_fd;
}

int bt_import(int fd, int dmabuf, struct bitmem_import *arg)
{
	memset(arg, 0, sizeof(*arg));
	arg->size = sizeof(*arg);
	arg->fd = dmabuf;
	return bt_ioctl(fd, BITMEM_IMPORT, arg);
}

uint64_t bt_charged(int fd)
{
	struct bitmem_limit arg = { .size = sizeof(arg), .limit = BITMEM_NO_LIMIT };

	return bt_ioctl(fd, BITMEM_LIMIT, &arg) ? UINT64_MAX : arg.out_used;
}

int bt_exports(int fd, uint32_t id)
{
	struct bitmem_query query;
	int err = bt_query(fd, id, 0, &query);

	return err ? err : (int)query.out_exports;
}

uint32_t bt_flags(int fd, uint32_t id)
{
	struct bitmem_query query;

	return bt_query(fd, id, 0, &query) ? ~0u : query.out_flags;
}

uint64_t bt_allocated(int fd)
{
	struct bitmem_pool_info total;

	return bt_total(fd, &total) ? UINT64_MAX : total.out_allocated;
}

int bt_orphan(size_t length, uint64_t seed)
{
	struct bitmem_alloc alloc;
	int fd = bt_open(), dmabuf;
	char *memory;

	if (fd < 0)
		return -errno;
	memory = bt_new(fd, length, &alloc);
	if (!memory) {
		dmabuf = -errno;
		close(fd);
		return dmabuf;
	}
	bt_fill(memory, length, seed);
	dmabuf = bt_export(fd, alloc.out_id, 0);
	munmap(memory, length);
	close(fd);
	return dmabuf;
}

ssize_t bt_wrong_at(int fd, size_t length, uint64_t offset, uint64_t seed)
{
	void *memory = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, offset);
	ssize_t at;

	if (memory == MAP_FAILED)
		return -2;
	at = bt_wrong(memory, length, seed);
	munmap(memory, length);
	return at;
}

/* A message of one byte, and of one descriptor beside it. */
struct message {
	struct msghdr head;
	struct iovec data;
	char byte;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
};

static void message_init(struct message *m)
{
	memset(m, 0, sizeof(*m));
	m->data.iov_base = &m->byte;
	m->data.iov_len = 1;
	m->head.msg_iov = &m->data;
	m->head.msg_iovlen = 1;
	m->head.msg_control = m->control.bytes;
	m->head.msg_controllen = sizeof(m->control.bytes);
}

int bt_send_fd(int sock, int fd)
{
	struct cmsghdr *rights;
	struct message m;

	message_init(&m);
	rights = CMSG_FIRSTHDR(&m.head);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &fd, sizeof(int));
	return sendmsg(sock, &m.head, 0) == 1 ? 0 : -errno;
}

int bt_receive_fd(int sock)
{
	struct cmsghdr *rights;
	struct message m;
	int fd;

	message_init(&m);
	if (recvmsg(sock, &m.head, MSG_CMSG_CLOEXEC) != 1)
		return -EPIPE;
	rights = CMSG_FIRSTHDR(&m.head);
	if (!rights || rights->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(rights), sizeof(int));
	return fd;
}
