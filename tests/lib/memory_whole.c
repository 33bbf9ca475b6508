/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of the thirty tests of tensors' memory: what is recorded of them, and all of it together.
 */
#include <bitmem/lifetime.h>
#include <bitmem/pressure.h>
#include <bitmem/track.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

static struct bitmem *open_full(void)
{
	struct bitmem_options options;
	struct bitmem *ctx;

	bitmem_options_init(&options);
	options.segment_size = 2 * MIB;
	options.tracking = BITMEM_TRACKING_FULL;
	ctx = bitmem_open(&options);
	return ctx;
}

/* What happened can be read afterwards: what, in which order, how many bytes, from where. */
TEST_F(lib, profiling_integration)
{
	struct bitmem *ctx = open_full();
	struct bitmem_tensor *t, *view;
	struct bitmem_trace *trace;
	static const enum bitmem_trace_kind expected[] = {
		BITMEM_TRACE_TENSOR, BITMEM_TRACE_VIEW, BITMEM_TRACE_VIEW_END,
		BITMEM_TRACE_TENSOR_END,
	};
	uint64_t time = 0;

	ASSERT_NE(NULL, ctx);
	t = bitmem_tensor_new(ctx, BITMEM_U8, 1, SHAPE(12345));
	ASSERT_NE(NULL, t);
	view = bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(100), 50);
	ASSERT_NE(NULL, view);
	bitmem_tensor_unref(view);
	bitmem_tensor_unref(t);
	trace = bitmem_trace(ctx);
	ASSERT_NE(NULL, trace);
	EXPECT_EQ(0, bitmem_trace_lost(trace));
	ASSERT_EQ(4, bitmem_trace_count(trace));
	for (size_t i = 0; i < 4; i++) {
		const struct bitmem_trace_event *event = bitmem_trace_get(trace, i);

		ASSERT_NE(NULL, event);
		EXPECT_EQ(expected[i], event->kind);
		EXPECT_EQ(i == 0 || i == 3 ? 12345 : 100, event->bytes);
		EXPECT_LE(time, event->time_ns);
		time = event->time_ns;
	}
	EXPECT_NE(NULL, strstr(bitmem_trace_get(trace, 0)->place->file, "memory_whole.c"));
	bitmem_trace_free(trace);
	EXPECT_EQ(0, bitmem_close(ctx));
}

/* Whoever makes a view is told by file and line, however it was made. */
TEST_F(lib, views_name_their_maker)
{
	struct bitmem_tensor *t = bitmem_tensor_zeros(self->ctx, BITMEM_U8, 2, SHAPE(4, 64));
	struct bitmem_tensor *views[] = {
		bitmem_tensor_clone(t),
		bitmem_tensor_reshape(t, 1, SHAPE(256), NULL),
		bitmem_tensor_slice(t, 1, 2, NULL),
		bitmem_tensor_part(t, SHAPE(0, 0), SHAPE(1, 10), NULL),
		bitmem_tensor_view(t, BITMEM_U8, 1, SHAPE(1), 0),
	};
	const unsigned int n = sizeof(views) / sizeof(*views);
	struct bitmem_snapshot *snapshot = bitmem_snapshot(self->ctx);

	ASSERT_NE(NULL, snapshot);
	ASSERT_EQ(1 + n, bitmem_snapshot_count(snapshot));
	for (size_t i = 0; i <= n; i++) {
		const struct bitmem_live *live = bitmem_snapshot_get(snapshot, i);

		ASSERT_NE(NULL, live->place->file);
		EXPECT_NE(NULL, strstr(live->place->file, "memory_whole.c"));
		EXPECT_STREQ("lib_views_name_their_maker", live->place->function);
	}
	bitmem_snapshot_free(snapshot);
	for (unsigned int i = 0; i < n; i++)
		bitmem_tensor_unref(views[i]);
	bitmem_tensor_unref(t);
}

