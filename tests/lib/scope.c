/* SPDX-License-Identifier: GPL-2.0 */
/* Scopes: what is in one goes when it is closed, and nothing else. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bitmem/lifetime.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

static uint64_t live(struct bitmem *ctx)
{
	return test_stats(ctx).live;
}

TEST_F(lib, drops_all)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_tensor *kept = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(10));

	ASSERT_NE(NULL, scope);
	ASSERT_NE(NULL, kept);
	EXPECT_EQ(0, bitmem_scope_count(scope));
	for (uint64_t i = 1; i <= 1000; i++) {
		struct bitmem_tensor *t = i % 2 ?
			bitmem_scope_tensor(scope, BITMEM_F32, 2, SHAPE(i, 3)) :
			bitmem_scope_empty(scope, BITMEM_U8, 1, SHAPE(i));

		ASSERT_NE(NULL, t);
		EXPECT_EQ(i % 2 ? 12 * i : i, bitmem_tensor_bytes(t));
		if (i % 2)
			EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), 0, 12 * i));
		memset(bitmem_tensor_data(t), 1, bitmem_tensor_bytes(t));
	}
	EXPECT_EQ(1000, bitmem_scope_count(scope));
	EXPECT_EQ(1001, live(self->ctx));
	EXPECT_EQ(0, bitmem_scope_close(scope));
	EXPECT_EQ(1, live(self->ctx));
	EXPECT_EQ(10, test_stats(self->ctx).live_bytes);
	bitmem_tensor_unref(kept);
}

/* A tensor that somebody else has a reference to lives on. */
TEST_F(lib, drops_its_own_reference)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_tensor *t = bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(100)), *v;

	ASSERT_NE(NULL, t);
	v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(10), 0);
	bitmem_tensor_ref(t);
	EXPECT_EQ(0, bitmem_scope_close(scope));
	EXPECT_EQ(1, live(self->ctx));
	bitmem_tensor_unref(t);
	EXPECT_EQ(1, live(self->ctx));
	bitmem_tensor_unref(v);
	EXPECT_EQ(0, live(self->ctx));
}

TEST_F(lib, takes_over)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_tensor *v = bitmem_tensor_slice(t, 10, 20, NULL);

	ASSERT_EQ(0, bitmem_scope_add(scope, t));
	ASSERT_EQ(0, bitmem_scope_add(scope, v));
	ASSERT_EQ(0, bitmem_scope_add(scope, bitmem_tensor_ref(t)));
	EXPECT_EQ(-EINVAL, bitmem_scope_add(scope, NULL));
	EXPECT_EQ(3, bitmem_scope_count(scope));
	EXPECT_EQ(0, bitmem_scope_close(scope));
	EXPECT_EQ(0, live(self->ctx));
	EXPECT_EQ(0, test_stats(self->ctx).views);
}

TEST_F(lib, gives_back)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_tensor *t[10];

	for (int i = 0; i < 10; i++) {
		t[i] = bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(100));
		ASSERT_NE(NULL, t[i]);
		memset(bitmem_tensor_data(t[i]), i, 100);
	}
	EXPECT_EQ(0, bitmem_scope_take(scope, t[9]));
	EXPECT_EQ(0, bitmem_scope_take(scope, t[0]));
	EXPECT_EQ(0, bitmem_scope_take(scope, t[5]));
	EXPECT_EQ(-ENOENT, bitmem_scope_take(scope, t[5]));
	/* There is no scope around. */
	EXPECT_EQ(-EINVAL, bitmem_scope_keep(scope, t[1]));
	EXPECT_EQ(7, bitmem_scope_count(scope));
	EXPECT_EQ(0, bitmem_scope_close(scope));
	EXPECT_EQ(3, live(self->ctx));
	for (int i = 0; i < 10; i++) {
		if (i != 0 && i != 5 && i != 9)
			continue;
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(t[i]), (unsigned char)i, 100));
		bitmem_tensor_unref(t[i]);
	}
}

