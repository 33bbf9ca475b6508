/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages of a fixed size and one file descriptor, over UNIX sockets. */
#ifndef BITMEM_MESSAGE_H
#define BITMEM_MESSAGE_H

#include "internal.h"

/* Sends @length bytes (a few hundred at most) and @fd, all or nothing. 0 or -errno. */
int bm_message_send(int socket, const void *data, size_t length, int fd);

/*
 * Receives exactly @length bytes and one descriptor, close-on-exec, which is returned;
 * or -errno with words: -ENODATA if there is nothing more, -EPROTO if it is another
 * message. Then no descriptor is left open.
 */
int bm_message_receive(int socket, void *data, size_t length, struct bitmem_error *error);

#endif /* BITMEM_MESSAGE_H */
