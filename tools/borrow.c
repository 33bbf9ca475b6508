// SPDX-License-Identifier: GPL-2.0
/*
 * Another process's files, by pidfd_getfd(2): it asks for what a debugger would need.
 */
#include "borrow.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdinfo.h"
#include "output.h"

struct search {
	struct borrowed *borrowed;
	dev_t device;
	pid_t pid;
	int pidfd;
	/* Directories of the process. */
	int fd_dir;
	int fdinfo_dir;
	/* Numbers of the files, one for each that is borrowed. */
	uint64_t *files;
};

static int failed(pid_t pid, int err)
{
	output_error("process %d: %s%s", pid, strerror(err),
		     err == EPERM || err == EACCES ?
			     ": looking into it needs what a debugger does (try as root)" : "");
	return -1;
}

static bool is_known(const struct search *search, uint64_t file)
{
	for (size_t i = 0; i < search->borrowed->n; i++) {
		if (search->files[i] == file)
			return true;
	}
	return false;
}

static int keep(struct search *search, int fd, uint64_t file)
{
	struct borrowed *borrowed = search->borrowed;
	uint64_t *files = reallocarray(search->files, borrowed->n + 1, sizeof(*files));
	int *fds = reallocarray(borrowed->fds, borrowed->n + 1, sizeof(*fds));

	if (files)
		search->files = files;
	if (fds)
		borrowed->fds = fds;
	if (!files || !fds)
		return -1;
	files[borrowed->n] = file;
	fds[borrowed->n++] = fd;
	return 0;
}

/* 0, or an errno. A descriptor that is gone by now is no failure. */
static int take(struct search *search, const char *name)
{
	struct held_file file;
	struct stat st;
	int fd;

	if (fstatat(search->fd_dir, name, &st, 0) || !S_ISCHR(st.st_mode) ||
	    st.st_rdev != search->device)
		return 0;
	if (fdinfo_read(search->fdinfo_dir, name, &file))
		return errno == ENOMEM ? ENOMEM : 0;
	free(file.list);
	if (is_known(search, file.file))
		return 0;
	fd = (int)syscall(SYS_pidfd_getfd, search->pidfd, atoi(name), 0);
	if (fd < 0)
		return errno == EBADF ? 0 : errno;
	/* The number may lead to another file since it was looked at. */
	if (fstat(fd, &st) || !S_ISCHR(st.st_mode) || st.st_rdev != search->device) {
		close(fd);
		return 0;
	}
	if (keep(search, fd, file.file)) {
		close(fd);
		return ENOMEM;
	}
	return 0;
}

static int take_all(struct search *search)
{
	DIR *fds = fdopendir(search->fd_dir);
	struct dirent *entry;
	int err = 0;

	if (!fds) {
		err = errno;
		close(search->fd_dir);
		return err;
	}
	while (!err && (entry = readdir(fds))) {
		if (isdigit((unsigned char)*entry->d_name))
			err = take(search, entry->d_name);
	}
	closedir(fds);
	free(search->files);
	return err;
}

/* With the process's pidfd, which is that of the directories if it still lives after them. */
static int look_into(struct search *search)
{
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", search->pid);
	search->fdinfo_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (search->fdinfo_dir < 0)
		return errno;
	snprintf(path, sizeof(path), "/proc/%d/fd", search->pid);
	search->fd_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = search->fd_dir < 0 ? errno : take_all(search);
	close(search->fdinfo_dir);
	return err;
}

int borrow(const char *path, pid_t pid, struct borrowed *borrowed)
{
	struct search search = {.borrowed = borrowed, .pid = pid};
	struct stat st;
	int err;

	*borrowed = (struct borrowed){0};
	if (stat(path, &st)) {
		output_error("%s: %s", path, strerror(errno));
		return -1;
	}
	search.device = st.st_rdev;
	search.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (search.pidfd < 0)
		return failed(pid, errno);
	err = look_into(&search);
	close(search.pidfd);
	if (err) {
		borrow_end(borrowed);
		return failed(pid, err);
	}
	if (!borrowed->n) {
		output_error("process %d: has no descriptor of %s", pid, path);
		return -1;
	}
	return 0;
}

void borrow_end(struct borrowed *borrowed)
{
	for (size_t i = 0; i < borrowed->n; i++)
		close(borrowed->fds[i]);
	free(borrowed->fds);
	*borrowed = (struct borrowed){0};
}
