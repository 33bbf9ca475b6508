/* SPDX-License-Identifier: GPL-2.0 */
/* Snapshots: everything alive is there, once, and what is said of it is right. */
#include <pthread.h>
#include <stdatomic.h>

#include <bitmem/pools.h>
#include <bitmem/share.h>

#include "../../libbitmem/context.h"
#include "track_test.h"

#define THREADS 4
#define ROUNDS 4000
#define HELD 32

TEST_F(lib, of_nothing)
{
	struct bitmem_snapshot *s = bitmem_snapshot(self->ctx);
	struct bitmem_stats small = { .size = 8 };
	struct bitmem_group *groups = (void *)1;
	size_t n = 1;

	ASSERT_NE(NULL, s);
	EXPECT_EQ(0, bitmem_snapshot_count(s));
	EXPECT_EQ(NULL, bitmem_snapshot_get(s, 0));
	EXPECT_TRUE(track_agrees(s));
	EXPECT_EQ(-EINVAL, bitmem_snapshot_stats(s, &small));
	EXPECT_EQ(0, bitmem_snapshot_group(s, bitmem_by_place, NULL, &groups, &n));
	EXPECT_EQ(NULL, groups);
	EXPECT_EQ(0, n);
	EXPECT_EQ(-EINVAL, bitmem_snapshot_group(s, NULL, NULL, &groups, &n));
	EXPECT_EQ(-EINVAL, bitmem_snapshot_group(s, bitmem_by_place, NULL, NULL, &n));
	EXPECT_EQ(-EINVAL, bitmem_snapshot_group(s, bitmem_by_place, NULL, &groups, NULL));
	bitmem_snapshot_free(s);
	bitmem_snapshot_free(NULL);
}

TEST_F(lib, tells_what_each_is)
{
	const uint64_t shape[] = { 3, 100 }, row = 100, big = 3 * MIB;
	void *small = bitmem_alloc(self->ctx, 100, 0), *run = bitmem_alloc(self->ctx, 50000, 0);
	void *large = bitmem_alloc(self->ctx, 5 * MIB, 0);
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F16, 2, shape);
	struct bitmem_tensor *b = bitmem_tensor_empty(self->ctx, BITMEM_U8, 1, &big);
	struct bitmem_tensor *own = bitmem_tensor_new_shareable(self->ctx, BITMEM_I32, 1, &row);
	struct bitmem_tensor *v = bitmem_tensor_view(t, BITMEM_BF16, 1, &row, 200);
	struct bitmem_snapshot *s = bitmem_snapshot(self->ctx);
	const struct bitmem_live *live;

	ASSERT_NE(NULL, s);
	EXPECT_TRUE(track_agrees(s));
	EXPECT_EQ(7, bitmem_snapshot_count(s));
	live = track_find(s, small);
	ASSERT_NE(NULL, live);
	EXPECT_EQ(100, live->bytes);
	EXPECT_EQ(bitmem_usable_size(self->ctx, small), live->room);
	EXPECT_EQ(BITMEM_LIVE_BLOCK, live->kind);
	EXPECT_EQ(BITMEM_DTYPE_INVALID, live->dtype);
	EXPECT_EQ(NULL, live->tensor);
	EXPECT_EQ(0, live->flags);
	EXPECT_LE(live->min_age_ns, live->max_age_ns);
	live = track_find(s, run);
	ASSERT_NE(NULL, live);
	EXPECT_EQ(50000, live->bytes);
	EXPECT_EQ(bitmem_usable_size(self->ctx, run), live->room);
	live = track_find(s, large);
	ASSERT_NE(NULL, live);
	EXPECT_EQ(5 * MIB, live->bytes);
	live = track_find(s, bitmem_tensor_data(t));
	ASSERT_NE(NULL, live);
	EXPECT_EQ(600, live->bytes);
	EXPECT_EQ(BITMEM_LIVE_TENSOR, live->kind);
	EXPECT_EQ(BITMEM_F16, live->dtype);
	EXPECT_EQ(t, live->tensor);
	live = track_find(s, bitmem_tensor_data(b));
	ASSERT_NE(NULL, live);
	EXPECT_EQ(BITMEM_U8, live->dtype);
	EXPECT_EQ(b, live->tensor);
	live = track_find(s, bitmem_tensor_data(own));
	ASSERT_NE(NULL, live);
	EXPECT_EQ(400, live->bytes);
	EXPECT_EQ(BITMEM_I32, live->dtype);
	EXPECT_EQ(BITMEM_LIVE_SEGMENT, live->flags);
	/* Views come last. */
	live = bitmem_snapshot_get(s, 6);
	EXPECT_EQ(BITMEM_LIVE_VIEW, live->kind);
	EXPECT_EQ(bitmem_tensor_data(v), live->ptr);
	EXPECT_EQ(200, live->bytes);
	EXPECT_EQ(BITMEM_BF16, live->dtype);
	EXPECT_EQ(v, live->tensor);

	/* It stays as it was. */
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(own);
	bitmem_tensor_unref(b);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, bitmem_free(self->ctx, small));
	EXPECT_EQ(0, bitmem_free(self->ctx, run));
	EXPECT_EQ(0, bitmem_free(self->ctx, large));
	EXPECT_EQ(7, bitmem_snapshot_count(s));
	EXPECT_TRUE(track_agrees(s));
	bitmem_snapshot_free(s);
	s = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, s);
	EXPECT_EQ(0, bitmem_snapshot_count(s));
	bitmem_snapshot_free(s);
}

