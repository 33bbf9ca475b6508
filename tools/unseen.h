/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files that /proc does not show, as no process has a descriptor of them: only
 * mapped, on their way through a socket, or kept by a dma-buf. The kernel lists
 * their buffers.
 */
#ifndef TOOLS_UNSEEN_H
#define TOOLS_UNSEEN_H

#include "holders.h"

/*
 * Adds the files that have buffers and are not among @holders yet, without
 * processes, as far as the caller is allowed to know of them. Where the kernel
 * does not say there are none. 0, or -1 with errno (ENOMEM), and @holders is still to
 * be freed.
 */
int unseen_add(struct holders *holders);

#endif /* TOOLS_UNSEEN_H */
