/* SPDX-License-Identifier: GPL-2.0 */
/* Marks: what was allocated after one, and what only looks like it. */
#include <stdatomic.h>
#include <unistd.h>

#include <bitmem/pressure.h>

#include "../../libbitmem/context.h"
#include "../../libbitmem/walk.h"
#include "track_test.h"

/* The clock of the library, as far as it is set. */
static _Atomic uint64_t seconds;

uint64_t __real_bm_clock_now(void);
uint64_t __wrap_bm_clock_now(void);

uint64_t __wrap_bm_clock_now(void)
{
	return seconds ? seconds * 1000000000 : __real_bm_clock_now();
}

/* What keeps all others waiting, counted. */
static unsigned int claims, walks;

void __real_bm_caches_claim(struct bitmem *ctx, const struct bm_cache *own);
void __wrap_bm_caches_claim(struct bitmem *ctx, const struct bm_cache *own);
void __real_bm_walk(struct bitmem *ctx, void (*each)(struct bitmem *ctx,
						     const struct bm_live *live, void *arg),
		    void *arg);
void __wrap_bm_walk(struct bitmem *ctx, void (*each)(struct bitmem *ctx,
						     const struct bm_live *live, void *arg),
		    void *arg);

void __wrap_bm_caches_claim(struct bitmem *ctx, const struct bm_cache *own)
{
	claims++;
	__real_bm_caches_claim(ctx, own);
}

void __wrap_bm_walk(struct bitmem *ctx, void (*each)(struct bitmem *ctx,
						     const struct bm_live *live, void *arg),
		    void *arg)
{
	walks++;
	__real_bm_walk(ctx, each, arg);
}

/* Several places. */
static void *alloc_a(struct bitmem *ctx, size_t size)
{
	return bitmem_alloc(ctx, size, 0);
}
enum { LINE_A = __LINE__ - 2 };

static void *alloc_b(struct bitmem *ctx, size_t size)
{
	return bitmem_zalloc(ctx, size, 0);
}
enum { LINE_B = __LINE__ - 2 };

static const struct bitmem_change *change_at(const struct bitmem_change *changes, size_t n,
					     unsigned int line)
{
	for (size_t i = 0; i < n; i++) {
		if (track_is_at(changes[i].place, "mark.c", line))
			return &changes[i];
	}
	return NULL;
}

TEST_F(lib, bad_arguments)
{
	struct bitmem *other = test_open(2 * MIB);
	struct bitmem_mark *a = bitmem_mark(self->ctx), *b = bitmem_mark(self->ctx);
	struct bitmem_mark *c = bitmem_mark(other);
	const struct bitmem_mark *row[3] = { a, b, c }, *same[3] = { a, b, b };
	struct bitmem_change *changes;
	struct bitmem_growth growth;
	size_t n;

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(-EINVAL, bitmem_mark_diff(NULL, b, &changes, &n));
	EXPECT_EQ(-EINVAL, bitmem_mark_diff(a, NULL, &changes, &n));
	EXPECT_EQ(-EINVAL, bitmem_mark_diff(a, b, NULL, &n));
	EXPECT_EQ(-EINVAL, bitmem_mark_diff(a, b, &changes, NULL));
	EXPECT_EQ(-EINVAL, bitmem_mark_diff(b, a, &changes, &n));
	EXPECT_EQ(-EINVAL, bitmem_mark_diff(a, c, &changes, &n));
	EXPECT_EQ(-EINVAL, bitmem_suspects(row, 3, NULL, &changes, &n));
	EXPECT_EQ(-EINVAL, bitmem_suspects(same, 3, NULL, &changes, &n));
	EXPECT_EQ(-EINVAL, bitmem_suspects(row, 2, NULL, &changes, &n));
	EXPECT_EQ(-EINVAL, bitmem_suspects(NULL, 3, NULL, &changes, &n));
	bitmem_growth_init(&growth);
	growth.size = 8;
	EXPECT_EQ(-EINVAL, bitmem_suspects(row, 3, &growth, &changes, &n));
	EXPECT_EQ(NULL, bitmem_leaks(self->ctx, c));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, bitmem_close(other));
	/* A mark may be freed after its context. */
	bitmem_mark_free(c);
	bitmem_mark_free(a);
	bitmem_mark_free(b);
	bitmem_mark_free(NULL);
}