static uint64_t by_first_byte(const struct bitmem_live *live, void *arg)
{
	return *(const unsigned char *)live->ptr + *(uint64_t *)arg;
}

static const struct bitmem_group *group_of(const struct bitmem_group *groups, size_t n,
					   uint64_t key)
{
	for (size_t i = 0; i < n; i++) {
		if (groups[i].key == key)
			return &groups[i];
	}
	return NULL;
}

TEST_F(lib, groups)
{
	static const struct {
		size_t bytes;
		uint64_t key;
	} sizes[] = { { 1, 1 }, { 2, 2 }, { 3, 2 }, { 4, 4 }, { 1023, 512 }, { 1024, 1024 },
		      { 100000, 65536 } };
	struct bitmem_tensor *tensors[7], *empty;
	const uint64_t none = 0;
	struct bitmem_group *groups;
	struct bitmem_snapshot *s;
	uint64_t base = 1000;
	size_t n;

	for (int i = 0; i < 7; i++) {
		const uint64_t shape = sizes[i].bytes;

		tensors[i] = bitmem_tensor_new(self->ctx, i % 2 ? BITMEM_U8 : BITMEM_I8, 1, &shape);
		ASSERT_NE(NULL, tensors[i]);
		*(unsigned char *)bitmem_tensor_data(tensors[i]) = (unsigned char)(i / 4);
	}
	empty = bitmem_tensor_new(self->ctx, BITMEM_F32, 1, &none);
	s = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, s);

	ASSERT_EQ(0, bitmem_snapshot_group(s, bitmem_by_size, NULL, &groups, &n));
	EXPECT_EQ(7, n);
	for (size_t i = 1; i < n; i++)
		EXPECT_LT(groups[i - 1].key, groups[i].key);
	for (int i = 0; i < 7; i++)
		EXPECT_NE(NULL, group_of(groups, n, sizes[i].key));
	EXPECT_EQ(2, group_of(groups, n, 2)->sum.count);
	EXPECT_EQ(5, group_of(groups, n, 2)->sum.bytes);
	EXPECT_EQ(1, group_of(groups, n, 0)->sum.count);
	free(groups);

	ASSERT_EQ(0, bitmem_snapshot_group(s, bitmem_by_dtype, NULL, &groups, &n));
	EXPECT_EQ(3, n);
	EXPECT_EQ(4, group_of(groups, n, BITMEM_I8)->sum.count);
	EXPECT_EQ(1 + 3 + 1023 + 100000, group_of(groups, n, BITMEM_I8)->sum.bytes);
	EXPECT_EQ(3, group_of(groups, n, BITMEM_U8)->sum.count);
	free(groups);

	ASSERT_EQ(0, bitmem_snapshot_group(s, bitmem_by_pool, NULL, &groups, &n));
	EXPECT_EQ(1, n);
	EXPECT_EQ(8, groups[0].sum.count);
	free(groups);
	ASSERT_EQ(0, bitmem_snapshot_group(s, bitmem_by_kind, NULL, &groups, &n));
	EXPECT_EQ(1, n);
	EXPECT_EQ(BITMEM_LIVE_TENSOR, groups[0].key);
	free(groups);

	/* A key of the caller's. */
	bitmem_tensor_unref(empty);
	bitmem_snapshot_free(s);
	s = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, s);
	ASSERT_EQ(0, bitmem_snapshot_group(s, by_first_byte, &base, &groups, &n));
	EXPECT_EQ(2, n);
	EXPECT_EQ(4, group_of(groups, n, 1000)->sum.count);
	EXPECT_EQ(3, group_of(groups, n, 1001)->sum.count);
	free(groups);
	bitmem_snapshot_free(s);
	for (int i = 0; i < 7; i++)
		bitmem_tensor_unref(tensors[i]);
}

/* A view has no memory of its own; it is in the pool whose memory it shows. */
TEST_F(lib, pools_of_views)
{
	static const size_t sizes[] = { 100, 100000, 5 * MIB };
	const uint64_t part = 10;
	struct bitmem_tensor *tensor, *view;
	const struct bitmem_live *live;
	struct bitmem_snapshot *s;
	unsigned int pool;

	ASSERT_EQ(0, bitmem_pool_add(self->ctx, NULL, &pool));
	for (unsigned int i = 0; i < 6; i++) {
		const uint64_t shape = sizes[i / 2];

		tensor = bitmem_tensor_new_in(self->ctx, i % 2 * pool, BITMEM_U8, 1, &shape);
		ASSERT_NE(NULL, tensor);
		view = bitmem_tensor_view(tensor, BITMEM_U8, 1, &part, shape - part);
		ASSERT_NE(NULL, view);
		/* The view keeps the memory, and nothing else does. */
		bitmem_tensor_unref(tensor);
		s = bitmem_snapshot(self->ctx);
		ASSERT_NE(NULL, s);
		live = bitmem_snapshot_get(s, bitmem_snapshot_count(s) - 1);
		EXPECT_EQ(BITMEM_LIVE_VIEW, live->kind);
		EXPECT_EQ(i % 2 * pool, live->pool);
		bitmem_snapshot_free(s);
		bitmem_tensor_unref(view);
	}
}

