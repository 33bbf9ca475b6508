// SPDX-License-Identifier: GPL-2.0
/*
 * Pictures are drawn in memory and written when they are complete, so that a file is not
 * touched for nothing.
 */
#include "picture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "installed.h"
#include "output.h"

struct bytes {
	unsigned char *data;
	size_t length;
	size_t room;
};

static int keep(const unsigned char *data, size_t length, void *to)
{
	struct bytes *bytes = to;
	unsigned char *larger;
	size_t room = bytes->room ? bytes->room : 64 << 10;

	while (room - bytes->length < length)
		room *= 2;
	if (room > bytes->room) {
		larger = realloc(bytes->data, room);
		if (!larger)
			return -1;
		bytes->data = larger;
		bytes->room = room;
	}
	memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
	return 0;
}

static int write_all(int fd, const struct bytes *bytes)
{
	size_t done = 0;

	while (done < bytes->length) {
		ssize_t n = write(fd, bytes->data + done, bytes->length - done);

		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/* 0 or an errno. Closes @fd, which may be -1 with errno. */
static int write_and_close(int fd, const struct bytes *bytes)
{
	int err = fd < 0 || write_all(fd, bytes) ? errno : 0;

	if (fd >= 0 && close(fd) && !err)
		err = errno;
	return err;
}

/* What is no regular file is written to as it is. */
static bool is_special(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && !S_ISREG(st.st_mode);
}

/* A file that is there stays what it was until the new one is complete. 0 or an errno. */
static int replace(const char *path, const struct bytes *bytes)
{
	mode_t mask = umask(0);
	char *new;
	int err, fd;

	umask(mask);
	if (asprintf(&new, "%s.XXXXXX", path) < 0)
		return ENOMEM;
	fd = mkostemp(new, O_CLOEXEC);
	err = fd < 0 ? errno : 0;
	if (!err) {
		err = fchmod(fd, 0666 & ~mask) ? errno : 0;
		err = write_and_close(fd, bytes) ?: err;
		if (!err && rename(new, path))
			err = errno;
		if (err)
			unlink(new);
	}
	free(new);
	return err;
}

static int write_file(const char *path, const struct bytes *bytes)
{
	int err;

	if (is_special(path))
		err = write_and_close(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), bytes);
	else
		err = replace(path, bytes);
	if (!err)
		return 0;
	output_error("%s: %s", path, strerror(err));
	return -1;
}

static int draw(const struct map *map, enum picture_format format, void *drawer,
		struct bytes *bytes)
{
	void *symbol = dlsym(drawer, "picture_draw");
	__typeof__(picture_draw) *function;
	const char *wrong = "this is another version of it";

	memcpy(&function, &symbol, sizeof(function));
	if (function)
		wrong = function(map, format, keep, bytes);
	if (!wrong)
		return 0;
	output_error("picture: %s", wrong);
	return -1;
}

/* NULL after saying on stderr what failed. */
static void *load_drawer(void)
{
	char path[INSTALLED_LEN];
	void *drawer;

	if (installed("picture.so", path)) {
		output_error("pictures cannot be drawn: /proc/self/exe does not tell where this is");
		return NULL;
	}
	drawer = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!drawer)
		output_error("pictures cannot be drawn: %s (is libcairo2 installed?)", dlerror());
	return drawer;
}

int picture_save(const struct map *map, enum picture_format format, const char *path)
{
	struct bytes bytes = {0};
	void *drawer = load_drawer();
	int err;

	if (!drawer)
		return -1;
	err = draw(map, format, drawer, &bytes);
	if (!err)
		err = write_file(path, &bytes);
	/* The drawer stays: what it uses keeps caches, for the next picture too. */
	free(bytes.data);
	return err;
}
