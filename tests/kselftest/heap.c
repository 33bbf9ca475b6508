// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/dma_heap/bitmem: what clients of the kernel's dma-buf heaps rely on. The kernel's own
 * test of its heaps is run on it by ../clients.
 */
#include "bitmem_dmabuf.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define HEAP	"/dev/dma_heap/bitmem"
#define SEED	0x4ea9

FIXTURE(heap) {
	struct bt t;
	int fd;
};

FIXTURE_SETUP(heap)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	self->fd = open(HEAP, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN_PARENT(heap)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* A dma-buf's descriptor, or -errno. */
static int allocate(int heap, uint64_t length, uint32_t fd_flags, uint64_t heap_flags)
{
	struct dma_heap_allocation_data arg = {
		.len = length, .fd_flags = fd_flags, .heap_flags = heap_flags,
	};
	int err = bt_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &arg);

	return err ? err : (int)arg.fd;
}

TEST_F(heap, node)
{
	struct stat st;

	ASSERT_EQ(0, stat(HEAP, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 0777);
}

TEST_F(heap, lengths)
{
	const size_t page = self->t.page, sb = self->t.superblock;
	const struct {
		uint64_t asked, got;
	} all[] = {
		{ 1, page }, { page, page }, { page + 1, 2 * page }, { sb, sb },
		{ sb + 1, sb + page }, { 3 * sb + 5 * page, 3 * sb + 5 * page },
	};
	uint64_t before = bt_allocated(self->t.fd);
	int i, fd;

	for (i = 0; i < ARRAY_LEN(all); i++) {
		fd = allocate(self->fd, all[i].asked, O_RDWR | O_CLOEXEC, 0);
		ASSERT_LE(0, fd);
		EXPECT_EQ(all[i].got, lseek(fd, 0, SEEK_END));
		EXPECT_EQ(before + all[i].got, bt_allocated(self->t.fd));
		close(fd);
		EXPECT_EQ(before, bt_allocated(self->t.fd));
	}
}

TEST_F(heap, zeroed)
{
	const size_t length = 2 * self->t.superblock + 7 * self->t.page;
	char *memory;
	int i, fd;

	for (i = 0; i < 8; i++) {
		fd = allocate(self->fd, length, O_RDWR | O_CLOEXEC, 0);
		ASSERT_LE(0, fd);
		memory = bt_map(fd, length, 0);
		ASSERT_NE(NULL, memory);
		EXPECT_EQ(-1, bt_nonzero(memory, length));
		bt_fill(memory, length, SEED);
		munmap(memory, length);
		close(fd);
	}
}

TEST_F(heap, fd_flags)
{
	int fd;

	fd = allocate(self->fd, self->t.page, O_RDWR | O_CLOEXEC, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(fd, F_GETFL) & O_ACCMODE);
	close(fd);
	fd = allocate(self->fd, self->t.page, O_RDWR, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	close(fd);
	fd = allocate(self->fd, self->t.page, O_WRONLY, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(O_WRONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(NULL, bt_map(fd, self->t.page, 0));
	EXPECT_EQ(EACCES, errno);
	close(fd);
}

/* A descriptor to read by: so is what IMPORT makes of it. */
TEST_F(heap, readonly)
{
	struct bitmem_import in;
	char *memory;
	int fd;

	fd = allocate(self->fd, self->t.page, O_RDONLY | O_CLOEXEC, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(NULL, bt_map(fd, self->t.page, 0));
	EXPECT_EQ(EACCES, errno);
	memory = mmap(NULL, self->t.page, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, memory);
	EXPECT_EQ(-1, bt_nonzero(memory, self->t.page));
	EXPECT_NE(0, mprotect(memory, self->t.page, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, bt_import(self->t.fd, fd, &in));
	EXPECT_EQ(BITMEM_BUFFER_SHARED | BITMEM_BUFFER_READONLY, bt_flags(self->t.fd, in.out_id));
	EXPECT_EQ(-EACCES, bt_export(self->t.fd, in.out_id, 0));
	EXPECT_EQ(NULL, bt_map(self->t.fd, self->t.page, in.out_offset));
}

TEST_F(heap, errors)
{
	struct dma_heap_allocation_data arg = { .len = self->t.page, .fd_flags = O_RDWR };
	struct bitmem_pool_info total;

	EXPECT_EQ(-EINVAL, allocate(self->fd, 0, O_RDWR, 0));
	EXPECT_EQ(-EINVAL, allocate(self->fd, UINT64_MAX, O_RDWR, 0));
	EXPECT_EQ(-EINVAL, allocate(self->fd, self->t.page, O_RDWR | O_NONBLOCK, 0));
	EXPECT_EQ(-EINVAL, allocate(self->fd, self->t.page, ~(O_RDWR | O_CLOEXEC), 0));
	EXPECT_EQ(-EINVAL, allocate(self->fd, self->t.page, O_RDWR, 1));
	EXPECT_EQ(-EINVAL, allocate(self->fd, self->t.page, O_RDWR, 1ull << 63));
	ASSERT_EQ(0, bt_total(self->t.fd, &total));
	EXPECT_EQ(-ENOMEM, allocate(self->fd, total.out_capacity + self->t.page, O_RDWR, 0));
	EXPECT_EQ(-ENOMEM, allocate(self->fd, UINT64_MAX - self->t.page, O_RDWR, 0));
	arg.fd = 1;
	EXPECT_EQ(-EINVAL, bt_ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, &arg));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, NULL));
	EXPECT_EQ(-EINVAL, bt_ioctl(self->fd, _IOWR(DMA_HEAP_IOC_MAGIC, 1, arg), &arg));
	EXPECT_EQ(-EINVAL, bt_ioctl(self->fd, _IO(DMA_HEAP_IOC_MAGIC, 0), &arg));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->t.page, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(ENODEV, errno);
}

/* Out of descriptors, or nowhere to tell the new one: nothing is left behind. */
TEST_F(heap, undone)
{
	uint64_t before = bt_allocated(self->t.fd);
	struct dma_heap_allocation_data *arg;
	struct rlimit old, none = { 0, 0 };

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none.rlim_max = old.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, allocate(self->fd, self->t.page, O_RDWR, 0));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	arg = mmap(NULL, self->t.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, arg);
	arg->len = self->t.page;
	arg->fd_flags = O_RDWR;
	ASSERT_EQ(0, mprotect(arg, self->t.page, PROT_READ));
	EXPECT_EQ(-EFAULT, bt_ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, arg));
	EXPECT_EQ(before, bt_allocated(self->t.fd));
}

/* Structures of other releases: too short, and longer than this one. */
TEST_F(heap, sizes)
{
	struct {
		uint64_t len;
		uint32_t fd;
		uint32_t fd_flags;
	} shorter = { .len = self->t.page, .fd_flags = O_RDWR | O_CLOEXEC };
	struct {
		struct dma_heap_allocation_data known;
		uint64_t more[3];
	} longer = {
		.known = { .len = self->t.page, .fd_flags = O_RDWR | O_CLOEXEC },
		.more = { 1, 2, 3 },
	};
	uint64_t length = self->t.page;

	ASSERT_EQ(0, bt_ioctl(self->fd, _IOWR(DMA_HEAP_IOC_MAGIC, 0, shorter), &shorter));
	EXPECT_EQ(self->t.page, lseek(shorter.fd, 0, SEEK_END));
	EXPECT_EQ(FD_CLOEXEC, fcntl(shorter.fd, F_GETFD));
	ASSERT_EQ(0, bt_ioctl(self->fd, _IOWR(DMA_HEAP_IOC_MAGIC, 0, longer), &longer));
	EXPECT_EQ(self->t.page, lseek(longer.known.fd, 0, SEEK_END));
	EXPECT_EQ(3, longer.more[2]);
	/* Shorter than any release had: zeros for the flags, and nowhere to put the descriptor. */
	EXPECT_LE(0, bt_ioctl(self->fd, _IOWR(DMA_HEAP_IOC_MAGIC, 0, length), &length));
}

/* A buffer of the heap in the device's files: charged to the heap's file, not to theirs. */
TEST_F(heap, import)
{
	const size_t length = self->t.superblock + self->t.page;
	struct bitmem_import in;
	struct bitmem_query query;
	char *memory;
	int fd;

	fd = allocate(self->fd, length, O_RDWR | O_CLOEXEC, 0);
	ASSERT_LE(0, fd);
	memory = bt_map(fd, length, 0);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	munmap(memory, length);
	ASSERT_EQ(0, bt_import(self->t.fd, fd, &in));
	ASSERT_EQ(0, close(fd));
	/* The heap's file may go: the buffer is charged to it for as long as it lives. */
	ASSERT_EQ(0, close(self->fd));
	EXPECT_EQ(length, in.out_length);
	ASSERT_EQ(0, bt_query(self->t.fd, in.out_id, 0, &query));
	EXPECT_EQ(BITMEM_BUFFER_SHARED, query.out_flags);
	EXPECT_EQ(0, query.out_exports);
	EXPECT_EQ(length, query.out_resident);
	EXPECT_STREQ("dma-heap", (char *)query.out_tag);
	EXPECT_EQ(0, bt_charged(self->t.fd));
	EXPECT_EQ(-1, bt_wrong_at(self->t.fd, length, in.out_offset, SEED));
}

/* For two seconds; the number of buffers that were bad, or -1 if there were none at all. */
static void *allocate_and_close(void *arg)
{
	const uint64_t began = bt_now_ns();
	const struct bt *t = arg;
	int heap = open(HEAP, O_RDWR | O_CLOEXEC), fd, i;
	size_t length;
	long bad = 0;
	char *memory;

	for (i = 0; bt_now_ns() - began < 2000000000ull; i++) {
		length = (i % 9 ? i % 5 + 1 : t->superblock / t->page) * t->page;
		fd = allocate(heap, length, O_RDWR | O_CLOEXEC, 0);
		memory = bt_map(fd, length, 0);
		bad += !memory || bt_nonzero(memory, length) != -1;
		if (memory) {
			bt_fill(memory, length, i);
			munmap(memory, length);
		}
		close(fd);
	}
	close(heap);
	return (void *)(i ? bad : -1);
}

TEST_F(heap, threads)
{
	pthread_t all[8];
	void *bad;
	int i;

	for (i = 0; i < ARRAY_LEN(all); i++)
		ASSERT_EQ(0, pthread_create(&all[i], NULL, allocate_and_close, &self->t));
	for (i = 0; i < ARRAY_LEN(all); i++) {
		ASSERT_EQ(0, pthread_join(all[i], &bad));
		EXPECT_EQ(NULL, bad);
	}
}

TEST_F(heap, killed)
{
	const unsigned int rounds = bt_rounds(20);
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			for (;;)
				allocate_and_close(&self->t);
		}
		bt_sleep_ms(i % 20 + 1);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
	}
	EXPECT_EQ(NULL, bt_end(&self->t));
}

BT_MAIN
