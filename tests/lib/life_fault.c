/* SPDX-License-Identifier: GPL-2.0 */
/*
 * No memory for what tensors have beside their own: each request that a call makes is made to
 * fail in turn. The call says ENOMEM and changes nothing, and what ends needs none.
 */
#include <bitmem/lifetime.h>

#include "../../libbitmem/hash.h"
#include "inject.h"
#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

/*
 * Makes each request of @call fail in turn until it needs no more. @call is 0 or -errno; where
 * it failed nothing may have changed, and @same holds. It takes @hits failures at least.
 */
#define FAIL_EACH(hits, call, same)                                                                \
	do {                                                                                       \
		int n_ = 0, ret_;                                                                  \
		do {                                                                               \
			struct bitmem_stats before_ = test_stats(self->ctx), after_;               \
			inject.countdown = n_++;                                                   \
			inject.failed = false;                                                     \
			ret_ = (call);                                                             \
			inject.countdown = -1;                                                     \
			if (!ret_)                                                                 \
				continue;                                                          \
			EXPECT_EQ(-ENOMEM, ret_);                                                  \
			EXPECT_TRUE(inject.failed);                                                \
			EXPECT_TRUE(same);                                                         \
			after_ = test_stats(self->ctx);                                            \
			EXPECT_TRUE(test_stats_equal(&before_, &after_));                          \
			ASSERT_LT(n_, 100);                                                        \
		} while (ret_);                                                                    \
		EXPECT_LE(hits, n_ - 1);                                                           \
	} while (0)

/* 0 for a handle or pointer that is there, else -errno. */
#define CODE(pointer) ((pointer) ? 0 : -errno)

TEST_F(lib, weak_handles)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(10));
	struct bitmem_weak weak = { 0 };

	ASSERT_NE(NULL, t);
	/* The entry and the table. */
	FAIL_EACH(2, bitmem_tensor_weak(t, &weak), !weak.generation);
	EXPECT_EQ(t, bitmem_weak_get(&weak));
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(t);
}

/* A table that cannot grow goes on as it is. */
TEST_F(lib, tables_that_cannot_grow)
{
	enum { N = 200 };
	struct bitmem_tensor *t[N];
	struct bitmem_weak weak[N];

	for (int i = 0; i < N; i++) {
		t[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(10));
		ASSERT_NE(NULL, t[i]);
		/* The entry is there, then all else fails. */
		if (i)
			inject.countdown = 1;
		ASSERT_EQ(0, bitmem_tensor_weak(t[i], &weak[i]));
		inject.countdown = -1;
	}
	for (int i = 0; i < N; i++) {
		EXPECT_EQ(t[i], bitmem_weak_get(&weak[i]));
		bitmem_tensor_unref(t[i]);
	}
	for (int i = 0; i < N; i++) {
		bitmem_tensor_unref(t[i]);
		EXPECT_EQ(NULL, bitmem_weak_get(&weak[i]));
	}
}

static bool is_named(struct bitmem_tensor *t, const char *name)
{
	char text[BITMEM_NAME_MAX + 1];

	return bitmem_tensor_name(t, text, sizeof(text)) >= 0 && !strcmp(text, name);
}

static bool is_tagged(struct bitmem_tensor *t, const char *tag)
{
	char text[BITMEM_TAG_MAX + 1];

	return bitmem_tensor_tag(t, text, sizeof(text)) >= 0 && !strcmp(text, tag);
}

TEST_F(lib, names_and_tags)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(10));

	ASSERT_NE(NULL, t);
	/* The text, the entry, and two tables. */
	FAIL_EACH(4, bitmem_tensor_set_name(t, "first"), is_named(t, ""));
	FAIL_EACH(1, bitmem_tensor_set_name(t, "second"), is_named(t, "first"));
	FAIL_EACH(2, bitmem_tensor_set_tag(t, "tag"), is_tagged(t, ""));
	FAIL_EACH(1, bitmem_tensor_set_tag(t, "other"), is_tagged(t, "tag"));
	EXPECT_TRUE(is_named(t, "second"));
	EXPECT_TRUE(is_tagged(t, "other"));
	bitmem_tensor_unref(t);
	t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(10));
	FAIL_EACH(4, bitmem_tensor_set_tag(t, "tag"), is_tagged(t, ""));
	bitmem_tensor_unref(t);
}