TEST_F(lib, moves_outwards)
{
	struct bitmem_scope *outer = bitmem_scope_open(self->ctx);
	struct bitmem_scope *inner = bitmem_scope_open_in(outer);
	struct bitmem_tensor *a, *b;

	ASSERT_NE(NULL, inner);
	a = bitmem_scope_tensor(inner, BITMEM_U8, 1, SHAPE(100));
	b = bitmem_scope_tensor(inner, BITMEM_U8, 1, SHAPE(100));
	memset(bitmem_tensor_data(a), 7, 100);
	EXPECT_EQ(0, bitmem_scope_keep(inner, a));
	EXPECT_EQ(-ENOENT, bitmem_scope_keep(inner, a));
	EXPECT_EQ(-ENOENT, bitmem_scope_take(outer, b));
	EXPECT_EQ(1, bitmem_scope_count(inner));
	EXPECT_EQ(1, bitmem_scope_count(outer));
	EXPECT_EQ(0, bitmem_scope_close(inner));
	EXPECT_EQ(1, live(self->ctx));
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(a), 7, 100));
	EXPECT_EQ(0, bitmem_scope_close(outer));
	EXPECT_EQ(0, live(self->ctx));
}

/* A tree of scopes, of which any is closed: what is within goes, the rest stays. */
TEST_F(lib, closes_those_within)
{
	for (int closed = 0; closed < 7; closed++) {
		struct bitmem_scope *scopes[7] = { bitmem_scope_open(self->ctx) };
		uint64_t left = 0;

		for (int i = 1; i < 7; i++)
			scopes[i] = bitmem_scope_open_in(scopes[(i - 1) / 2]);
		for (int i = 0; i < 7; i++)
			ASSERT_NE(NULL, bitmem_scope_tensor(scopes[i], BITMEM_U8, 1, SHAPE(10)));
		EXPECT_EQ(7, live(self->ctx));
		EXPECT_EQ(0, bitmem_scope_close(scopes[closed]));
		for (int i = 0; i < 7; i++) {
			int up = i;

			while (up > closed)
				up = (up - 1) / 2;
			left += up != closed;
			EXPECT_EQ(up != closed, bitmem_scope_count(scopes[i]));
			if (up == closed)
				EXPECT_EQ(-EINVAL, bitmem_scope_close(scopes[i]));
		}
		EXPECT_EQ(left, live(self->ctx));
		if (closed)
			EXPECT_EQ(0, bitmem_scope_close(scopes[0]));
		EXPECT_EQ(0, live(self->ctx));
	}
}

/* As deep as one likes, as no function calls itself for it. */
TEST_F(lib, deep)
{
	struct bitmem_scope *outermost = bitmem_scope_open(self->ctx), *scope = outermost;

	for (int i = 0; i < 20000; i++) {
		scope = bitmem_scope_open_in(scope);
		ASSERT_NE(NULL, scope);
	}
	ASSERT_NE(NULL, bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(10)));
	EXPECT_EQ(0, bitmem_scope_close(outermost));
	EXPECT_EQ(0, live(self->ctx));
	EXPECT_EQ(-EINVAL, bitmem_scope_close(scope));
}

static void use_auto(struct bitmem *ctx, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		bitmem_auto_scope struct bitmem_scope *scope = bitmem_scope_open(ctx);
		bitmem_auto_scope struct bitmem_scope *none = NULL;

		if (!bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(100)) || none || i % 3)
			continue;
		if (i % 7 == 6)
			return;
	}
}

TEST_F(lib, ends_with_its_variable)
{
	use_auto(self->ctx, 100);
	EXPECT_EQ(0, live(self->ctx));
	EXPECT_LT(2, test_stats(self->ctx).allocs);
}

