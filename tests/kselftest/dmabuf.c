// SPDX-License-Identifier: GPL-2.0
/*
 * dma-bufs: EXPORT, IMPORT, and mmap() of the dma-buf itself. dmabuf_share.c has several
 * processes do it; what devices do with dma-bufs is for the clients in ../clients.
 */
#include "bitmem_dmabuf.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define SEED	0xd3ab0f

BT_FIXTURE(dmabuf);

static int import_error(int fd, int dmabuf)
{
	struct bitmem_import arg;

	return bt_import(fd, dmabuf, &arg);
}

TEST_F(dmabuf, export)
{
	const size_t length = self->t.superblock + 3 * self->t.page;
	struct bitmem_alloc alloc;
	int one, two;

	ASSERT_EQ(0, bt_alloc(self->t.fd, length, &alloc));
	EXPECT_EQ(0, bt_exports(self->t.fd, alloc.out_id));
	one = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, one);
	EXPECT_EQ(FD_CLOEXEC, fcntl(one, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(one, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(length, lseek(one, 0, SEEK_END));
	EXPECT_EQ(1, bt_exports(self->t.fd, alloc.out_id));
	two = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, two);
	EXPECT_EQ(2, bt_exports(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, close(one));
	EXPECT_EQ(1, bt_exports(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, close(two));
	EXPECT_EQ(0, bt_exports(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, bt_flags(self->t.fd, alloc.out_id));
}

TEST_F(dmabuf, many_exports)
{
	struct bitmem_alloc alloc;
	int fd[500], i;

	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &alloc));
	for (i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = bt_export(self->t.fd, alloc.out_id, i & 1 ? BITMEM_EXPORT_READONLY : 0);
		ASSERT_LE(0, fd[i]);
	}
	EXPECT_EQ(ARRAY_LEN(fd), bt_exports(self->t.fd, alloc.out_id));
	for (i = 0; i < ARRAY_LEN(fd); i++)
		ASSERT_EQ(0, close(fd[i]));
	EXPECT_EQ(0, bt_exports(self->t.fd, alloc.out_id));
}

TEST_F(dmabuf, export_errors)
{
	struct rlimit old, none = { 0, 0 };
	struct bitmem_export *arg;
	struct bitmem_alloc alloc;

	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &alloc));
	EXPECT_EQ(-ENOENT, bt_export(self->t.fd, 0, 0));
	EXPECT_EQ(-ENOENT, bt_export(self->t.fd, alloc.out_id + 1, 0));
	EXPECT_EQ(-EOPNOTSUPP, bt_export(self->t.fd, alloc.out_id, BITMEM_EXPORT_READONLY << 1));

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none.rlim_max = old.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, bt_export(self->t.fd, alloc.out_id, 0));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));

	/* The descriptor cannot be told: there is none, then. */
	arg = mmap(NULL, self->t.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, arg);
	arg->size = sizeof(*arg);
	arg->id = alloc.out_id;
	ASSERT_EQ(0, mprotect(arg, self->t.page, PROT_READ));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, BITMEM_EXPORT, arg));
	EXPECT_EQ(0, bt_exports(self->t.fd, alloc.out_id));
}

/* Another driver's dma-buf of one page, or -1. */
static int foreign(size_t page)
{
	struct udmabuf_create create = { .size = page };
	int udmabuf = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), fd;

	if (udmabuf < 0)
		return -1;
	create.memfd = memfd_create("foreign", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (ftruncate(create.memfd, page) || fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -1;
	fd = ioctl(udmabuf, UDMABUF_CREATE, &create);
	close(create.memfd);
	close(udmabuf);
	return fd;
}

TEST_F(dmabuf, import_errors)
{
	struct bitmem_import arg = { .size = sizeof(arg), .flags = 1 };
	int dmabuf = bt_orphan(self->t.page, SEED), fd;

	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(-EBADF, import_error(self->t.fd, -1));
	EXPECT_EQ(-EBADF, import_error(self->t.fd, 1023));
	EXPECT_EQ(-EINVAL, import_error(self->t.fd, self->t.fd));
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	EXPECT_EQ(-EINVAL, import_error(self->t.fd, fd));
	close(fd);
	EXPECT_EQ(-EBADF, import_error(self->t.fd, fd));
	fd = open("/dev/null", O_PATH | O_CLOEXEC);
	EXPECT_EQ(-EBADF, import_error(self->t.fd, fd));
	close(fd);
	fd = memfd_create("no dma-buf", MFD_CLOEXEC);
	EXPECT_EQ(-EINVAL, import_error(self->t.fd, fd));
	close(fd);
	arg.fd = dmabuf;
	EXPECT_EQ(-EOPNOTSUPP, bt_ioctl(self->t.fd, BITMEM_IMPORT, &arg));
}

TEST_F(dmabuf, import_foreign)
{
	int fd = foreign(self->t.page);

	if (fd < 0)
		SKIP(return, "no other driver's dma-buf to be had (no /dev/udmabuf)");
	EXPECT_EQ(-EINVAL, import_error(self->t.fd, fd));
}

/* The id cannot be told: then there is none. */
TEST_F(dmabuf, import_fault)
{
	int dmabuf = bt_orphan(self->t.page, SEED);
	struct bitmem_import *arg;
	struct bitmem_query query;

	ASSERT_LE(0, dmabuf);
	arg = mmap(NULL, self->t.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, arg);
	arg->size = sizeof(*arg);
	arg->fd = dmabuf;
	ASSERT_EQ(0, mprotect(arg, self->t.page, PROT_READ));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->t.fd, BITMEM_IMPORT, arg));
	EXPECT_EQ(-ENOENT, bt_query(self->t.fd, 0, BITMEM_QUERY_NEXT, &query));
}