TEST_F(lib, scopes)
{
	struct bitmem_scope *outer = NULL, *inner = NULL;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(10));

	ASSERT_NE(NULL, t);
	FAIL_EACH(1, CODE(outer = bitmem_scope_open(self->ctx)), true);
	FAIL_EACH(1, CODE(inner = bitmem_scope_open_in(outer)), true);
	FAIL_EACH(1, bitmem_scope_add(inner, t), !bitmem_scope_count(inner));
	FAIL_EACH(1, bitmem_scope_keep(inner, t), bitmem_scope_count(inner) == 1);
	EXPECT_EQ(0, bitmem_scope_count(inner));
	for (int i = 0; i < 31; i++)
		ASSERT_EQ(0, bitmem_scope_add(outer, bitmem_tensor_ref(t)));
	/* A larger array. */
	t = bitmem_tensor_ref(t);
	FAIL_EACH(1, bitmem_scope_add(outer, t), bitmem_scope_count(outer) == 32);
	EXPECT_EQ(33, bitmem_scope_count(outer));
	inject.always = true;
	EXPECT_EQ(0, bitmem_scope_close(outer));
	inject.always = false;
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_F(lib, tensors_in_a_scope)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_stats before;
	int n = 0;

	ASSERT_NE(NULL, scope);
	test_warm_up(self->ctx);
	before = test_stats(self->ctx);
	/* The array at least is asked for; some are kept for the next. */
	do {
		struct bitmem_tensor *t;

		inject.countdown = n++;
		inject.failed = false;
		t = bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(3 * MIB));
		inject.countdown = -1;
		EXPECT_EQ(t != NULL, bitmem_scope_count(scope));
		EXPECT_EQ(before.live + (t != NULL), test_stats(self->ctx).live);
		if (t) {
			EXPECT_EQ(0, bitmem_scope_take(scope, t));
			bitmem_tensor_unref(t);
		}
		ASSERT_LT(n, 100);
	} while (inject.failed);
	EXPECT_LT(1, n);
	EXPECT_EQ(0, bitmem_scope_close(scope));
}

/* Views of all kinds need a record, and give the tensor's reference back without one. */
TEST_F(lib, views)
{
	enum { N = 10000 };
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_tensor **views = calloc(N, sizeof(*views));
	struct bitmem_error error = { 0 };
	int n;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, views);
	inject.always = true;
	for (n = 0; n < N; n++) {
		views[n] = bitmem_tensor_reshape(t, 1, SHAPE(100), &error);
		if (!views[n])
			break;
	}
	ASSERT_GT(N, n);
	EXPECT_EQ(-ENOMEM, error.code);
	EXPECT_NE(NULL, strstr(error.text, "memory"));
	errno = 0;
	EXPECT_EQ(NULL, bitmem_tensor_slice(t, 0, 10, NULL));
	EXPECT_EQ(ENOMEM, errno);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_tensor_clone(t));
	EXPECT_EQ(ENOMEM, errno);
	inject.always = false;
	while (n)
		bitmem_tensor_unref(views[--n]);
	free(views);
	EXPECT_EQ(0, test_stats(self->ctx).views);
	bitmem_tensor_unref(t);
	/* No reference was left behind. */
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* The end of what is marked, and of tables that would shrink, asks for nothing it must have. */
TEST_F(lib, dropping_cannot_fail)
{
	enum { N = 500 };
	struct bitmem_tensor *t[N];
	struct bitmem_weak weak;
	uint64_t meta;
	char name[20];

	for (int i = 0; i < N; i++) {
		t[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(10));
		ASSERT_NE(NULL, t[i]);
	}
	meta = test_stats(self->ctx).meta_bytes;
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "%d", i);
		ASSERT_EQ(0, bitmem_tensor_set_name(t[i], name));
		ASSERT_EQ(0, bitmem_tensor_set_tag(t[i], name));
		ASSERT_EQ(0, bitmem_tensor_weak(t[i], &weak));
	}
	inject.always = true;
	for (int i = 0; i < N; i++) {
		EXPECT_EQ(0, bitmem_tensor_set_name(t[i], NULL));
		if (i % 2)
			EXPECT_EQ(0, bitmem_tensor_set_tag(t[i], NULL));
		bitmem_tensor_unref(t[i]);
	}
	inject.always = false;
	EXPECT_EQ(0, test_stats(self->ctx).live);
	bitmem_trim(self->ctx);
	EXPECT_GE(meta, test_stats(self->ctx).meta_bytes);
}

/* A table that could not grow when it was full does so when there is memory again. */
TEST_F(lib, tables_grow_later)
{
	enum { N = 64 };
	struct bm_hash_node nodes[N];
	struct bm_hash table = { 0 };
	uint64_t meta = 0;
	size_t size;
	int n = 0;

	do {
		ASSERT_TRUE(bm_hash_add(&table, &nodes[n], (uint64_t)n, &meta));
		n++;
	} while (table.n < table.size);
	size = table.size;
	inject.countdown = 0;
	ASSERT_TRUE(bm_hash_add(&table, &nodes[n], (uint64_t)n, &meta));
	n++;
	EXPECT_EQ(-1, inject.countdown);
	EXPECT_EQ(size, table.size);
	for (; n < N; n++)
		ASSERT_TRUE(bm_hash_add(&table, &nodes[n], (uint64_t)n, &meta));
	EXPECT_LE(N, table.size);
	for (uint64_t i = 0; i < N; i++)
		EXPECT_EQ(&nodes[i], bm_hash_first(&table, i));
	while (n)
		bm_hash_remove(&table, &nodes[--n], &meta);
	EXPECT_EQ(0, meta);
}

TEST_HARNESS_MAIN
