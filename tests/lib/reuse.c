/* SPDX-License-Identifier: GPL-2.0 */
/* Memory that was used before, records too: what comes back is what was asked for. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libbitmem/context.h"
#include "lib_test.h"

#define N 24

struct job {
	struct bitmem *ctx;
	void *blocks[N];
	int n;
};

static void *free_some(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < job->n; i++) {
		if (bitmem_free(job->ctx, job->blocks[i]))
			return arg;
	}
	return NULL;
}

/* In a thread that ends: nothing is left in a cache. */
static int free_elsewhere(struct job *job, int n)
{
	pthread_t thread;
	void *result;

	job->n = n;
	return pthread_create(&thread, NULL, free_some, job) || pthread_join(thread, &result) ||
	       result;
}

/* Slots whose pages went and came again were written to. */
TEST_F(lib, slots_that_came_back_are_dirty)
{
	struct bitmem *ctx = test_open(4 * MIB);
	struct job job = { .ctx = ctx };
	unsigned char *zeroed;

	ASSERT_NE(NULL, ctx);
	for (int i = 0; i < 4; i++) {
		job.blocks[i] = bitmem_alloc(ctx, 32768, 0);
		ASSERT_NE(NULL, job.blocks[i]);
	}
	ASSERT_EQ(0, free_elsewhere(&job, 3));
	bitmem_trim(ctx);
	for (int i = 0; i < 3; i++) {
		job.blocks[i] = bitmem_alloc(ctx, 32768, 0);
		ASSERT_NE(NULL, job.blocks[i]);
		memset(job.blocks[i], 0xff, 32768);
	}
	ASSERT_EQ(0, free_elsewhere(&job, 4));
	zeroed = bitmem_zalloc(ctx, 98304, 0);
	ASSERT_NE(NULL, zeroed);
	EXPECT_TRUE(test_all_are(zeroed, 0, 98304));
	EXPECT_EQ(1, bitmem_close(ctx));
}

/* A block with a segment of its own that is as long as shared ones: they are used again. */
TEST_F(lib, own_segments_are_dirty)
{
	unsigned char *block = bitmem_alloc(self->ctx, 2 * MIB, 4 * MIB);

	ASSERT_NE(NULL, block);
	EXPECT_EQ(0, (uintptr_t)block % (4 * MIB));
	memset(block, 0xff, 2 * MIB);
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	block = bitmem_zalloc(self->ctx, MIB, 0);
	ASSERT_NE(NULL, block);
	EXPECT_TRUE(test_all_are(block, 0, MIB));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

/* Sizes of which a few bits less are what a cache has. */
TEST_F(lib, sizes_are_not_cut)
{
	const size_t huge = 0xfffff0000000a000;
	const uint64_t shape = huge;
	void *blocks[4];

	for (int i = 0; i < 4; i++)
		blocks[i] = bitmem_alloc(self->ctx, 0xa000, 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	errno = 0;
	EXPECT_EQ(NULL, bitmem_alloc(self->ctx, huge, 0));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(NULL, bitmem_alloc(self->ctx, (1ull << 44) + 0xa000, 0));
	EXPECT_EQ(NULL, bitmem_tensor_empty(self->ctx, BITMEM_U8, 1, &shape));
	EXPECT_EQ(0, test_stats(self->ctx).live_bytes);
}

static int (*real_commit)(struct bm_backend *backend, const struct bm_range *range, size_t offset,
			  size_t length, struct bm_change *change);

static int slow_commit(struct bm_backend *backend, const struct bm_range *range, size_t offset,
		       size_t length, struct bm_change *change)
{
	usleep(50000);
	return real_commit(backend, range, offset, length, change);
}

static void *allocate_one(void *arg)
{
	return bitmem_alloc(arg, 5120, 0);
}

/* Slots that share a page are asked for at once: the page comes back once. */
TEST_F(lib, a_page_comes_back_once)
{
	const struct bm_backend_ops *real = self->ctx->backend->ops;
	struct bm_backend_ops slow = *real;
	struct job job = { .ctx = self->ctx };
	pthread_t threads[4];
	size_t returned;

	for (int i = 0; i < N; i++) {
		job.blocks[i] = bitmem_alloc(self->ctx, 5120, 0);
		ASSERT_NE(NULL, job.blocks[i]);
	}
	ASSERT_EQ(0, free_elsewhere(&job, N - 4));
	bitmem_trim(self->ctx);
	real_commit = real->commit;
	slow.commit = slow_commit;
	self->ctx->backend->ops = &slow;
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, allocate_one, self->ctx));
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_join(threads[i], &job.blocks[i]));
	self->ctx->backend->ops = real;
	for (int i = 4; i < N - 4; i++)
		job.blocks[i] = bitmem_alloc(self->ctx, 5120, 0);
	returned = bm_bits_count(self->ctx->arena.returned, 0,
				 self->ctx->arena.size >> BM_UNIT_SHIFT) << BM_UNIT_SHIFT;
	EXPECT_EQ(test_stats(self->ctx).segments * 2 * MIB - returned,
		  test_stats(self->ctx).committed_bytes);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, job.blocks[i]));
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