/* The same bytes by way of the device and of the dma-buf, whatever pages they are in. */
TEST_F(dmabuf, same_bytes)
{
	const size_t page = self->t.page;
	const size_t lengths[] = {
		page, 3 * page, self->t.superblock, 2 * self->t.superblock + 5 * page,
	};
	struct bitmem_alloc alloc;
	char *memory, *again;
	int i, dmabuf;

	for (i = 0; i < ARRAY_LEN(lengths); i++) {
		memory = bt_new(self->t.fd, lengths[i], &alloc);
		ASSERT_NE(NULL, memory);
		bt_fill(memory, lengths[i], SEED + i);
		dmabuf = bt_export(self->t.fd, alloc.out_id, 0);
		ASSERT_LE(0, dmabuf);
		again = bt_map(dmabuf, lengths[i], 0);
		ASSERT_NE(NULL, again);
		EXPECT_EQ(-1, bt_wrong(again, lengths[i], SEED + i));
		bt_fill(again, lengths[i], SEED - i);
		EXPECT_EQ(-1, bt_wrong(memory, lengths[i], SEED - i));
		munmap(again, lengths[i]);
		/* The last page alone. */
		again = bt_map(dmabuf, page, lengths[i] - page);
		ASSERT_NE(NULL, again);
		EXPECT_EQ(0, memcmp(again, memory + lengths[i] - page, page));
		munmap(again, page);
		munmap(memory, lengths[i]);
		close(dmabuf);
	}
}

TEST_F(dmabuf, map_errors)
{
	const size_t length = 4 * self->t.page;
	int dmabuf = bt_orphan(length, SEED);

	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(NULL, bt_map(dmabuf, length + 1, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, bt_map(dmabuf, length, self->t.page));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, bt_map(dmabuf, self->t.page, length));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, length, PROT_READ, MAP_PRIVATE, dmabuf, 0));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(dmabuf, import_same_file)
{
	const size_t length = self->t.superblock + self->t.page;
	struct bitmem_alloc alloc;
	struct bitmem_import in;
	char *memory;
	int dmabuf;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	dmabuf = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, bt_import(self->t.fd, dmabuf, &in));
	close(dmabuf);
	EXPECT_NE(0, in.out_id);
	EXPECT_NE(alloc.out_id, in.out_id);
	EXPECT_EQ(length, in.out_length);
	EXPECT_EQ(0, bt_flags(self->t.fd, in.out_id));
	EXPECT_EQ(length, bt_charged(self->t.fd));
	munmap(memory, length);
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(-1, bt_wrong_at(self->t.fd, length, in.out_offset, SEED));
	ASSERT_EQ(0, bt_free(self->t.fd, in.out_id));
	EXPECT_EQ(NULL, bt_map(self->t.fd, length, in.out_offset));
	EXPECT_EQ(ENXIO, errno);
}

/* One buffer may not have any number of ids: whoever walks them holds a lock. */
TEST_F(dmabuf, import_too_often)
{
	struct bitmem_alloc alloc;
	struct bitmem_import in;
	int dmabuf, other, n;

	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.page, &alloc));
	dmabuf = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	other = bt_open();
	ASSERT_LE(0, other);
	for (n = 1; n < BITMEM_MAX_IDS; n++)
		ASSERT_EQ(0, bt_import(n & 1 ? other : self->t.fd, dmabuf, &in));
	EXPECT_EQ(-EMFILE, bt_import(other, dmabuf, &in));
	EXPECT_EQ(-EMFILE, bt_import(self->t.fd, dmabuf, &in));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(0, bt_import(other, dmabuf, &in));
	EXPECT_EQ(-EMFILE, bt_import(self->t.fd, dmabuf, &in));
	close(other);
	EXPECT_EQ(0, bt_import(self->t.fd, dmabuf, &in));
	close(dmabuf);
}

