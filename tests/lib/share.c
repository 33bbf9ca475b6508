/* SPDX-License-Identifier: GPL-2.0 */
/* Tensors sent over UNIX sockets, between those who mean well. */
#include <linux/bitmem.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "model_test.h"
#include "share_fixture.h"

static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

TEST_F(share, both_have_the_memory)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct bitmem_tensor *t, *r;
		struct bitmem_stats stats;
		struct bitmem_error error;
		int s[2];

		ASSERT_EQ(0, socketpair(AF_UNIX, types[i], 0, s));
		t = bitmem_tensor_new_shareable(self->ctx, BITMEM_F32, 3, SHAPE(3, 5, 700));
		ASSERT_NE(NULL, t);
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), 0, 42000));
		memset(bitmem_tensor_data(t), 0x11, 42000);
		ASSERT_EQ(0, bitmem_tensor_send(s[0], t));
		r = bitmem_tensor_receive(self->other, s[1], &error);
		ASSERT_NE(NULL, r) TH_LOG("%s", error.text);
		EXPECT_EQ(0, error.code);
		EXPECT_EQ(BITMEM_F32, bitmem_tensor_dtype(r));
		EXPECT_EQ(3, bitmem_tensor_ndims(r));
		EXPECT_EQ(0, memcmp(SHAPE(3, 5, 700), bitmem_tensor_shape(r), 24));
		EXPECT_EQ(42000, bitmem_tensor_bytes(r));
		EXPECT_EQ(0, (uintptr_t)bitmem_tensor_data(r) % 64);
		EXPECT_NE(bitmem_tensor_data(t), bitmem_tensor_data(r));
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), 0x11, 42000));
		memset(bitmem_tensor_data(r), 0x22, 42000);
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), 0x22, 42000));
		stats = test_stats(self->other);
		EXPECT_EQ(1, stats.live);
		EXPECT_EQ(42000, stats.live_bytes);
		EXPECT_EQ(1, stats.segments);
		EXPECT_EQ(i + 1, stats.allocs);
		bitmem_tensor_unref(t);
		EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), 0x22, 42000));
		bitmem_tensor_unref(r);
		stats = test_stats(self->other);
		EXPECT_EQ(0, stats.live);
		EXPECT_EQ(0, stats.committed_bytes);
		close(s[0]);
		close(s[1]);
	}
}

/* Sends what is fit for it and receives it; drops @t. */
static struct bitmem_tensor *pass(const int *sockets, struct bitmem *ctx, struct bitmem_tensor *t)
{
	int ret = t ? bitmem_tensor_send(sockets[0], t) : -EINVAL;

	bitmem_tensor_unref(t);
	return ret ? NULL : bitmem_tensor_receive(ctx, sockets[1], NULL);
}

TEST_F(share, every_type)
{
	const uint64_t shape[] = { 2, 512 };

	for (int dtype = 0; dtype < 256; dtype++) {
		struct bitmem_tensor *t, *r;
		size_t bytes;

		t = bitmem_tensor_new_shareable(self->ctx, (enum bitmem_dtype)dtype, 2, shape);
		if (!t) {
			EXPECT_EQ(NULL, bitmem_dtype_info((enum bitmem_dtype)dtype));
			continue;
		}
		bytes = bitmem_tensor_bytes(t);
		memset(bitmem_tensor_data(t), dtype, bytes);
		r = pass(self->sockets, self->other, t);
		ASSERT_NE(NULL, r);
		EXPECT_EQ(dtype, bitmem_tensor_dtype(r));
		EXPECT_EQ(bytes, bitmem_tensor_bytes(r));
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), (unsigned char)dtype, bytes));
		bitmem_tensor_unref(r);
	}
}

