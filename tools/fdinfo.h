/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module says of an open file in /proc/PID/fdinfo/FD.
 */
#ifndef TOOLS_FDINFO_H
#define TOOLS_FDINFO_H

#include "holders.h"

/*
 * Reads "@fd" in the directory @dirfd into @file, all but its processes. 0, or -1
 * with errno and nothing to free: ENOENT (it is gone), ENODATA (not bitmem's),
 * ENOMEM.
 */
int fdinfo_read(int dirfd, const char *fd, struct held_file *file);

#endif /* TOOLS_FDINFO_H */