TEST_F(dmabuf, import_other_file)
{
	const size_t length = self->t.superblock + self->t.page;
	const uint64_t before = bt_allocated(self->t.fd);
	struct bitmem_alloc alloc;
	struct bitmem_import in;
	int dmabuf, fd;
	char *memory;

	fd = bt_open();
	ASSERT_LE(0, fd);
	memory = bt_new(fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	dmabuf = bt_export(fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(NULL, bt_map(self->t.fd, length, alloc.out_offset));
	ASSERT_EQ(0, bt_import(self->t.fd, dmabuf, &in));
	EXPECT_EQ(BITMEM_BUFFER_SHARED, bt_flags(self->t.fd, in.out_id));
	EXPECT_EQ(1, bt_exports(self->t.fd, in.out_id));
	EXPECT_EQ(0, bt_charged(self->t.fd));
	EXPECT_EQ(length, bt_charged(fd));
	munmap(memory, length);
	close(dmabuf);
	ASSERT_EQ(0, bt_free(fd, alloc.out_id));
	EXPECT_EQ(-1, bt_wrong_at(self->t.fd, length, in.out_offset, SEED));
	EXPECT_EQ(length, bt_charged(fd));
	close(fd);
	EXPECT_EQ(-1, bt_wrong_at(self->t.fd, length, in.out_offset, SEED));
	EXPECT_EQ(before + length, bt_allocated(self->t.fd));
	ASSERT_EQ(0, bt_free(self->t.fd, in.out_id));
	EXPECT_EQ(before, bt_allocated(self->t.fd));
}

/* Nothing but a dma-buf, then nothing but a mapping of it. */
TEST_F(dmabuf, outlives)
{
	const size_t length = self->t.superblock + self->t.page;
	const uint64_t before = bt_allocated(self->t.fd);
	int dmabuf = bt_orphan(length, SEED);
	struct bitmem_pool_info total;
	char *memory;

	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(before + length, total.out_allocated);
	EXPECT_EQ(0, total.out_quarantined);
	memory = bt_map(dmabuf, length, 0);
	ASSERT_NE(NULL, memory);
	close(dmabuf);
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	EXPECT_EQ(before + length, bt_allocated(self->t.fd));
	munmap(memory, length);
	EXPECT_EQ(before, bt_allocated(self->t.fd));
}

static long module_users(void)
{
	FILE *file = fopen("/sys/module/bitmem/refcnt", "re");
	long n = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &n) != 1)
		n = -1;
	fclose(file);
	return n;
}

/* The module cannot go away under a dma-buf. */
TEST_F(dmabuf, holds_module)
{
	const long before = module_users();
	int dmabuf;

	if (before < 0)
		SKIP(return, "the module's users cannot be counted here");
	dmabuf = bt_orphan(self->t.page, SEED);
	ASSERT_LE(0, dmabuf);
	EXPECT_LT(before, module_users());
	close(dmabuf);
	EXPECT_EQ(before, module_users());
}