TEST_F(lib, what_is_new)
{
	void *old_a[10], *old_b[10], *new_a[3], *new_b;
	struct bitmem_mark *before, *after;
	const struct bitmem_change *change;
	struct bitmem_change *changes;
	size_t n;

	for (int i = 0; i < 10; i++) {
		old_a[i] = alloc_a(self->ctx, 100);
		old_b[i] = alloc_b(self->ctx, 100);
	}
	before = bitmem_mark(self->ctx);
	ASSERT_NE(NULL, before);
	EXPECT_EQ(20, bitmem_mark_sum(before).count);
	EXPECT_EQ(2000, bitmem_mark_sum(before).bytes);
	/* The same address again: it is another block. */
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, old_a[i]));
	for (int i = 0; i < 3; i++)
		new_a[i] = alloc_a(self->ctx, 90);
	EXPECT_TRUE(new_a[0] == old_a[2] || new_a[0] == old_a[0] || new_a[0] == old_a[1]);
	EXPECT_EQ(0, bitmem_free(self->ctx, old_b[0]));
	new_b = alloc_b(self->ctx, 70000);
	EXPECT_EQ(0, bitmem_free(self->ctx, alloc_b(self->ctx, 70000)));
	after = bitmem_mark(self->ctx);
	ASSERT_NE(NULL, after);

	ASSERT_EQ(0, bitmem_mark_diff(before, after, &changes, &n));
	EXPECT_EQ(2, n);
	change = change_at(changes, n, LINE_A);
	ASSERT_NE(NULL, change);
	EXPECT_EQ(3, change->added);
	EXPECT_EQ(270, change->added_bytes);
	EXPECT_EQ(3, change->gone);
	EXPECT_EQ(300, change->gone_bytes);
	EXPECT_EQ(10, change->count);
	EXPECT_EQ(970, change->bytes);
	change = change_at(changes, n, LINE_B);
	ASSERT_NE(NULL, change);
	EXPECT_EQ(&changes[0], change);
	EXPECT_EQ(1, change->added);
	EXPECT_EQ(70000, change->added_bytes);
	EXPECT_EQ(1, change->gone);
	EXPECT_EQ(10, change->count);
	free(changes);

	/* Nothing is new since itself. */
	ASSERT_EQ(0, bitmem_mark_diff(after, after, &changes, &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(NULL, changes);
	bitmem_mark_free(before);
	bitmem_mark_free(after);
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(0, bitmem_free(self->ctx, i < 3 ? new_a[i] : old_a[i]));
		EXPECT_EQ(0, bitmem_free(self->ctx, i ? old_b[i] : new_b));
	}
}

/* Only what came after the mark is a leak since then, views and others' memory too. */
TEST_F(lib, leaks_since)
{
	const uint64_t shape = 1000, part = 10;
	struct bitmem_tensor *old = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape), *new, *view;
	struct bitmem_mark *mark = bitmem_mark(self->ctx);
	struct bitmem_snapshot *s;

	ASSERT_NE(NULL, mark);
	s = bitmem_leaks(self->ctx, mark);
	ASSERT_NE(NULL, s);
	EXPECT_EQ(0, bitmem_snapshot_count(s));
	bitmem_snapshot_free(s);
	new = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	view = bitmem_tensor_view(old, BITMEM_U8, 1, &part, 0);
	s = bitmem_leaks(self->ctx, mark);
	ASSERT_NE(NULL, s);
	EXPECT_EQ(2, bitmem_snapshot_count(s));
	EXPECT_EQ(bitmem_tensor_data(new), bitmem_snapshot_get(s, 0)->ptr);
	EXPECT_EQ(new, bitmem_snapshot_get(s, 0)->tensor);
	EXPECT_EQ(view, bitmem_snapshot_get(s, 1)->tensor);
	EXPECT_TRUE(track_is_at(bitmem_snapshot_get(s, 1)->place, "mark.c", __LINE__ - 7));
	bitmem_snapshot_free(s);
	s = bitmem_leaks(self->ctx, NULL);
	ASSERT_NE(NULL, s);
	EXPECT_EQ(3, bitmem_snapshot_count(s));
	bitmem_snapshot_free(s);
	bitmem_mark_free(mark);
	bitmem_tensor_unref(view);
	bitmem_tensor_unref(new);
	bitmem_tensor_unref(old);
}

/* At each mark there is one more from A, and from B as many as @b says. */
static void grow(struct __test_metadata *_metadata, struct bitmem *ctx, const int *b,
		 struct bitmem_mark **marks, int n)
{
	void *as[8], *bs[32];
	int have = 0;

	for (int i = 0; i < n; i++) {
		as[i] = alloc_a(ctx, 1000);
		while (have < b[i])
			bs[have++] = alloc_b(ctx, 100);
		while (have > b[i])
			EXPECT_EQ(0, bitmem_free(ctx, bs[--have]));
		marks[i] = bitmem_mark(ctx);
		ASSERT_NE(NULL, marks[i]);
	}
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, bitmem_free(ctx, as[i]));
	while (have)
		EXPECT_EQ(0, bitmem_free(ctx, bs[--have]));
}

