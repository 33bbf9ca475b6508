/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tensors sent over UNIX sockets by those who do not mean well: whatever comes, it is
 * an errno with words, no memory and no descriptor stays, and the next message is read.
 */
#include <linux/memfd.h>

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/bitmem.h>

#include "share_fixture.h"

#define NEEDED_SEALS (F_SEAL_GROW | F_SEAL_SHRINK)

/* Sends a good tensor through the same sockets and sees that it comes. */
static bool still_works(struct bitmem *from, struct bitmem *to, const int *sockets)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(from, BITMEM_U8, 1, SHAPE(5)), *r;
	int ret = t ? bitmem_tensor_send(sockets[0], t) : -1;

	r = ret ? NULL : bitmem_tensor_receive(to, sockets[1], NULL);
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(r);
	return r;
}

/* Expects that what was sent is refused with @err, and that it leaves nothing. */
#define EXPECT_REFUSED(err)                                                                        \
	do {                                                                                       \
		struct bitmem_stats before_ = test_stats(self->other), after_;                     \
		struct bitmem_error error_;                                                        \
		int fds_ = test_fds();                                                             \
		errno = 0;                                                                         \
		EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, self->sockets[1], &error_));    \
		EXPECT_EQ(err, errno) TH_LOG("%s", error_.text);                                   \
		EXPECT_EQ(-(err), error_.code);                                                    \
		EXPECT_NE('\0', error_.text[0]);                                                   \
		EXPECT_EQ(fds_, test_fds());                                                       \
		after_ = test_stats(self->other);                                                  \
		after_.allocs = before_.allocs;                                                    \
		EXPECT_TRUE(test_stats_equal(&before_, &after_));                                  \
		EXPECT_TRUE(still_works(self->ctx, self->other, self->sockets));                   \
	} while (0)

#define EXPECT_SENT(data, length, fds, n)                                                          \
	EXPECT_TRUE(raw_send(self->sockets[0], data, length, fds, n))

/* A good message but for one change. */
#define EXPECT_WRONG(err, change)                                                                  \
	do {                                                                                       \
		struct message m = good;                                                           \
		change;                                                                            \
		EXPECT_SENT(&m, sizeof(m), &fd, 1);                                                \
		EXPECT_REFUSED(err);                                                               \
	} while (0)

TEST_F(share, every_field)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_F32, 2,
							      SHAPE(30, 10));
	struct message good;
	int fd = raw_message(t, &good);
	uint64_t length = test_stats(self->ctx).committed_bytes;

	ASSERT_LE(0, fd);
	EXPECT_WRONG(EPROTO, m.magic++);
	EXPECT_WRONG(EPROTO, m.magic = 0);
	EXPECT_WRONG(EOPNOTSUPP, m.version = 2);
	EXPECT_WRONG(EOPNOTSUPP, m.version = 0);
	EXPECT_WRONG(EOPNOTSUPP, m.backend = 3 - m.backend);
	EXPECT_WRONG(EPROTO, m.backend = 0);
	EXPECT_WRONG(EPROTO, m.backend = UINT32_MAX);
	EXPECT_WRONG(EPROTO, m.dtype = 0);
	EXPECT_WRONG(EPROTO, m.dtype = BITMEM_F64);
	EXPECT_WRONG(EPROTO, m.dtype = BITMEM_Q8_0);
	EXPECT_WRONG(EPROTO, m.dtype = 63);
	EXPECT_WRONG(EPROTO, m.dtype = UINT32_MAX);
	EXPECT_WRONG(EPROTO, m.ndims = 1);
	EXPECT_WRONG(EPROTO, m.ndims = 9);
	EXPECT_WRONG(EPROTO, m.ndims = UINT32_MAX);
	EXPECT_WRONG(EPROTO, m.reserved = 1);
	EXPECT_WRONG(EPROTO, m.shape[0] = 31);
	EXPECT_WRONG(EPROTO, m.shape[0] = 0);
	EXPECT_WRONG(EPROTO, m.shape[0] = UINT64_MAX; m.shape[1] = 300);
	EXPECT_WRONG(EPROTO, m.shape[7] = 1);
	EXPECT_WRONG(EPROTO, m.bytes--);
	EXPECT_WRONG(EPROTO, m.bytes = UINT64_MAX);
	EXPECT_WRONG(EPROTO, m.offset = length - m.bytes + 1);
	EXPECT_WRONG(EPROTO, m.offset = length + 1);
	EXPECT_WRONG(EPROTO, m.offset = UINT64_MAX);
	EXPECT_WRONG(EPROTO, m.offset = UINT64_MAX - m.bytes + 1);
	EXPECT_WRONG(EPROTO, m.shape[0] = length / 40 + 1; m.bytes = m.shape[0] * 40);
	EXPECT_WRONG(EPROTO, memset(&m, 0xff, sizeof(m)));
	close(fd);
	bitmem_tensor_unref(t);
}

