/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files that are written as a whole: whoever reads one has the old or the new.
 */
#ifndef TOOLS_REPLACE_H
#define TOOLS_REPLACE_H

#include <stddef.h>
#include <sys/types.h>

/* The mode of a file that the user's umask decides about. */
#define REPLACE_DEFAULT_MODE ((mode_t)-1)

/*
 * Writes @path: a new file beside it, on the disk before it takes the name. What is no
 * regular file is written to as it is; "-" is stdout. 0, or -1 after saying on stderr what
 * failed, and a file that was there is what it was.
 */
int replace_file(const char *path, const void *data, size_t length, mode_t mode);

#endif /* TOOLS_REPLACE_H */
