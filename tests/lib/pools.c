/* SPDX-License-Identifier: GPL-2.0 */
/* Several pools in one context: how they are added, and that memory is from the right one. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib_test.h"
#include "pools_test.h"

static uint64_t committed(struct bitmem *ctx, unsigned int pool)
{
	return test_usage(ctx, pool).committed;
}

TEST_F(lib, defaults)
{
	struct bitmem_pool_options options, info = { .size = sizeof(info) };
	unsigned int pool = 0;

	bitmem_pool_options_init(&options);
	EXPECT_EQ(sizeof(options), options.size);
	EXPECT_EQ(BITMEM_NODE_ANY, options.node);
	EXPECT_EQ(0, options.width);
	EXPECT_TRUE(options.bind);
	/* There is one, as the context was opened. */
	EXPECT_EQ(0, bitmem_pool_info(self->ctx, 0, &info));
	EXPECT_EQ(BITMEM_NODE_ANY, info.node);
	EXPECT_FALSE(info.bind);
	EXPECT_EQ(-ENOENT, bitmem_pool_info(self->ctx, 1, &info));
	EXPECT_EQ(0, bitmem_pool_add(self->ctx, NULL, &pool));
	EXPECT_EQ(1, pool);
	EXPECT_EQ(0, bitmem_pool_info(self->ctx, 1, &info));
	EXPECT_EQ(BITMEM_NODE_ANY, info.node);
	EXPECT_EQ(-ENOENT, bitmem_pool_info(self->ctx, 2, &info));
	EXPECT_EQ(0, committed(self->ctx, 1));
}

TEST_F(lib, as_many_as_there_may_be)
{
	struct bitmem_pool_options options;
	struct bitmem_error error;
	unsigned int pool = 77;

	bitmem_pool_options_init(&options);
	options.node = test_node(0);
	options.error = &error;
	for (unsigned int i = 1; i < BITMEM_MAX_POOLS; i++) {
		EXPECT_EQ(0, bitmem_pool_add(self->ctx, &options, &pool));
		EXPECT_EQ(i, pool);
	}
	EXPECT_EQ(-EMFILE, bitmem_pool_add(self->ctx, &options, &pool));
	EXPECT_EQ(-EMFILE, error.code);
	EXPECT_EQ(BITMEM_MAX_POOLS - 1, pool);
}

/* Larger than the library's, as of a caller that was compiled against a later version. */
struct later {
	struct bitmem_pool_options options;
	uint64_t later;
};

TEST_F(lib, wrong_options)
{
	static const struct {
		int node;
		unsigned int width;
		int code;
		const char *text;
	} cases[] = {
		{ -2, 0, -EINVAL, "-2" },
		{ 1023, 0, -EINVAL, "1023" },
		{ 1 << 30, 0, -EINVAL, "1073741824" },
		{ 0, 1, -EINVAL, "1 is" },
		{ 0, 31, -EINVAL, "31" },
		{ 0, 65, -EINVAL, "65" },
		{ 0, ~0u, -EINVAL, "4294967295" },
	};
	struct bitmem_pool_options info = { .size = sizeof(info) };
	struct bitmem_error error;
	unsigned int pool = 77;
	struct later later;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bitmem_pool_options options;

		bitmem_pool_options_init(&options);
		options.node = cases[i].node;
		options.width = cases[i].width;
		options.error = &error;
		EXPECT_EQ(cases[i].code, bitmem_pool_add(self->ctx, &options, &pool));
		EXPECT_EQ(cases[i].code, error.code);
		EXPECT_NE(NULL, strstr(error.text, cases[i].text)) TH_LOG("%s", error.text);
	}
	memset(&later, 0, sizeof(later));
	bitmem_pool_options_init(&later.options);
	later.options.size = sizeof(later);
	later.options.error = &error;
	later.later = 1;
	EXPECT_EQ(-EINVAL, bitmem_pool_add(self->ctx, &later.options, &pool));
	EXPECT_NE(NULL, strstr(error.text, "options.size"));
	later.options.size = sizeof(later.options) - 1;
	EXPECT_EQ(-EINVAL, bitmem_pool_add(self->ctx, &later.options, &pool));
	EXPECT_EQ(-EINVAL, bitmem_pool_info(self->ctx, 0, &later.options));
	EXPECT_EQ(77, pool);
	EXPECT_EQ(-ENOENT, bitmem_pool_info(self->ctx, 1, &info));
}

