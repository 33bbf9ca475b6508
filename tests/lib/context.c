/* SPDX-License-Identifier: GPL-2.0 */
/* Opening and closing contexts: options, environment, backends, errors. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib_test.h"

/* Larger than the library's, as of a caller that was compiled against a later version. */
struct later_options {
	struct bitmem_options options;
	uint64_t later;
};

/* Expects @options to be refused with @err, and words to say so. */
#define EXPECT_REFUSED(err, options)                                                               \
	do {                                                                                       \
		struct bitmem_error error_ = { .code = 1 };                                        \
		(options)->error = &error_;                                                        \
		errno = 0;                                                                         \
		EXPECT_EQ(NULL, bitmem_open(options));                                             \
		EXPECT_EQ(err, errno);                                                             \
		EXPECT_EQ(-(err), error_.code);                                                    \
		EXPECT_NE(0, strlen(error_.text));                                                 \
		EXPECT_EQ(NULL, strchr(error_.text, '\n'));                                        \
	} while (0)

TEST_F(lib, reports_backend)
{
	enum bitmem_backend backend = bitmem_backend(self->ctx);
	const char *asked = getenv("BITMEM_BACKEND");

	EXPECT_TRUE(backend == BITMEM_BACKEND_DEVICE || backend == BITMEM_BACKEND_MEMFD);
	if (asked && *asked && strcmp(asked, "auto"))
		EXPECT_STREQ(asked, bitmem_backend_name(backend));
}

TEST_F(lib, fresh_context_holds_nothing)
{
	struct bitmem_stats stats = test_stats(self->ctx);

	EXPECT_EQ(0, stats.live);
	EXPECT_EQ(0, stats.live_bytes);
	EXPECT_EQ(0, stats.views);
	EXPECT_EQ(0, stats.peak_bytes);
	EXPECT_EQ(0, stats.allocs);
	EXPECT_EQ(0, stats.frees);
	EXPECT_EQ(0, stats.committed_bytes);
	EXPECT_EQ(0, stats.segments);
	EXPECT_EQ(0, stats.pinned_bytes);
	EXPECT_LT(0, stats.meta_bytes);
}

TEST(names)
{
	EXPECT_STREQ("auto", bitmem_backend_name(BITMEM_BACKEND_AUTO));
	EXPECT_STREQ("device", bitmem_backend_name(BITMEM_BACKEND_DEVICE));
	EXPECT_STREQ("memfd", bitmem_backend_name(BITMEM_BACKEND_MEMFD));
	EXPECT_EQ(NULL, bitmem_backend_name((enum bitmem_backend)3));
	EXPECT_EQ(NULL, bitmem_backend_name((enum bitmem_backend)-1));
	EXPECT_STREQ("0.1.0", bitmem_version());
}

TEST(defaults)
{
	struct bitmem_options options;

	memset(&options, 0xff, sizeof(options));
	bitmem_options_init(&options);
	EXPECT_EQ(sizeof(options), options.size);
	EXPECT_EQ(BITMEM_BACKEND_AUTO, options.backend);
	EXPECT_EQ(BITMEM_NODE_ANY, options.node);
	EXPECT_EQ(NULL, options.device);
	EXPECT_EQ(0, options.segment_size);
	EXPECT_EQ(NULL, options.error);
	EXPECT_EQ(0, bitmem_close(NULL));
}

TEST(null_options)
{
	struct bitmem *ctx = bitmem_open(NULL);
	void *block;

	if (!ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, ctx);
	block = bitmem_alloc(ctx, 1, 0);
	EXPECT_NE(NULL, block);
	EXPECT_EQ(64 * MIB, test_stats(ctx).committed_bytes);
	EXPECT_EQ(1, bitmem_close(ctx));
	EXPECT_FALSE(test_leaks());
}

TEST(bad_options)
{
	struct bitmem_options good, options;

	bitmem_options_init(&good);
	good.backend = BITMEM_BACKEND_MEMFD;

	options = good;
	options.backend = (enum bitmem_backend)3;
	EXPECT_REFUSED(EINVAL, &options);
	options.backend = (enum bitmem_backend)-1;
	EXPECT_REFUSED(EINVAL, &options);
	options = good;
	options.node = -2;
	EXPECT_REFUSED(EINVAL, &options);
	options.node = 1000;
	EXPECT_REFUSED(EINVAL, &options);
	options.node = INT32_MAX;
	EXPECT_REFUSED(EINVAL, &options);
	options = good;
	options.segment_size = SIZE_MAX;
	EXPECT_REFUSED(EINVAL, &options);
	options = good;
	options.tracking = (enum bitmem_tracking)(BITMEM_TRACKING_FULL + 1);
	EXPECT_REFUSED(EINVAL, &options);
}

TEST(options_size)
{
	struct later_options later = { .later = 1 };
	struct bitmem_options options;
	struct bitmem *ctx;

	bitmem_options_init(&options);
	options.backend = BITMEM_BACKEND_MEMFD;
	options.size = sizeof(options) - 1;
	EXPECT_EQ(NULL, bitmem_open(&options));
	EXPECT_EQ(EINVAL, errno);
	options.size = 0;
	EXPECT_EQ(NULL, bitmem_open(&options));
	EXPECT_EQ(EINVAL, errno);

	bitmem_options_init(&later.options);
	later.options.backend = BITMEM_BACKEND_MEMFD;
	later.options.size = sizeof(later);
	EXPECT_REFUSED(EINVAL, &later.options);
	later.options.error = NULL;
	later.later = 0;
	ctx = bitmem_open(&later.options);
	EXPECT_NE(NULL, ctx);
	EXPECT_EQ(0, bitmem_close(ctx));
}

