/* SPDX-License-Identifier: GPL-2.0 */
/* Several threads on one context: no counter ever is wrong, and nothing is lost. */
#include <pthread.h>
#include <stdatomic.h>

#include "lib_test.h"

#define THREADS 4
#define ROUNDS 3000
#define HELD 16

struct shared {
	struct bitmem *ctx;
	struct bitmem_tensor *tensor;
	atomic_bool stop;
	atomic_ullong allocs, bytes;
	atomic_int failures;
	pthread_barrier_t start;
};

static void expect(struct shared *s, bool good)
{
	if (!good)
		atomic_fetch_add(&s->failures, 1);
}

static uint32_t step(uint32_t *state)
{
	return *state = *state * 1664525u + 1013904223u;
}

/* Fills a block with the thread's own byte, and sees that it stays. */
static void churn_blocks(struct shared *s, unsigned char me)
{
	unsigned char *held[HELD] = { NULL };
	size_t sizes[HELD];
	uint32_t state = me;

	for (int i = 0; i < ROUNDS; i++) {
		int n = (int)(step(&state) >> 16) % HELD;

		if (held[n]) {
			expect(s, test_all_are(held[n], me, sizes[n]));
			expect(s, !bitmem_free(s->ctx, held[n]));
			held[n] = NULL;
			continue;
		}
		sizes[n] = 1 + (step(&state) >> 8) % ((step(&state) >> 16) % 64 ? 3000 : 3 * MIB);
		held[n] = bitmem_zalloc(s->ctx, sizes[n], (size_t)64 << (state >> 29));
		expect(s, held[n] && test_all_are(held[n], 0, sizes[n]));
		if (!held[n])
			continue;
		memset(held[n], me, sizes[n]);
		atomic_fetch_add(&s->allocs, 1);
		atomic_fetch_add(&s->bytes, sizes[n]);
	}
	for (int n = 0; n < HELD; n++) {
		expect(s, !held[n] || test_all_are(held[n], me, sizes[n]));
		expect(s, !bitmem_free(s->ctx, held[n]));
	}
}

static void churn_tensors(struct shared *s, unsigned char me)
{
	uint32_t state = me;

	for (int i = 0; i < ROUNDS; i++) {
		const uint64_t shape[] = { 1 + (step(&state) >> 16) % 50, 32 }, row = 32;
		struct bitmem_tensor *t = bitmem_tensor_new(s->ctx, BITMEM_F32, 2, shape);
		struct bitmem_tensor *v;

		expect(s, t && test_all_are(bitmem_tensor_data(t), 0, bitmem_tensor_bytes(t)));
		if (!t)
			continue;
		memset(bitmem_tensor_data(t), me, bitmem_tensor_bytes(t));
		atomic_fetch_add(&s->allocs, 1);
		v = bitmem_tensor_view(t, BITMEM_F32, 1, &row, 0);
		bitmem_tensor_unref(t);
		expect(s, v && test_all_are(bitmem_tensor_data(v), me, 128));
		bitmem_tensor_unref(v);
	}
}

/* All threads take and drop references and views of one tensor. */
static void churn_references(struct shared *s)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct bitmem_tensor *t = bitmem_tensor_ref(s->tensor);
		struct bitmem_tensor *v = bitmem_tensor_view(t, BITMEM_U8, 0, NULL, 99);

		expect(s, v && *(unsigned char *)bitmem_tensor_data(v) == 0xab);
		bitmem_tensor_unref(t);
		bitmem_tensor_unref(v);
		if (i % 100 == 0)
			bitmem_trim(s->ctx);
	}
}

struct worker {
	struct shared *s;
	unsigned char number;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(&w->s->start);
	churn_blocks(w->s, w->number);
	churn_references(w->s);
	churn_tensors(w->s, w->number);
	return NULL;
}

/* Whatever instant is looked at, the counters fit each other. */
static void *watch(void *arg)
{
	struct shared *s = arg;
	struct bitmem_stats last = { 0 };

	while (!atomic_load(&s->stop)) {
		struct bitmem_stats now = test_stats(s->ctx);

		expect(s, now.live == now.allocs - now.frees);
		expect(s, now.live_bytes <= now.peak_bytes);
		expect(s, now.live_bytes <= now.committed_bytes);
		expect(s, now.pinned_bytes <= now.committed_bytes);
		expect(s, now.allocs >= last.allocs && now.frees >= last.frees);
		expect(s, now.peak_bytes >= last.peak_bytes);
		expect(s, now.live <= THREADS * HELD + 1);
		expect(s, now.views <= THREADS);
		last = now;
	}
	return NULL;
}

