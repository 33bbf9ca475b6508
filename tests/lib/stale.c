/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Handles that were dropped: whatever is done with one is refused, or nothing, and changes
 * nothing. So is what belongs to another context.
 */
#include <pthread.h>
#include <stdatomic.h>

#include <bitmem/dlpack.h>
#include <bitmem/lifetime.h>
#include <bitmem/share.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

/* A handle of each kind that there is, dropped, with what keeps its place from being used. */
static struct bitmem_tensor *stale_block(struct bitmem *ctx)
{
	struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(100));

	bitmem_tensor_unref(t);
	return t;
}

static struct bitmem_tensor *stale_run(struct bitmem *ctx)
{
	struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(300000));

	bitmem_tensor_unref(t);
	return t;
}

static struct bitmem_tensor *stale_view(struct bitmem *ctx)
{
	struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_tensor *v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(10), 0);

	bitmem_tensor_unref(v);
	bitmem_tensor_unref(t);
	return v;
}

static struct bitmem_tensor *stale_segment(struct bitmem *ctx)
{
	struct bitmem_tensor *t = bitmem_tensor_new_shareable(ctx, BITMEM_U8, 1, SHAPE(100));

	bitmem_tensor_unref(t);
	return t;
}

static struct bitmem_tensor *stale_marked(struct bitmem *ctx)
{
	struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(100));

	bitmem_tensor_set_name(t, "name");
	bitmem_tensor_unref(t);
	return t;
}

FIXTURE_VARIANT(lib)
{
	struct bitmem_tensor *(*make)(struct bitmem *ctx);
};

#define VARIANT(name) FIXTURE_VARIANT_ADD(lib, name) { .make = stale_##name }
VARIANT(block);
VARIANT(run);
VARIANT(view);
VARIANT(segment);
VARIANT(marked);

#define EXPECT_STALE(call)                                                                         \
	do {                                                                                       \
		errno = 0;                                                                         \
		EXPECT_EQ(NULL, call);                                                             \
		EXPECT_EQ(ESTALE, errno);                                                          \
	} while (0)

TEST_F(lib, nothing_is_made_of_it)
{
	struct bitmem_tensor *t = variant->make(self->ctx);
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_stats before, after;
	struct bitmem_weak weak;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, scope);
	before = test_stats(self->ctx);
	EXPECT_STALE(bitmem_tensor_ref(t));
	EXPECT_STALE(bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(1), 0));
	EXPECT_STALE(bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(0), 0));
	EXPECT_STALE(bitmem_tensor_reshape(t, 1, SHAPE(BITMEM_INFER), NULL));
	EXPECT_STALE(bitmem_tensor_slice(t, 0, 0, NULL));
	EXPECT_STALE(bitmem_tensor_part(t, SHAPE(0), SHAPE(0), NULL));
	EXPECT_STALE(bitmem_tensor_clone(t));
	EXPECT_STALE(bitmem_tensor_copy(self->ctx, t));
	EXPECT_EQ(-ESTALE, bitmem_tensor_weak(t, &weak));
	EXPECT_EQ(-ESTALE, bitmem_tensor_set_name(t, "other"));
	EXPECT_EQ(-ESTALE, bitmem_tensor_set_tag(t, "tag"));
	EXPECT_EQ(-ESTALE, bitmem_scope_add(scope, t));
	EXPECT_EQ(-ENOENT, bitmem_scope_take(scope, t));
	EXPECT_EQ(NULL, bitmem_tensor_data(t));
	EXPECT_EQ(0, bitmem_tensor_bytes(t));
	EXPECT_EQ(0, bitmem_tensor_ndims(t));
	EXPECT_EQ(BITMEM_DTYPE_INVALID, bitmem_tensor_dtype(t));
	EXPECT_NE(NULL, bitmem_tensor_shape(t));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	EXPECT_EQ(0, bitmem_scope_close(scope));
}

