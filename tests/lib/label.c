/* SPDX-License-Identifier: GPL-2.0 */
/* Names and tags: what was set is read, found, and gone with its tensor. */
#include <pthread.h>
#include <stdatomic.h>

#include <bitmem/lifetime.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

static struct bitmem_tensor *tensor(struct bitmem *ctx)
{
	return bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(64));
}

static bool is_named(struct bitmem_tensor *t, const char *name)
{
	char text[BITMEM_NAME_MAX + 1];

	memset(text, 'x', sizeof(text));
	return bitmem_tensor_name(t, text, sizeof(text)) == (int)strlen(name) &&
	       !strcmp(text, name);
}

static bool is_tagged(struct bitmem_tensor *t, const char *tag)
{
	char text[BITMEM_TAG_MAX + 1];

	memset(text, 'x', sizeof(text));
	return bitmem_tensor_tag(t, text, sizeof(text)) == (int)strlen(tag) && !strcmp(text, tag);
}

/* Whether @name finds @t, or nothing if that is NULL. */
static bool finds(struct bitmem *ctx, const char *name, const struct bitmem_tensor *t)
{
	struct bitmem_tensor *found;

	errno = 0;
	found = bitmem_tensor_find(ctx, name);
	if (found)
		bitmem_tensor_unref(found);
	return found == t && (t || errno == ENOENT);
}

TEST_F(lib, names)
{
	struct bitmem_tensor *a = tensor(self->ctx), *b = tensor(self->ctx);

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	EXPECT_TRUE(is_named(a, ""));
	EXPECT_TRUE(finds(self->ctx, "blk.0.attn_q", NULL));
	EXPECT_EQ(0, bitmem_tensor_set_name(a, "blk.0.attn_q"));
	EXPECT_EQ(0, bitmem_tensor_set_name(b, "blk.0.attn_k"));
	EXPECT_TRUE(is_named(a, "blk.0.attn_q"));
	EXPECT_TRUE(is_named(b, "blk.0.attn_k"));
	EXPECT_TRUE(finds(self->ctx, "blk.0.attn_q", a));
	EXPECT_TRUE(finds(self->ctx, "blk.0.attn_k", b));
	EXPECT_TRUE(finds(self->ctx, "blk.0.attn", NULL));
	EXPECT_TRUE(finds(self->ctx, "", NULL));

	EXPECT_EQ(0, bitmem_tensor_set_name(a, "other"));
	EXPECT_TRUE(is_named(a, "other"));
	EXPECT_TRUE(finds(self->ctx, "blk.0.attn_q", NULL));
	EXPECT_TRUE(finds(self->ctx, "other", a));
	EXPECT_EQ(0, bitmem_tensor_set_name(a, NULL));
	EXPECT_EQ(0, bitmem_tensor_set_name(b, ""));
	EXPECT_TRUE(is_named(a, ""));
	EXPECT_TRUE(finds(self->ctx, "other", NULL));
	EXPECT_TRUE(finds(self->ctx, "blk.0.attn_k", NULL));
	EXPECT_EQ(0, bitmem_tensor_set_name(b, ""));
	bitmem_tensor_unref(a);
	bitmem_tensor_unref(b);
}

/* Of those with the same name the one named last is found, while there is one. */
TEST_F(lib, the_same_name)
{
	enum { N = 100 };
	struct bitmem_tensor *t[N];

	for (int i = 0; i < N; i++) {
		t[i] = tensor(self->ctx);
		ASSERT_NE(NULL, t[i]);
		ASSERT_EQ(0, bitmem_tensor_set_name(t[i], "kv"));
		EXPECT_TRUE(finds(self->ctx, "kv", t[i]));
	}
	for (int i = N - 1; i >= 0; i--) {
		EXPECT_TRUE(finds(self->ctx, "kv", t[i]));
		bitmem_tensor_unref(t[i]);
	}
	EXPECT_TRUE(finds(self->ctx, "kv", NULL));
}

