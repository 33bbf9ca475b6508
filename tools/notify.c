// SPDX-License-Identifier: GPL-2.0
/*
 * The service manager's protocol. It is a promise of systemd's that does not change, and small:
 * datagrams to a socket, and descriptors from 3 on.
 */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

#define LISTEN_FDS_START 3
#define BARRIER_MS	 5000

static int bad_socket(const char *path, const char *why)
{
	output_error("NOTIFY_SOCKET: %s: %s", why, path);
	return -1;
}

int notify_open(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length;

	*notify = (struct notify){.socket = -1, .address = {.sun_family = AF_UNIX}};
	if (!path || !*path)
		return 0;
	length = strlen(path);
	if (*path != '/' && *path != '@')
		return bad_socket(path, "neither a path nor an abstract name");
	if (length >= sizeof(notify->address.sun_path))
		return bad_socket(path, "too long");
	memcpy(notify->address.sun_path, path, length);
	if (*path == '@')
		notify->address.sun_path[0] = '\0';
	else
		length++;
	notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	notify->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return notify->socket < 0 ? bad_socket(path, strerror(errno)) : 0;
}

void notify_close(struct notify *notify)
{
	if (notify->socket >= 0)
		close(notify->socket);
	notify->socket = -1;
}

int notify_send(const struct notify *notify, const char *state)
{
	return notify_send_fd(notify, state, -1);
}

int notify_send_fd(const struct notify *notify, const char *state, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(fd))];
	} control = {
		.header = {
			.cmsg_len = CMSG_LEN(sizeof(fd)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		},
	};
	struct iovec data = {.iov_base = (void *)state, .iov_len = strlen(state)};
	struct sockaddr_un address = notify->address;
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = notify->length,
		.msg_iov = &data,
		.msg_iovlen = 1,
	};

	if (notify->socket < 0)
		return 0;
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.room);
	}
	return sendmsg(notify->socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

void notify_barrier(const struct notify *notify)
{
	struct pollfd pfd = {.events = 0};
	int ends[2];

	if (notify->socket < 0 || pipe2(ends, O_CLOEXEC))
		return;
	if (!notify_send_fd(notify, "BARRIER=1", ends[1])) {
		close(ends[1]);
		pfd.fd = ends[0];
		/* The manager closes the other end. */
		poll(&pfd, 1, BARRIER_MS);
	} else {
		close(ends[1]);
	}
	close(ends[0]);
}

/* How many descriptors there are for this process. */
static int count_listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");
	long n;

	if (!pid || !count || strtol(pid, NULL, 10) != getpid())
		return 0;
	n = strtol(count, NULL, 10);
	return n > 0 && n < sysconf(_SC_OPEN_MAX) - LISTEN_FDS_START ? (int)n : 0;
}

int notify_take(const char *name)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int n = count_listen_fds();
	int taken = -1;

	for (int fd = LISTEN_FDS_START; fd < LISTEN_FDS_START + n; fd++) {
		size_t length = names ? strcspn(names, ":") : 0;

		if (taken < 0 && length == strlen(name) && !strncmp(names, name, length)) {
			taken = fd;
			fcntl(fd, F_SETFD, FD_CLOEXEC);
		} else {
			close(fd);
		}
		if (names)
			names += length + (names[length] == ':');
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return taken;
}
