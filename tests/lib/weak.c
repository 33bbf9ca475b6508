/* SPDX-License-Identifier: GPL-2.0 */
/* Weak handles: they get the tensor that they are of, or find that it has gone; nothing else. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bitmem/lifetime.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

/* Expects a handle to be one of nothing that is there. */
#define EXPECT_GONE(weak)                                                                          \
	do {                                                                                       \
		errno = 0;                                                                         \
		EXPECT_EQ(NULL, bitmem_weak_get(weak));                                            \
		EXPECT_EQ(ESTALE, errno);                                                          \
	} while (0)

TEST_F(lib, gets_what_is_there)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_weak weak, same;

	ASSERT_NE(NULL, t);
	ASSERT_EQ(0, bitmem_tensor_weak(t, &weak));
	ASSERT_EQ(0, bitmem_tensor_weak(t, &same));
	EXPECT_EQ(0, memcmp(&weak, &same, sizeof(weak)));
	EXPECT_EQ(t, bitmem_weak_get(&weak));
	bitmem_tensor_unref(t);
	/* The one that was got keeps it. */
	EXPECT_EQ(1, test_stats(self->ctx).live);
	EXPECT_EQ(t, bitmem_weak_get(&same));
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, test_stats(self->ctx).live);
	EXPECT_GONE(&weak);
	EXPECT_GONE(&same);
}

TEST_F(lib, is_of_nothing)
{
	const struct bitmem_weak nothing = { 0 };
	struct bitmem_weak made_up = { .context = UINT64_MAX, .id = 8, .generation = 1 };

	errno = 0;
	EXPECT_EQ(NULL, bitmem_weak_get(&nothing));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_GONE(&made_up);
}

/* The next tensors have the same place; each handle knows its own. */
TEST_F(lib, finds_no_later_tensor)
{
	struct bitmem_weak weak[1000];
	struct bitmem_tensor *first = NULL;
	int reused = 0;

	for (int i = 0; i < 1000; i++) {
		struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));

		ASSERT_NE(NULL, t);
		first = first ? first : t;
		reused += i && t == first;
		ASSERT_EQ(0, bitmem_tensor_weak(t, &weak[i]));
		EXPECT_EQ(t, bitmem_weak_get(&weak[i]));
		bitmem_tensor_unref(t);
		if (i)
			EXPECT_GONE(&weak[i - 1]);
		bitmem_tensor_unref(t);
	}
	EXPECT_LT(0, reused);
	for (int i = 0; i < 1000; i++)
		EXPECT_GONE(&weak[i]);
}

/* What is used again without a handle has none. */
TEST_F(lib, is_not_inherited)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100)), *next;
	struct bitmem_weak weak;

	ASSERT_EQ(0, bitmem_tensor_weak(t, &weak));
	bitmem_tensor_unref(t);
	next = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	EXPECT_EQ(t, next);
	EXPECT_GONE(&weak);
	bitmem_tensor_unref(next);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_F(lib, of_views)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_tensor *v = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(10), 20);
	struct bitmem_weak of_t, of_v;

	ASSERT_NE(NULL, v);
	ASSERT_EQ(0, bitmem_tensor_weak(t, &of_t));
	ASSERT_EQ(0, bitmem_tensor_weak(v, &of_v));
	bitmem_tensor_unref(t);
	/* The view keeps it. */
	EXPECT_EQ(t, bitmem_weak_get(&of_t));
	bitmem_tensor_unref(t);
	EXPECT_EQ(v, bitmem_weak_get(&of_v));
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(v);
	EXPECT_GONE(&of_v);
	EXPECT_GONE(&of_t);
	EXPECT_EQ(0, test_stats(self->ctx).views);
}

struct node {
	struct bitmem_tensor *tensor;
	struct bitmem_weak other;
};

/* Two that know each other: neither keeps the other. */
TEST_F(lib, circular_reference_prevention)
{
	struct node a = { bitmem_tensor_new(self->ctx, BITMEM_F32, 1, SHAPE(16)), { 0 } };
	struct node b = { bitmem_tensor_new(self->ctx, BITMEM_F32, 1, SHAPE(16)), { 0 } };

	ASSERT_EQ(0, bitmem_tensor_weak(b.tensor, &a.other));
	ASSERT_EQ(0, bitmem_tensor_weak(a.tensor, &b.other));
	EXPECT_EQ(2, test_stats(self->ctx).live);
	bitmem_tensor_unrefp(&a.tensor);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	EXPECT_GONE(&b.other);
	bitmem_tensor_unrefp(&b.tensor);
	EXPECT_EQ(0, test_stats(self->ctx).live);
	EXPECT_GONE(&a.other);
}