TEST_F(share, scalar_empty_and_large)
{
	struct bitmem_tensor *r;

	r = pass(self->sockets, self->other,
		 bitmem_tensor_new_shareable(self->ctx, BITMEM_F64, 0, NULL));
	ASSERT_NE(NULL, r);
	EXPECT_EQ(8, bitmem_tensor_bytes(r));
	EXPECT_EQ(0, bitmem_tensor_ndims(r));
	bitmem_tensor_unref(r);
	r = pass(self->sockets, self->other,
		 bitmem_tensor_new_shareable(self->ctx, BITMEM_F64, 2, SHAPE(0, 7)));
	ASSERT_NE(NULL, r);
	EXPECT_EQ(0, bitmem_tensor_bytes(r));
	EXPECT_NE(NULL, bitmem_tensor_data(r));
	bitmem_tensor_unref(r);
	r = pass(self->sockets, self->other,
		 bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(5 * MIB)));
	ASSERT_NE(NULL, r);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), 0, 5 * MIB));
	bitmem_tensor_unref(r);
	r = pass(self->sockets, self->other,
		 bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 8,
					     SHAPE(1, 2, 1, 2, 1, 2, 1, 2)));
	ASSERT_NE(NULL, r);
	EXPECT_EQ(8, bitmem_tensor_ndims(r));
	bitmem_tensor_unref(r);
}

TEST_F(share, views_and_what_was_received)
{
	struct bitmem_tensor *t, *v, *w, *r, *again;
	unsigned char *data;

	t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(100000));
	ASSERT_NE(NULL, t);
	data = bitmem_tensor_data(t);
	for (size_t i = 0; i < 100000; i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(50000), 40000);
	w = bitmem_tensor_view(v, BITMEM_U16, 2, SHAPE(10, 3), 5);
	ASSERT_NE(NULL, w);
	bitmem_tensor_unref(v);
	r = pass(self->sockets, self->other, w);
	ASSERT_NE(NULL, r);
	EXPECT_EQ(60, bitmem_tensor_bytes(r));
	EXPECT_EQ(0, memcmp(data + 40005, bitmem_tensor_data(r), 60));
	EXPECT_EQ(60, test_stats(self->other).live_bytes);
	/* From hand to hand, and back home, where it is one more mapping. */
	again = pass(self->sockets, self->ctx, r);
	ASSERT_NE(NULL, again);
	EXPECT_EQ(0, test_stats(self->other).segments);
	EXPECT_EQ(2, test_stats(self->ctx).segments);
	EXPECT_EQ(0, memcmp(data + 40005, bitmem_tensor_data(again), 60));
	data[40005] ^= 0xff;
	EXPECT_EQ(data[40005], *(unsigned char *)bitmem_tensor_data(again));
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(again);
}

TEST_F(share, received_outlives_its_context)
{
	/* Of a device, either context has a descriptor. */
	int own = bitmem_backend(self->ctx) == BITMEM_BACKEND_DEVICE ? 2 : 0;
	struct bitmem_tensor *r;

	r = pass(self->sockets, self->other,
		 bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10000)));
	ASSERT_NE(NULL, r);
	EXPECT_EQ(0, bitmem_close(self->ctx));
	self->ctx = NULL;
	EXPECT_EQ(1, bitmem_close(self->other));
	self->other = NULL;
	memset(bitmem_tensor_data(r), 0x77, 10000);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), 0x77, 10000));
	bitmem_tensor_unref(r);
	EXPECT_EQ(self->fds - own, test_fds());
}

/* What lies among others does not leave. */
TEST_F(share, only_what_lies_alone)
{
	struct bitmem_tensor *small = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_tensor *large = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(8 * MIB));
	struct bitmem_tensor *v = bitmem_tensor_view(large, BITMEM_U8, 1, SHAPE(4 * MIB), 0);

	ASSERT_NE(NULL, small);
	ASSERT_NE(NULL, v);
	EXPECT_EQ(-EOPNOTSUPP, bitmem_tensor_send(self->sockets[0], small));
	EXPECT_EQ(-EOPNOTSUPP, bitmem_tensor_send(self->sockets[0], large));
	EXPECT_EQ(-EOPNOTSUPP, bitmem_tensor_send(self->sockets[0], v));
	EXPECT_EQ(-1, waiting(self->sockets[1]));
	EXPECT_EQ(EAGAIN, errno);
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(large);
	bitmem_tensor_unref(small);
	bitmem_trim(self->ctx);
}