static void run_all(struct __test_metadata *_metadata, struct shared *s)
{
	struct worker workers[THREADS];
	pthread_t watcher;

	ASSERT_EQ(0, pthread_barrier_init(&s->start, NULL, THREADS));
	ASSERT_EQ(0, pthread_create(&watcher, NULL, watch, s));
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .s = s, .number = (unsigned char)(i + 1) };
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(workers[i].thread, NULL));
	atomic_store(&s->stop, true);
	ASSERT_EQ(0, pthread_join(watcher, NULL));
	pthread_barrier_destroy(&s->start);
}

TEST_F_TIMEOUT(lib, counters_are_exact, 120)
{
	const uint64_t shape = 100;
	struct shared s = { .ctx = self->ctx };
	struct bitmem_stats before = test_stats(self->ctx), after;

	s.tensor = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	ASSERT_NE(NULL, s.tensor);
	memset(bitmem_tensor_data(s.tensor), 0xab, shape);
	run_all(_metadata, &s);
	EXPECT_EQ(0, atomic_load(&s.failures));
	bitmem_tensor_unref(s.tensor);

	after = test_stats(self->ctx);
	EXPECT_EQ(0, after.live);
	EXPECT_EQ(0, after.live_bytes);
	EXPECT_EQ(0, after.views);
	EXPECT_EQ(atomic_load(&s.allocs) + 1, after.allocs);
	EXPECT_EQ(after.allocs, after.frees);
	EXPECT_LT(0, after.peak_bytes);
	bitmem_trim(self->ctx);
	after = test_stats(self->ctx);
	EXPECT_EQ(0, after.committed_bytes);
	EXPECT_EQ(0, after.segments);
	/* What was needed for the most there was is kept: it is small. */
	EXPECT_GT(before.meta_bytes + 256 * 1024, after.meta_bytes);
}

static void *drop_last(void *arg)
{
	bitmem_tensor_unref(arg);
	return NULL;
}

/* Tensors that outlive their context, dropped by several threads at once. */
TEST_F(lib, last_references_after_close)
{
	const uint64_t shape = 5000;

	for (int round = 0; round < 50; round++) {
		struct bitmem *ctx = test_open(2 * MIB);
		struct bitmem_tensor *tensors[THREADS];
		pthread_t threads[THREADS];
		void *data;

		ASSERT_NE(NULL, ctx);
		for (int i = 0; i < THREADS; i++) {
			tensors[i] = bitmem_tensor_new(ctx, BITMEM_U8, 1, &shape);
			ASSERT_NE(NULL, tensors[i]);
		}
		data = bitmem_tensor_data(tensors[0]);
		EXPECT_EQ(THREADS, bitmem_close(ctx));
		for (int i = 0; i < THREADS; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, drop_last, tensors[i]));
		for (int i = 0; i < THREADS; i++)
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_FALSE(test_is_mapped(data));
	}
}

static void *first_block(void *arg)
{
	struct shared *s = arg;
	void *ptr;

	pthread_barrier_wait(&s->start);
	ptr = bitmem_alloc(s->ctx, 64, 0);
	expect(s, ptr);
	pthread_barrier_wait(&s->start);
	expect(s, !bitmem_free(s->ctx, ptr));
	return NULL;
}

/* Those that need a segment at the same time get one. */
TEST_F(lib, start_together)
{
	struct shared s = { .ctx = test_open(64 * MIB) };
	pthread_t threads[8];

	ASSERT_NE(NULL, s.ctx);
	ASSERT_EQ(0, pthread_barrier_init(&s.start, NULL, 8));
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, first_block, &s));
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(0, s.failures);
	EXPECT_EQ(1, test_stats(s.ctx).segments);
	pthread_barrier_destroy(&s.start);
	EXPECT_EQ(0, bitmem_close(s.ctx));
}

TEST_HARNESS_MAIN
