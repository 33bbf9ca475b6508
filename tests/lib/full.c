/* SPDX-License-Identifier: GPL-2.0 */
/* The level "full": stacks of what is alive, and the latest events. */
#include <pthread.h>
#include <unistd.h>

#include <bitmem/share.h>

#include "../../libbitmem/context.h"
#include "../../libbitmem/track/full.h"
#include "track_test.h"

FIXTURE(full)
{
	struct bitmem *ctx;
};

FIXTURE_SETUP(full)
{
	self->ctx = track_open(BITMEM_TRACKING_FULL);
	if (!self->ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, self->ctx);
}

FIXTURE_TEARDOWN(full)
{
	EXPECT_EQ(0, bitmem_close(self->ctx));
	EXPECT_FALSE(test_leaks());
}

static __attribute__((noinline, aligned(1024))) void *at_bottom(struct bitmem *ctx)
{
	void *ptr = bitmem_alloc(ctx, 10, 0);

	__asm__ volatile("" : : "r"(ptr));
	return ptr;
}

static __attribute__((noinline, aligned(1024))) void *by_one(struct bitmem *ctx)
{
	void *ptr = at_bottom(ctx);

	__asm__ volatile("" : : "r"(ptr));
	return ptr;
}

static __attribute__((noinline, aligned(1024))) void *by_other(struct bitmem *ctx)
{
	void *ptr = at_bottom(ctx);

	__asm__ volatile("" : : "r"(ptr));
	return ptr;
}

/* Whether a stack has an address in a function, which is not long. */
static bool passes(const struct bitmem_place *place, void *(*function)(struct bitmem *))
{
	for (unsigned int i = 0; i < place->depth; i++) {
		if ((uintptr_t)place->stack[i] - (uintptr_t)function < 1024)
			return true;
	}
	return false;
}

TEST_F(full, stacks)
{
	void *a = by_one(self->ctx), *b = by_other(self->ctx);
	struct bitmem_snapshot *s = bitmem_snapshot(self->ctx);
	const struct bitmem_place *pa, *pb;

	ASSERT_NE(NULL, s);
	EXPECT_TRUE(track_agrees(s));
	pa = track_find(s, a)->place;
	pb = track_find(s, b)->place;
	/* One place in code, on two ways. */
	EXPECT_NE(pa, pb);
	EXPECT_EQ(pa->line, pb->line);
	EXPECT_EQ(0, strcmp("at_bottom", pa->function));
	EXPECT_LT(3, pa->depth);
	EXPECT_TRUE(passes(pa, at_bottom));
	EXPECT_TRUE(passes(pb, at_bottom));
	EXPECT_TRUE(passes(pa, by_one));
	EXPECT_FALSE(passes(pa, by_other));
	EXPECT_TRUE(passes(pb, by_other));
	EXPECT_FALSE(passes(pb, by_one));
	EXPECT_EQ(0, bitmem_stacks_lost(self->ctx));
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(0, bitmem_free(self->ctx, b));
	bitmem_snapshot_free(s);
}

static __attribute__((noinline)) void *from_below(struct bitmem *ctx, unsigned int n)
{
	void *ptr = n ? from_below(ctx, n - 1) : at_bottom(ctx);

	__asm__ volatile("" : : "r"(ptr));
	return ptr;
}

/* Of a stack that is deeper as much is kept as there is room for. */
TEST_F(full, deep_stack)
{
	void *ptr = from_below(self->ctx, 2 * BM_DEPTH);
	struct bitmem_snapshot *s = bitmem_snapshot(self->ctx);

	ASSERT_NE(NULL, s);
	EXPECT_EQ(BM_DEPTH, track_find(s, ptr)->place->depth);
	EXPECT_TRUE(passes(track_find(s, ptr)->place, at_bottom));
	bitmem_snapshot_free(s);
	EXPECT_EQ(0, bitmem_free(self->ctx, ptr));
}

TEST_F(full, same_way_same_stack)
{
	void *ptrs[20];
	struct bitmem_group *groups;
	struct bitmem_snapshot *s;
	size_t n;

	for (int i = 0; i < 20; i++)
		ptrs[i] = by_one(self->ctx);
	s = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, s);
	ASSERT_EQ(0, bitmem_snapshot_group(s, bitmem_by_place, NULL, &groups, &n));
	EXPECT_EQ(1, n);
	EXPECT_EQ(20, groups[0].sum.count);
	free(groups);
	bitmem_snapshot_free(s);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, ptrs[i]));
}