/* A shareable tensor's memory is its own to the end: nothing of others is in its pages. */
TEST_F(share, nothing_else_in_the_pages)
{
	struct bitmem_tensor *secret = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(3000));
	struct bitmem_tensor *t, *r;
	unsigned char *data;

	ASSERT_NE(NULL, secret);
	memset(bitmem_tensor_data(secret), 0x99, 3000);
	bitmem_tensor_unref(secret);
	t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10));
	ASSERT_NE(NULL, t);
	memset(bitmem_tensor_data(t), 0x11, 10);
	r = pass(self->sockets, self->other, t);
	ASSERT_NE(NULL, r);
	data = bitmem_tensor_data(r);
	EXPECT_TRUE(test_all_are(data, 0x11, 10));
	EXPECT_TRUE(test_all_are(data + 10, 0, test_stats(self->other).committed_bytes - 10));
	bitmem_tensor_unref(r);
	bitmem_trim(self->ctx);
}

TEST_F(share, a_model)
{
	bool device = bitmem_backend(self->ctx) == BITMEM_BACKEND_DEVICE;
	struct bitmem_tensor *r;
	struct bitmem_model *model;
	struct bytes file = { 0 };
	char *dir = dir_make(NULL);

	ASSERT_NE(NULL, dir);
	safetensors_file(&file, "{\"a\":{\"dtype\":\"F32\",\"shape\":[25],"
			 "\"data_offsets\":[0,100]},\"b\":{\"dtype\":\"U8\",\"shape\":[60],"
			 "\"data_offsets\":[100,160]}}", 160);
	ASSERT_TRUE(dir_write_bytes(dir, "m.safetensors", &file));
	model = bitmem_model_load(self->ctx, dir_path(dir, "m.safetensors"), NULL);
	ASSERT_NE(NULL, model);
	r = pass(self->sockets, self->other, bitmem_tensor_ref(bitmem_model_tensor(model, "b")));
	EXPECT_EQ(device, r != NULL);
	if (r) {
		EXPECT_EQ(60, bitmem_tensor_bytes(r));
		EXPECT_EQ(0, memcmp(bitmem_tensor_data(bitmem_model_tensor(model, "b")),
				    bitmem_tensor_data(r), 60));
	} else {
		EXPECT_EQ(-EOPNOTSUPP, bitmem_tensor_send(self->sockets[0],
							  bitmem_model_tensor(model, "a")));
	}
	bitmem_tensor_unref(r);
	bitmem_model_close(model);
	bytes_free(&file);
	dir_remove(dir);
}

/* Whether the kernel finds the same bytes at @offset of its buffer @id. */
static bool kernel_finds(int fd, uint32_t id, uint64_t offset, const void *data, size_t bytes)
{
	struct bitmem_query query = { .size = sizeof(query), .id = id };
	bool same = false;
	char *map;

	if (ioctl(fd, BITMEM_QUERY, &query) || offset + bytes > query.out_length)
		return false;
	map = mmap(NULL, query.out_length, PROT_READ, MAP_SHARED, fd, (off_t)query.out_offset);
	if (map != MAP_FAILED) {
		same = !memcmp(map + offset, data, bytes);
		munmap(map, query.out_length);
	}
	return same;
}

TEST_F(share, buffers)
{
	bool device = bitmem_backend(self->ctx) == BITMEM_BACKEND_DEVICE;
	struct bitmem_tensor *small = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_tensor *t, *v;
	int fd = bitmem_device_fd(self->ctx);
	uint64_t offset = 1;
	uint32_t id = 0;

	t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(10000));
	ASSERT_NE(NULL, t);
	memset(bitmem_tensor_data(t), 0x35, 10000);
	memset((char *)bitmem_tensor_data(t) + 5000, 0x53, 100);
	v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(200), 4950);
	ASSERT_NE(NULL, v);
	EXPECT_EQ(-EOPNOTSUPP, bitmem_tensor_buffer(small, &id, &offset));
	EXPECT_EQ(0, id);
	if (device) {
		EXPECT_EQ(0, bitmem_tensor_buffer(v, &id, &offset));
		EXPECT_EQ(4950, offset);
		EXPECT_TRUE(kernel_finds(fd, id, offset, bitmem_tensor_data(v), 200));
		EXPECT_EQ(0, bitmem_tensor_buffer(t, &id, &offset));
		EXPECT_EQ(0, offset);
	} else {
		EXPECT_EQ(-EOPNOTSUPP, fd);
		EXPECT_EQ(-EOPNOTSUPP, bitmem_tensor_buffer(t, &id, &offset));
	}
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(small);
	bitmem_trim(self->ctx);
}

