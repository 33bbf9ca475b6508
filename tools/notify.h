/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a service tells its manager, and what it gets back: the protocol of sd_notify(3) and
 * sd_listen_fds(3). Without a manager there is nobody to tell, and all of it does nothing.
 */
#ifndef TOOLS_NOTIFY_H
#define TOOLS_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	/* -1 if there is no manager. */
	int socket;
	struct sockaddr_un address;
	socklen_t length;
};

/* By NOTIFY_SOCKET. 0, or -1 after saying on stderr what is wrong with it. */
int notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* Sends assignments, parted by line ends. 0, or -1 with errno. */
int notify_send(const struct notify *notify, const char *state);

/* The same with a descriptor (-1: none) for the manager. */
int notify_send_fd(const struct notify *notify, const char *state, int fd);

/* Waits until the manager has dealt with all that was sent, but for five seconds at most. */
void notify_barrier(const struct notify *notify);

/*
 * Takes what the manager kept under @name from LISTEN_FDS; other descriptors that it handed over
 * are closed. The descriptor, or -1 if there is none.
 */
int notify_take(const char *name);

#endif /* TOOLS_NOTIFY_H */
