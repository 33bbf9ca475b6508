/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What /proc does not show: files that no process has a descriptor of, as they are only
 * mapped, on their way through a socket, or kept by a dma-buf; and what is exported and
 * published of all. The kernel lists their buffers.
 */
#ifndef TOOLS_UNSEEN_H
#define TOOLS_UNSEEN_H

#include "holders.h"

/*
 * Adds to @holders' files what is told of their buffers, and the files that have buffers and
 * are not among them yet, without processes, as far as the caller is allowed to know of
 * them. Where the kernel does not say there are none, and
 * @holders->owners_error tells why. 0, or -1 with errno (ENOMEM), and
 * @holders is still to be freed.
 */
int unseen_add(struct holders *holders);

#endif /* TOOLS_UNSEEN_H */
