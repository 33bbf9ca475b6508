/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Failures of what the library asks of the C library and the kernel: a scenario
 * runs once for each such request, which is made to fail. Whatever fails, the
 * call says ENOMEM (or what the kernel said), changes nothing, and nothing is lost.
 */
#include "inject.h"
#include "lib_test.h"

#include <sys/socket.h>
#include <unistd.h>

#include <bitmem/dlpack.h>
#include <bitmem/share.h>

/* The number of mappings of a backend's memory. */
static int mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		n += strstr(line, "memfd:") || strstr(line, "/dev/bitmem");
	fclose(file);
	return n;
}

/* Runs with the n-th request failing, from the call on; then all succeed again. */
#define WITH_FAULT(n, call)                                                                        \
	({                                                                                         \
		inject.countdown = (n);                                                            \
		inject.failed = false;                                                             \
		errno = 0;                                                                         \
		__typeof__(call) result_ = (call);                                                 \
		inject.countdown = -1;                                                             \
		result_;                                                                           \
	})

/*
 * Every request that @call makes is made to fail in turn, until a run needs no
 * more requests than succeed. @undo takes the result of a run that succeeded, as it may
 * in spite of a failure: by other means, or when it tries again.
 */
#define FAIL_EACH(call, undo)                                                                      \
	do {                                                                                       \
		int n_ = 0, hits_ = 0;                                                           \
		do {                                                                               \
			struct bitmem_stats before_ = test_stats(self->ctx), after_;               \
			void *got_ = WITH_FAULT(n_, call);                                         \
			int code_ = errno;                                                         \
			if (got_) {                                                                \
				undo(got_);                                                        \
			} else {                                                                   \
				EXPECT_TRUE(inject.failed);                                        \
				EXPECT_EQ(ENOMEM, code_);                                          \
				bitmem_trim(self->ctx);                                            \
				after_ = test_stats(self->ctx);                                    \
				EXPECT_TRUE(test_stats_equal(&before_, &after_));                  \
			}                                                                          \
			hits_ += inject.failed;                                                    \
			n_++;                                                                      \
			ASSERT_LT(n_, 100);                                                        \
		} while (inject.failed);                                                           \
		EXPECT_LT(0, hits_);                                                               \
	} while (0)

#define FREE_AND_TRIM(block)                                                                       \
	do {                                                                                       \
		EXPECT_EQ(0, bitmem_free(self->ctx, block));                                       \
		bitmem_trim(self->ctx);                                                            \
	} while (0)
#define UNREF(tensor) bitmem_tensor_unref(tensor)

TEST_F(lib, open)
{
	struct bitmem_options options;
	struct bitmem_error error;
	int fds = test_fds(), n = 0;

	bitmem_options_init(&options);
	options.backend = bitmem_backend(self->ctx);
	options.error = &error;
	do {
		struct bitmem *ctx = WITH_FAULT(n, bitmem_open(&options));
		int code = errno;

		if (ctx) {
			EXPECT_EQ(0, error.code);
			EXPECT_EQ(0, bitmem_close(ctx));
		} else {
			EXPECT_TRUE(inject.failed);
			EXPECT_EQ(ENOMEM, code);
			EXPECT_EQ(-ENOMEM, error.code);
		}
		ASSERT_LT(n++, 100);
	} while (inject.failed);
	EXPECT_LT(2, n);
	EXPECT_EQ(fds, test_fds());
}

TEST_F(lib, first_block_of_a_segment)
{
	int fds = test_fds(), maps = mappings();

	test_warm_up(self->ctx);
	FAIL_EACH(bitmem_alloc(self->ctx, 100, 0), FREE_AND_TRIM);
	EXPECT_EQ(fds, test_fds());
	EXPECT_EQ(maps, mappings());
}

TEST_F(lib, block_with_a_segment_of_its_own)
{
	int fds = test_fds(), maps = mappings();

	test_warm_up(self->ctx);
	FAIL_EACH(bitmem_alloc(self->ctx, 3 * MIB, 0), FREE_AND_TRIM);
	EXPECT_EQ(fds, test_fds());
	EXPECT_EQ(maps, mappings());
}