TEST_F(share, up_to_the_end_of_the_memory)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10));
	uint64_t length = test_stats(self->ctx).committed_bytes;
	struct bitmem_tensor *r;
	struct message m;
	int fd = raw_message(t, &m);

	ASSERT_LE(0, fd);
	m.offset = length - 10;
	EXPECT_SENT(&m, sizeof(m), &fd, 1);
	r = bitmem_tensor_receive(self->other, self->sockets[1], NULL);
	ASSERT_NE(NULL, r);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), 0, 10));
	bitmem_tensor_unref(r);
	close(fd);
	bitmem_tensor_unref(t);
}

TEST_F(share, lengths_and_numbers_of_descriptors)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10));
	unsigned char longer[sizeof(struct message) + 1] = { 0 };
	struct message m;
	int fd = raw_message(t, &m), fds[253];

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < 253; i++)
		fds[i] = fd;
	memcpy(longer, &m, sizeof(m));
	EXPECT_SENT(&m, sizeof(m), NULL, 0);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(&m, sizeof(m), fds, 2);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(&m, sizeof(m), fds, 100);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(&m, sizeof(m), fds, 253);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(&m, sizeof(m) - 1, fds, 1);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(&m, 1, fds, 1);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(&m, 1, NULL, 0);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(longer, sizeof(longer), fds, 1);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(longer, 0, fds, 1);
	EXPECT_REFUSED(EPROTO);
	EXPECT_SENT(longer, 0, NULL, 0);
	EXPECT_REFUSED(ENODATA);
	close(fd);
	bitmem_tensor_unref(t);
}

/* A stream's reader is not led to take two messages for one, or half for whole. */
TEST_F(share, streams)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10));
	struct bitmem_error error;
	struct message m;
	int fd = raw_message(t, &m), s[2];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	EXPECT_TRUE(raw_send(s[0], &m, 50, &fd, 1));
	EXPECT_TRUE(raw_send(s[0], (char *)&m + 50, sizeof(m) - 50, &fd, 1));
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, s[1], &error));
	EXPECT_EQ(-EPROTO, error.code);
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, s[1], &error));
	EXPECT_EQ(-EPROTO, error.code);
	EXPECT_TRUE(still_works(self->ctx, self->other, s));
	EXPECT_TRUE(raw_send(s[0], &m, 50, NULL, 0));
	EXPECT_EQ(0, bitmem_tensor_send(s[0], t));
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, s[1], &error));
	EXPECT_EQ(-EPROTO, error.code);
	EXPECT_EQ(0, test_stats(self->other).segments);
	close(s[0]);
	close(s[1]);
	close(fd);
	bitmem_tensor_unref(t);
}