/* More stacks than there are numbers, by a site each: they lose their stacks, then their sites. */
TEST_F(full, depot_is_full)
{
	static struct bm_depot depot;
	struct bm_frames frames = { .n = 2 };
	uint64_t meta = 0;
	unsigned int number;

	bm_depot_init(&depot, &meta);
	for (uintptr_t i = 1; i < BM_DEPOT_STACKS; i++) {
		frames.address[0] = (const void *)i;
		number = bm_depot_number(&depot, 5, &frames);
		ASSERT_EQ(i, number);
		ASSERT_EQ(number, bm_depot_number(&depot, 5, &frames));
	}
	EXPECT_EQ(0, depot.lost);
	for (unsigned int i = 0; i < BM_DEPOT_SIZE - BM_DEPOT_STACKS; i++) {
		frames.address[0] = (const void *)((uintptr_t)1 << 40);
		number = bm_depot_number(&depot, 1 + i, &frames);
		ASSERT_EQ(BM_DEPOT_STACKS + i, number);
		EXPECT_EQ(1 + i, depot.entries[number]->site);
		EXPECT_EQ(0, depot.entries[number]->n);
		frames.address[0] = (const void *)((uintptr_t)2 << 40);
		ASSERT_EQ(number, bm_depot_number(&depot, 1 + i, &frames));
		EXPECT_EQ(2 * (i + 1), depot.lost);
	}
	EXPECT_EQ(BM_SLOT_SITE, bm_depot_number(&depot, 9000, &frames));
	/* What has a stack keeps it. */
	frames.address[0] = (const void *)1;
	EXPECT_EQ(1, bm_depot_number(&depot, 5, &frames));
	EXPECT_LT(BM_DEPOT_STACKS * 16, meta);
	bm_depot_destroy(&depot);
}

static const struct bitmem_trace_event *expect_event(struct __test_metadata *_metadata,
						     const struct bitmem_trace *trace, size_t i,
						     enum bitmem_trace_kind kind, const void *ptr,
						     size_t bytes)
{
	const struct bitmem_trace_event *event = bitmem_trace_get(trace, i);

	ASSERT_NE(NULL, event);
	EXPECT_EQ(kind, event->kind) TH_LOG("event %zu", i);
	EXPECT_EQ(ptr, event->ptr);
	EXPECT_EQ(bytes, event->bytes);
	EXPECT_EQ(gettid(), event->thread);
	return event;
}

TEST_F(full, events)
{
	const unsigned int line = __LINE__ + 1;
	void *a = bitmem_alloc(self->ctx, 10, 0), *data, *own, *seen;
	const uint64_t shape = 100, part = 10;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape), *v, *s;
	const struct bitmem_trace_event *event;
	struct bitmem_trace *trace;
	uint64_t last = 0;

	data = bitmem_tensor_data(t);
	v = bitmem_tensor_view(t, BITMEM_U8, 1, &part, 20);
	seen = bitmem_tensor_data(v);
	s = bitmem_tensor_new_shareable(self->ctx, BITMEM_U8, 1, &shape);
	own = bitmem_tensor_data(s);
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(s);
	EXPECT_EQ(0, bitmem_free(self->ctx, a));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, a));
	EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, &last));
	trace = bitmem_trace(self->ctx);
	ASSERT_NE(NULL, trace);
	EXPECT_EQ(0, bitmem_trace_lost(trace));
	EXPECT_EQ(10, bitmem_trace_count(trace));
	event = expect_event(_metadata, trace, 0, BITMEM_TRACE_ALLOC, a, 10);
	EXPECT_TRUE(track_is_at(event->place, "full.c", line));
	EXPECT_LT(2, event->place->depth);
	event = expect_event(_metadata, trace, 1, BITMEM_TRACE_TENSOR, data, 100);
	EXPECT_TRUE(track_is_at(event->place, "full.c", line + 2));
	expect_event(_metadata, trace, 2, BITMEM_TRACE_VIEW, seen, 10);
	expect_event(_metadata, trace, 3, BITMEM_TRACE_TENSOR, own, 100);
	expect_event(_metadata, trace, 4, BITMEM_TRACE_VIEW_END, seen, 10);
	/* The tensor lives as long as its view. */
	expect_event(_metadata, trace, 5, BITMEM_TRACE_TENSOR_END, data, 100);
	expect_event(_metadata, trace, 6, BITMEM_TRACE_TENSOR_END, own, 100);
	event = expect_event(_metadata, trace, 7, BITMEM_TRACE_FREE, a, 10);
	EXPECT_TRUE(track_is_at(event->place, "full.c", line));
	event = expect_event(_metadata, trace, 8, BITMEM_TRACE_BAD_FREE, a, 0);
	EXPECT_EQ(NULL, event->place->file);
	expect_event(_metadata, trace, 9, BITMEM_TRACE_BAD_FREE, &last, 0);
	EXPECT_EQ(NULL, bitmem_trace_get(trace, 10));
	for (size_t i = 0; i < 10; i++) {
		EXPECT_LE(last, bitmem_trace_get(trace, i)->time_ns);
		last = bitmem_trace_get(trace, i)->time_ns;
	}
	bitmem_trace_free(trace);
	bitmem_trace_free(NULL);
}