/* Alignment makes a gap before the block and a rest behind it: two more records. */
TEST_F(lib, block_amid_a_segment)
{
	void *first = bitmem_alloc(self->ctx, 64, 0);

	ASSERT_NE(NULL, first);
	bitmem_trim(self->ctx);
	FAIL_EACH(bitmem_alloc(self->ctx, 100, 4096), FREE_AND_TRIM);
	EXPECT_EQ(0, bitmem_free(self->ctx, first));
}

TEST_F(lib, tensor)
{
	const uint64_t shape = 3 * MIB;

	test_warm_up(self->ctx);
	FAIL_EACH(bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape), UNREF);
}

/* Views need a record each, and nothing else. */
TEST_F(lib, views)
{
	enum { N = 10000 };
	const uint64_t shape = 100;
	struct bitmem_tensor *first = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_tensor **views = calloc(N, sizeof(*views));
	int n;

	ASSERT_NE(NULL, first);
	ASSERT_NE(NULL, views);
	inject.always = true;
	for (n = 0; n < N; n++) {
		errno = 0;
		views[n] = bitmem_tensor_view(first, BITMEM_U8, 1, &shape, 0);
		if (!views[n])
			break;
	}
	inject.always = false;
	EXPECT_GT(N, n);
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(n, test_stats(self->ctx).views);
	while (n)
		bitmem_tensor_unref(views[--n]);
	EXPECT_EQ(0, test_stats(self->ctx).views);
	bitmem_tensor_unref(first);
	free(views);
}

/* Whatever dropping asks for, it can do without. */
TEST_F(lib, dropping_cannot_fail)
{
	const uint64_t shape = 1000, large = 3 * MIB;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_tensor *v = bitmem_tensor_view(t, BITMEM_U8, 1, &shape, 0);
	struct bitmem_tensor *own = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &large);
	void *block = bitmem_alloc(self->ctx, 100, 4096);

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, v);
	ASSERT_NE(NULL, own);
	ASSERT_NE(NULL, block);
	inject.always = true;
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(own);
	bitmem_tensor_unref(v);
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	EXPECT_LT(0, bitmem_trim(self->ctx));
	EXPECT_EQ(0, bitmem_close(self->ctx));
	self->ctx = NULL;
	inject.always = false;
}

TEST_F(lib, shareable_tensor)
{
	int fds = test_fds(), maps = mappings();
	const uint64_t shape[] = { 3, MIB };

	test_warm_up(self->ctx);
	FAIL_EACH(bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 2, shape), UNREF);
	EXPECT_EQ(fds, test_fds());
	EXPECT_EQ(maps, mappings());
}

/* What the receiver of a new tensor gets; NULL if either end failed. */
static struct bitmem_tensor *pass(struct bitmem *ctx, const int *sockets,
				  struct bitmem_tensor *tensor)
{
	int ret = bitmem_tensor_send(sockets[0], tensor);

	if (ret) {
		errno = -ret;
		return NULL;
	}
	return bitmem_tensor_receive(ctx, sockets[1], NULL);
}

TEST_F(lib, tensor_over_a_socket)
{
	const uint64_t shape = 3 * MIB;
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, &shape);
	int sockets[2], fds, maps;

	ASSERT_NE(NULL, t);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets));
	fds = test_fds();
	maps = mappings();
	FAIL_EACH(pass(self->ctx, sockets, t), UNREF);
	EXPECT_EQ(fds, test_fds());
	EXPECT_EQ(maps, mappings());
	bitmem_tensor_unref(t);
	close(sockets[0]);
	close(sockets[1]);
}

#define DELETE(managed) ((DLManagedTensorVersioned *)(managed))->deleter(managed)

TEST_F(lib, dlpack)
{
	const uint64_t shape = 1000;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem *other = test_open(2 * MIB);
	struct bitmem_tensor *copy = NULL;
	DLManagedTensorVersioned *managed;
	int n = 0;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, other);
	bitmem_trim(self->ctx);
	FAIL_EACH(bitmem_tensor_to_dlpack(t), DELETE);
	managed = bitmem_tensor_to_dlpack(t);
	ASSERT_NE(NULL, managed);
	do {
		copy = WITH_FAULT(n, bitmem_tensor_from_dlpack(other, managed, NULL));
		if (!copy)
			EXPECT_EQ(ENOMEM, errno);
		EXPECT_EQ(copy != NULL, test_stats(other).live);
		ASSERT_LT(n++, 100);
	} while (!copy);
	bitmem_tensor_unref(copy);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, bitmem_close(other));
}

TEST_HARNESS_MAIN