TEST_F(lib, suspects)
{
	static const struct {
		int b[5];
		unsigned int pauses;
		uint64_t min_bytes, min_count;
		bool a, is;
	} cases[] = {
		{ { 3, 3, 3, 3, 3 }, 0, 0, 0, true, false },	/* stays */
		{ { 3, 9, 2, 9, 10 }, 0, 0, 0, true, false },	/* up and down */
		{ { 1, 2, 3, 4, 5 }, 0, 0, 0, true, true },
		{ { 0, 7, 8, 20, 21 }, 0, 0, 0, true, true },
		{ { 1, 2, 2, 4, 5 }, 0, 0, 0, true, false },
		{ { 1, 2, 2, 4, 5 }, 1, 0, 0, true, true },
		{ { 1, 2, 3, 4, 5 }, 0, 401, 0, true, false },
		{ { 1, 2, 3, 4, 5 }, 0, 400, 0, true, true },
		{ { 1, 2, 3, 4, 5 }, 0, 0, 5, false, false },
		{ { 1, 2, 3, 4, 6 }, 0, 0, 5, false, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bitmem_change *changes;
		struct bitmem_growth growth;
		struct bitmem_mark *marks[5];
		size_t n;

		grow(_metadata, self->ctx, cases[i].b, marks, 5);
		bitmem_growth_init(&growth);
		growth.pauses = cases[i].pauses;
		growth.min_bytes = cases[i].min_bytes;
		growth.min_count = cases[i].min_count;
		ASSERT_EQ(0, bitmem_suspects((const struct bitmem_mark *const *)marks, 5, &growth,
					     &changes, &n));
		EXPECT_EQ(cases[i].a, change_at(changes, n, LINE_A) != NULL);
		EXPECT_EQ(cases[i].is, change_at(changes, n, LINE_B) != NULL)
			TH_LOG("case %zu", i);
		free(changes);
		for (int j = 0; j < 5; j++)
			bitmem_mark_free(marks[j]);
	}
}

/* --- time --- */

static void expect_age(struct __test_metadata *_metadata, struct bitmem *ctx, const void *ptr,
		       uint64_t age)
{
	struct bitmem_snapshot *s = bitmem_snapshot(ctx);
	const struct bitmem_live *live = s ? track_find(s, ptr) : NULL;

	ASSERT_NE(NULL, live);
	EXPECT_LE(live->min_age_ns, age * 1000000000);
	EXPECT_GE(live->max_age_ns, age * 1000000000);
	/* As exact as is promised: two ticks, or an eighth and some. */
	EXPECT_LE(live->max_age_ns - live->min_age_ns, (2 + age / 7) * 1000000000);
	bitmem_snapshot_free(s);
}

/* Hours and years pass, many times as many ticks as there are numbers. */
TEST_F_TIMEOUT(lib, ages, 120)
{
	struct bitmem *ctx;
	uint64_t born[40], start = 1000000;
	void *blocks[40];

	seconds = start;
	ctx = test_open(2 * MIB);
	ASSERT_NE(NULL, ctx);
	for (int i = 0; i < 40; i++) {
		blocks[i] = bitmem_alloc(ctx, i % 2 ? 100 : 2 * MIB, 0);
		ASSERT_NE(NULL, blocks[i]);
		born[i] = seconds;
		for (int j = 0; j < 5000; j++) {
			/* Goes past the cache: so that there is a tick. */
			EXPECT_EQ(0, bitmem_free(ctx, bitmem_alloc(ctx, 2 * MIB, 128)));
			seconds += 1;
		}
		for (int j = 0; j <= i; j += 7)
			expect_age(_metadata, ctx, blocks[j], seconds - born[j]);
	}
	seconds += 10 * 365 * 86400;
	EXPECT_EQ(0, bitmem_free(ctx, bitmem_alloc(ctx, 2 * MIB, 128)));
	expect_age(_metadata, ctx, blocks[0], seconds - born[0]);
	for (int i = 0; i < 40; i++)
		EXPECT_EQ(0, bitmem_free(ctx, blocks[i]));
	EXPECT_GT(256 * 1024, test_stats(ctx).meta_bytes);
	EXPECT_EQ(0, bitmem_close(ctx));
	seconds = 0;
}

/* What a mark tells apart stays apart, however long ago it was. */
TEST_F_TIMEOUT(lib, marks_keep, 120)
{
	struct bitmem *ctx;
	struct bitmem_mark *first, *last;
	struct bitmem_change *changes;
	struct bitmem_tensor *t, *v;
	void *before, *after;
	size_t n;

	seconds = 1000000;
	ctx = test_open(2 * MIB);
	ASSERT_NE(NULL, ctx);
	before = alloc_a(ctx, 100);
	first = bitmem_mark(ctx);
	ASSERT_NE(NULL, first);
	after = alloc_a(ctx, 200);
	t = bitmem_tensor_new(ctx, BITMEM_U8, 0, NULL);
	v = bitmem_tensor_view(t, BITMEM_I8, 0, NULL, 0);
	for (int i = 0; i < 5000; i++) {
		EXPECT_EQ(0, bitmem_free(ctx, bitmem_alloc(ctx, 2 * MIB, 128)));
		seconds += 1000;
	}
	last = bitmem_mark(ctx);
	ASSERT_NE(NULL, last);
	ASSERT_EQ(0, bitmem_mark_diff(first, last, &changes, &n));
	ASSERT_NE(NULL, change_at(changes, n, LINE_A));
	EXPECT_EQ(1, change_at(changes, n, LINE_A)->added);
	EXPECT_EQ(200, change_at(changes, n, LINE_A)->added_bytes);
	EXPECT_EQ(0, change_at(changes, n, LINE_A)->gone);
	EXPECT_EQ(3, n);
	EXPECT_EQ(1, changes[0].added_views + changes[1].added_views + changes[2].added_views);
	free(changes);
	bitmem_mark_free(first);
	bitmem_mark_free(last);
	bitmem_tensor_unref(v);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, bitmem_free(ctx, before));
	EXPECT_EQ(0, bitmem_free(ctx, after));
	EXPECT_EQ(0, bitmem_close(ctx));
	seconds = 0;
}

