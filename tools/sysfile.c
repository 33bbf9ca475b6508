// SPDX-License-Identifier: GPL-2.0
/*
 * Reading /proc and /sys.
 */
#include "sysfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sysfile_line(const char *path, char *text, size_t size)
{
	FILE *in = fopen(path, "re");
	bool ok = in && fgets(text, (int)size, in);

	if (in)
		fclose(in);
	if (ok)
		text[strcspn(text, "\n")] = '\0';
	else
		*text = '\0';
	return ok;
}

uint64_t sysfile_number(const char *path, uint64_t otherwise)
{
	char line[64];
	char *end;
	uint64_t value;

	if (!sysfile_line(path, line, sizeof(line)))
		return otherwise;
	value = strtoull(line, &end, 10);
	return end == line ? otherwise : value;
}

bool sysfile_choice(const char *path, char *word, size_t size)
{
	char line[256];
	char *from;
	size_t length;

	if (!sysfile_line(path, line, sizeof(line)))
		return false;
	from = strchr(line, '[');
	if (!from++)
		return false;
	length = strcspn(from, "]");
	if (length >= size)
		return false;
	memcpy(word, from, length);
	word[length] = '\0';
	return true;
}

uint64_t sysfile_meminfo(const char *key)
{
	FILE *in = fopen("/proc/meminfo", "re");
	size_t length = strlen(key);
	uint64_t value = 0;
	char line[128];

	while (in && fgets(line, sizeof(line), in)) {
		char *end;

		if (strncmp(line, key, length) != 0 || line[length] != ':')
			continue;
		value = strtoull(line + length + 1, &end, 10);
		if (!strcmp(end, " kB\n"))
			value <<= 10;
		break;
	}
	if (in)
		fclose(in);
	return value;
}
