// SPDX-License-Identifier: GPL-2.0
/*
 * A file is replaced by rename(), so that there is no time at which it is half written.
 */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

static int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

/* What is no regular file is written to as it is. */
static bool is_special(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && !S_ISREG(st.st_mode);
}

/* 0 or an errno. */
static int write_special(const char *path, const void *data, size_t length)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int err = fd < 0 || write_all(fd, data, length) ? errno : 0;

	if (fd >= 0 && close(fd) && !err)
		err = errno;
	return err;
}

/* Writes and closes @fd. 0 or an errno. */
static int fill(int fd, const void *data, size_t length, mode_t mode)
{
	int err = fchmod(fd, mode) || write_all(fd, data, length) || fsync(fd) ? errno : 0;

	if (close(fd) && !err)
		err = errno;
	return err;
}

/* 0 or an errno. */
static int replace(const char *path, const void *data, size_t length, mode_t mode)
{
	char *new;
	int err, fd;

	if (asprintf(&new, "%s.XXXXXX", path) < 0)
		return ENOMEM;
	fd = mkostemp(new, O_CLOEXEC);
	err = fd < 0 ? errno : fill(fd, data, length, mode);
	if (!err && rename(new, path))
		err = errno;
	if (err && fd >= 0)
		unlink(new);
	free(new);
	return err;
}

static mode_t default_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

int replace_file(const char *path, const void *data, size_t length, mode_t mode)
{
	int err;

	if (!strcmp(path, "-"))
		return output_bytes(data, length);
	if (is_special(path))
		err = write_special(path, data, length);
	else
		err = replace(path, data, length,
			      mode == REPLACE_DEFAULT_MODE ? default_mode() : mode);
	if (!err)
		return 0;
	output_error("%s: %s", path, strerror(err));
	return -1;
}