/* Where a keeper runs nobody else has to do anything for time to pass. */
TEST_F_TIMEOUT(lib, keeper_ticks, 60)
{
	struct bitmem_strategy strategy;
	struct bitmem *ctx;
	void *block, *late;
	uint32_t stamp;

	seconds = 1000000;
	ctx = test_open(2 * MIB);
	ASSERT_NE(NULL, ctx);
	block = alloc_a(ctx, 100);
	bitmem_strategy_init(&strategy);
	strategy.flags = BITMEM_RETURN_PERIODIC;
	strategy.period_ms = BITMEM_STRATEGY_MIN_MS;
	ASSERT_EQ(0, bitmem_set_strategy(ctx, &strategy));
	stamp = bm_stamp(ctx);
	seconds += 100;
	while (bm_stamp(ctx) == stamp)
		usleep(1000);
	late = alloc_a(ctx, 100);
	expect_age(_metadata, ctx, late, 0);
	EXPECT_EQ(0, bitmem_free(ctx, block));
	EXPECT_EQ(0, bitmem_free(ctx, late));
	EXPECT_EQ(0, bitmem_close(ctx));
	seconds = 0;
}

/* There can be as many marks as there are numbers, and when some are freed others can be set. */
TEST_F_TIMEOUT(lib, too_many_marks, 240)
{
	struct bitmem_mark **marks = calloc(70000, sizeof(*marks));
	uint32_t stamp;
	int n = 0;

	ASSERT_NE(NULL, marks);
	seconds = 1000000;
	while (n < 70000 && (marks[n] = bitmem_mark(self->ctx)))
		n++;
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_LT(65000, n);
	EXPECT_GT(65536, n);
	/* As long as there is no room for another epoch that is found out once a tick. */
	seconds += 10;
	stamp = bm_stamp(self->ctx);
	claims = 0;
	walks = 0;
	for (int i = 0; i < 50; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, bitmem_alloc(self->ctx, 2 * MIB, 128)));
	EXPECT_EQ(1, claims);
	seconds += 1;
	for (int i = 0; i < 50; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, bitmem_alloc(self->ctx, 2 * MIB, 128)));
	EXPECT_EQ(2, claims);
	EXPECT_EQ(NULL, bitmem_mark(self->ctx));
	EXPECT_EQ(ENOSPC, errno);
	/* And nobody is looked at where nothing changes. */
	EXPECT_EQ(0, walks);
	for (int i = 0; i < 100; i++)
		bitmem_mark_free(marks[--n]);
	seconds += 1;
	EXPECT_EQ(0, bitmem_free(self->ctx, bitmem_alloc(self->ctx, 2 * MIB, 128)));
	EXPECT_EQ(1, walks);
	EXPECT_NE(stamp, bm_stamp(self->ctx));
	marks[n] = bitmem_mark(self->ctx);
	EXPECT_NE(NULL, marks[n]);
	n++;
	while (n)
		bitmem_mark_free(marks[--n]);
	free(marks);
	seconds = 0;
}

TEST_HARNESS_MAIN
