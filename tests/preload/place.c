/* SPDX-License-Identifier: GPL-2.0 */
#include "place.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* The kernel's list of mappings; a buffer of the caller's, so that nothing is allocated. */
bool in_pool(const void *ptr)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512], mode;
	bool found = false;

	while (maps && !found && fgets(line, sizeof(line), maps)) {
		found = sscanf(line, "%lx-%lx %*3s%c", &from, &to, &mode) == 3 &&
			(uintptr_t)ptr >= from && (uintptr_t)ptr < to;
	}
	if (maps)
		fclose(maps);
	return found && mode == 's' && (strstr(line, "/dev/bitmem") || strstr(line, "/memfd:"));
}

bool all_are(const void *ptr, unsigned char value, size_t length)
{
	const unsigned char *bytes = ptr;

	return !length || (*bytes == value && !memcmp(bytes, bytes + 1, length - 1));
}

int status_of(int child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