/* Expects the same refusal, and no change, from both. */
#define EXPECT_NO_SHAREABLE(err, ...)                                                              \
	do {                                                                                       \
		struct bitmem_stats before_ = test_stats(self->ctx), after_;                       \
		EXPECT_EQ(NULL, bitmem_tensor_new(self->ctx, __VA_ARGS__));                        \
		EXPECT_EQ(err, errno);                                                             \
		errno = 0;                                                                         \
		EXPECT_EQ(NULL, bitmem_tensor_new_shareable(self->ctx, __VA_ARGS__));              \
		EXPECT_EQ(err, errno);                                                             \
		after_ = test_stats(self->ctx);                                                    \
		EXPECT_TRUE(test_stats_equal(&before_, &after_));                                  \
	} while (0)

TEST_F(share, refuses_what_cannot_be)
{
	test_warm_up(self->ctx);
	EXPECT_NO_SHAREABLE(EINVAL, BITMEM_DTYPE_INVALID, 1, SHAPE(1));
	EXPECT_NO_SHAREABLE(EINVAL, BITMEM_F32, 1, NULL);
	EXPECT_NO_SHAREABLE(EINVAL, BITMEM_F32, 9, SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1));
	EXPECT_NO_SHAREABLE(EINVAL, BITMEM_Q8_0, 1, SHAPE(33));
	EXPECT_NO_SHAREABLE(EOVERFLOW, BITMEM_F32, 2, SHAPE(1ull << 62, 2));
	EXPECT_NO_SHAREABLE(ENOMEM, BITMEM_U8, 1, SHAPE(UINT64_MAX));
	EXPECT_NO_SHAREABLE(ENOMEM, BITMEM_U8, 1, SHAPE(1ull << 46));
}

/* A connected pair of sockets that take descriptors and forget them. */
static int internet_socket(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t length = sizeof(addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0)
		(void)!bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	if (fd >= 0 && !getsockname(fd, (struct sockaddr *)&addr, &length))
		(void)!connect(fd, (struct sockaddr *)&addr, length);
	return fd;
}

TEST_F(share, sockets_that_are_none)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(9));
	int file = open("/dev/null", O_RDWR | O_CLOEXEC), inet = internet_socket();
	struct bitmem_error error;

	ASSERT_NE(NULL, t);
	EXPECT_EQ(-EBADF, bitmem_tensor_send(-1, t));
	EXPECT_EQ(-ENOTSOCK, bitmem_tensor_send(file, t));
	EXPECT_EQ(-EINVAL, bitmem_tensor_send(inet, t));
	EXPECT_EQ(-1, waiting(inet));
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, -1, &error));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-EBADF, error.code);
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, file, &error));
	EXPECT_EQ(-ENOTSOCK, error.code);
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, inet, &error));
	EXPECT_EQ(-EINVAL, error.code);
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, inet, NULL));
	EXPECT_EQ(EINVAL, errno);
	close(file);
	close(inet);
	bitmem_tensor_unref(t);
}