TEST_F(lib, goes_with_the_tensor)
{
	struct bitmem_tensor *a = tensor(self->ctx), *b;
	struct bitmem *other = test_open(2 * MIB);

	ASSERT_NE(NULL, other);
	ASSERT_EQ(0, bitmem_tensor_set_name(a, "a"));
	ASSERT_EQ(0, bitmem_tensor_set_tag(a, "tag"));
	EXPECT_TRUE(finds(other, "a", NULL));
	EXPECT_EQ(0, bitmem_close(other));
	/* Found, it lives. */
	EXPECT_EQ(a, bitmem_tensor_find(self->ctx, "a"));
	bitmem_tensor_unref(a);
	EXPECT_TRUE(is_named(a, "a"));
	bitmem_tensor_unref(a);
	EXPECT_TRUE(finds(self->ctx, "a", NULL));
	b = tensor(self->ctx);
	EXPECT_EQ(a, b);
	EXPECT_TRUE(is_named(b, ""));
	EXPECT_TRUE(is_tagged(b, ""));
	bitmem_tensor_unref(b);
}

/* A view is somebody else, whose name does not go with the memory. */
TEST_F(lib, views_have_their_own)
{
	struct bitmem_tensor *t = tensor(self->ctx), *v = bitmem_tensor_clone(t);

	ASSERT_NE(NULL, v);
	ASSERT_EQ(0, bitmem_tensor_set_name(t, "t"));
	ASSERT_EQ(0, bitmem_tensor_set_tag(v, "of v"));
	EXPECT_TRUE(is_named(v, ""));
	EXPECT_TRUE(is_tagged(t, ""));
	ASSERT_EQ(0, bitmem_tensor_set_name(v, "v"));
	bitmem_tensor_unref(v);
	EXPECT_TRUE(finds(self->ctx, "v", NULL));
	EXPECT_TRUE(finds(self->ctx, "t", t));
	bitmem_tensor_unref(t);
}

TEST_F(lib, tags)
{
	struct bitmem_tensor *a = tensor(self->ctx), *b = tensor(self->ctx);

	ASSERT_EQ(0, bitmem_tensor_set_tag(a, "kv"));
	ASSERT_EQ(0, bitmem_tensor_set_tag(b, "kv"));
	EXPECT_TRUE(is_tagged(a, "kv"));
	EXPECT_TRUE(is_tagged(b, "kv"));
	ASSERT_EQ(0, bitmem_tensor_set_tag(a, "kv"));
	ASSERT_EQ(0, bitmem_tensor_set_tag(a, "weights"));
	EXPECT_TRUE(is_tagged(a, "weights"));
	EXPECT_TRUE(is_tagged(b, "kv"));
	ASSERT_EQ(0, bitmem_tensor_set_tag(b, NULL));
	EXPECT_TRUE(is_tagged(b, ""));
	ASSERT_EQ(0, bitmem_tensor_set_tag(b, NULL));
	bitmem_tensor_unref(a);
	bitmem_tensor_unref(b);
}

TEST_F(lib, lengths_and_characters)
{
	char longest[BITMEM_NAME_MAX + 2], text[8] = "1234567";
	struct bitmem_tensor *t = tensor(self->ctx);

	memset(longest, 'n', sizeof(longest));
	longest[BITMEM_NAME_MAX] = '\0';
	ASSERT_EQ(0, bitmem_tensor_set_name(t, longest));
	EXPECT_TRUE(is_named(t, longest));
	EXPECT_TRUE(finds(self->ctx, longest, t));
	/* Cut off, with the length that there is. */
	EXPECT_EQ(BITMEM_NAME_MAX, bitmem_tensor_name(t, text, 4));
	EXPECT_STREQ("nnn", text);
	EXPECT_EQ('5', text[4]);
	EXPECT_EQ(BITMEM_NAME_MAX, bitmem_tensor_name(t, text, 1));
	EXPECT_STREQ("", text);
	EXPECT_EQ(BITMEM_NAME_MAX, bitmem_tensor_name(t, NULL, 0));

	longest[BITMEM_NAME_MAX] = 'n';
	longest[BITMEM_NAME_MAX + 1] = '\0';
	EXPECT_EQ(-ENAMETOOLONG, bitmem_tensor_set_name(t, longest));
	EXPECT_TRUE(finds(self->ctx, longest, NULL));
	EXPECT_EQ(-EINVAL, bitmem_tensor_set_name(t, "a\nb"));
	EXPECT_EQ(-EINVAL, bitmem_tensor_set_name(t, "a\x7f"));
	EXPECT_EQ(BITMEM_NAME_MAX, bitmem_tensor_name(t, NULL, 0));
	EXPECT_EQ(0, bitmem_tensor_set_name(t, "Gr\xc3\xb6\xc3\x9f""e"));
	EXPECT_TRUE(is_named(t, "Gr\xc3\xb6\xc3\x9f""e"));

	longest[BITMEM_TAG_MAX + 1] = '\0';
	EXPECT_EQ(-ENAMETOOLONG, bitmem_tensor_set_tag(t, longest));
	longest[BITMEM_TAG_MAX] = '\0';
	EXPECT_EQ(0, bitmem_tensor_set_tag(t, longest));
	EXPECT_EQ(-EINVAL, bitmem_tensor_set_tag(t, "\t"));
	EXPECT_TRUE(is_tagged(t, longest));
	bitmem_tensor_unref(t);
}

