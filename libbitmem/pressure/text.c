/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small text files of the kernel's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

bool bm_text_read(const char *dir, const char *name, char text[BM_TEXT_SIZE])
{
	char path[PATH_MAX];
	size_t length = 0;
	ssize_t n = -1;
	int fd;

	*text = 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	while (length < BM_TEXT_SIZE - 1) {
		n = read(fd, text + length, BM_TEXT_SIZE - 1 - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		length += (size_t)n;
	}
	close(fd);
	text[n < 0 ? 0 : length] = 0;
	return n >= 0;
}

bool bm_text_number(const char *text, uint64_t *value)
{
	uint64_t number = 0;
	const char *c = text;

	for (; *c >= '0' && *c <= '9'; c++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*c - '0'), &number))
			return false;
	}
	if (c == text || (*c && *c != ' ' && *c != '\n'))
		return false;
	*value = number;
	return true;
}

const char *bm_text_line(const char *text, const char *key)
{
	size_t length = strlen(key);

	while (text && strncmp(text, key, length)) {
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return text ? text + length : NULL;
}

bool bm_text_value(const char *text, const char *key, uint64_t *value)
{
	const char *line = bm_text_line(text, key);

	if (!line || *line != ' ')
		return false;
	return bm_text_number(line + strspn(line, " "), value);
}