/* However often it is dropped: the next tensor in its place has one reference. */
TEST_F(lib, is_dropped_again)
{
	struct bitmem_tensor *t = variant->make(self->ctx), *next[2];
	struct bitmem_stats before = test_stats(self->ctx), after;

	ASSERT_NE(NULL, t);
	for (int i = 0; i < 100; i++)
		bitmem_tensor_unref(t);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	for (int i = 0; i < 2; i++) {
		next[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
		ASSERT_NE(NULL, next[i]);
		memset(bitmem_tensor_data(next[i]), i + 1, 100);
	}
	EXPECT_NE(next[0], next[1]);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(next[0]), 1, 100));
	for (int i = 0; i < 2; i++)
		bitmem_tensor_unref(next[i]);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* The context is closed, and another tensor keeps it: the same holds. */
TEST_F(lib, after_close)
{
	struct bitmem_tensor *t = variant->make(self->ctx);
	struct bitmem_tensor *last = bitmem_tensor_new(self->ctx, BITMEM_U64, 2, SHAPE(3, 3));
	struct bitmem_weak weak;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, last);
	EXPECT_EQ(1, bitmem_close(self->ctx));
	self->ctx = NULL;
	memset(bitmem_tensor_data(last), 1, 72);
	EXPECT_STALE(bitmem_tensor_ref(t));
	EXPECT_STALE(bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(1), 0));
	EXPECT_STALE(bitmem_tensor_clone(t));
	EXPECT_EQ(-ESTALE, bitmem_tensor_weak(t, &weak));
	EXPECT_EQ(-ESTALE, bitmem_tensor_set_name(t, "name"));
	for (int i = 0; i < 10; i++)
		bitmem_tensor_unref(t);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(last), 1, 72));
	bitmem_tensor_unref(last);
}

TEST_F(lib, of_another_context)
{
	struct bitmem *other = test_open(2 * MIB);
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_scope *scope = bitmem_scope_open(other);
	void *block = bitmem_alloc(self->ctx, 100, 0);
	struct bitmem_stats before, after;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, block);
	ASSERT_NE(NULL, scope);
	bitmem_tensor_unref(bitmem_tensor_new(other, BITMEM_U8, 1, SHAPE(100)));
	before = test_stats(self->ctx);
	EXPECT_EQ(-EINVAL, bitmem_free(other, block));
	EXPECT_EQ(-EINVAL, bitmem_free(other, bitmem_tensor_data(t)));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, bitmem_tensor_data(t)));
	EXPECT_EQ(-EINVAL, bitmem_free(other, t));
	EXPECT_EQ(-EINVAL, bitmem_scope_add(scope, t));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	EXPECT_EQ(0, test_stats(other).live);
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, bitmem_scope_close(scope));
	EXPECT_EQ(0, bitmem_close(other));
}

struct drop {
	struct bitmem_tensor *tensor;
	pthread_barrier_t start;
};

static void *drop_twice(void *arg)
{
	struct drop *drop = arg;

	pthread_barrier_wait(&drop->start);
	bitmem_tensor_unref(drop->tensor);
	bitmem_tensor_unref(drop->tensor);
	return NULL;
}

/* Several drop what one of them should: it is dropped once. */
TEST_F(lib, is_dropped_at_once)
{
	enum { N = 3 };
	struct bitmem_stats before;
	struct drop drop;
	pthread_t threads[N];

	ASSERT_EQ(0, pthread_barrier_init(&drop.start, NULL, N));
	for (int round = 0; round < 50; round++) {
		before = test_stats(self->ctx);
		drop.tensor = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
		ASSERT_NE(NULL, drop.tensor);
		if (round % 2)
			ASSERT_EQ(0, bitmem_tensor_set_tag(drop.tensor, "tag"));
		for (int i = 0; i < N; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, drop_twice, &drop));
		for (int i = 0; i < N; i++)
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, test_stats(self->ctx).live);
		EXPECT_EQ(before.frees + 1, test_stats(self->ctx).frees);
	}
	pthread_barrier_destroy(&drop.start);
}

TEST_HARNESS_MAIN
