/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend for hosts without the module: each range is a sealed memfd.
 *
 * Huge pages come from hugetlbfs if the host has some free: they are taken when
 * the range is made, so that no later access can fail for want of them, and
 * cannot be paged out. Otherwise the range is ordinary shared memory, locked as far
 * as RLIMIT_MEMLOCK lets it, and transparent huge pages as far as there are any.
 *
 * The file descriptor is closed as soon as the memory is mapped: a context
 * costs no descriptors, however many ranges it has.
 */
#include <linux/memfd.h>
#include <linux/mman.h>
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
#include "holes.h"
#include "pools/nodes.h"
#include "share_memfd.h"
#include "util.h"

/* What MFD_HUGE_2MB gives, and the largest alignment that the library promises. */
#define HUGE_SIZE ((size_t)2 << 20)

#define MAX_NODES 1024
#define WORD_BITS (8 * sizeof(unsigned long))

struct node_mask {
	unsigned long words[MAX_NODES / WORD_BITS];
};

struct memfd {
	struct bm_backend base;
};

/* What a range's memory is made of, its handle; from BM_MEMFD_KEPT on with a descriptor. */
enum { ORDINARY, HUGE };

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

/* Has memory come from wherever it likes, whatever was said before. 0 or -errno. */
static int forget_node(void *addr, size_t length)
{
	if (syscall(SYS_mbind, addr, length, MPOL_DEFAULT, NULL, 0, 0) && errno != ENOSYS)
		return -errno;
	return 0;
}

/* Has memory come from a node. 0 or -errno. A kernel without NUMA has node 0 only. */
static int set_node(const struct bm_where *where, void *addr, size_t length, unsigned int flags)
{
	struct node_mask mask = { 0 };

	if (where->node == BITMEM_NODE_ANY)
		return 0;
	mask.words[where->node / WORD_BITS] |= 1ul << (where->node % WORD_BITS);
	if (syscall(SYS_mbind, addr, length, where->bind ? MPOL_BIND : MPOL_PREFERRED,
		    mask.words, MAX_NODES + 1, flags) && errno != ENOSYS)
		return -errno;
	return 0;
}

/* As set_node(). A preference that fails is none: the memory comes from wherever it likes. */
static int choose_node(const struct bm_where *where, void *addr, size_t length)
{
	int ret = set_node(where, addr, length, 0);

	return where->bind ? ret : 0;
}

static int map_ordinary(const struct bm_where *where, const char *tag, struct bm_range *range)
{
	int fd = sealed_file(tag, range->length, 0), ret;

	if (fd < 0)
		return fd;
	ret = bm_map_at(fd, 0, range);
	close(fd);
	if (ret)
		return ret;
	range->pinned = 0;
	range->handle = ORDINARY;
	ret = choose_node(where, range->addr, range->length);
	if (ret)
		bm_unmap_at(range);
	return ret;
}

/*
 * Gives a file of huge pages its memory. A mapping reserves the pages, or fails; touching all of
 * them at once makes sure that they can be had under the process's limits too. That is done
 * elsewhere, as it often fails, which would cost the arena its addresses.
 */
static int fill_huge(const struct bm_where *where, int fd, size_t length)
{
	void *addr = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int ret = 0;

	if (addr == MAP_FAILED)
		return -errno;
	ret = choose_node(where, addr, length);
	if (!ret && madvise(addr, length, MADV_POPULATE_WRITE))
		ret = -errno;
	munmap(addr, length);
	return ret;
}

static int map_huge(const struct bm_where *where, const char *tag, struct bm_range *range)
{
	int fd = sealed_file(tag, range->length, MFD_HUGETLB | MFD_HUGE_2MB), ret;

	if (fd < 0)
		return fd;
	ret = fill_huge(where, fd, range->length);
	if (!ret)
		ret = bm_map_at(fd, 0, range);
	close(fd);
	if (ret)
		return ret;
	range->pinned = range->length;
	range->handle = HUGE;
	return 0;
}

/* The sanitizers turn munlock() and mlock() into lies; mlock2() they leave alone. */
static void unlock_pages(void *addr, size_t length)
{
	syscall(SYS_munlock, addr, length);
}

/*
 * Has huge pages come for what is locked but has no memory yet: at the first touch hosts seldom
 * have them for shared memory, but who asks gets them. Where there are none, or the kernel is
 * too old, it is small ones.
 */
static void fill_with_huge(char *addr, size_t length, size_t page_size)
{
	char *at = (char *)bm_round_up((uintptr_t)addr, HUGE_SIZE);

	for (; at + HUGE_SIZE <= addr + length; at += HUGE_SIZE) {
		if (madvise(at, page_size, MADV_POPULATE_WRITE))
			return;
		if (madvise(at, HUGE_SIZE, MADV_COLLAPSE) && errno != EAGAIN)
			return;
	}
}

