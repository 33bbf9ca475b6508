/* SPDX-License-Identifier: GPL-2.0 */
/* What a pool's memory is used for: each part is what was done, and all parts add up. */
#include <pthread.h>

#include <bitmem/share.h>

#include "lib_test.h"
#include "pools_test.h"

#define ALL BITMEM_ALL_POOLS

/* Larger than the library's, as of a caller that was compiled against a later version. */
struct later {
	struct bitmem_pool_usage usage;
	uint64_t later;
};

TEST_F(lib, usage_size)
{
	struct later later;

	memset(&later, 0xff, sizeof(later));
	later.usage.size = sizeof(later);
	EXPECT_EQ(0, bitmem_pool_usage(self->ctx, 0, &later.usage));
	EXPECT_EQ(sizeof(later), later.usage.size);
	EXPECT_EQ(0, later.later);
	later.usage.size = sizeof(later.usage) - 1;
	EXPECT_EQ(-EINVAL, bitmem_pool_usage(self->ctx, 0, &later.usage));
	later.usage.size = sizeof(later.usage);
	EXPECT_EQ(-ENOENT, bitmem_pool_usage(self->ctx, 1, &later.usage));
}

TEST_F(lib, nothing)
{
	struct bitmem_pool_usage u = test_usage(self->ctx, ALL);

	EXPECT_EQ(0, u.committed + u.returned + u.blocks + u.live + u.room + u.free);
	EXPECT_TRUE(u.utilisation == 1);
	EXPECT_TRUE(u.internal_fragmentation == 0);
	EXPECT_TRUE(u.external_fragmentation == 0);
}

/* A block of each kind, and what it takes. */
TEST_F(lib, live_and_room)
{
	struct bitmem_pool_usage u;
	void *slot, *run, *own;

	slot = bitmem_alloc(self->ctx, 1000, 0);
	u = test_usage(self->ctx, 0);
	EXPECT_EQ(1, u.blocks);
	EXPECT_EQ(1000, u.live);
	EXPECT_EQ(1024, u.room);
	EXPECT_EQ(2 * MIB, u.committed);
	EXPECT_TRUE(u.utilisation == 1000.0 / (2 * MIB));
	EXPECT_TRUE(u.internal_fragmentation == 1 - 1000.0 / 1024);
	run = bitmem_alloc(self->ctx, 100001, 0);
	u = test_usage(self->ctx, 0);
	EXPECT_EQ(2, u.blocks);
	EXPECT_EQ(101001, u.live);
	EXPECT_EQ(1024 + 102400, u.room);
	own = bitmem_alloc(self->ctx, 5 * MIB - 1, 0);
	u = test_usage(self->ctx, 0);
	EXPECT_EQ(3, u.blocks);
	EXPECT_EQ(1024 + 102400 + 5 * MIB, u.room);
	EXPECT_EQ(7 * MIB, u.committed);
	EXPECT_EQ(test_stats(self->ctx).live_bytes, u.live);
	EXPECT_EQ(test_stats(self->ctx).committed_bytes, u.committed);
	EXPECT_EQ(0, bitmem_free(self->ctx, own));
	EXPECT_EQ(0, bitmem_free(self->ctx, run));
	EXPECT_EQ(0, bitmem_free(self->ctx, slot));
	u = test_usage(self->ctx, 0);
	EXPECT_EQ(0, u.blocks + u.live + u.room);
}

/* What a thread keeps is neither free nor in use. */
TEST_F(lib, cached)
{
	enum { N = 100 };
	struct bitmem_pool_usage u;
	void *blocks[N];

	for (int i = 0; i < N; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc(self->ctx, 4000, 0));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	u = test_usage(self->ctx, 0);
	EXPECT_EQ(0, u.live + u.room);
	EXPECT_NE(0, u.cached);
	EXPECT_EQ(0, u.cached % 4096);
	bitmem_trim(self->ctx);
	u = test_usage(self->ctx, 0);
	EXPECT_EQ(0, u.cached);
	EXPECT_EQ(0, u.committed);
}