/* Only the latest are kept, and it is told how many are not. */
TEST_F(full, lost_events)
{
	struct bitmem_trace *trace;
	void *last = NULL;

	for (int i = 0; i < BITMEM_TRACE_MAX; i++) {
		last = bitmem_alloc(self->ctx, 64 + i, 0);
		EXPECT_EQ(0, bitmem_free(self->ctx, last));
	}
	trace = bitmem_trace(self->ctx);
	ASSERT_NE(NULL, trace);
	EXPECT_EQ(BITMEM_TRACE_MAX, bitmem_trace_count(trace));
	EXPECT_EQ(BITMEM_TRACE_MAX, bitmem_trace_lost(trace));
	EXPECT_EQ(64 + BITMEM_TRACE_MAX / 2, bitmem_trace_get(trace, 0)->bytes);
	EXPECT_EQ(BITMEM_TRACE_ALLOC, bitmem_trace_get(trace, 0)->kind);
	expect_event(_metadata, trace, BITMEM_TRACE_MAX - 1, BITMEM_TRACE_FREE, last,
		     63 + BITMEM_TRACE_MAX);
	bitmem_trace_free(trace);
}

TEST_F(full, not_at_other_levels)
{
	struct bitmem *ctx = track_open(BITMEM_TRACKING_SITES);

	ASSERT_NE(NULL, ctx);
	EXPECT_EQ(NULL, bitmem_trace(ctx));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(0, bitmem_stacks_lost(ctx));
	EXPECT_EQ(0, bitmem_close(ctx));
}

static void *work(void *arg)
{
	struct bitmem *ctx = arg;

	for (int i = 0; i < 2000; i++) {
		void *a = i % 2 ? by_one(ctx) : by_other(ctx);
		struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_F32, 0, NULL);

		bitmem_tensor_unref(t);
		if (bitmem_free(ctx, a))
			return ctx;
	}
	return NULL;
}

/* All that threads do is in the trace, or counted as lost. */
TEST_F_TIMEOUT(full, threads, 120)
{
	pthread_t threads[4];
	struct bitmem_trace *trace;
	struct bitmem_stats stats;
	void *failed;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, work, self->ctx));
	for (int i = 0; i < 20; i++) {
		trace = bitmem_trace(self->ctx);
		ASSERT_NE(NULL, trace);
		bitmem_trace_free(trace);
	}
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &failed));
		EXPECT_EQ(NULL, failed);
	}
	stats = test_stats(self->ctx);
	EXPECT_EQ(16000, stats.allocs);
	EXPECT_EQ(16000, stats.frees);
	trace = bitmem_trace(self->ctx);
	ASSERT_NE(NULL, trace);
	EXPECT_EQ(32000, bitmem_trace_count(trace) + bitmem_trace_lost(trace));
	bitmem_trace_free(trace);
}

TEST_HARNESS_MAIN