/* Locks all of that and has its memory come, or neither. Whether it did. */
static bool lock_part(char *addr, size_t length, size_t page_size)
{
	if (mlock2(addr, length, MLOCK_ONFAULT))
		return false;
	fill_with_huge(addr, length, page_size);
	if (!mlock2(addr, length, 0))
		return true;
	unlock_pages(addr, length);
	return false;
}

/*
 * Locks as long a beginning of the range as the limit allows, and returns its
 * bytes.
 */
static size_t lock_pages(const struct bm_range *range, size_t page_size)
{
	size_t locked = 0, chunk = range->length;

	while (chunk) {
		if (!lock_part((char *)range->addr + locked, chunk, page_size)) {
			chunk = chunk / 2 & ~(page_size - 1);
			continue;
		}
		locked += chunk;
		if (chunk > range->length - locked)
			chunk = range->length - locked;
	}
	return locked;
}

/* The same for all of the host's memory. */
static bool host_has(size_t length)
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

/*
 * Whether the host, or the node that the memory has to be from, could hold @length bytes
 * more. The kernel promises shared memory without having it, and kills somebody
 * when it is touched.
 */
static bool is_available(unsigned int bound, size_t length)
{
	struct bm_usage usage;
	uint64_t available;

	if (!host_has(length))
		return false;
	if (!bound)
		return true;
	available = bm_node_read(BM_NODES, (int)bound - 1, &usage);
	return !usage.total || length <= available;
}

static unsigned int bound_of(const struct bm_where *where)
{
	return where->bind ? (unsigned int)where->node + 1 : 0;
}

static int memfd_map(struct bm_backend *backend, const struct bm_where *where, const char *tag,
		     struct bm_range *range)
{
	int ret;

	range->bound = bound_of(where);
	if (range->length % HUGE_SIZE == 0 && !map_huge(where, tag, range))
		return 0;
	if (!range->addr || !is_available(range->bound, range->length))
		return -ENOMEM;
	ret = map_ordinary(where, tag, range);
	if (ret)
		return ret;
	/* Both are best effort; what came of the second is reported. */
	madvise(range->addr, range->length, MADV_HUGEPAGE);
	range->pinned = lock_pages(range, backend->page_size);
	return 0;
}

static int memfd_map_shareable(struct bm_backend *backend, const struct bm_where *where,
			       const char *tag, struct bm_range *range)
{
	int fd;

	range->bound = bound_of(where);
	if (!is_available(range->bound, range->length))
		return -ENOMEM;
	fd = sealed_file(tag, range->length, 0);
	if (fd < 0)
		return fd;
	range->addr = bm_map_aligned(fd, 0, range->length, HUGE_SIZE);
	if (!range->addr) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	range->outside = true;
	range->handle = BM_MEMFD_KEPT + (uint64_t)fd;
	range->hold = NULL;
	choose_node(where, range->addr, range->length);
	madvise(range->addr, range->length, MADV_HUGEPAGE);
	range->pinned = lock_pages(range, backend->page_size);
	return 0;
}