TEST_F(lib, of_a_stale_handle)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_weak weak = { 1, 2, 3 };
	struct bitmem_stats before, after;

	bitmem_tensor_unref(t);
	before = test_stats(self->ctx);
	EXPECT_EQ(-ESTALE, bitmem_tensor_weak(t, &weak));
	EXPECT_EQ(3, weak.generation);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

/* What handles cost goes with their tensors, in whatever order; those without have none. */
TEST_F(lib, cost_goes_with_the_tensor)
{
	enum { N = 10000 };
	static struct bitmem_tensor *tensors[N];
	static struct bitmem_weak weak[N];
	uint64_t before, most, half;

	for (int i = 0; i < N; i++) {
		tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(64));
		ASSERT_NE(NULL, tensors[i]);
	}
	before = test_stats(self->ctx).meta_bytes;
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, bitmem_tensor_weak(tensors[i], &weak[i]));
	most = test_stats(self->ctx).meta_bytes;
	EXPECT_LE(before + N * 5 * sizeof(uint64_t), most);
	EXPECT_GE(before + N * 16 * sizeof(uint64_t), most);
	for (int i = 0; i < N; i++)
		ASSERT_EQ(0, bitmem_tensor_weak(tensors[i], &weak[i]));
	EXPECT_EQ(most, test_stats(self->ctx).meta_bytes);
	for (int i = 0; i < N; i += 2)
		bitmem_tensor_unref(tensors[i]);
	half = test_stats(self->ctx).meta_bytes;
	EXPECT_LT(half, most);
	for (int i = 0; i < N; i++) {
		struct bitmem_tensor *got = bitmem_weak_get(&weak[i]);

		EXPECT_EQ(i % 2 ? tensors[i] : NULL, got);
		bitmem_tensor_unref(got);
	}
	for (int i = N - 1; i > 0; i -= 2)
		bitmem_tensor_unref(tensors[i]);
	/* Free slots and caches of threads come and go as well. */
	bitmem_trim(self->ctx);
	EXPECT_GE(before, test_stats(self->ctx).meta_bytes);
}

TEST_F(lib, outlives_its_context)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_tensor *u = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100));
	struct bitmem_weak of_t, of_u;

	ASSERT_EQ(0, bitmem_tensor_weak(t, &of_t));
	ASSERT_EQ(0, bitmem_tensor_weak(u, &of_u));
	EXPECT_EQ(2, bitmem_close(self->ctx));
	/* Some that may lie where it lay; this one is closed by the fixture. */
	self->ctx = test_open(2 * MIB);
	ASSERT_NE(NULL, self->ctx);
	EXPECT_EQ(t, bitmem_weak_get(&of_t));
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(t);
	EXPECT_GONE(&of_t);
	EXPECT_EQ(u, bitmem_weak_get(&of_u));
	bitmem_tensor_unref(u);
	bitmem_tensor_unref(u);
	EXPECT_GONE(&of_t);
	EXPECT_GONE(&of_u);
	for (int i = 0; i < 10; i++) {
		struct bitmem *next = test_open(2 * MIB);
		struct bitmem_tensor *other = bitmem_tensor_new(next, BITMEM_U8, 1, SHAPE(100));
		struct bitmem_weak weak;

		ASSERT_NE(NULL, other);
		ASSERT_EQ(0, bitmem_tensor_weak(other, &weak));
		EXPECT_GONE(&of_t);
		EXPECT_GONE(&of_u);
		bitmem_tensor_unref(other);
		EXPECT_EQ(0, bitmem_close(next));
		EXPECT_GONE(&weak);
	}
}

/* --- threads --- */

#define THREADS 3
#define ROUNDS 3000

/* The tensor that is alive now: what it is known by, and what is written in it. */
struct race {
	struct bitmem *ctx;
	pthread_mutex_t lock;
	struct bitmem_weak weak;
	uint64_t value;
	atomic_bool stop;
	atomic_int failures, got, gone;
};