/* What a server would want to know of its memory: how much is for what. */
TEST_F(lib, groups_by_tag)
{
	static const char *const tags[] = { "kv", "weights", NULL };
	struct bitmem_tensor *tensors[30];
	struct bitmem_snapshot *snapshot;
	struct bitmem_group *groups;
	size_t n;

	for (unsigned int i = 0; i < 30; i++) {
		tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(1000 * (i % 3 + 1)));
		ASSERT_NE(NULL, tensors[i]);
		ASSERT_EQ(0, bitmem_tensor_set_tag(tensors[i], tags[i % 3]));
	}
	snapshot = bitmem_snapshot(self->ctx);
	ASSERT_NE(NULL, snapshot);
	/* What happens afterwards does not change it. */
	EXPECT_EQ(0, bitmem_tensor_set_tag(tensors[0], "another"));
	for (unsigned int i = 0; i < 30; i++)
		bitmem_tensor_unref(tensors[i]);
	ASSERT_EQ(0, bitmem_snapshot_group(snapshot, bitmem_by_tag, NULL, &groups, &n));
	ASSERT_EQ(3, n);
	for (size_t g = 0; g < n; g++) {
		const char *tag = groups[g].example->tag;
		const unsigned int which = !tag ? 2 : strcmp(tag, "kv") ? 1 : 0;

		if (tag)
			EXPECT_STREQ(tags[which], tag);
		EXPECT_EQ(!tag, !groups[g].key);
		EXPECT_EQ(10, groups[g].sum.count);
		EXPECT_EQ(10000 * (which + 1), groups[g].sum.bytes);
	}
	free(groups);
	bitmem_snapshot_free(snapshot);
}

/* A small engine's step: weights that stay, activations in a scope, views, a weak cache, a trim. */
static bool step(struct bitmem *ctx, struct bitmem_tensor *weights, unsigned int n)
{
	bitmem_auto_scope struct bitmem_scope *scope = bitmem_scope_open(ctx);
	struct bitmem_tensor *in, *out, *row, *cached;
	struct bitmem_weak weak;

	if (!scope)
		return false;
	in = bitmem_scope_tensor(scope, BITMEM_F32, 2, SHAPE(8 + n % 8, 256));
	out = bitmem_scope_empty(scope, BITMEM_F32, 2, SHAPE(8 + n % 8, 1024));
	row = bitmem_tensor_slice(weights, n % 16, 1, NULL);
	if (!in || !out || !row || bitmem_scope_add(scope, row))
		return false;
	memset(bitmem_tensor_data(out), *(unsigned char *)bitmem_tensor_data(row),
	       bitmem_tensor_bytes(out));
	cached = bitmem_tensor_weak(out, &weak) ? NULL : bitmem_weak_get(&weak);
	bitmem_tensor_unref(cached);
	return cached == out &&
	       test_all_are(bitmem_tensor_data(in), 0, bitmem_tensor_bytes(in));
}

TEST_F(lib, comprehensive_integration)
{
	struct bitmem_tensor *weights = bitmem_tensor_new(self->ctx, BITMEM_TERNARY2, 2,
							  SHAPE(16, 4096));
	struct bitmem_audit audit = { .size = sizeof(audit) };
	struct bitmem_mark *marks[3];
	struct bitmem_change *changes;
	struct bitmem_stats stats;
	size_t n;

	ASSERT_NE(NULL, weights);
	ASSERT_EQ(0, bitmem_tensor_set_name(weights, "blk.0.ffn_up"));
	for (unsigned int i = 0; i < 16; i++)
		memset((char *)bitmem_tensor_data(weights) + 1024 * i, (int)i, 1024);
	for (unsigned int m = 0; m < 3; m++) {
		for (unsigned int i = 0; i < 100; i++)
			ASSERT_TRUE(step(self->ctx, weights, i));
		marks[m] = bitmem_mark(self->ctx);
		ASSERT_NE(NULL, marks[m]);
	}
	/* Nothing grew, and only what stays is there. */
	EXPECT_EQ(0, bitmem_suspects((const struct bitmem_mark *const *)marks, 3, NULL, &changes,
				     &n));
	EXPECT_EQ(0, n);
	EXPECT_EQ(0, bitmem_mark_diff(marks[0], marks[2], &changes, &n));
	EXPECT_EQ(0, n);
	stats = test_stats(self->ctx);
	EXPECT_EQ(1, stats.live);
	EXPECT_EQ(16 * 1024, stats.live_bytes);
	EXPECT_EQ(0, stats.views);
	EXPECT_EQ(0, bitmem_audit(self->ctx, &audit));
	EXPECT_EQ(1, audit.found);
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, bitmem_audit(self->ctx, &audit));
	EXPECT_EQ(weights, bitmem_tensor_find(self->ctx, "blk.0.ffn_up"));
	bitmem_tensor_unref(weights);
	for (unsigned int i = 0; i < 16; i++)
		EXPECT_TRUE(test_all_are((char *)bitmem_tensor_data(weights) + 1024 * i,
					 (unsigned char)i, 1024));
	bitmem_tensor_unref(weights);
	for (unsigned int m = 0; m < 3; m++)
		bitmem_mark_free(marks[m]);
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

TEST_HARNESS_MAIN