/* What the receiver asked the kernel for beside descriptors is no fault of the sender's. */
TEST_F(share, credentials_do_not_matter)
{
	int on = 1;

	ASSERT_EQ(0, setsockopt(self->sockets[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	EXPECT_TRUE(still_works(self->ctx, self->other, self->sockets));
#ifdef SO_PASSSEC
	setsockopt(self->sockets[1], SOL_SOCKET, SO_PASSSEC, &on, sizeof(on));
#endif
	/* SO_PASSPIDFD, of Linux 6.5: a descriptor comes with each message. */
	setsockopt(self->sockets[1], SOL_SOCKET, 76, &on, sizeof(on));
	EXPECT_TRUE(still_works(self->ctx, self->other, self->sockets));
	EXPECT_EQ(self->fds, test_fds());
}

/* A memfd of @length bytes with these seals; -1 if there is none. */
static int memory_file(size_t length, unsigned int flags, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd >= 0 && (ftruncate(fd, (off_t)length) || fcntl(fd, F_ADD_SEALS, seals))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int reopened(int fd, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	close(fd);
	return again;
}

/* Expects that this descriptor is refused, and closes it. */
#define EXPECT_NO_MEMORY(err, what)                                                                \
	do {                                                                                       \
		int bad_ = (what);                                                                 \
		EXPECT_LE(0, bad_) TH_LOG("%s: %s", #what, strerror(errno));                       \
		EXPECT_SENT(&m, sizeof(m), &bad_, 1);                                              \
		EXPECT_REFUSED(err);                                                               \
		close(bad_);                                                                       \
	} while (0)

TEST_F(share, descriptors_that_are_no_memory)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10));
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct message m;
	int fd = raw_message(t, &m), huge;

	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_NO_MEMORY(EPROTO, open("/dev/null", O_RDWR | O_CLOEXEC));
	EXPECT_NO_MEMORY(EPROTO, open("/dev/zero", O_RDWR | O_CLOEXEC));
	EXPECT_NO_MEMORY(EPROTO, open("/", O_RDONLY | O_CLOEXEC));
	EXPECT_NO_MEMORY(EPROTO, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	EXPECT_NO_MEMORY(EPROTO, open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	EXPECT_NO_MEMORY(EPROTO, socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	EXPECT_NO_MEMORY(EPROTO, memory_file(page, 0, 0));
	EXPECT_NO_MEMORY(EPROTO, memory_file(page, 0, F_SEAL_SHRINK));
	EXPECT_NO_MEMORY(EPROTO, memory_file(page, 0, F_SEAL_GROW));
	EXPECT_NO_MEMORY(EPROTO, memory_file(page, 0, NEEDED_SEALS | F_SEAL_WRITE));
	EXPECT_NO_MEMORY(EPROTO, memory_file(page, 0, NEEDED_SEALS | F_SEAL_FUTURE_WRITE));
	EXPECT_NO_MEMORY(EPROTO, reopened(memory_file(page, 0, NEEDED_SEALS), O_RDONLY));
	EXPECT_NO_MEMORY(EPROTO, reopened(memory_file(page, 0, NEEDED_SEALS), O_PATH));
	EXPECT_NO_MEMORY(EPROTO, memory_file(0, 0, NEEDED_SEALS));
	EXPECT_NO_MEMORY(EPROTO, memory_file(page - 1, 0, NEEDED_SEALS));
	EXPECT_NO_MEMORY(EPROTO, memory_file(page + 1, 0, NEEDED_SEALS));
	EXPECT_NO_MEMORY(EPROTO, memory_file((size_t)1 << 50, 0, NEEDED_SEALS));
	huge = memory_file(2 * MIB, MFD_HUGETLB | MFD_HUGE_2MB, NEEDED_SEALS);
	if (huge >= 0)
		EXPECT_NO_MEMORY(EPROTO, huge);
	bitmem_tensor_unref(t);
}

/* Whoever makes the message need not be this library: a memfd with the seals is enough. */
TEST_F(share, any_sealed_file)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10));
	struct bitmem_tensor *r;
	struct message m;
	int fd = raw_message(t, &m);

	close(fd);
	bitmem_tensor_unref(t);
	if (bitmem_backend(self->ctx) != BITMEM_BACKEND_MEMFD)
		SKIP(return, "memfd only");
	fd = memory_file(4096 * 16, 0, NEEDED_SEALS);
	ASSERT_LE(0, fd);
	ASSERT_EQ(3, pwrite(fd, "abc", 3, 60000));
	m.offset = 60000;
	m.shape[0] = m.bytes = 3;
	EXPECT_SENT(&m, sizeof(m), &fd, 1);
	r = bitmem_tensor_receive(self->other, self->sockets[1], NULL);
	ASSERT_NE(NULL, r);
	/* Not made longer, not made shorter, and a hole is zeros. */
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(0, memcmp("abc", bitmem_tensor_data(r), 3));
	EXPECT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096 * 16));
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), 0, 3));
	close(fd);
	bitmem_tensor_unref(r);
}

/* An id for the buffer behind @fd in a file of its own; 0 if there is none. */
static uint32_t import_id(int device, int fd)
{
	struct bitmem_import arg = { .size = sizeof(arg), .fd = fd };

	return ioctl(device, BITMEM_IMPORT, &arg) ? 0 : arg.out_id;
}

/* What taking a page away from the buffer comes to: 0 or errno. */
static int decommit(int device, uint32_t id)
{
	struct bitmem_range arg = { .size = sizeof(arg), .id = id };

	arg.length = (uint64_t)sysconf(_SC_PAGESIZE);
	return ioctl(device, BITMEM_DECOMMIT, &arg) ? errno : 0;
}