/* All that fits is sent whole, what does not is not sent at all. */
TEST_F(share, full_and_empty_and_closed)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(9));
	struct bitmem_tensor *r;
	struct bitmem_error error;
	int s[2], sent = 0, got = 0, ret;

	ASSERT_NE(NULL, t);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, s[1], &error));
	EXPECT_EQ(-EAGAIN, error.code);
	while (sent < 100000 && !(ret = bitmem_tensor_send(s[0], t)))
		sent++;
	EXPECT_TRUE(ret == -EAGAIN || ret == -ETOOMANYREFS);
	EXPECT_LT(0, sent);
	while ((r = bitmem_tensor_receive(self->other, s[1], &error))) {
		bitmem_tensor_unref(r);
		got++;
	}
	EXPECT_EQ(-EAGAIN, error.code);
	EXPECT_EQ(sent, got);
	EXPECT_EQ(0, bitmem_tensor_send(s[0], t));
	close(s[0]);
	r = bitmem_tensor_receive(self->other, s[1], NULL);
	EXPECT_NE(NULL, r);
	bitmem_tensor_unref(r);
	EXPECT_EQ(NULL, bitmem_tensor_receive(self->other, s[1], &error));
	EXPECT_EQ(ENODATA, errno);
	EXPECT_EQ(-ENODATA, error.code);
	EXPECT_EQ(-EPIPE, bitmem_tensor_send(s[1], t));
	close(s[1]);
	bitmem_tensor_unref(t);
}

TEST_F(share, descriptors_stay_here)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(9));
	struct bitmem_tensor *r;

	ASSERT_NE(NULL, t);
	ASSERT_EQ(0, bitmem_tensor_send(self->sockets[0], t));
	r = bitmem_tensor_receive(self->other, self->sockets[1], NULL);
	ASSERT_NE(NULL, r);
	for (int fd = 3; fd < 256; fd++) {
		char path[64], to[256] = { 0 };

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, to, sizeof(to) - 1) > 0 &&
		    (strstr(to, "memfd:") || strstr(to, "dmabuf")))
			EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	bitmem_tensor_unref(r);
	bitmem_tensor_unref(t);
}

TEST_F(share, no_descriptors_left)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, SHAPE(9));
	struct bitmem_tensor *r;
	struct rlimit limit, none;
	struct bitmem_error error;

	if (test_valgrind())
		SKIP(return, "valgrind does not pass the limit of descriptors on");
	ASSERT_NE(NULL, t);
	ASSERT_EQ(0, bitmem_tensor_send(self->sockets[0], t));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 1;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, bitmem_tensor_send(self->sockets[0], t));
	r = bitmem_tensor_receive(self->other, self->sockets[1], &error);
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(NULL, r);
	EXPECT_EQ(-EMFILE, error.code) TH_LOG("%s", error.text);
	EXPECT_EQ(0, test_stats(self->other).segments);
	r = pass(self->sockets, self->other, t);
	EXPECT_NE(NULL, r);
	bitmem_tensor_unref(r);
}

/* In the child: sends a tensor of its own context, and waits to be killed. */
static int send_and_wait(int socket)
{
	struct bitmem *ctx = test_open(2 * MIB);
	struct bitmem_tensor *t;

	t = ctx ? bitmem_tensor_new_shareable(ctx, BITMEM_U8, 1, SHAPE(3 * MIB)) : NULL;
	if (!t)
		return 1;
	memset(bitmem_tensor_data(t), 0x66, 3 * MIB);
	if (bitmem_tensor_send(socket, t))
		return 2;
	for (;;)
		pause();
}

TEST_F(share, sender_is_killed)
{
	struct bitmem_tensor *r, *again;
	pid_t child = fork();
	int status;

	ASSERT_LE(0, child);
	if (!child)
		_exit(send_and_wait(self->sockets[0]));
	r = bitmem_tensor_receive(self->other, self->sockets[1], NULL);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	ASSERT_NE(NULL, r);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(r), 0x66, 3 * MIB));
	memset(bitmem_tensor_data(r), 0x67, 3 * MIB);
	EXPECT_EQ(3 * MIB, test_stats(self->other).live_bytes);
	again = pass(self->sockets, self->ctx, r);
	ASSERT_NE(NULL, again);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(again), 0x67, 3 * MIB));
	bitmem_tensor_unref(again);
	EXPECT_EQ(0, test_stats(self->other).committed_bytes);
}

TEST_HARNESS_MAIN