TEST(environment)
{
	struct bitmem_error error = { .code = 1 };
	struct bitmem_options options;
	struct bitmem *ctx;

	bitmem_options_init(&options);
	setenv("BITMEM_BACKEND", "tape\n", 1);
	EXPECT_REFUSED(EINVAL, &options);

	/* What the program says wins. */
	options.backend = BITMEM_BACKEND_MEMFD;
	options.error = &error;
	ctx = bitmem_open(&options);
	ASSERT_NE(NULL, ctx);
	EXPECT_EQ(0, error.code);
	EXPECT_EQ(BITMEM_BACKEND_MEMFD, bitmem_backend(ctx));
	EXPECT_EQ(0, bitmem_close(ctx));

	setenv("BITMEM_BACKEND", "memfd", 1);
	options.backend = BITMEM_BACKEND_AUTO;
	ctx = bitmem_open(&options);
	ASSERT_NE(NULL, ctx);
	EXPECT_EQ(BITMEM_BACKEND_MEMFD, bitmem_backend(ctx));
	EXPECT_EQ(0, bitmem_close(ctx));

	setenv("BITMEM_BACKEND", "device", 1);
	setenv("BITMEM_DEVICE", "/nonexistent/device", 1);
	EXPECT_REFUSED(ENOENT, &options);
}

TEST(falls_back_to_memfd)
{
	struct bitmem_error error = { .code = 1 };
	struct bitmem_options options;
	struct bitmem *ctx;

	unsetenv("BITMEM_BACKEND");
	setenv("BITMEM_DEVICE", "/nonexistent/from/environment", 1);
	bitmem_options_init(&options);
	options.error = &error;
	ctx = bitmem_open(&options);
	ASSERT_NE(NULL, ctx);
	EXPECT_EQ(BITMEM_BACKEND_MEMFD, bitmem_backend(ctx));
	EXPECT_EQ(0, error.code);
	EXPECT_STREQ("", error.text);
	EXPECT_EQ(0, bitmem_close(ctx));

	options.device = "/nonexistent/device";
	ctx = bitmem_open(&options);
	ASSERT_NE(NULL, ctx);
	EXPECT_EQ(BITMEM_BACKEND_MEMFD, bitmem_backend(ctx));
	EXPECT_EQ(0, bitmem_close(ctx));
}

TEST(device_errors)
{
	struct bitmem_options options;
	int fds = test_fds();

	bitmem_options_init(&options);
	options.backend = BITMEM_BACKEND_DEVICE;
	options.device = "/nonexistent/device";
	EXPECT_REFUSED(ENOENT, &options);
	options.device = "/proc/self/status/x";
	EXPECT_REFUSED(ENOTDIR, &options);
	/* A device, but another's: no reason to fall back quietly. */
	options.device = "/dev/null";
	EXPECT_REFUSED(EPROTO, &options);
	options.backend = BITMEM_BACKEND_AUTO;
	unsetenv("BITMEM_BACKEND");
	EXPECT_REFUSED(EPROTO, &options);
	EXPECT_EQ(fds, test_fds());
	EXPECT_FALSE(test_leaks());
}

TEST(device_permission)
{
	char path[] = "/tmp/bitmem-device.XXXXXX";
	struct bitmem_options options;
	int fd;

	if (!geteuid())
		SKIP(return, "root may open everything");
	fd = mkstemp(path);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fchmod(fd, 0));
	bitmem_options_init(&options);
	options.backend = BITMEM_BACKEND_DEVICE;
	options.device = path;
	EXPECT_REFUSED(EACCES, &options);
	close(fd);
	unlink(path);
}

TEST_F(lib, no_node_of_that_number)
{
	struct bitmem_options options;

	bitmem_options_init(&options);
	options.backend = bitmem_backend(self->ctx);
	options.node = 1000;
	EXPECT_REFUSED(EINVAL, &options);
}

TEST_F(lib, node_zero)
{
	struct bitmem_options options;
	struct bitmem *ctx;
	void *block;

	bitmem_options_init(&options);
	options.backend = bitmem_backend(self->ctx);
	options.node = 0;
	options.segment_size = 2 * MIB;
	ctx = bitmem_open(&options);
	ASSERT_NE(NULL, ctx);
	block = bitmem_alloc(ctx, 100, 0);
	ASSERT_NE(NULL, block);
	memset(block, 1, 100);
	EXPECT_EQ(0, bitmem_free(ctx, block));
	EXPECT_EQ(0, bitmem_close(ctx));
}

TEST_F(lib, contexts_leave_nothing_behind)
{
	int fds = test_fds();

	for (int i = 0; i < 20; i++) {
		struct bitmem *ctx = test_open(2 * MIB);
		void *shared, *own;

		ASSERT_NE(NULL, ctx);
		shared = bitmem_alloc(ctx, 1000, 0);
		own = bitmem_alloc(ctx, 3 * MIB, 0);
		ASSERT_NE(NULL, shared);
		ASSERT_NE(NULL, own);
		EXPECT_EQ(2, bitmem_close(ctx));
		EXPECT_FALSE(test_is_mapped(shared));
		EXPECT_FALSE(test_is_mapped(own));
	}
	EXPECT_EQ(fds, test_fds());
}

TEST_HARNESS_MAIN
