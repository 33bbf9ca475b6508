/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of the thirty tests of tensors' memory: those of handles, and of what they keep alive.
 */
#include <bitmem/lifetime.h>

#include "lib_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })

/* Several handles, one memory: it counts once, and goes with the last of them. */
TEST_F(lib, sharing_between_handles)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_F32, 2, SHAPE(64, 64));
	struct bitmem_tensor *clone, *flat, *row;
	struct bitmem_stats stats;
	float *data;

	ASSERT_NE(NULL, t);
	clone = bitmem_tensor_clone(t);
	flat = bitmem_tensor_reshape(t, 1, SHAPE(BITMEM_INFER), NULL);
	ASSERT_NE(NULL, clone);
	ASSERT_NE(NULL, flat);
	row = bitmem_tensor_slice(clone, 3, 1, NULL);
	ASSERT_NE(NULL, row);
	stats = test_stats(self->ctx);
	EXPECT_EQ(1, stats.live);
	EXPECT_EQ(3, stats.views);
	EXPECT_EQ(64 * 64 * 4, stats.live_bytes);
	data = bitmem_tensor_data(t);
	data[3 * 64] = 1.5f;
	EXPECT_EQ(1.5f, *(float *)bitmem_tensor_data(row));
	EXPECT_EQ(1.5f, ((float *)bitmem_tensor_data(flat))[3 * 64]);
	bitmem_tensor_unref(t);
	bitmem_tensor_unref(clone);
	bitmem_tensor_unref(flat);
	EXPECT_EQ(64 * 64 * 4, test_stats(self->ctx).live_bytes);
	EXPECT_EQ(1.5f, *(float *)bitmem_tensor_data(row));
	bitmem_tensor_unref(row);
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
	EXPECT_EQ(0, test_stats(self->ctx).views);
}

/* Tensors with the same content are not made one; a clone is. */
TEST_F(lib, deduplication)
{
	struct bitmem_tensor *tensors[10], *clones[10];
	const uint64_t bytes = 100 * 4;

	for (unsigned int i = 0; i < 10; i++) {
		tensors[i] = bitmem_tensor_new(self->ctx, BITMEM_F32, 1, SHAPE(100));
		ASSERT_NE(NULL, tensors[i]);
		for (unsigned int j = 0; j < i; j++)
			EXPECT_NE(bitmem_tensor_data(tensors[j]), bitmem_tensor_data(tensors[i]));
	}
	EXPECT_EQ(10 * bytes, test_stats(self->ctx).live_bytes);
	memset(bitmem_tensor_data(tensors[0]), 0xff, bytes);
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(tensors[1]), 0, bytes));
	for (unsigned int i = 0; i < 10; i++) {
		clones[i] = bitmem_tensor_clone(tensors[0]);
		ASSERT_NE(NULL, clones[i]);
		EXPECT_EQ(bitmem_tensor_data(tensors[0]), bitmem_tensor_data(clones[i]));
	}
	EXPECT_EQ(10 * bytes, test_stats(self->ctx).live_bytes);
	for (unsigned int i = 0; i < 10; i++) {
		bitmem_tensor_unref(clones[i]);
		bitmem_tensor_unref(tensors[i]);
	}
}

/* Twenty in a scope: when it ends, no bytes and no tensors. */
TEST_F(lib, leak_detection)
{
	struct bitmem_stats before = test_stats(self->ctx), stats;

	{
		bitmem_auto_scope struct bitmem_scope *scope = bitmem_scope_open(self->ctx);

		ASSERT_NE(NULL, scope);
		for (unsigned int i = 0; i < 20; i++) {
			ASSERT_NE(NULL, bitmem_scope_tensor(scope, BITMEM_F32, 2,
							    SHAPE(10 + i, 100)));
		}
		stats = test_stats(self->ctx);
		EXPECT_EQ(20, stats.live);
		EXPECT_EQ(20, bitmem_scope_count(scope));
		EXPECT_LT(20 * 4000, stats.live_bytes);
	}
	stats = test_stats(self->ctx);
	EXPECT_EQ(before.live, stats.live);
	EXPECT_EQ(before.live_bytes, stats.live_bytes);
	EXPECT_EQ(before.frees + 20, stats.frees);
}

/* A hundred handles of one tensor take no more of the pool than one. */
TEST_F(lib, handle_leak_prevention)
{
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(100000));
	struct bitmem_tensor *handles[100];
	struct bitmem_stats before, after;

	ASSERT_NE(NULL, t);
	before = test_stats(self->ctx);
	for (unsigned int i = 0; i < 100; i++) {
		handles[i] = i % 2 ? bitmem_tensor_clone(t) : bitmem_tensor_ref(t);
		ASSERT_NE(NULL, handles[i]);
	}
	after = test_stats(self->ctx);
	EXPECT_EQ(before.live, after.live);
	EXPECT_EQ(before.live_bytes, after.live_bytes);
	EXPECT_EQ(before.committed_bytes, after.committed_bytes);
	EXPECT_EQ(50, after.views);
	for (unsigned int i = 0; i < 100; i++)
		bitmem_tensor_unref(handles[i]);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	EXPECT_EQ(0, test_stats(self->ctx).views);
	bitmem_tensor_unref(t);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* Two that know each other do not keep each other: a weak handle is of no use after the drop. */
TEST_F(lib, circular_reference_prevention)
{
	struct node {
		struct bitmem_tensor *tensor;
		struct bitmem_weak other;
	} nodes[2];
	struct bitmem_tensor *got;

	for (unsigned int i = 0; i < 2; i++) {
		nodes[i].tensor = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(1000));
		ASSERT_NE(NULL, nodes[i].tensor);
	}
	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ(0, bitmem_tensor_weak(nodes[!i].tensor, &nodes[i].other));
	got = bitmem_weak_get(&nodes[0].other);
	EXPECT_EQ(nodes[1].tensor, got);
	bitmem_tensor_unref(got);
	bitmem_tensor_unref(nodes[1].tensor);
	errno = 0;
	EXPECT_EQ(NULL, bitmem_weak_get(&nodes[0].other));
	EXPECT_EQ(ESTALE, errno);
	EXPECT_EQ(1, test_stats(self->ctx).live);
	/* What comes in its place is another one. */
	nodes[1].tensor = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, SHAPE(1000));
	ASSERT_NE(NULL, nodes[1].tensor);
	EXPECT_EQ(NULL, bitmem_weak_get(&nodes[0].other));
	for (unsigned int i = 0; i < 2; i++)
		bitmem_tensor_unref(nodes[i].tensor);
	EXPECT_EQ(NULL, bitmem_weak_get(&nodes[1].other));
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_HARNESS_MAIN
