// SPDX-License-Identifier: GPL-2.0
/*
 * The search through /proc.
 *
 * Descriptors of the device are found by the device number behind them, so that a
 * device node of another name (in a container) counts too. Several descriptors,
 * of several processes, can lead to one file, and its memory must be counted
 * once: the file's id in fdinfo tells. A process that closed its descriptor and
 * kept the mapping shows in its maps only, where the node's inode is named.
 *
 * Processes come and go meanwhile: what is gone when it is looked at is no error.
 */
#include "holders.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fdinfo.h"

struct scan {
	struct holders *holders;
	struct stat device;
	/* The process at hand. */
	struct process process;
	int dir;
	bool hidden;
	bool has_fd;
};

static int no_memory(void)
{
	errno = ENOMEM;
	return -1;
}

static FILE *open_file(const struct scan *scan, const char *name)
{
	int fd = openat(scan->dir, name, O_RDONLY | O_CLOEXEC);
	FILE *in;

	if (fd < 0)
		return NULL;
	in = fdopen(fd, "r");
	if (!in)
		close(fd);
	return in;
}

static void read_comm(struct scan *scan)
{
	char *comm = scan->process.comm;
	ssize_t n = -1;
	int fd;

	fd = openat(scan->dir, "comm", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, comm, sizeof(scan->process.comm) - 1);
		close(fd);
	}
	if (n > 0 && comm[n - 1] == '\n')
		n--;
	comm[n > 0 ? n : 0] = '\0';
}

static struct held_file *find_file(struct holders *holders, uint64_t id)
{
	for (size_t i = 0; i < holders->n_files; i++) {
		if (holders->files[i].file == id)
			return &holders->files[i];
	}
	return NULL;
}

static int add_process(struct held_file *file, const struct process *process)
{
	struct process *list;

	if (file->n_processes && file->processes[file->n_processes - 1].pid == process->pid)
		return 0;
	list = reallocarray(file->processes, file->n_processes + 1, sizeof(*list));
	if (!list)
		return no_memory();
	list[file->n_processes++] = *process;
	file->processes = list;
	return 0;
}

/* Takes over @found->list. */
static int add_file(struct holders *holders, struct held_file *found)
{
	struct held_file *files;

	files = reallocarray(holders->files, holders->n_files + 1, sizeof(*files));
	if (!files) {
		free(found->list);
		return no_memory();
	}
	files[holders->n_files++] = *found;
	holders->files = files;
	return 0;
}

static int take_fd(struct scan *scan, int fdinfo_dir, const char *name)
{
	struct held_file found;
	struct held_file *file;

	if (fdinfo_read(fdinfo_dir, name, &found))
		return errno == ENOMEM ? -1 : 0;
	scan->has_fd = true;
	file = find_file(scan->holders, found.file);
	if (file) {
		free(found.list);
	} else {
		if (add_file(scan->holders, &found))
			return -1;
		file = &scan->holders->files[scan->holders->n_files - 1];
	}
	return add_process(file, &scan->process);
}

/* Asks the kernel for the device number only: other descriptors may lead to dead servers. */
static bool is_device(const struct scan *scan, int dir, const char *name)
{
	struct statx st;

	return !statx(dir, name, AT_STATX_DONT_SYNC, STATX_TYPE, &st) && S_ISCHR(st.stx_mode) &&
	       makedev(st.stx_rdev_major, st.stx_rdev_minor) == scan->device.st_rdev;
}

static int scan_entries(struct scan *scan, DIR *fds, int fdinfo_dir)
{
	struct dirent *entry;

	while ((entry = readdir(fds))) {
		if (isdigit((unsigned char)*entry->d_name) &&
		    is_device(scan, dirfd(fds), entry->d_name) &&
		    take_fd(scan, fdinfo_dir, entry->d_name))
			return -1;
	}
	return 0;
}

static DIR *open_dir_at(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream;

	if (fd < 0)
		return NULL;
	stream = fdopendir(fd);
	if (!stream)
		close(fd);
	return stream;
}

static bool is_denied(int err)
{
	return err == EACCES || err == EPERM;
}

static int scan_fds(struct scan *scan)
{
	DIR *fds = open_dir_at(scan->dir, "fd");
	int fdinfo_dir;
	int err = 0;

	if (!fds) {
		scan->hidden = is_denied(errno);
		return 0;
	}
	fdinfo_dir = openat(scan->dir, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fdinfo_dir >= 0) {
		err = scan_entries(scan, fds, fdinfo_dir);
		close(fdinfo_dir);
	}
	closedir(fds);
	return err;
}

/* Bytes of the mapping in a line of maps if it is one of the device, else 0. */
static uint64_t mapping_bytes(const struct scan *scan, const char *line)
{
	unsigned int major_nr;
	unsigned int minor_nr;
	uint64_t start;
	uint64_t end;
	uint64_t inode;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*x %x:%x %" SCNu64, &start, &end, &major_nr,
		   &minor_nr, &inode) != 5)
		return 0;
	if (makedev(major_nr, minor_nr) != scan->device.st_dev || inode != scan->device.st_ino)
		return 0;
	return end - start;
}

static int add_mapper(struct scan *scan, uint64_t bytes)
{
	struct holders *holders = scan->holders;
	struct mapper *list;

	list = reallocarray(holders->mappers, holders->n_mappers + 1, sizeof(*list));
	if (!list)
		return no_memory();
	list[holders->n_mappers++] = (struct mapper){.process = scan->process, .bytes = bytes};
	holders->mappers = list;
	return 0;
}

static int scan_maps(struct scan *scan)
{
	FILE *in = open_file(scan, "maps");
	uint64_t bytes = 0;
	char *line = NULL;
	size_t room = 0;

	if (!in)
		return 0;
	while (getline(&line, &room, in) > 0)
		bytes += mapping_bytes(scan, line);
	free(line);
	fclose(in);
	return bytes ? add_mapper(scan, bytes) : 0;
}

static int scan_process(struct scan *scan)
{
	int err;

	scan->hidden = false;
	scan->has_fd = false;
	read_comm(scan);
	err = scan_fds(scan);
	if (!err && !scan->has_fd && !scan->hidden)
		err = scan_maps(scan);
	scan->holders->hidden += scan->hidden;
	return err;
}

static int scan_proc(struct scan *scan, DIR *proc)
{
	struct dirent *entry;
	int err = 0;

	while (!err && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)*entry->d_name))
			continue;
		scan->process.pid = (pid_t)strtol(entry->d_name, NULL, 10);
		scan->dir = openat(dirfd(proc), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (scan->dir < 0)
			continue;
		err = scan_process(scan);
		close(scan->dir);
	}
	return err;
}

int holders_scan(const char *path, struct holders *holders)
{
	struct scan scan = {.holders = holders};
	DIR *proc;
	int err;

	*holders = (struct holders){0};
	if (stat(path, &scan.device))
		return -1;
	proc = opendir("/proc");
	if (!proc)
		return -1;
	err = scan_proc(&scan, proc);
	closedir(proc);
	if (err) {
		holders_free(holders);
		errno = ENOMEM;
	}
	return err;
}

void holders_free(struct holders *holders)
{
	for (size_t i = 0; i < holders->n_files; i++) {
		free(holders->files[i].list);
		free(holders->files[i].processes);
	}
	free(holders->files);
	free(holders->mappers);
	*holders = (struct holders){0};
}