TEST_F(dmabuf, sync)
{
	const uint64_t good[] = {
		DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW,
		DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ,
		DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE,
	};
	int dmabuf = bt_orphan(self->t.page, SEED), i;
	struct dma_buf_sync sync;

	ASSERT_LE(0, dmabuf);
	for (i = 0; i < ARRAY_LEN(good); i++) {
		sync.flags = good[i];
		EXPECT_EQ(0, bt_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	}
	sync.flags = DMA_BUF_SYNC_START;
	EXPECT_EQ(-EINVAL, bt_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	sync.flags = ~0ull;
	EXPECT_EQ(-EINVAL, bt_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
	EXPECT_EQ(-1, bt_wrong_at(dmabuf, self->t.page, 0, SEED));
}

/* --- reading only --- */

/* Whether @memory, which is mapped to be read, can be written to in any way. */
static bool writable(void *memory, size_t page)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	bool yes;

	yes = !mprotect(memory, page, PROT_READ | PROT_WRITE);
	/* Debuggers may write where the process itself may not: but not here. */
	yes |= fd >= 0 && pwrite(fd, "x", 1, (uintptr_t)memory) == 1;
	close(fd);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	yes |= fd < 0 || read(fd, memory, 1) == 1;
	close(fd);
	return yes;
}

TEST_F(dmabuf, readonly)
{
	const size_t length = self->t.superblock + self->t.page;
	struct bitmem_alloc alloc;
	char *memory, *seen, path[64];
	int dmabuf;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	dmabuf = bt_export(self->t.fd, alloc.out_id, BITMEM_EXPORT_READONLY);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(O_RDONLY, fcntl(dmabuf, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(NULL, bt_map(dmabuf, length, 0));
	EXPECT_EQ(EACCES, errno);
	seen = mmap(NULL, length, PROT_READ, MAP_SHARED, dmabuf, 0);
	ASSERT_NE(MAP_FAILED, seen);
	EXPECT_EQ(-1, bt_wrong(seen, length, SEED));
	EXPECT_FALSE(writable(seen, self->t.page));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dmabuf);
	EXPECT_EQ(-1, open(path, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	/* Whoever may write still can, and the others see it. */
	bt_fill(memory, length, SEED + 1);
	EXPECT_EQ(-1, bt_wrong(seen, length, SEED + 1));
}

TEST_F(dmabuf, readonly_import)
{
	const size_t length = self->t.superblock + self->t.page;
	struct bitmem_alloc alloc;
	struct bitmem_import in;
	int dmabuf, fd = bt_open(), again;
	char *memory, *seen;

	ASSERT_LE(0, fd);
	memory = bt_new(fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	dmabuf = bt_export(fd, alloc.out_id, BITMEM_EXPORT_READONLY);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, bt_import(self->t.fd, dmabuf, &in));
	EXPECT_EQ(BITMEM_BUFFER_SHARED | BITMEM_BUFFER_READONLY, bt_flags(self->t.fd, in.out_id));
	EXPECT_EQ(NULL, bt_map(self->t.fd, length, in.out_offset));
	EXPECT_EQ(EACCES, errno);
	seen = mmap(NULL, length, PROT_READ, MAP_SHARED, self->t.fd, in.out_offset);
	ASSERT_NE(MAP_FAILED, seen);
	EXPECT_EQ(-1, bt_wrong(seen, length, SEED));
	EXPECT_FALSE(writable(seen, self->t.page));
	EXPECT_EQ(-EACCES, bt_export(self->t.fd, in.out_id, 0));
	again = bt_export(self->t.fd, in.out_id, BITMEM_EXPORT_READONLY);
	ASSERT_LE(0, again);
	EXPECT_EQ(NULL, bt_map(again, length, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, bt_wrong_at(again, length, 0, SEED));
	/* The file that made it may do everything as before. */
	EXPECT_EQ(0, bt_flags(fd, alloc.out_id));
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
}

/* --- what changes under a dma-buf --- */

/* What happens to a child that reads one byte of @memory: 0, or 256 + SIGBUS. */
static int touch(const char *memory)
{
	pid_t child = fork();

	if (!child)
		_exit(*(volatile const char *)memory & 0);
	return bt_reap(child);
}

/* What is exported is there, all of it, until the dma-buf goes. */
TEST_F(dmabuf, decommit)
{
	const size_t page = self->t.page, length = self->t.superblock + 4 * page;
	struct bitmem_range done;
	struct bitmem_alloc alloc;
	char *memory;
	int dmabuf;

	ASSERT_EQ(0, bt_alloc(self->t.fd, length, &alloc));
	ASSERT_EQ(0, bt_range(self->t.fd, BITMEM_DECOMMIT, alloc.out_id, 3 * page, page, &done));
	EXPECT_EQ(-ENXIO, bt_export(self->t.fd, alloc.out_id, 0));
	ASSERT_EQ(0, bt_range(self->t.fd, BITMEM_COMMIT, alloc.out_id, 0, length, &done));
	dmabuf = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	memory = bt_map(dmabuf, length, 0);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	EXPECT_EQ(-EBUSY, bt_range(self->t.fd, BITMEM_DECOMMIT, alloc.out_id, 0, length, &done));
	EXPECT_EQ(0, touch(memory + 3 * page));
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, close(dmabuf));
	EXPECT_EQ(0, bt_range(self->t.fd, BITMEM_DECOMMIT, alloc.out_id, 0, length, &done));
	EXPECT_EQ(length, done.out_done);
}

/* Mappings of the dma-buf follow the buffer, like those of the device. */
TEST_F(dmabuf, migrate)
{
	const size_t length = self->t.superblock + 4 * self->t.page;
	struct bitmem_migrate move;
	struct bitmem_alloc alloc;
	char *memory;
	int dmabuf;

	if (self->t.nodes < 2)
		SKIP(return, "one NUMA node only");
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, length, 0, BITMEM_ALLOC_BIND, &alloc));
	dmabuf = bt_export(self->t.fd, alloc.out_id, 0);
	ASSERT_LE(0, dmabuf);
	memory = bt_map(dmabuf, length, 0);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	ASSERT_EQ(0, bt_migrate(self->t.fd, alloc.out_id, 1, &move));
	EXPECT_EQ(length, move.out_moved);
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	bt_fill(memory, length, SEED + 1);
	EXPECT_EQ(-1, bt_wrong_at(self->t.fd, length, alloc.out_offset, SEED + 1));
}

BT_MAIN