TEST_F(lib, use_after_close)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx), *later[100];
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));

	EXPECT_EQ(0, bitmem_scope_close(scope));
	/* Others take its place. */
	for (int i = 0; i < 100; i++) {
		EXPECT_EQ(-EINVAL, bitmem_scope_close(scope));
		EXPECT_EQ(-EINVAL, bitmem_scope_add(scope, t));
		EXPECT_EQ(-EINVAL, bitmem_scope_keep(scope, t));
		EXPECT_EQ(-EINVAL, bitmem_scope_take(scope, t));
		EXPECT_EQ(0, bitmem_scope_count(scope));
		errno = 0;
		EXPECT_EQ(NULL, bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(100)));
		EXPECT_EQ(EINVAL, errno);
		errno = 0;
		EXPECT_EQ(NULL, bitmem_scope_empty(scope, BITMEM_U8, 1, SHAPE(100)));
		EXPECT_EQ(EINVAL, errno);
		errno = 0;
		EXPECT_EQ(NULL, bitmem_scope_open_in(scope));
		EXPECT_EQ(EINVAL, errno);
		later[i] = bitmem_scope_open(self->ctx);
		ASSERT_NE(NULL, later[i]);
		EXPECT_NE(scope, later[i]);
		if (i % 2)
			EXPECT_EQ(0, bitmem_scope_close(later[i]));
	}
	for (int i = 0; i < 100; i += 2)
		EXPECT_EQ(0, bitmem_scope_close(later[i]));
	EXPECT_EQ(0, bitmem_scope_close(NULL));
	EXPECT_EQ(1, live(self->ctx));
	bitmem_tensor_unref(t);
}

TEST_F(lib, refuses_what_cannot_be)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_stats before, after;

	bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(100));
	/* For want of memory what threads keep is given back. */
	bitmem_trim(self->ctx);
	before = test_stats(self->ctx);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_scope_tensor(scope, BITMEM_Q8_0, 1, SHAPE(33)));
	EXPECT_EQ(EINVAL, errno);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_scope_tensor(scope, BITMEM_U16, 1, SHAPE(UINT64_MAX)));
	EXPECT_EQ(EOVERFLOW, errno);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE((uint64_t)1 << 62)));
	EXPECT_EQ(ENOMEM, errno);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
	EXPECT_EQ(1, bitmem_scope_count(scope));
	EXPECT_EQ(0, bitmem_scope_close(scope));
}

/* An open scope keeps the context, and its tensors are reported. */
TEST_F(lib, context_is_closed_first)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_scope *inner = bitmem_scope_open_in(scope), *empty;
	struct bitmem_tensor *t = bitmem_scope_tensor(inner, BITMEM_U8, 1, SHAPE(100));
	unsigned char *data = bitmem_tensor_data(t);

	empty = bitmem_scope_open(self->ctx);
	ASSERT_NE(NULL, t);
	EXPECT_EQ(1, bitmem_close(self->ctx));
	self->ctx = NULL;
	memset(data, 1, 100);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_scope_tensor(inner, BITMEM_U8, 1, SHAPE(100)));
	EXPECT_EQ(EINVAL, errno);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_scope_open_in(scope));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, bitmem_scope_keep(inner, t));
	EXPECT_EQ(0, bitmem_scope_close(inner));
	EXPECT_TRUE(test_all_are(data, 1, 100));
	EXPECT_EQ(0, bitmem_scope_close(scope));
	EXPECT_FALSE(test_is_mapped(data));
	EXPECT_EQ(0, bitmem_scope_close(empty));
}