TEST_F(lib, stale_handles)
{
	struct bitmem_tensor *t = tensor(self->ctx);
	struct bitmem_stats before, after;
	char text[8] = "before";

	bitmem_tensor_unref(t);
	before = test_stats(self->ctx);
	EXPECT_EQ(-ESTALE, bitmem_tensor_set_name(t, "name"));
	EXPECT_EQ(-ESTALE, bitmem_tensor_set_tag(t, "tag"));
	EXPECT_EQ(-ESTALE, bitmem_tensor_set_name(t, NULL));
	EXPECT_EQ(-ESTALE, bitmem_tensor_set_tag(t, NULL));
	EXPECT_EQ(-ESTALE, bitmem_tensor_name(t, text, sizeof(text)));
	EXPECT_EQ(-ESTALE, bitmem_tensor_tag(t, text, sizeof(text)));
	EXPECT_STREQ("before", text);
	EXPECT_TRUE(finds(self->ctx, "name", NULL));
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

/* All that names, tags and their tables take is counted, and goes with the tensors. */
TEST_F(lib, cost_goes_with_the_tensor)
{
	enum { N = 5000 };
	static struct bitmem_tensor *tensors[N];
	uint64_t before, named;
	char name[40];

	for (int i = 0; i < N; i++) {
		tensors[i] = tensor(self->ctx);
		ASSERT_NE(NULL, tensors[i]);
	}
	before = test_stats(self->ctx).meta_bytes;
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "blk.%d.ffn_gate.weight", i);
		ASSERT_EQ(0, bitmem_tensor_set_name(tensors[i], name));
		ASSERT_EQ(0, bitmem_tensor_set_tag(tensors[i], i % 2 ? "odd" : "even"));
	}
	named = test_stats(self->ctx).meta_bytes;
	EXPECT_LE(before + N * 60, named);
	EXPECT_GE(before + N * 200, named);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "blk.%d.ffn_gate.weight", i);
		EXPECT_TRUE(finds(self->ctx, name, tensors[i]));
		EXPECT_TRUE(is_tagged(tensors[i], i % 2 ? "odd" : "even"));
	}
	/* Half of them taken away, half of them dropped. */
	for (int i = 0; i < N; i += 2) {
		EXPECT_EQ(0, bitmem_tensor_set_name(tensors[i], NULL));
		EXPECT_EQ(0, bitmem_tensor_set_tag(tensors[i], NULL));
	}
	EXPECT_LT(test_stats(self->ctx).meta_bytes, named);
	for (int i = 1; i < N; i += 2)
		bitmem_tensor_unref(tensors[i]);
	bitmem_trim(self->ctx);
	EXPECT_GE(before, test_stats(self->ctx).meta_bytes);
	for (int i = 0; i < N; i += 2)
		bitmem_tensor_unref(tensors[i]);
}

TEST_F(lib, after_close)
{
	struct bitmem_tensor *t = tensor(self->ctx);

	ASSERT_EQ(0, bitmem_tensor_set_name(t, "t"));
	ASSERT_EQ(0, bitmem_tensor_set_tag(t, "tag"));
	EXPECT_EQ(1, bitmem_close(self->ctx));
	self->ctx = NULL;
	EXPECT_TRUE(is_named(t, "t"));
	EXPECT_TRUE(is_tagged(t, "tag"));
	EXPECT_EQ(0, bitmem_tensor_set_name(t, "still"));
	EXPECT_TRUE(is_named(t, "still"));
	bitmem_tensor_unref(t);
}

