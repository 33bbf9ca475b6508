/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory files from other processes.
 *
 * The other process still has the file. What it could do to whoever maps it: make
 * the file shorter, so that reading is a SIGBUS (the seals forbid it); punch holes,
 * which ordinary memory fills with zeros and hugetlbfs may have no page for (so
 * hugetlbfs is refused); send a file without memory, which takes memory of whoever
 * touches it first. So nothing is touched or locked here: that stays the sender's.
 */
#include <linux/magic.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>

#include "backend.h"
#include "share_memfd.h"

/* Against these a mapping would end in a signal, or could not be written to. */
#define NEEDED_SEALS (F_SEAL_GROW | F_SEAL_SHRINK)
#define REFUSED_SEALS (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

/* Bytes of a file that the host's memory could hold at all. */
static uint64_t most_bytes(void)
{
	struct sysinfo info;

	if (sysinfo(&info))
		return PTRDIFF_MAX;
	return ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

/* Whether @fd is a memory file that stays as it is. 0 or -EPROTO. */
static int check_file(int fd, struct bitmem_error *error)
{
	int seals = fcntl(fd, F_GET_SEALS), mode = fcntl(fd, F_GETFL);
	struct statfs fs;

	/* Only files of memory have seals. */
	if (seals < 0)
		return bm_error(error, -EPROTO, "descriptor: is no memfd");
	if ((seals & NEEDED_SEALS) != NEEDED_SEALS || seals & REFUSED_SEALS)
		return bm_error(error, -EPROTO, "descriptor: seals %#x", (unsigned int)seals);
	if (mode < 0 || (mode & O_ACCMODE) != O_RDWR)
		return bm_error(error, -EPROTO, "descriptor: is not open for reading and writing");
	if (fstatfs(fd, &fs) || (uint32_t)fs.f_type == HUGETLBFS_MAGIC)
		return bm_error(error, -EPROTO, "descriptor: is a memfd of huge pages");
	return 0;
}

int bm_memfd_adopt(int fd, size_t page_size, size_t align, struct bm_range *range,
		   struct bitmem_error *error)
{
	struct stat st;
	int ret = check_file(fd, error);

	if (ret)
		return ret;
	/* The seals have come first: from then on the size is what it is. */
	if (fstat(fd, &st) || st.st_size <= 0 || (uint64_t)st.st_size % page_size ||
	    (uint64_t)st.st_size > most_bytes())
		return bm_error(error, -EPROTO, "descriptor: %lld is no size for a segment",
				(long long)st.st_size);
	range->length = (size_t)st.st_size;
	range->addr = bm_map_aligned(fd, 0, range->length, align);
	if (!range->addr)
		return bm_error(error, -errno, "mmap: %s", strerror(errno));
	range->pinned = 0;
	range->handle = BM_MEMFD_KEPT + (uint64_t)fd;
	range->hold = NULL;
	range->outside = true;
	return 0;
}