static void *drop_all(void *arg)
{
	struct bitmem_tensor **views = arg;

	for (int i = 0; i < 20000; i++)
		bitmem_tensor_unref(views[i]);
	return NULL;
}

/* Views that one thread makes and another drops cost no more for going round. */
TEST_F(lib, records_of_views_are_bounded)
{
	const uint64_t shape = 100;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	struct bitmem_tensor **views = calloc(20000, sizeof(*views));
	uint64_t after_first = 0;
	pthread_t thread;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, views);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 20000; i++) {
			views[i] = bitmem_tensor_view(t, BITMEM_U8, 1, &shape, 0);
			ASSERT_NE(NULL, views[i]);
		}
		ASSERT_EQ(0, pthread_create(&thread, NULL, drop_all, views));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		if (!round)
			after_first = test_stats(self->ctx).meta_bytes;
	}
	EXPECT_GT(after_first + 16384, test_stats(self->ctx).meta_bytes);
	bitmem_tensor_unref(t);
	free(views);
}

/* A reference on what is gone brings nothing back. */
TEST_F(lib, stale_references)
{
	const uint64_t shape = 100;
	struct bitmem_tensor *t = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape), *a, *b;

	ASSERT_NE(NULL, t);
	bitmem_tensor_unref(t);
	bitmem_tensor_ref(t);
	bitmem_tensor_unref(t);
	a = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	b = bitmem_tensor_new(self->ctx, BITMEM_U8, 1, &shape);
	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	EXPECT_NE(a, b);
	EXPECT_NE(bitmem_tensor_data(a), bitmem_tensor_data(b));
	bitmem_tensor_unref(a);
	bitmem_tensor_unref(b);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* Contexts that end with several segments and a tensor, and the next at the same address. */
TEST_F(lib, caches_of_closed_contexts_are_nobodys)
{
	const uint64_t shape = 100;

	for (int round = 0; round < 10; round++) {
		struct bitmem *ctx = test_open(2 * MIB);
		struct bitmem_tensor *t = bitmem_tensor_new(ctx, BITMEM_U8, 1, &shape), *other;
		struct bitmem *next;
		void *blocks[8];

		ASSERT_NE(NULL, t);
		for (int i = 0; i < 8; i++)
			blocks[i] = bitmem_alloc(ctx, 900000, 0);
		for (int i = 0; i < 8; i++)
			ASSERT_EQ(0, bitmem_free(ctx, blocks[i]));
		EXPECT_EQ(1, bitmem_close(ctx));
		bitmem_tensor_unref(t);
		next = test_open(2 * MIB);
		other = bitmem_tensor_new(next, BITMEM_U8, 1, &shape);
		ASSERT_NE(NULL, other);
		memset(bitmem_tensor_data(other), 1, 100);
		EXPECT_EQ(1, test_stats(next).live);
		bitmem_tensor_unref(other);
		EXPECT_EQ(0, bitmem_close(next));
	}
}

TEST_HARNESS_MAIN