/* Every other block goes: what is free lies in as many pieces, and is in one when all went. */
TEST_F(lib, external_fragmentation)
{
	enum { N = 10 };
	const size_t size = 64 << 10;
	struct bitmem_pool_usage u;
	void *blocks[N];

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	for (int i = 0; i < N; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(self->ctx, 1, size, 0));
	u = test_usage(self->ctx, 1);
	EXPECT_EQ(1, u.free_runs);
	EXPECT_EQ(2 * MIB - N * size, u.free_run_bytes);
	EXPECT_TRUE(u.external_fragmentation == 0);
	for (int i = 0; i < N; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	u = test_usage(self->ctx, 1);
	EXPECT_EQ(1 + N / 2, u.free_runs);
	EXPECT_EQ(2 * MIB - N / 2 * size, u.free_run_bytes);
	EXPECT_EQ(2 * MIB - N * size, u.largest_free_run);
	EXPECT_TRUE(u.external_fragmentation ==
		    1 - (double)u.largest_free_run / (double)u.free_run_bytes);
	EXPECT_EQ(u.free_run_bytes, u.free);
	/* What went back is still free, but held no more. */
	EXPECT_EQ(u.free, bitmem_trim(self->ctx));
	u = test_usage(self->ctx, 1);
	EXPECT_EQ(0, u.free + u.kept);
	EXPECT_EQ(2 * MIB - N / 2 * size, u.returned);
	EXPECT_EQ(2 * MIB - N / 2 * size, u.free_run_bytes);
	EXPECT_EQ(N / 2 * size, u.committed);
	EXPECT_TRUE(u.utilisation == 1);
	for (int i = 1; i < N; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	u = test_usage(self->ctx, 1);
	EXPECT_EQ(1, u.free_runs);
	EXPECT_TRUE(u.external_fragmentation == 0);
}

/* Pages within slabs that went back are not counted as held. */
TEST_F(lib, slabs_in_part)
{
	enum { N = 64 };
	struct bitmem_pool_usage u, after;
	void *blocks[N];
	size_t bytes;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	for (int i = 0; i < N; i++)
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(self->ctx, 1, 9000, 0));
	for (int i = 0; i < N; i++) {
		if (i % 4)
			EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	}
	u = test_usage(self->ctx, 1);
	EXPECT_EQ(9000 * N / 4, u.live);
	EXPECT_EQ(9216 * N / 4, u.room);
	EXPECT_LE(9216 * N / 2, u.free_slots);
	bytes = bitmem_trim(self->ctx);
	EXPECT_NE(0, bytes);
	after = test_usage(self->ctx, 1);
	EXPECT_EQ(u.committed - bytes, after.committed);
	EXPECT_GT(u.free_slots, after.free_slots);
	EXPECT_EQ(u.room, after.room);
	for (int i = 0; i < N; i += 4)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
}

/* A tensor on memory of its own, which no heap knows. */
TEST_F(lib, shareable)
{
	const uint64_t shape[] = { 1000 };
	struct bitmem_tensor *tensor = bitmem_tensor_new_shareable(self->ctx, BITMEM_F32, 1, shape);
	struct bitmem_pool_usage u;

	ASSERT_NE(NULL, tensor);
	u = test_usage(self->ctx, 0);
	EXPECT_EQ(1, u.blocks);
	EXPECT_EQ(4000, u.live);
	EXPECT_EQ(test_stats(self->ctx).committed_bytes, u.committed);
	EXPECT_EQ(u.committed, u.room);
	bitmem_tensor_unref(tensor);
	u = test_usage(self->ctx, 0);
	EXPECT_EQ(0, u.blocks + u.live + u.committed);
}

#define THREADS 3

struct churn {
	struct bitmem *ctx;
	unsigned int seed;
	int rounds;
};

static void *churn(void *arg)
{
	struct churn *churn = arg;
	void *blocks[32] = { NULL };

	for (int i = 0; i < churn->rounds; i++) {
		int k = rand_r(&churn->seed) % 32;
		size_t size = (size_t)(rand_r(&churn->seed) % 1000 + 1)
			      << (rand_r(&churn->seed) % 8);

		bitmem_free(churn->ctx, blocks[k]);
		blocks[k] = bitmem_alloc_in(churn->ctx, (unsigned int)i % 2, size, 0);
	}
	for (int k = 0; k < 32; k++)
		bitmem_free(churn->ctx, blocks[k]);
	return NULL;
}

/* The parts add up at every instant, and agree with the counters when nobody is about. */
TEST_F(lib, under_threads)
{
	struct churn churns[THREADS];
	pthread_t threads[THREADS];
	struct bitmem_pool_usage u;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	for (int i = 0; i < THREADS; i++) {
		churns[i] = (struct churn){ self->ctx, (unsigned int)i + 1, 3000 };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &churns[i]));
	}
	for (int i = 0; i < 200; i++) {
		EXPECT_NE(1, test_usage(self->ctx, ALL).committed);
		EXPECT_NE(1, test_usage(self->ctx, (unsigned int)i % 2).committed);
		if (i % 20 == 0)
			bitmem_trim(self->ctx);
	}
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(0, pthread_join(threads[i], NULL));
	u = test_usage(self->ctx, ALL);
	EXPECT_EQ(test_stats(self->ctx).committed_bytes, u.committed);
	EXPECT_EQ(0, u.live + u.room + u.moving + u.cached);
	EXPECT_EQ(test_usage(self->ctx, 0).committed + test_usage(self->ctx, 1).committed,
		  u.committed);
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_usage(self->ctx, ALL).committed);
}

TEST_HARNESS_MAIN
