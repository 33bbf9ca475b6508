/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One file of a model: opening it, knowing it again, and how its filesystem
 * wants to be read.
 *
 * Only regular files are taken, and nothing here maps them: a file may be cut
 * short by others at any time, which must be an error and not a SIGBUS.
 *
 * A file that changes while it is loaded is found out by its size and its times.
 * Times are as fine as the filesystem and the kernel's clock tick have them: what
 * is written to within a tick of the open may look untouched.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "set.h"

#define BLOCK_DEFAULT 4096u		/* suits every disk that does not say */
#define BLOCK_MAX     (2u << 20)	/* segments are aligned to no less */

struct bm_file *bm_file_new(const char *path)
{
	struct bm_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->block = BLOCK_DEFAULT;
	file->path = strdup(path);
	if (!file->path) {
		free(file);
		return NULL;
	}
	return file;
}

void bm_file_free(struct bm_file *file)
{
	if (!file)
		return;
	for (size_t i = 0; i < file->n_infos; i++)
		free(file->infos[i].name);
	if (file->segment)
		bm_segment_unref(file->segment);
	free(file->infos);
	free(file->path);
	free(file);
}

/* What is not a regular file cannot be a model. */
static int check_kind(const struct bm_file *file, mode_t mode, struct bitmem_error *error)
{
	if (S_ISREG(mode))
		return 0;
	if (S_ISDIR(mode))
		return bm_report(error, -EISDIR, file->path, "open: %s", strerror(EISDIR));
	return bm_report(error, -EMEDIUMTYPE, file->path, "type: not a regular file (mode %#o)",
			 (unsigned int)mode);
}

static void take_stat(struct bm_file *file, const struct stat *st)
{
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	file->size = (uint64_t)st->st_size;
	file->mtime = st->st_mtim;
	file->ctime = st->st_ctim;
}

static int check_time(const struct bm_file *file, const char *field, const struct timespec *then,
		      const struct timespec *now, struct bitmem_error *error)
{
	if (then->tv_sec == now->tv_sec && then->tv_nsec == now->tv_nsec)
		return 0;
	return bm_report(error, -EBADMSG, file->path,
			 "%s: %lld.%09ld, but %lld.%09ld when the header was read: "
			 "the file changed while being read", field, (long long)now->tv_sec,
			 now->tv_nsec, (long long)then->tv_sec, then->tv_nsec);
}

int bm_file_same(const struct bm_file *file, const struct bm_file *now,
		 struct bitmem_error *error)
{
	int err;

	if (now->dev != file->dev || now->ino != file->ino)
		return bm_report(error, -EBADMSG, file->path,
				 "inode: %llu, but %llu when the header was read: "
				 "the file changed while being read",
				 (unsigned long long)now->ino, (unsigned long long)file->ino);
	if (now->size != file->size)
		return bm_report(error, -EBADMSG, file->path,
				 "size: %llu bytes, but %llu when the header was read: "
				 "the file changed while being read",
				 (unsigned long long)now->size, (unsigned long long)file->size);
	err = check_time(file, "mtime", &file->mtime, &now->mtime, error);
	return err ? err : check_time(file, "ctime", &file->ctime, &now->ctime, error);
}

int bm_file_unchanged(const struct bm_file *file, int fd, struct bitmem_error *error)
{
	struct bm_file now = {0};
	struct stat st;

	if (fstat(fd, &st)) {
		int err = errno;

		return bm_report(error, -err, file->path, "stat: %s", strerror(err));
	}
	take_stat(&now, &st);
	return bm_file_same(file, &now, error);
}

int bm_file_open(struct bm_file *file, struct bitmem_error *error)
{
	/* O_NONBLOCK: a FIFO must not hang us. It is taken off again for io_uring's sake. */
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int err;

	if (fd < 0) {
		err = errno;
		return bm_report(error, -err, file->path, "open: %s", strerror(err));
	}
	if (fstat(fd, &st) || fcntl(fd, F_SETFL, 0)) {
		err = errno;
		bm_report(error, -err, file->path, "stat: %s", strerror(err));
		close(fd);
		return -err;
	}
	err = check_kind(file, st.st_mode, error);
	if (err) {
		close(fd);
		return err;
	}
	take_stat(file, &st);
	return fd;
}

/*
 * Filesystems that live in memory take O_DIRECT on some kernels and mean nothing
 * by it: their pages are copied all the same.
 */
static bool in_memory(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ||
		fs.f_type == HUGETLBFS_MAGIC);
}

void bm_file_probe(struct bm_file *file, int fd, bool buffered)
{
	struct statx stx = {0};
	uint32_t block = BLOCK_DEFAULT;

	/* The header is read in pieces; what lies behind it must not come in with them. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	if (buffered || in_memory(fd))
		return;
	if (!statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    (stx.stx_mask & STATX_DIOALIGN)) {
		if (!stx.stx_dio_offset_align || !stx.stx_dio_mem_align)
			return;
		if (stx.stx_dio_offset_align > block)
			block = stx.stx_dio_offset_align;
		if (stx.stx_dio_mem_align > block)
			block = stx.stx_dio_mem_align;
	}
	if (block > BLOCK_MAX || (block & (block - 1)))
		return;
	if (fcntl(fd, F_SETFL, O_DIRECT))
		return;
	file->direct = !fcntl(fd, F_SETFL, 0);
	file->block = block;
}

struct bm_info *bm_file_info(struct bm_file *file)
{
	if (file->n_infos == file->max_infos) {
		size_t n = file->max_infos ? file->max_infos * 2 : 16;
		struct bm_info *infos = reallocarray(file->infos, n, sizeof(*infos));

		if (!infos)
			return NULL;
		file->infos = infos;
		file->max_infos = n;
	}
	memset(&file->infos[file->n_infos], 0, sizeof(*file->infos));
	return &file->infos[file->n_infos++];
}

int bm_file_read(const struct bm_file *file, int fd, void *to, size_t length, uint64_t offset,
		 struct bitmem_error *error)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = pread(fd, (char *)to + done, length - done, (off_t)(offset + done));

		if (n > 0) {
			done += (size_t)n;
		} else if (!n) {
			return bm_report(error, -EBADMSG, file->path,
					 "size: shrank from %llu to %llu bytes while being read",
					 (unsigned long long)file->size,
					 (unsigned long long)(offset + done));
		} else if (errno != EINTR) {
			int err = errno;

			return bm_report(error, -err, file->path, "read: %s at byte %llu",
					 strerror(err), (unsigned long long)(offset + done));
		}
	}
	return 0;
}

const char *bm_path_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *bm_path_sibling(const char *path, const char *name)
{
	size_t dir = (size_t)(bm_path_name(path) - path);
	char *sibling;

	if (asprintf(&sibling, "%.*s%s", (int)dir, path, name) < 0)
		return NULL;
	return sibling;
}

bool bm_path_ends(const char *path, const char *suffix)
{
	size_t n = strlen(path), m = strlen(suffix);

	return n >= m && !strcmp(path + n - m, suffix);
}
