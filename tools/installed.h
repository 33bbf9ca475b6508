/* SPDX-License-Identifier: GPL-2.0 */
/* What is installed with the program. */
#ifndef TOOLS_INSTALLED_H
#define TOOLS_INSTALLED_H

#include <limits.h>

#define INSTALLED_DIR "lib/bitmem/"
#define INSTALLED_LEN (PATH_MAX + sizeof(INSTALLED_DIR) + NAME_MAX)

/*
 * The absolute path of a file in lib/bitmem, beside the bin/ that the program is in. -1 if it
 * cannot be told where that is.
 */
int installed(const char *name, char path[INSTALLED_LEN]);

#endif /* TOOLS_INSTALLED_H */
