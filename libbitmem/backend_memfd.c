/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend for hosts without the module: each range is a sealed memfd.
 *
 * Huge pages come from hugetlbfs if the host has some free: they are taken when
 * the range is made, so that no later access can fail for want of them, and
 * cannot be paged out. Otherwise the range is ordinary shared memory, asked to
 * use transparent huge pages and locked as far as RLIMIT_MEMLOCK lets it.
 *
 * The file descriptor is closed as soon as the memory is mapped: a context
 * costs no descriptors, however many ranges it has.
 */
#include <linux/memfd.h>
#include <linux/mempolicy.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend.h"
#include "context.h"

/* What MFD_HUGE_2MB gives, and the largest alignment that the library promises. */
#define HUGE_SIZE BM_ALIGN_MAX

#define MAX_NODES 1024
#define WORD_BITS (8 * sizeof(unsigned long))

struct node_mask {
	unsigned long words[MAX_NODES / WORD_BITS];
};

struct memfd {
	struct bm_backend base;
	int node;
};

/* A memfd of @length bytes that nobody can resize. Returns it or -errno. */
static int sealed_file(const char *tag, size_t length, unsigned int flags)
{
	int fd, ret;

	fd = memfd_create(tag ? tag : "bitmem", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)length) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/* A preference, so a failure is none: the memory then comes from wherever the kernel likes. */
static void prefer_node(const struct memfd *memfd, const struct bm_range *range)
{
	struct node_mask mask = { 0 };

	if (memfd->node == BITMEM_NODE_ANY)
		return;
	mask.words[memfd->node / WORD_BITS] |= 1ul << (memfd->node % WORD_BITS);
	syscall(SYS_mbind, range->addr, range->length, MPOL_PREFERRED, mask.words, MAX_NODES + 1,
		0);
}

static int map_file(const struct memfd *memfd, const char *tag, size_t length, unsigned int flags,
		    struct bm_range *range)
{
	int fd = sealed_file(tag, length, flags), ret = 0;

	if (fd < 0)
		return fd;
	range->addr = bm_map_aligned(fd, 0, length, HUGE_SIZE);
	if (!range->addr)
		ret = -errno;
	close(fd);
	if (ret)
		return ret;
	range->length = length;
	range->pinned = 0;
	range->handle = 0;
	prefer_node(memfd, range);
	return 0;
}

/*
 * The mapping reserves the huge pages, or fails; touching all of them at once
 * makes sure that they can be had under the process's limits too.
 */
static int map_huge(const struct memfd *memfd, const char *tag, size_t length,
		    struct bm_range *range)
{
	int ret = map_file(memfd, tag, length, MFD_HUGETLB | MFD_HUGE_2MB, range);

	if (ret)
		return ret;
	if (madvise(range->addr, length, MADV_POPULATE_WRITE)) {
		ret = -errno;
		munmap(range->addr, length);
		return ret;
	}
	range->pinned = length;
	return 0;
}

/*
 * Locks as long a beginning of the range as the limit allows, and returns its
 * bytes. mlock2() because the sanitizers turn mlock() into a lie.
 */
static size_t lock_pages(const struct bm_range *range, size_t page_size)
{
	size_t locked = 0, chunk = range->length;

	while (chunk) {
		if (!mlock2((char *)range->addr + locked, chunk, 0)) {
			locked += chunk;
			if (chunk > range->length - locked)
				chunk = range->length - locked;
			continue;
		}
		munlock((char *)range->addr + locked, chunk);
		chunk = chunk / 2 & ~(page_size - 1);
	}
	return locked;
}

/*
 * Whether the host could hold @length bytes more. The kernel promises shared
 * memory without having it, and kills somebody when it is touched.
 */
static bool is_available(size_t length)
{
	unsigned long long kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	bool found = false;

	if (!file)
		return true;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
	fclose(file);
	return !found || length / 1024 <= kib;
}

static int memfd_map(struct bm_backend *backend, size_t length, const char *tag,
		     struct bm_range *range)
{
	const struct memfd *memfd = (struct memfd *)backend;
	int ret;

	if (length % HUGE_SIZE == 0 && !map_huge(memfd, tag, length, range))
		return 0;
	if (!is_available(length))
		return -ENOMEM;
	ret = map_file(memfd, tag, length, 0, range);
	if (ret)
		return ret;
	/* Both are best effort; what came of the second is reported. */
	madvise(range->addr, length, MADV_HUGEPAGE);
	range->pinned = lock_pages(range, backend->page_size);
	return 0;
}

static void memfd_unmap(struct bm_backend *backend, struct bm_range *range)
{
	(void)backend;
	munmap(range->addr, range->length);
}

/* Whether this process may have memory from @node. Kernels without NUMA have node 0 only. */
static bool node_exists(int node)
{
	struct node_mask mask = { 0 };

	if (node >= MAX_NODES)
		return false;
	if (syscall(SYS_get_mempolicy, NULL, mask.words, MAX_NODES + 1, NULL,
		    MPOL_F_MEMS_ALLOWED))
		return node == 0;
	return mask.words[node / WORD_BITS] >> (node % WORD_BITS) & 1;
}

static void memfd_close(struct bm_backend *backend)
{
	free(backend);
}

static struct bm_backend *memfd_open(const struct bitmem_options *options)
{
	struct memfd *memfd;

	if (options->node != BITMEM_NODE_ANY && !node_exists(options->node)) {
		bm_error(options->error, -EINVAL, "node: there is no node %d", options->node);
		return NULL;
	}
	memfd = calloc(1, sizeof(*memfd));
	if (!memfd) {
		bm_error(options->error, -ENOMEM, "out of memory");
		return NULL;
	}
	memfd->base.ops = &bm_backend_memfd;
	memfd->base.page_size = (size_t)sysconf(_SC_PAGESIZE);
	memfd->base.superblock_size = HUGE_SIZE;
	memfd->node = options->node;
	return &memfd->base;
}

const struct bm_backend_ops bm_backend_memfd = {
	.kind = BITMEM_BACKEND_MEMFD,
	.open = memfd_open,
	.close = memfd_close,
	.map = memfd_map,
	.unmap = memfd_unmap,
};