/* A width that the module may have no pool for; memfd promises nothing and takes it. */
TEST_F(lib, width)
{
	struct bitmem_pool_options options, info = { .size = sizeof(info) };
	struct bitmem_error error;
	unsigned int pool;
	void *block;
	int ret;

	bitmem_pool_options_init(&options);
	options.width = 40;
	options.error = &error;
	ret = bitmem_pool_add(self->ctx, &options, &pool);
	if (bitmem_backend(self->ctx) == BITMEM_BACKEND_DEVICE && ret) {
		EXPECT_EQ(-EOPNOTSUPP, ret);
		EXPECT_NE(NULL, strstr(error.text, "40")) TH_LOG("%s", error.text);
		return;
	}
	EXPECT_EQ(0, ret);
	EXPECT_EQ(0, bitmem_pool_info(self->ctx, pool, &info));
	EXPECT_EQ(40, info.width);
	block = bitmem_alloc_in(self->ctx, pool, 1000, 0);
	EXPECT_NE(NULL, block);
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

/* Slots, runs and blocks of their own; each is from its pool, counted, and goes back there. */
TEST_F(lib, blocks)
{
	static const size_t sizes[] = {
		1, 64, 1000, 4096, 5000, 32768, 32769, 100000, MIB, 3 * MIB,
	};
	struct bitmem_stats before, after;
	int pool = test_pool(self->ctx, test_node(0));

	ASSERT_EQ(1, pool);
	test_warm_up(self->ctx);
	before = test_stats(self->ctx);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		unsigned char *ptr = bitmem_zalloc_in(self->ctx, 1, sizes[i], 0);
		unsigned char *other = bitmem_alloc_in(self->ctx, 0, sizes[i], 0);

		ASSERT_NE(NULL, ptr);
		ASSERT_NE(NULL, other);
		EXPECT_EQ(1, bitmem_pool_of(self->ctx, ptr));
		EXPECT_EQ(0, bitmem_pool_of(self->ctx, other));
		EXPECT_EQ(-EINVAL, bitmem_pool_of(self->ctx, ptr + 1));
		EXPECT_TRUE(test_all_are(ptr, 0, sizes[i]));
		memset(ptr, 0x5a, sizes[i]);
		memset(other, 0xa5, sizes[i]);
		EXPECT_EQ(sizes[i], test_usage(self->ctx, 1).live);
		EXPECT_EQ(1, test_usage(self->ctx, 1).blocks);
		EXPECT_LE(sizes[i], bitmem_usable_size(self->ctx, ptr));
		EXPECT_TRUE(test_all_are(ptr, 0x5a, sizes[i]));
		EXPECT_EQ(0, bitmem_free(self->ctx, ptr));
		EXPECT_EQ(-EINVAL, bitmem_free(self->ctx, ptr));
		EXPECT_EQ(-EINVAL, bitmem_pool_of(self->ctx, ptr));
		EXPECT_EQ(0, bitmem_free(self->ctx, other));
		EXPECT_EQ(0, test_usage(self->ctx, 1).live);
		EXPECT_EQ(0, test_usage(self->ctx, 1).cached);
	}
	after = test_stats(self->ctx);
	EXPECT_EQ(before.live, after.live);
	EXPECT_EQ(before.live_bytes, after.live_bytes);
	EXPECT_EQ(before.allocs + 20, after.allocs);
	EXPECT_EQ(before.frees + 20, after.frees);
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

TEST_F(lib, wrong_requests)
{
	const uint64_t shape[] = { 100 };
	struct bitmem_stats before = test_stats(self->ctx), after;

	EXPECT_EQ(NULL, bitmem_alloc_in(self->ctx, 1, 100, 0));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(NULL, bitmem_zalloc_in(self->ctx, BITMEM_ALL_POOLS, 100, 0));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(NULL, bitmem_tensor_new_in(self->ctx, 1, BITMEM_F32, 1, shape));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(NULL, (bitmem_tensor_empty_in)(self->ctx, 9, BITMEM_F32, 1, shape));
	EXPECT_EQ(ENOENT, errno);
	ASSERT_EQ(1, test_pool(self->ctx, BITMEM_NODE_ANY));
	EXPECT_EQ(NULL, bitmem_alloc_in(self->ctx, 1, 0, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, bitmem_alloc_in(self->ctx, 1, 100, 3));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, bitmem_alloc_in(self->ctx, 1, SIZE_MAX, 0));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(NULL, bitmem_tensor_new_in(self->ctx, 1, BITMEM_F32, 9, shape));
	EXPECT_EQ(EINVAL, errno);
	after = test_stats(self->ctx);
	EXPECT_TRUE(test_stats_equal(&before, &after));
}

TEST_F(lib, tensors)
{
	const uint64_t shape[] = { 3, 1000 }, large[] = { 3, 1 << 20 };
	struct bitmem_tensor *small, *big;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	small = bitmem_tensor_new_in(self->ctx, 1, BITMEM_F32, 2, shape);
	big = (bitmem_tensor_new_in)(self->ctx, 1, BITMEM_F32, 2, large);
	ASSERT_NE(NULL, small);
	ASSERT_NE(NULL, big);
	EXPECT_EQ(1, bitmem_pool_of(self->ctx, bitmem_tensor_data(small)));
	EXPECT_EQ(1, bitmem_pool_of(self->ctx, bitmem_tensor_data(big)));
	EXPECT_TRUE(test_all_are(bitmem_tensor_data(small), 0, 12000));
	EXPECT_EQ(12000 + bitmem_tensor_bytes(big), test_usage(self->ctx, 1).live);
	bitmem_tensor_unref(big);
	bitmem_tensor_unref(small);
	EXPECT_EQ(0, test_usage(self->ctx, 1).blocks);
	/* Pool 0 is what it is without a number. */
	small = bitmem_tensor_empty_in(self->ctx, 0, BITMEM_F32, 2, shape);
	ASSERT_NE(NULL, small);
	EXPECT_EQ(0, bitmem_pool_of(self->ctx, bitmem_tensor_data(small)));
	bitmem_tensor_unref(small);
}

/* Every page is on the node that was asked for, whichever the thread runs on. */
static void check_nodes(struct __test_metadata *_metadata, struct bitmem *ctx)
{
	for (unsigned int i = 0; i < test_nodes(); i++) {
		int pool = test_pool(ctx, test_node(i));

		ASSERT_LT(0, pool);
		for (size_t size = 100; size <= 4 * MIB; size *= 4) {
			unsigned char *ptr = bitmem_alloc_in(ctx, (unsigned int)pool, size, 0);

			ASSERT_NE(NULL, ptr);
			memset(ptr, 1, size);
			EXPECT_LE(size, test_on_node(ptr, size, test_node(i)));
			EXPECT_EQ(0, bitmem_free(ctx, ptr));
		}
	}
}

TEST_F(lib, on_the_node)
{
	check_nodes(_metadata, self->ctx);
}

/* The same for the other backend, where there is nothing to it but the kernel. */
TEST(on_the_node_memfd)
{
	struct bitmem_options options;
	struct bitmem *ctx;

	bitmem_options_init(&options);
	options.backend = BITMEM_BACKEND_MEMFD;
	options.segment_size = 2 * MIB;
	ctx = bitmem_open(&options);
	ASSERT_NE(NULL, ctx);
	check_nodes(_metadata, ctx);
	EXPECT_EQ(0, bitmem_close(ctx));
}

TEST_F(lib, close_with_live_blocks)
{
	const uint64_t shape[] = { 5000 };
	struct bitmem_tensor *tensor;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	ASSERT_EQ(2, test_pool(self->ctx, BITMEM_NODE_ANY));
	EXPECT_NE(NULL, bitmem_alloc_in(self->ctx, 1, 100, 0));
	EXPECT_NE(NULL, bitmem_alloc_in(self->ctx, 2, 100000, 0));
	EXPECT_NE(NULL, bitmem_alloc_in(self->ctx, 2, 3 * MIB, 0));
	tensor = bitmem_tensor_new_in(self->ctx, 1, BITMEM_F32, 1, shape);
	ASSERT_NE(NULL, tensor);
	EXPECT_EQ(4, bitmem_close(self->ctx));
	self->ctx = NULL;
	/* The tensor stays usable. */
	memset(bitmem_tensor_data(tensor), 7, bitmem_tensor_bytes(tensor));
	bitmem_tensor_unref(tensor);
}

#define THREADS 4
#define ROUNDS 400
#define SLOTS 16

static void *churn(void *arg)
{
	struct bitmem *ctx = arg;
	unsigned int seed = (unsigned int)(uintptr_t)&ctx;
	unsigned char *blocks[SLOTS] = { NULL };
	size_t sizes[SLOTS], bad = 0;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned int k = (unsigned int)rand_r(&seed) % SLOTS;

		if (blocks[k]) {
			bad += !test_all_are(blocks[k], (unsigned char)k, sizes[k]);
			bad += bitmem_free(ctx, blocks[k]) != 0;
		}
		sizes[k] = (size_t)1 << (rand_r(&seed) % 18);
		blocks[k] = bitmem_alloc_in(ctx, (unsigned int)rand_r(&seed) % 3, sizes[k], 0);
		bad += !blocks[k];
		if (blocks[k])
			memset(blocks[k], (int)k, sizes[k]);
		if (i % 64 == 0)
			bitmem_trim(ctx);
	}
	for (int k = 0; k < SLOTS; k++)
		bad += bitmem_free(ctx, blocks[k]) != 0;
	return (void *)bad;
}