/* Frees that were counted twice: what there is no room for then is left out. */
TEST_F(lib, more_than_was_counted)
{
	enum { N = 64 + 3 };	/* there is always room for 64 more than were counted */
	struct bitmem_tensor *tensors[N];
	struct bitmem_snapshot *s;

	for (int i = 0; i < N; i++)
		ASSERT_NE(NULL, tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_I8, 0, NULL));
	self->ctx->gone_frees += N;
	s = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, s);
	EXPECT_EQ(64, bitmem_snapshot_count(s));
	bitmem_snapshot_free(s);
	self->ctx->gone_frees -= N;
	for (int i = 0; i < N; i++)
		bitmem_tensor_unref(tensors[i]);
}

struct shared {
	struct bitmem *ctx;
	struct bitmem_tensor *tensor;
	atomic_bool stop;
	atomic_int failures;
};

static uint32_t step(uint32_t *state)
{
	return *state = *state * 1664525u + 1013904223u;
}

static void *churn(void *arg)
{
	struct shared *s = arg;
	struct bitmem_tensor *held[HELD] = { NULL };
	uint32_t state = (uint32_t)(uintptr_t)&state;

	for (int i = 0; i < ROUNDS; i++) {
		int n = (int)(step(&state) >> 16) % HELD;
		uint64_t shape = 1 + (step(&state) >> 8) % ((state >> 28) ? 5000 : 300000);

		bitmem_tensor_unref(held[n]);
		switch (step(&state) >> 30) {
		case 0:
			held[n] = bitmem_tensor_view(s->tensor, BITMEM_U8, 0, NULL, n);
			break;
		case 1:
			held[n] = NULL;
			if (bitmem_free(s->ctx, bitmem_alloc(s->ctx, shape, 0)))
				atomic_fetch_add(&s->failures, 1);
			break;
		default:
			held[n] = bitmem_tensor_empty(s->ctx, BITMEM_U8, 1, &shape);
		}
	}
	for (int n = 0; n < HELD; n++)
		bitmem_tensor_unref(held[n]);
	return NULL;
}

/* The sums of each are its counters; a tensor's bytes are its type's and shape's. */
static void *watch(void *arg)
{
	struct shared *s = arg;

	while (!atomic_load(&s->stop)) {
		struct bitmem_snapshot *snapshot = bitmem_snapshot(s->ctx);
		const struct bitmem_live *live;

		if (!snapshot || !track_agrees(snapshot))
			atomic_fetch_add(&s->failures, 1);
		for (size_t i = 0; snapshot && (live = bitmem_snapshot_get(snapshot, i)); i++) {
			if (live->kind != BITMEM_LIVE_VIEW && live->bytes > live->room)
				atomic_fetch_add(&s->failures, 1);
			if (live->kind != BITMEM_LIVE_BLOCK && live->dtype &&
			    live->dtype != BITMEM_U8)
				atomic_fetch_add(&s->failures, 1);
		}
		bitmem_snapshot_free(snapshot);
	}
	return NULL;
}

static void run_threads(struct __test_metadata *_metadata, struct bitmem *ctx)
{
	const uint64_t shape = HELD;
	struct shared s = { .ctx = ctx };
	pthread_t threads[THREADS], watcher;
	struct bitmem_snapshot *snapshot;

	s.tensor = bitmem_tensor_new(ctx, BITMEM_U8, 1, &shape);
	ASSERT_NE(NULL, s.tensor);
	ASSERT_EQ(0, pthread_create(&watcher, NULL, watch, &s));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &s));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	atomic_store(&s.stop, true);
	ASSERT_EQ(0, pthread_join(watcher, NULL));
	EXPECT_EQ(0, atomic_load(&s.failures));
	snapshot = bitmem_snapshot(ctx);
	ASSERT_NE(NULL, snapshot);
	EXPECT_EQ(1, bitmem_snapshot_count(snapshot));
	bitmem_snapshot_free(snapshot);
	bitmem_tensor_unref(s.tensor);
}

TEST_F_TIMEOUT(lib, under_threads, 120)
{
	run_threads(_metadata, self->ctx);
}

TEST_F_TIMEOUT(lib, under_threads_at_each_level, 240)
{
	static const enum bitmem_tracking levels[] = { BITMEM_TRACKING_COUNTERS,
						       BITMEM_TRACKING_FULL };

	for (int i = 0; i < 2; i++) {
		struct bitmem *ctx = track_open(levels[i]);

		ASSERT_NE(NULL, ctx);
		run_threads(_metadata, ctx);
		EXPECT_EQ(0, bitmem_close(ctx));
	}
}

TEST_HARNESS_MAIN
