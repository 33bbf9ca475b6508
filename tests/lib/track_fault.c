/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whatever memory tracking asks for is refused once: the call says ENOMEM, or does without, and
 * nothing is lost or changed.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inject.h"
#include "track_test.h"

/* A context of each level with something in it. */
FIXTURE(fault)
{
	struct bitmem *ctx;
	struct bitmem_tensor *tensor, *view;
	void *block;
};

FIXTURE_VARIANT(fault)
{
	enum bitmem_tracking level;
};

FIXTURE_VARIANT_ADD(fault, sites)
{
	.level = BITMEM_TRACKING_SITES,
};

FIXTURE_VARIANT_ADD(fault, full)
{
	.level = BITMEM_TRACKING_FULL,
};

FIXTURE_SETUP(fault)
{
	const uint64_t shape = 100;

	self->ctx = track_open(variant->level);
	if (!self->ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, self->ctx);
	self->block = bitmem_alloc(self->ctx, 1000, 0);
	self->tensor = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	self->view = bitmem_tensor_view(self->tensor, BITMEM_U8, 0, NULL, 1);
	ASSERT_NE(NULL, self->view);
}

FIXTURE_TEARDOWN(fault)
{
	bitmem_tensor_unref(self->view);
	bitmem_tensor_unref(self->tensor);
	EXPECT_EQ(0, bitmem_free(self->ctx, self->block));
	EXPECT_EQ(0, bitmem_close(self->ctx));
	EXPECT_FALSE(test_leaks());
}

/*
 * Runs @call with each of its requests failing in turn, until it needs no more. It is true if it
 * failed; errno is @code then.
 */
#define FAIL_EACH(call, code)                                                                      \
	do {                                                                                       \
		int n_ = 0;                                                                        \
		do {                                                                               \
			bool bad_;                                                                 \
			inject.failed = false;                                                     \
			inject.countdown = n_++;                                                   \
			errno = 0;                                                                 \
			bad_ = (call);                                                             \
			inject.countdown = -1;                                                     \
			if (bad_) {                                                                \
				EXPECT_TRUE(inject.failed);                                        \
				EXPECT_EQ(code, errno) TH_LOG("request %d", n_ - 1);               \
			}                                                                          \
			ASSERT_LT(n_, 2000);                                                       \
		} while (inject.failed);                                                           \
		EXPECT_LT(1, n_);                                                                  \
	} while (0)

static bool no_snapshot(struct bitmem *ctx)
{
	struct bitmem_snapshot *s = bitmem_snapshot(ctx);

	bitmem_snapshot_free(s);
	return !s;
}

static bool no_mark(struct bitmem *ctx)
{
	struct bitmem_mark *mark = bitmem_mark(ctx);

	bitmem_mark_free(mark);
	return !mark;
}

/* A negative errno as errno. */
static bool is_error(int ret)
{
	if (ret)
		errno = -ret;
	return ret;
}

static bool no_groups(const struct bitmem_snapshot *s)
{
	struct bitmem_group *groups = NULL;
	size_t n;
	int ret = bitmem_snapshot_group(s, bitmem_by_place, NULL, &groups, &n);

	free(groups);
	return is_error(ret);
}

static bool no_suspects(const struct bitmem_mark *const *marks)
{
	struct bitmem_change *changes = NULL;
	size_t n;
	int ret = bitmem_suspects(marks, 3, NULL, &changes, &n);

	free(changes);
	return is_error(ret);
}

TEST_F(fault, snapshots)
{
	struct bitmem_stats before = test_stats(self->ctx), after;
	struct bitmem_snapshot *s;

	FAIL_EACH(no_snapshot(self->ctx), ENOMEM);
	s = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, s);
	EXPECT_TRUE(track_agrees(s));
	FAIL_EACH(no_groups(s), ENOMEM);
	bitmem_snapshot_free(s);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

TEST_F(fault, marks)
{
	struct bitmem_mark *marks[3];
	void *more[3];

	/* As many as need more room for their ticks. */
	for (int i = 0; i < 20; i++)
		FAIL_EACH(no_mark(self->ctx), ENOMEM);
	for (int i = 0; i < 3; i++) {
		more[i] = bitmem_alloc(self->ctx, 100, 0);
		marks[i] = bitmem_mark(self->ctx);
		ASSERT_NE(NULL, marks[i]);
	}
	FAIL_EACH(no_suspects((const struct bitmem_mark *const *)marks), ENOMEM);
	for (int i = 0; i < 3; i++) {
		bitmem_mark_free(marks[i]);
		EXPECT_EQ(0, bitmem_free(self->ctx, more[i]));
	}
}

static bool no_report(struct bitmem *ctx, int fd, enum bitmem_report_format format)
{
	return is_error(bitmem_leaks_report(ctx, fd, format));
}

TEST_F(fault, reports)
{
	int fd = memfd_create("report", 0);

	FAIL_EACH(no_report(self->ctx, fd, BITMEM_REPORT_TEXT), ENOMEM);
	FAIL_EACH(no_report(self->ctx, fd, BITMEM_REPORT_JSON), ENOMEM);
	close(fd);
}

static bool no_audit(struct bitmem *ctx)
{
	struct bitmem_error error;
	struct bitmem_audit audit = { .size = sizeof(audit), .error = &error };
	int ret = bitmem_audit(ctx, &audit);

	if (ret && error.code != ret)
		abort();
	return is_error(ret);
}

TEST_F(fault, audits)
{
	FAIL_EACH(no_audit(self->ctx), ENOMEM);
	EXPECT_FALSE(no_audit(self->ctx));
}

static bool no_trace(struct bitmem *ctx)
{
	struct bitmem_trace *trace = bitmem_trace(ctx);

	bitmem_trace_free(trace);
	return !trace;
}

TEST_F(fault, traces)
{
	if (variant->level == BITMEM_TRACKING_FULL)
		FAIL_EACH(no_trace(self->ctx), ENOMEM);
	else
		EXPECT_TRUE(no_trace(self->ctx));
}

/* Without memory for a stack there is a block all the same. */
TEST_F(fault, stacks)
{
	const uint64_t lost = bitmem_stacks_lost(self->ctx);
	void *block;

	inject.failed = false;
	inject.countdown = 0;
	block = bitmem_alloc(self->ctx, 1000, 0);
	inject.countdown = -1;
	ASSERT_NE(NULL, block);
	if (variant->level == BITMEM_TRACKING_FULL) {
		EXPECT_TRUE(inject.failed);
		EXPECT_EQ(lost + 1, bitmem_stacks_lost(self->ctx));
	}
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

static bool no_context(enum bitmem_tracking level)
{
	struct bitmem *ctx = track_open(level);

	bitmem_close(ctx);
	return !ctx;
}

TEST_F(fault, contexts)
{
	setenv("BITMEM_LEAKS", "text:/dev/null", 1);
	FAIL_EACH(no_context(variant->level), ENOMEM);
	unsetenv("BITMEM_LEAKS");
}

TEST_HARNESS_MAIN