static void *get_again_and_again(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		struct bitmem_tensor *t;
		struct bitmem_weak weak;
		uint64_t value;

		pthread_mutex_lock(&race->lock);
		weak = race->weak;
		value = race->value;
		pthread_mutex_unlock(&race->lock);
		t = bitmem_weak_get(&weak);
		if (!t) {
			atomic_fetch_add(errno == ESTALE ? &race->gone : &race->failures, 1);
			continue;
		}
		if (*(uint64_t *)bitmem_tensor_data(t) != value || bitmem_tensor_bytes(t) != 8)
			atomic_fetch_add(&race->failures, 1);
		atomic_fetch_add(&race->got, 1);
		bitmem_tensor_unref(t);
	}
	return NULL;
}

static struct bitmem_tensor *publish(struct race *race, uint64_t value)
{
	struct bitmem_tensor *t = bitmem_tensor_new(race->ctx, BITMEM_U64, 1, SHAPE(1));
	struct bitmem_weak weak;

	if (!t)
		return NULL;
	*(uint64_t *)bitmem_tensor_data(t) = value;
	if (bitmem_tensor_weak(t, &weak))
		atomic_fetch_add(&race->failures, 1);
	pthread_mutex_lock(&race->lock);
	race->weak = weak;
	race->value = value;
	pthread_mutex_unlock(&race->lock);
	return t;
}

/* A tensor that is got while it is dropped is either whole or not there. */
TEST_F_TIMEOUT(lib, races_with_the_last_reference, 120)
{
	struct race race = { .ctx = self->ctx, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct bitmem_tensor *t = publish(&race, 0);
	pthread_t threads[THREADS];

	ASSERT_NE(NULL, t);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, get_again_and_again, &race));
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		struct bitmem_tensor *next;

		/* In turn before and after the next one is there, which may take its place. */
		if (i % 2)
			bitmem_tensor_unref(t);
		next = publish(&race, i);
		if (!(i % 2))
			bitmem_tensor_unref(t);
		t = next;
		ASSERT_NE(NULL, t);
	}
	/* One is there to be got, until one was; and then it is gone. */
	while (!atomic_load(&race.got))
		usleep(1000);
	bitmem_tensor_unref(t);
	while (!atomic_load(&race.gone))
		usleep(1000);
	atomic_store(&race.stop, true);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(0, atomic_load(&race.failures));
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

struct ender {
	struct bitmem_weak weak;
	atomic_int failures;
};

static void *get_until_gone(void *arg)
{
	struct ender *ender = arg;
	struct bitmem_tensor *t;

	while ((t = bitmem_weak_get(&ender->weak)))
		bitmem_tensor_unref(t);
	if (errno != ESTALE)
		atomic_fetch_add(&ender->failures, 1);
	return NULL;
}

/* The context ends with the tensor, whoever drops it last. */
TEST_F_TIMEOUT(lib, races_with_the_contexts_end, 120)
{
	for (int round = 0; round < 30; round++) {
		struct bitmem *ctx = test_open(2 * MIB);
		struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(100));
		struct ender ender = { .failures = 0 };
		pthread_t threads[2];

		ASSERT_NE(NULL, t);
		ASSERT_EQ(0, bitmem_tensor_weak(t, &ender.weak));
		EXPECT_EQ(1, bitmem_close(ctx));
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, get_until_gone, &ender));
		bitmem_tensor_unref(t);
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, atomic_load(&ender.failures));
	}
}

/* In the child: the tensor is there, and can be dropped; the books are its own. */
static int use_in_child(struct bitmem *ctx, struct bitmem_tensor *t, const struct bitmem_weak *weak)
{
	if (bitmem_weak_get(weak) != t)
		return 1;
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(t);
	return bitmem_weak_get(weak) || errno != ESTALE || test_stats(ctx).live;
}

TEST_F_TIMEOUT(lib, across_fork, 120)
{
	struct race race = { .ctx = self->ctx, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct bitmem_tensor *t = publish(&race, 5);
	pthread_t threads[THREADS];
	int status;

	ASSERT_NE(NULL, t);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, get_again_and_again, &race));
	for (int round = 0; round < 20; round++) {
		/* The others' references are in the child as well, where nobody drops them. */
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child)
			_exit(bitmem_weak_get(&race.weak) != t);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
	atomic_store(&race.stop, true);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	if (!fork())
		_exit(use_in_child(self->ctx, t, &race.weak));
	ASSERT_LT(0, wait(&status));
	EXPECT_EQ(0, status);
	EXPECT_EQ(t, bitmem_weak_get(&race.weak));
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(t);
	EXPECT_GONE(&race.weak);
	EXPECT_EQ(0, atomic_load(&race.failures));
}

TEST_HARNESS_MAIN
