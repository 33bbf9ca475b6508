/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's pressure stall information: the share of time in which some process
 * waited for memory. Kernels may be without it, and may keep it from some users.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "source.h"
#include "text.h"

/* 200 ms in two seconds: unprivileged users may only have windows of whole two seconds. */
static const char trigger[] = "some 200000 2000000";

/* "12.34" is 1234; 0 if it is no such number. */
static unsigned int hundredths(const char *text)
{
	unsigned int value = 0, digits = 0;
	const char *c = text;

	for (; *c >= '0' && *c <= '9' && digits < 3; c++, digits++)
		value = value * 10 + (unsigned int)(*c - '0');
	if (!digits || c[0] != '.' || c[1] < '0' || c[1] > '9' || c[2] < '0' || c[2] > '9')
		return 0;
	return value * 100 + (unsigned int)(c[1] - '0') * 10 + (unsigned int)(c[2] - '0');
}

unsigned int bm_stall_read(const char *dir, const char *name)
{
	char text[BM_TEXT_SIZE];
	const char *share;

	if (!bm_text_read(dir, name, text))
		return 0;
	share = bm_text_line(text, "some avg10=");
	return share ? hundredths(share) : 0;
}

int bm_stall_open(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return -1;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	/* The kernel wants the final NUL as well. */
	if (write(fd, trigger, sizeof(trigger)) == sizeof(trigger))
		return fd;
	close(fd);
	return -1;
}