/* What the library's reports are made from; here nobody else is there who needs the lock. */
const char *bm_label_tag(const struct bitmem *ctx, const struct bitmem_tensor *tensor);
const char *bm_label_name(const struct bitmem *ctx, const struct bitmem_tensor *tensor);
const struct bitmem_tensor *bm_label_next(const struct bitmem *ctx,
					  const struct bitmem_tensor *after, const char **tag);

TEST_F(lib, each_with_a_tag)
{
	enum { N = 300 };
	static struct bitmem_tensor *tensors[N];
	const struct bitmem_tensor *t = NULL;
	unsigned int kv = 0, weights = 0;
	const char *tag = NULL;

	EXPECT_EQ(NULL, bm_label_next(self->ctx, NULL, &tag));
	for (int i = 0; i < N; i++) {
		tensors[i] = tensor(self->ctx);
		ASSERT_EQ(0, bitmem_tensor_set_name(tensors[i], "name"));
		if (i % 3)
			ASSERT_EQ(0, bitmem_tensor_set_tag(tensors[i],
							   i % 3 == 1 ? "kv" : "weights"));
	}
	while ((t = bm_label_next(self->ctx, t, &tag))) {
		EXPECT_EQ(tag, bm_label_tag(self->ctx, t));
		kv += !strcmp(tag, "kv");
		weights += !strcmp(tag, "weights");
	}
	EXPECT_EQ(N / 3, kv);
	EXPECT_EQ(N / 3, weights);
	EXPECT_EQ(NULL, bm_label_tag(self->ctx, tensors[0]));
	EXPECT_STREQ("name", bm_label_name(self->ctx, tensors[0]));
	for (int i = 0; i < N; i++)
		bitmem_tensor_unref(tensors[i]);
	EXPECT_EQ(NULL, bm_label_next(self->ctx, NULL, &tag));
}

/* --- threads --- */

#define THREADS 3
#define ROUNDS 1500
#define LOOKED_FOR 4

struct shared {
	struct bitmem *ctx;
	struct bitmem_tensor *tensor;
	atomic_int failures, next;
};

static void expect(struct shared *s, bool good)
{
	if (!good)
		atomic_fetch_add(&s->failures, 1);
}

/* Names one that all have, which has one of the names at any time; and its own, many times. */
static void *name_again_and_again(void *arg)
{
	struct shared *s = arg;
	char mine[2] = { (char)('a' + atomic_fetch_add(&s->next, 1)) }, name[20], text[4];

	for (int i = 0; i < ROUNDS; i++) {
		struct bitmem_tensor *t = tensor(s->ctx);

		expect(s, !bitmem_tensor_set_name(s->tensor, mine));
		expect(s, !bitmem_tensor_set_tag(s->tensor, mine));
		expect(s, bitmem_tensor_name(s->tensor, text, sizeof(text)) == 1);
		expect(s, text[0] >= 'a' && text[0] < 'a' + THREADS && !text[1]);
		expect(s, bitmem_tensor_tag(s->tensor, text, sizeof(text)) == 1);
		snprintf(name, sizeof(name), "%s %d", mine, i);
		expect(s, t && !bitmem_tensor_set_name(t, name));
		expect(s, !bitmem_tensor_set_tag(t, i % 2 ? mine : "all"));
		expect(s, finds(s->ctx, name, t));
		bitmem_tensor_unref(t);
		/* The others hold none of it, except in the rounds they look for. */
		expect(s, !(i % LOOKED_FOR) || finds(s->ctx, name, NULL));
		/* Somebody else's, or nobody's. */
		snprintf(name, sizeof(name), "%c %d", 'a' + i % THREADS, i - i % LOOKED_FOR);
		t = bitmem_tensor_find(s->ctx, name);
		expect(s, !t || bitmem_tensor_bytes(t) == 64);
		bitmem_tensor_unref(t);
	}
	return NULL;
}

TEST_F_TIMEOUT(lib, threads_name_and_find, 120)
{
	struct shared s = { .ctx = self->ctx, .tensor = tensor(self->ctx) };
	pthread_t threads[THREADS];

	ASSERT_NE(NULL, s.tensor);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, name_again_and_again, &s));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(0, atomic_load(&s.failures));
	bitmem_tensor_unref(s.tensor);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_HARNESS_MAIN