/* Once it had its size, a scope opened again and again takes no more; a large one gives back. */
TEST_F(lib, cost)
{
	struct bitmem_scope *scope;
	uint64_t base, meta = 0;

	for (int round = 0; round < 20; round++) {
		scope = bitmem_scope_open(self->ctx);
		for (int i = 0; i < 200; i++)
			bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(64));
		EXPECT_EQ(0, bitmem_scope_close(scope));
		if (!round)
			meta = test_stats(self->ctx).meta_bytes;
	}
	base = test_stats(self->ctx).meta_bytes;
	EXPECT_EQ(meta, base);
	scope = bitmem_scope_open(self->ctx);
	for (int i = 0; i < 10000; i++) {
		struct bitmem_tensor *t = bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(0));

		ASSERT_EQ(0, bitmem_scope_add(scope, bitmem_tensor_ref(t)));
	}
	meta = test_stats(self->ctx).meta_bytes;
	EXPECT_LT(base + 20000 * sizeof(void *), meta);
	EXPECT_EQ(0, bitmem_scope_close(scope));
	EXPECT_GE(meta - 20000 * sizeof(void *), test_stats(self->ctx).meta_bytes);
}

/* Without macros, and on behalf of a site. */
TEST_F(lib, on_behalf_of_others)
{
	static struct bitmem_site sites[2] = { { 0, 1, "file", "a" }, { 0, 2, "file", "b" } };
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);

	EXPECT_NE(NULL, (bitmem_scope_tensor)(scope, BITMEM_U8, 1, SHAPE(10)));
	EXPECT_NE(NULL, (bitmem_scope_empty)(scope, BITMEM_U8, 1, SHAPE(10)));
	EXPECT_NE(NULL, bitmem_scope_tensor_at(scope, BITMEM_U8, 1, SHAPE(10), &sites[0]));
	EXPECT_NE(NULL, bitmem_scope_empty_at(scope, BITMEM_U8, 1, SHAPE(10), &sites[1]));
	EXPECT_NE(0, sites[0].state);
	EXPECT_NE(0, sites[1].state);
	EXPECT_NE(sites[0].state, sites[1].state);
	EXPECT_EQ(0, bitmem_scope_close(scope));
}

/* --- threads --- */

#define THREADS 3
#define ROUNDS 500

struct shared {
	struct bitmem *ctx;
	atomic_int failures;
};

/* Each has scopes of its own, of one context. */
static void *open_and_close(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct bitmem_scope *token = bitmem_scope_open(s->ctx);
		struct bitmem_scope *layer = bitmem_scope_open_in(token);
		struct bitmem_tensor *kept = NULL;

		for (uint64_t j = 1; j < 30; j++) {
			struct bitmem_tensor *t = bitmem_scope_tensor(layer, BITMEM_U64, 1, &j);

			if (!t) {
				atomic_fetch_add(&s->failures, 1);
				break;
			}
			memset(bitmem_tensor_data(t), (int)j, 8 * j);
			if (j == 20 && !bitmem_scope_keep(layer, t))
				kept = t;
		}
		if (bitmem_scope_close(layer) || !kept ||
		    !test_all_are(bitmem_tensor_data(kept), 20, 160) || bitmem_scope_close(token))
			atomic_fetch_add(&s->failures, 1);
	}
	return NULL;
}

TEST_F_TIMEOUT(lib, threads_have_their_own, 120)
{
	struct shared s = { .ctx = self->ctx };
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, open_and_close, &s));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(0, atomic_load(&s.failures));
	EXPECT_EQ(0, live(self->ctx));
}

/* The child's scope is a copy: closed there, it is open here. */
TEST_F(lib, across_fork)
{
	struct bitmem_scope *scope = bitmem_scope_open(self->ctx);
	struct bitmem_tensor *t = bitmem_scope_tensor(scope, BITMEM_U8, 1, SHAPE(100));
	pid_t child;
	int status;

	ASSERT_NE(NULL, t);
	memset(bitmem_tensor_data(t), 1, 100);
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(bitmem_scope_count(scope) != 1 || bitmem_scope_close(scope) ||
		      live(self->ctx));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, bitmem_scope_count(scope));
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), 1, 100));
	EXPECT_EQ(0, bitmem_scope_close(scope));
	EXPECT_EQ(0, live(self->ctx));
}

TEST_HARNESS_MAIN