static int memfd_share(struct bm_backend *backend, struct bm_range *range)
{
	int fd;

	(void)backend;
	if (range->handle < BM_MEMFD_KEPT)
		return -EOPNOTSUPP;
	fd = fcntl((int)(range->handle - BM_MEMFD_KEPT), F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int memfd_adopt(struct bm_backend *backend, int fd, struct bm_range *range,
		       struct bitmem_error *error)
{
	return bm_memfd_adopt(fd, backend->page_size, HUGE_SIZE, range, error);
}

static void memfd_unmap(struct bm_backend *backend, struct bm_range *range)
{
	(void)backend;
	bm_unmap_at(range);
	if (range->handle >= BM_MEMFD_KEPT)
		close((int)(range->handle - BM_MEMFD_KEPT));
}

/* How many bytes of @length at @offset are among those that were locked when it was mapped. */
static size_t locked_part(const struct bm_range *range, size_t offset, size_t length)
{
	if (offset >= range->pinned)
		return 0;
	return range->pinned - offset < length ? range->pinned - offset : length;
}

/*
 * Locked memory has to be unlocked first. Where the pages are huge ones, only whole ones go;
 * as a range says how many bytes were given back, but not which, it is all or nothing.
 */
static void memfd_decommit(struct bm_backend *backend, const struct bm_range *range, size_t offset,
			   size_t length, struct bm_change *change)
{
	const size_t locked = locked_part(range, offset, length);
	char *addr = (char *)range->addr + offset;

	(void)backend;
	if (range->handle == HUGE && (offset | length) % HUGE_SIZE)
		return;
	if (range->handle == ORDINARY && locked)
		unlock_pages(addr, locked);
	if (madvise(addr, length, MADV_REMOVE)) {
		if (range->handle == ORDINARY && locked)
			mlock2(addr, locked, 0);
		return;
	}
	change->bytes = length;
	change->pinned = locked;
}

/*
 * A huge page of which a part goes becomes small ones, which the kernel maps again when they are
 * touched, and may page out until then, locked or not. So what is there is mapped.
 */
static void settle_part(char *addr, size_t length, size_t page_size)
{
	unsigned char there[HUGE_SIZE / 4096];
	const size_t n = length / page_size;

	if (mincore(addr, length, there))
		return;
	for (size_t first = 0, i = 0; i <= n; i++) {
		if (i < n && there[i] & 1)
			continue;
		if (first < i)
			madvise(addr + first * page_size, (i - first) * page_size,
				MADV_POPULATE_WRITE);
		first = i + 1;
	}
}

static void memfd_settle(const struct bm_backend *backend, const struct bm_range *range)
{
	if (range->handle == HUGE)
		return;
	for (size_t offset = 0; offset < range->pinned; offset += HUGE_SIZE)
		settle_part((char *)range->addr + offset, locked_part(range, offset, HUGE_SIZE),
			    backend->page_size);
}

static int memfd_commit(struct bm_backend *backend, const struct bm_range *range, size_t offset,
			size_t length, struct bm_change *change)
{
	const size_t locked = locked_part(range, offset, length);
	char *addr = (char *)range->addr + offset;

	(void)backend;
	if (range->handle == ORDINARY && !is_available(range->bound, length))
		return -ENOMEM;
	if (range->handle == HUGE && madvise(addr, length, MADV_POPULATE_WRITE))
		return -ENOMEM;
	change->bytes = length;
	if (locked && (range->handle == HUGE || !mlock2(addr, locked, 0)))
		change->pinned = locked;
	return 0;
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

/* The width says nothing here: no device is promised to reach this memory. */
static int memfd_check(struct bm_backend *backend, const struct bm_where *where,
		       struct bitmem_error *error)
{
	(void)backend;
	if (where->node == BITMEM_NODE_ANY || node_exists(where->node))
		return 0;
	return bm_error(error, -EINVAL, "node: there is no node %d", where->node);
}

static int memfd_migrate(struct bm_backend *backend, const struct bm_where *where,
			 struct bm_range *range)
{
	int ret;

	(void)backend;
	if (!is_available(bound_of(where), range->length))
		return -ENOMEM;
	if (where->node == BITMEM_NODE_ANY)
		ret = forget_node(range->addr, range->length);
	else
		ret = set_node(where, range->addr, range->length, MPOL_MF_MOVE | MPOL_MF_STRICT);
	if (!ret)
		range->bound = bound_of(where);
	return ret == -EIO ? -EBUSY : ret;
}

/* What was locked is not for the child. */
static void memfd_in_child(struct bm_range *range)
{
	if (range->handle != HUGE)
		range->pinned = 0;
}

static void memfd_close(struct bm_backend *backend)
{
	free(backend);
}

static struct bm_backend *memfd_open(const struct bitmem_options *options)
{
	const struct bm_where where = { .node = options->node };
	struct memfd *memfd;

	if (memfd_check(NULL, &where, options->error))
		return NULL;
	memfd = calloc(1, sizeof(*memfd));
	if (!memfd) {
		bm_error(options->error, -ENOMEM, "out of memory");
		return NULL;
	}
	memfd->base.ops = &bm_backend_memfd;
	memfd->base.page_size = (size_t)sysconf(_SC_PAGESIZE);
	memfd->base.superblock_size = HUGE_SIZE;
	memfd->base.max_holes = bm_holes_max();
	memfd->base.where = where;
	return &memfd->base;
}

const struct bm_backend_ops bm_backend_memfd = {
	.kind = BITMEM_BACKEND_MEMFD,
	.open = memfd_open,
	.close = memfd_close,
	.map = memfd_map,
	.unmap = memfd_unmap,
	.decommit = memfd_decommit,
	.commit = memfd_commit,
	.settle = memfd_settle,
	.map_shareable = memfd_map_shareable,
	.share = memfd_share,
	.adopt = memfd_adopt,
	.check = memfd_check,
	.migrate = memfd_migrate,
	.in_child = memfd_in_child,
};