static const char *device_path(void)
{
	const char *path = getenv("BITMEM_DEVICE");

	return path && *path ? path : "/dev/bitmem";
}

/* With the device, either side has an id; none can take the other's memory with it. */
TEST_F(share, nobody_takes_the_memory_away)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10));
	struct bitmem_tensor *r;
	int device, fd;
	struct message m;
	uint32_t id;

	if (bitmem_backend(self->ctx) != BITMEM_BACKEND_DEVICE) {
		bitmem_tensor_unref(t);
		SKIP(return, "device only");
	}
	device = open(device_path(), O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, device);
	/* The sender still has its tensor. */
	fd = raw_message(t, &m);
	id = import_id(device, fd);
	ASSERT_NE(0, id);
	EXPECT_SENT(&m, sizeof(m), &fd, 1);
	close(fd);
	EXPECT_EQ(EBUSY, decommit(device, id));
	memset(bitmem_tensor_data(t), 0x13, 10);
	/* Only the receiver has. */
	r = bitmem_tensor_receive(self->other, self->sockets[1], NULL);
	ASSERT_NE(NULL, r);
	bitmem_tensor_unref(t);
	EXPECT_EQ(EBUSY, decommit(device, id));
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), 0x13, 10));
	/* Nobody has. */
	bitmem_tensor_unref(r);
	EXPECT_EQ(0, decommit(device, id));
	close(device);
}

/* With the device: a read-only export is no memory for a tensor. */
TEST_F(share, read_only_buffer)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10));
	struct bitmem_export arg = { .size = sizeof(arg), .flags = BITMEM_EXPORT_READONLY };
	struct message m;
	int device, fd;

	if (bitmem_backend(self->ctx) != BITMEM_BACKEND_DEVICE) {
		bitmem_tensor_unref(t);
		SKIP(return, "device only");
	}
	device = open(device_path(), O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, device);
	fd = raw_message(t, &m);
	arg.id = import_id(device, fd);
	close(fd);
	ASSERT_EQ(0, ioctl(device, BITMEM_EXPORT, &arg));
	EXPECT_NO_MEMORY(EPROTO, arg.out_fd);
	close(device);
	bitmem_tensor_unref(t);
}

#define THREADS 3
#define ROUNDS 100

struct side {
	struct bitmem *ctx;
	struct bitmem_tensor *tensor;
	int socket;
	size_t bad;
};

static void *send_many(void *arg)
{
	struct side *side = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct bitmem_tensor *own;

		side->bad += bitmem_tensor_send(side->socket, side->tensor) != 0;
		own = bitmem_tensor_new_shareable(side->ctx, BITMEM_U8, 1, SHAPE(100));
		if (own)
			memset(bitmem_tensor_data(own), 0x3c, 100);
		side->bad += !own || bitmem_tensor_send(side->socket, own);
		bitmem_tensor_unref(own);
	}
	return NULL;
}

static void *receive_many(void *arg)
{
	struct side *side = arg;

	for (int i = 0; i < 2 * ROUNDS; i++) {
		struct bitmem_tensor *r = bitmem_tensor_receive(side->ctx, side->socket, NULL);

		side->bad += !r || bitmem_tensor_bytes(r) != 100 ||
			     !test_all_are(bitmem_tensor_data(r), 0x3c, 100);
		bitmem_tensor_unref(r);
	}
	return NULL;
}

TEST_F(share, many_threads)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(100));
	pthread_t threads[2 * THREADS];
	struct side sides[2 * THREADS];

	ASSERT_NE(NULL, t);
	memset(bitmem_tensor_data(t), 0x3c, 100);
	for (int i = 0; i < 2 * THREADS; i++) {
		sides[i] = (struct side){ .ctx = i % 2 ? self->other : self->ctx, .tensor = t,
					  .socket = self->sockets[i % 2] };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, i % 2 ? receive_many : send_many,
					    &sides[i]));
	}
	for (int i = 0; i < 2 * THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, sides[i].bad);
	}
	EXPECT_EQ(0, test_stats(self->other).live);
	EXPECT_EQ(2 * THREADS * ROUNDS, test_stats(self->other).allocs);
	bitmem_tensor_unref(t);
}

TEST_HARNESS_MAIN