/* Threads that allocate, free and trim in all pools, while others look at the figures. */
TEST_F(lib, threads)
{
	pthread_t threads[THREADS];
	void *bad;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	ASSERT_EQ(2, test_pool(self->ctx, BITMEM_NODE_ANY));
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, self->ctx));
	for (int i = 0; i < 50; i++)
		EXPECT_NE(1, committed(self->ctx, BITMEM_ALL_POOLS));
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQ(0, pthread_join(threads[i], &bad));
		EXPECT_EQ(NULL, bad);
	}
	EXPECT_EQ(0, test_stats(self->ctx).live);
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, committed(self->ctx, BITMEM_ALL_POOLS));
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

static void *add_pools(void *arg)
{
	struct bitmem *ctx = arg;
	uintptr_t added = 0;
	unsigned int pool;

	while (!bitmem_pool_add(ctx, NULL, &pool))
		added |= (uintptr_t)1 << pool;
	return (void *)added;
}

/* Each gets pools of its own, and all there may be are added. */
TEST_F(lib, added_by_threads)
{
	pthread_t threads[THREADS];
	uintptr_t all = 0;
	void *added;

	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, add_pools, self->ctx));
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQ(0, pthread_join(threads[i], &added));
		EXPECT_EQ(0, all & (uintptr_t)added);
		all |= (uintptr_t)added;
	}
	EXPECT_EQ(((uintptr_t)1 << BITMEM_MAX_POOLS) - 2, all);
}

/* The child has the pools, and memory of its own in a context of its own. */
TEST_F(lib, across_fork)
{
	unsigned char *block;
	int status;
	pid_t pid;

	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	block = bitmem_alloc_in(self->ctx, 1, 100000, 0);
	ASSERT_NE(NULL, block);
	pid = fork();
	if (!pid) {
		struct bitmem *ctx = test_open(2 * MIB);
		void *own;

		memset(block, 9, 100000);
		if (!ctx || test_pool(ctx, test_node(0)) != 1)
			_exit(1);
		own = bitmem_alloc_in(ctx, 1, 100000, 0);
		_exit(!own || bitmem_free(ctx, own) || bitmem_close(ctx));
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status));
	EXPECT_TRUE(test_all_are(block, 9, 100000));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

TEST_HARNESS_MAIN
