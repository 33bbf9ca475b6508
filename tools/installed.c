// SPDX-License-Identifier: GPL-2.0
#include "installed.h"

#include <stdio.h>
#include <unistd.h>

int installed(const char *name, char path[INSTALLED_LEN])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);

	/* A relative path would be looked up in whatever directory this is. */
	if (n <= 0 || path[0] != '/')
		return -1;
	/* PREFIX/bin/bitmem: what is behind PREFIX/ is replaced. */
	for (int i = 0; i < 2; i++) {
		while (n > 1 && path[n - 1] != '/')
			n--;
		n -= i == 0 && n > 1;
	}
	snprintf(path + n, INSTALLED_LEN - (size_t)n, INSTALLED_DIR "%s", name);
	return 0;
}
