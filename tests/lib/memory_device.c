/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of the thirty tests of tensors' memory: those of devices, which are pools here: one for each
 * NUMA node that this process may have memory of, and two where there is but one.
 */
#include "lib_test.h"
#include "pools_test.h"

#define SHAPE(...) ((const uint64_t[]){ __VA_ARGS__ })
#define BYTES ((uint64_t)100000)

FIXTURE(device)
{
	struct bitmem *ctx;
	int pools[2], nodes[2];
};

FIXTURE_SETUP(device)
{
	self->ctx = test_open(2 * MIB);
	if (!self->ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, self->ctx);
	for (unsigned int i = 0; i < 2; i++) {
		self->nodes[i] = test_node(i ? test_nodes() - 1 : 0);
		self->pools[i] = test_pool(self->ctx, self->nodes[i]);
		ASSERT_LT(0, self->pools[i]);
	}
}

FIXTURE_TEARDOWN(device)
{
	EXPECT_EQ(0, bitmem_close(self->ctx));
}

static struct bitmem_tensor *tensor_in(struct bitmem *ctx, int pool)
{
	struct bitmem_tensor *t = bitmem_tensor_new_in(ctx, (unsigned int)pool, BITMEM_U8, 1,
						       SHAPE(BYTES));

	if (t)
		memset(bitmem_tensor_data(t), 0x42, BYTES);
	return t;
}

TEST_F(device, device_specific_allocation)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct bitmem_tensor *t = tensor_in(self->ctx, self->pools[i]);

		ASSERT_NE(NULL, t);
		EXPECT_EQ(self->pools[i], bitmem_pool_of(self->ctx, bitmem_tensor_data(t)));
		EXPECT_LE(BYTES, test_on_node(bitmem_tensor_data(t), BYTES, self->nodes[i]));
		EXPECT_EQ(BYTES, test_usage(self->ctx, (unsigned int)self->pools[i]).live);
		EXPECT_EQ(0, test_usage(self->ctx, (unsigned int)self->pools[!i]).live);
		bitmem_tensor_unref(t);
	}
}

TEST_F(device, device_migration)
{
	struct bitmem_tensor *t = tensor_in(self->ctx, self->pools[0]);
	struct bitmem_stats before, after;

	ASSERT_NE(NULL, t);
	before = test_stats(self->ctx);
	for (unsigned int i = 1; i < 5; i++) {
		const unsigned int to = i % 2;

		ASSERT_EQ(0, bitmem_tensor_migrate(t, (unsigned int)self->pools[to]));
		EXPECT_EQ(self->pools[to], bitmem_pool_of(self->ctx, bitmem_tensor_data(t)));
		EXPECT_LE(BYTES, test_on_node(bitmem_tensor_data(t), BYTES, self->nodes[to]));
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(t), 0x42, BYTES));
		EXPECT_EQ(0, test_usage(self->ctx, (unsigned int)self->pools[!to]).live);
	}
	after = test_stats(self->ctx);
	EXPECT_EQ(before.live, after.live);
	EXPECT_EQ(before.live_bytes, after.live_bytes);
	bitmem_tensor_unref(t);
}

/* How tight it is where a pool's memory is from can be told of each, and of no other. */
TEST_F(device, device_memory_pressure)
{
	enum bitmem_pressure level;

	for (unsigned int i = 0; i < 2; i++) {
		level = (enum bitmem_pressure)-1;
		EXPECT_EQ(0, bitmem_pool_pressure(self->ctx, (unsigned int)self->pools[i], &level));
		EXPECT_NE(NULL, bitmem_pressure_name(level));
	}
	EXPECT_EQ(-ENOENT, bitmem_pool_pressure(self->ctx, 7, &level));
}

/* What is dropped in one goes back from there, and the other is not touched. */
TEST_F(device, device_memory_cleanup)
{
	struct bitmem_tensor *tensors[2][20];
	struct bitmem_pool_usage usage;

	for (unsigned int p = 0; p < 2; p++) {
		for (unsigned int i = 0; i < 20; i++) {
			tensors[p][i] = tensor_in(self->ctx, self->pools[p]);
			ASSERT_NE(NULL, tensors[p][i]);
		}
	}
	for (unsigned int i = 0; i < 20; i++)
		bitmem_tensor_unref(tensors[0][i]);
	bitmem_trim(self->ctx);
	usage = test_usage(self->ctx, (unsigned int)self->pools[0]);
	EXPECT_EQ(0, usage.live);
	EXPECT_EQ(0, usage.committed);
	usage = test_usage(self->ctx, (unsigned int)self->pools[1]);
	EXPECT_EQ(20, usage.blocks);
	EXPECT_EQ(20 * BYTES, usage.live);
	EXPECT_LT(0.9, usage.utilisation);
	for (unsigned int i = 0; i < 20; i++) {
		EXPECT_TRUE(test_all_are(bitmem_tensor_data(tensors[1][i]), 0x42, BYTES));
		bitmem_tensor_unref(tensors[1][i]);
	}
}

TEST_HARNESS_MAIN
