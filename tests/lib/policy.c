/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Policies: where a request goes when its pool has no memory, or is under pressure. Both are
 * made up, pool by pool.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libbitmem/internal.h"
#include "../../libbitmem/pressure/level.h"
#include "lib_test.h"
#include "pools_test.h"

static atomic_uint usage[BITMEM_MAX_POOLS];	/* percent */
static atomic_uint refusing;			/* bits of the pools that have no memory */
static atomic_uint asked[BITMEM_MAX_POOLS];	/* for a segment */

void __wrap_bm_pool_read(const struct bitmem *ctx, unsigned int pool, struct bm_reading *reading);
struct bm_segment *__wrap_bm_segment_new(struct bitmem *ctx, const struct bm_where *where,
					 size_t length, size_t align, const char *tag);
struct bm_segment *__real_bm_segment_new(struct bitmem *ctx, const struct bm_where *where,
					 size_t length, size_t align, const char *tag);

void __wrap_bm_pool_read(const struct bitmem *ctx, unsigned int pool, struct bm_reading *reading)
{
	memset(reading, 0, sizeof(*reading));
	reading->usage[0] = (struct bm_usage){ .used = usage[pool], .total = 100 };
}

struct bm_segment *__wrap_bm_segment_new(struct bitmem *ctx, const struct bm_where *where,
					 size_t length, size_t align, const char *tag)
{
	asked[where->pool]++;
	if (refusing >> where->pool & 1) {
		errno = ENOMEM;
		return NULL;
	}
	return __real_bm_segment_new(ctx, where, length, align, tag);
}

static int set(struct bitmem *ctx, unsigned int pool, enum bitmem_policy_kind kind)
{
	struct bitmem_policy policy;

	bitmem_policy_init(&policy);
	policy.kind = kind;
	return bitmem_set_policy(ctx, pool, &policy);
}

/* The same with a list of two. */
static int set_list(struct bitmem *ctx, unsigned int pool, enum bitmem_policy_kind kind,
		    unsigned int a, unsigned int b)
{
	struct bitmem_policy policy;

	bitmem_policy_init(&policy);
	policy.kind = kind;
	policy.nr_pools = 2;
	policy.pools[0] = a;
	policy.pools[1] = b;
	return bitmem_set_policy(ctx, pool, &policy);
}

/* Where a block of @size bytes comes from that is asked of @pool; -errno. It is freed again. */
static int from(struct bitmem *ctx, unsigned int pool, size_t size)
{
	void *ptr = bitmem_alloc_in(ctx, pool, size, 0);
	int ret = ptr ? bitmem_pool_of(ctx, ptr) : -errno;

	bitmem_free(ctx, ptr);
	return ret;
}

static void add_pools(struct __test_metadata *_metadata, struct bitmem *ctx)
{
	for (int i = 1; i <= 3; i++)
		ASSERT_EQ(i, test_pool(ctx, test_node(0)));
}

TEST_F(lib, defaults)
{
	struct bitmem_policy policy, now = { .size = sizeof(now) };

	bitmem_policy_init(&policy);
	EXPECT_EQ(BITMEM_POLICY_STRICT, policy.kind);
	EXPECT_EQ(BITMEM_PRESSURE_HIGH, policy.level);
	EXPECT_EQ(0, policy.nr_pools);
	EXPECT_EQ(0, bitmem_get_policy(self->ctx, 0, &now));
	EXPECT_EQ(0, memcmp(&policy, &now, sizeof(now)));
	EXPECT_EQ(-ENOENT, bitmem_get_policy(self->ctx, 1, &now));
	now.size--;
	EXPECT_EQ(-EINVAL, bitmem_get_policy(self->ctx, 0, &now));
	EXPECT_EQ(-EINVAL, bitmem_set_policy(self->ctx, 0, &now));
	/* For all, those that come later too. */
	EXPECT_EQ(0, set(self->ctx, BITMEM_ALL_POOLS, BITMEM_POLICY_INTERLEAVE));
	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	now.size++;
	EXPECT_EQ(0, bitmem_get_policy(self->ctx, 1, &now));
	EXPECT_EQ(BITMEM_POLICY_INTERLEAVE, now.kind);
	EXPECT_EQ(0, bitmem_set_policy(self->ctx, 1, NULL));
	EXPECT_EQ(0, bitmem_get_policy(self->ctx, 1, &now));
	EXPECT_EQ(BITMEM_POLICY_STRICT, now.kind);
}

TEST_F(lib, wrong_policies)
{
	struct bitmem_policy good, now = { .size = sizeof(now) };
	struct bitmem_error error;
	static const struct {
		int kind, level;
		unsigned int n, pools[2], pool;
		int code;
		const char *text;
	} cases[] = {
		{ 3, 0, 0, { 0 }, 0, -EINVAL, "kind: 3" },
		{ -1, 0, 0, { 0 }, 0, -EINVAL, "kind: -1" },
		{ 1, 5, 0, { 0 }, 0, -EINVAL, "level: 5" },
		{ 1, 0, 9, { 0 }, 0, -EINVAL, "nr_pools: 9" },
		{ 1, 0, 2, { 0, 4 }, 0, -EINVAL, "no pool 4" },
		{ 1, 0, 2, { 2, 2 }, 0, -EINVAL, "twice" },
		{ 1, 0, 0, { 0 }, 4, -ENOENT, "no pool 4" },
	};

	add_pools(_metadata, self->ctx);
	ASSERT_EQ(0, set_list(self->ctx, 0, BITMEM_POLICY_FALLBACK, 2, 1));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bitmem_policy_init(&good);
		good.kind = (enum bitmem_policy_kind)cases[i].kind;
		good.level = (enum bitmem_pressure)cases[i].level;
		good.nr_pools = cases[i].n;
		memcpy(good.pools, cases[i].pools, sizeof(cases[i].pools));
		good.error = &error;
		EXPECT_EQ(cases[i].code, bitmem_set_policy(self->ctx, cases[i].pool, &good));
		EXPECT_EQ(cases[i].code, error.code);
		EXPECT_NE(NULL, strstr(error.text, cases[i].text)) TH_LOG("%s", error.text);
	}
	EXPECT_EQ(0, bitmem_get_policy(self->ctx, 0, &now));
	EXPECT_EQ(BITMEM_POLICY_FALLBACK, now.kind);
	/* The pool itself is asked first. */
	EXPECT_EQ(3, now.nr_pools);
	EXPECT_EQ(0, now.pools[0]);
	EXPECT_EQ(2, now.pools[1]);
	EXPECT_EQ(1, now.pools[2]);
}

TEST_F(lib, strict)
{
	add_pools(_metadata, self->ctx);
	EXPECT_EQ(2, from(self->ctx, 2, 1000));
	bitmem_trim(self->ctx);
	refusing = 1 << 2;
	EXPECT_EQ(-ENOMEM, from(self->ctx, 2, 1000));
	EXPECT_EQ(-ENOMEM, from(self->ctx, 2, 100000));
	EXPECT_EQ(-ENOMEM, from(self->ctx, 2, 3 * MIB));
	EXPECT_EQ(1, from(self->ctx, 1, 1000));
	refusing = 0;
	usage[2] = 99;
	EXPECT_EQ(2, from(self->ctx, 2, 1000));
	EXPECT_EQ(2, from(self->ctx, 2, 3 * MIB));
}

/* By the list; of every size, tensors too; all refuse in the end, and nothing is lost. */
TEST_F(lib, fallback)
{
	static const size_t sizes[] = { 100, 20000, 100000, 3 * MIB };
	const uint64_t shape[] = { 1000 };
	struct bitmem_tensor *tensor;

	add_pools(_metadata, self->ctx);
	ASSERT_EQ(0, set_list(self->ctx, 1, BITMEM_POLICY_FALLBACK, 3, 2));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		bitmem_trim(self->ctx);
		refusing = 0;
		EXPECT_EQ(1, from(self->ctx, 1, sizes[i]));
		bitmem_trim(self->ctx);
		refusing = 1 << 1;
		EXPECT_EQ(3, from(self->ctx, 1, sizes[i]));
		bitmem_trim(self->ctx);
		refusing = 1 << 1 | 1 << 3;
		EXPECT_EQ(2, from(self->ctx, 1, sizes[i]));
		bitmem_trim(self->ctx);
		refusing = 1 << 1 | 1 << 3 | 1 << 2;
		EXPECT_EQ(-ENOMEM, from(self->ctx, 1, sizes[i]));
		EXPECT_EQ(0, from(self->ctx, 0, sizes[i]));
	}
	bitmem_trim(self->ctx);
	refusing = 1 << 1;
	tensor = bitmem_tensor_new_in(self->ctx, 1, BITMEM_F32, 1, shape);
	ASSERT_NE(NULL, tensor);
	EXPECT_EQ(3, bitmem_pool_of(self->ctx, bitmem_tensor_data(tensor)));
	bitmem_tensor_unref(tensor);
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

/* Pool 0's policy is for all who do not name a pool. */
TEST_F(lib, fallback_of_the_first)
{
	const uint64_t shape[] = { 100000 };
	struct bitmem_tensor *tensor;
	void *block;

	add_pools(_metadata, self->ctx);
	ASSERT_EQ(0, set(self->ctx, 0, BITMEM_POLICY_FALLBACK));
	refusing = 1 << 0;
	block = bitmem_alloc(self->ctx, 100, 0);
	tensor = bitmem_tensor_new(self->ctx, BITMEM_F32, 1, shape);
	ASSERT_NE(NULL, block);
	ASSERT_NE(NULL, tensor);
	EXPECT_EQ(1, bitmem_pool_of(self->ctx, block));
	EXPECT_EQ(1, bitmem_pool_of(self->ctx, bitmem_tensor_data(tensor)));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
	bitmem_tensor_unref(tensor);
}

/* Without a list only those go that a device with so many bits reaches as well. */
TEST_F(lib, fallback_by_width)
{
	struct bitmem_pool_options options;
	unsigned int narrow, wide;

	if (bitmem_backend(self->ctx) == BITMEM_BACKEND_DEVICE)
		SKIP(return, "the module need not have pools of that width");
	bitmem_pool_options_init(&options);
	options.width = 32;
	ASSERT_EQ(0, bitmem_pool_add(self->ctx, &options, &narrow));
	options.width = 40;
	ASSERT_EQ(0, bitmem_pool_add(self->ctx, &options, &wide));
	ASSERT_EQ(0, set(self->ctx, BITMEM_ALL_POOLS, BITMEM_POLICY_FALLBACK));
	refusing = 1u << wide;
	EXPECT_EQ(narrow, from(self->ctx, wide, 100));
	bitmem_trim(self->ctx);
	refusing = 1u << narrow;
	EXPECT_EQ(-ENOMEM, from(self->ctx, narrow, 100));
}

/* The nearest node is asked before others. */
TEST_F(lib, fallback_to_the_nearest)
{
	if (test_nodes() < 2)
		SKIP(return, "one node");
	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	ASSERT_EQ(2, test_pool(self->ctx, test_node(1)));
	ASSERT_EQ(3, test_pool(self->ctx, test_node(1)));
	ASSERT_EQ(4, test_pool(self->ctx, test_node(0)));
	ASSERT_EQ(0, set(self->ctx, BITMEM_ALL_POOLS, BITMEM_POLICY_FALLBACK));
	refusing = 1 << 1;
	EXPECT_EQ(4, from(self->ctx, 1, 100));
	bitmem_trim(self->ctx);
	refusing = 1 << 2;
	EXPECT_EQ(3, from(self->ctx, 2, 100));
	bitmem_trim(self->ctx);
	refusing = 1 << 1 | 1 << 4;
	EXPECT_EQ(2, from(self->ctx, 1, 100));
}

TEST_F(lib, interleave)
{
	unsigned int n[4] = { 0 };
	void *blocks[30];

	add_pools(_metadata, self->ctx);
	ASSERT_EQ(0, set_list(self->ctx, 1, BITMEM_POLICY_INTERLEAVE, 3, 2));
	for (int i = 0; i < 30; i++) {
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(self->ctx, 1, 1000, 0));
		EXPECT_EQ(i % 2 ? 2 : 3, bitmem_pool_of(self->ctx, blocks[i]));
	}
	/* Among all of them, the pool itself first. */
	ASSERT_EQ(0, set(self->ctx, 1, BITMEM_POLICY_INTERLEAVE));
	for (int i = 0; i < 30; i++) {
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(self->ctx, 1, 1000, 0));
		if (i < 20)
			n[bitmem_pool_of(self->ctx, blocks[i])]++;
	}
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(5, n[i]);
	for (int i = 0; i < 30; i++)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	/* The next takes what one cannot. */
	bitmem_trim(self->ctx);
	ASSERT_EQ(0, set_list(self->ctx, 1, BITMEM_POLICY_INTERLEAVE, 3, 2));
	refusing = 1 << 3;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(2, from(self->ctx, 1, 1000));
}

/* What a pool has it gives, pressure or not; more is asked of another. */
TEST_F(lib, under_pressure)
{
	void *block;

	add_pools(_metadata, self->ctx);
	ASSERT_EQ(0, set_list(self->ctx, 1, BITMEM_POLICY_FALLBACK, 2, 3));
	block = bitmem_alloc_in(self->ctx, 1, 1000, 0);
	ASSERT_NE(NULL, block);
	usage[1] = 89;
	EXPECT_EQ(1, from(self->ctx, 1, 3 * MIB));
	usage[1] = 90;
	EXPECT_EQ(1, from(self->ctx, 1, 1000));
	EXPECT_EQ(1, from(self->ctx, 1, 100000));
	EXPECT_EQ(2, from(self->ctx, 1, 3 * MIB));
	usage[2] = 99;
	EXPECT_EQ(3, from(self->ctx, 1, 3 * MIB));
	/* Under pressure everywhere: then it is where it was asked for. */
	usage[3] = 99;
	EXPECT_EQ(1, from(self->ctx, 1, 3 * MIB));
	refusing = 1 << 1;
	EXPECT_EQ(2, from(self->ctx, 1, 3 * MIB));
	/* It ends as it began, five points below. */
	refusing = 0;
	usage[1] = 86;
	usage[3] = 0;
	EXPECT_EQ(3, from(self->ctx, 1, 3 * MIB));
	usage[1] = 84;
	EXPECT_EQ(1, from(self->ctx, 1, 3 * MIB));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

/* Memory that went back is more than a pool has, of runs. */
TEST_F(lib, returned_runs_are_not_held)
{
	uint64_t returned;
	void *block;

	add_pools(_metadata, self->ctx);
	ASSERT_EQ(0, set_list(self->ctx, 1, BITMEM_POLICY_FALLBACK, 2, 3));
	block = bitmem_alloc_in(self->ctx, 1, 100000, 0);
	ASSERT_NE(NULL, block);
	EXPECT_EQ(1, from(self->ctx, 1, MIB));
	bitmem_trim(self->ctx);
	returned = test_usage(self->ctx, 1).returned;
	EXPECT_LE(MIB, returned);
	usage[1] = 100;
	EXPECT_EQ(2, from(self->ctx, 1, MIB));
	EXPECT_EQ(2, from(self->ctx, 1, 20000));
	EXPECT_EQ(2, from(self->ctx, 1, 100));
	EXPECT_EQ(returned, test_usage(self->ctx, 1).returned);
	usage[1] = 0;
	EXPECT_EQ(1, from(self->ctx, 1, MIB));
	EXPECT_GT(returned, test_usage(self->ctx, 1).returned);
	usage[1] = 100;
	EXPECT_EQ(1, from(self->ctx, 1, MIB));
	EXPECT_EQ(0, bitmem_free(self->ctx, block));
}

/* And of slots: one that has its memory is found behind those that have not. */
TEST_F(lib, returned_slots_are_not_held)
{
	enum { N = 32, SIZE = 8192 };
	unsigned char *blocks[N];
	uint64_t returned;

	add_pools(_metadata, self->ctx);
	ASSERT_EQ(0, set_list(self->ctx, 1, BITMEM_POLICY_FALLBACK, 2, 3));
	for (int i = 0; i < N; i++) {
		ASSERT_NE(NULL, blocks[i] = bitmem_alloc_in(self->ctx, 1, SIZE, 0));
		memset(blocks[i], i, SIZE);
	}
	for (int i = 0; i < N / 2; i += 2)
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	bitmem_trim(self->ctx);
	returned = test_usage(self->ctx, 1).returned;
	EXPECT_LE(N / 4 * SIZE, returned);
	usage[1] = 100;
	EXPECT_EQ(2, from(self->ctx, 1, SIZE));
	EXPECT_EQ(returned, test_usage(self->ctx, 1).returned);
	/* One is free that has its memory. */
	EXPECT_EQ(0, bitmem_free(self->ctx, blocks[13]));
	EXPECT_EQ(1, from(self->ctx, 1, SIZE));
	EXPECT_EQ(returned, test_usage(self->ctx, 1).returned);
	ASSERT_NE(NULL, blocks[13] = bitmem_alloc_in(self->ctx, 1, SIZE, 0));
	EXPECT_EQ(1, bitmem_pool_of(self->ctx, blocks[13]));
	EXPECT_EQ(2, from(self->ctx, 1, SIZE));
	memset(blocks[13], 13, SIZE);
	usage[1] = 0;
	EXPECT_EQ(1, from(self->ctx, 1, SIZE));
	EXPECT_EQ(returned - SIZE, test_usage(self->ctx, 1).returned);
	for (int i = 0; i < N; i++) {
		if (i < N / 2 && i % 2 == 0)
			continue;
		EXPECT_TRUE(test_all_are(blocks[i], (unsigned char)i, SIZE));
		EXPECT_EQ(0, bitmem_free(self->ctx, blocks[i]));
	}
}

TEST_F(lib, pool_pressure)
{
	enum bitmem_pressure level;

	add_pools(_metadata, self->ctx);
	usage[2] = 81;
	EXPECT_EQ(0, bitmem_pool_pressure(self->ctx, 2, &level));
	EXPECT_EQ(BITMEM_PRESSURE_MEDIUM, level);
	EXPECT_EQ(0, bitmem_pool_pressure(self->ctx, 1, &level));
	EXPECT_EQ(BITMEM_PRESSURE_NONE, level);
	EXPECT_EQ(-ENOENT, bitmem_pool_pressure(self->ctx, 4, &level));
	/* The tightest is the context's. */
	usage[3] = 100;
	EXPECT_LE(BITMEM_PRESSURE_CRITICAL, bitmem_pressure(self->ctx));
}

/* Before a request fails, all that is free in the process goes back; nothing that is in use. */
TEST_F(lib, shortage_has_others_give_back)
{
	struct bitmem *other = test_open(2 * MIB), *used = test_open(2 * MIB);
	unsigned char *block;

	ASSERT_NE(NULL, other);
	ASSERT_NE(NULL, used);
	add_pools(_metadata, self->ctx);
	bitmem_free(other, bitmem_alloc(other, 1000, 0));
	EXPECT_NE(0, test_stats(other).committed_bytes);
	block = bitmem_alloc(used, 1000, 0);
	ASSERT_NE(NULL, block);
	memset(block, 5, 1000);
	EXPECT_EQ(3, from(self->ctx, 3, 1000));
	EXPECT_NE(0, test_stats(self->ctx).committed_bytes);
	refusing = 1 << 1;
	EXPECT_EQ(-ENOMEM, from(self->ctx, 1, 1000));
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
	EXPECT_EQ(0, test_stats(other).committed_bytes);
	EXPECT_LE(1000, test_stats(used).committed_bytes);
	EXPECT_TRUE(test_all_are(block, 5, 1000));
	EXPECT_EQ(0, bitmem_free(used, block));
	EXPECT_EQ(0, bitmem_close(used));
	EXPECT_EQ(0, bitmem_close(other));
}

/* Of a context from before a fork() nothing goes until this process goes on with it. */
TEST_F(lib, shortage_after_fork)
{
	struct bitmem *other = test_open(2 * MIB);
	int status;
	pid_t pid;

	ASSERT_NE(NULL, other);
	ASSERT_EQ(1, test_pool(self->ctx, test_node(0)));
	bitmem_free(other, bitmem_alloc(other, 1000, 0));
	pid = fork();
	if (!pid)
		_exit(0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	refusing = 1 << 1;
	EXPECT_EQ(-ENOMEM, from(self->ctx, 1, 1000));
	EXPECT_NE(0, test_stats(other).committed_bytes);
	/* More than its caches have. */
	bitmem_free(other, bitmem_alloc(other, 20000, 0));
	EXPECT_EQ(-ENOMEM, from(self->ctx, 1, 1000));
	EXPECT_EQ(0, test_stats(other).committed_bytes);
	EXPECT_EQ(0, bitmem_close(other));
}

static void *flip(void *arg)
{
	struct bitmem *ctx = arg;

	for (unsigned int i = 0; i < 300; i++) {
		set(ctx, i % 4, (enum bitmem_policy_kind)(i % 3));
		refusing = 1u << (i % 5);
		usage[i % 4] = i % 101;
	}
	refusing = 0;
	return NULL;
}

/* Policies, pressure and memory that change while requests come; contexts that come and go. */
TEST_F(lib, threads)
{
	pthread_t thread;
	int got;

	add_pools(_metadata, self->ctx);
	ASSERT_EQ(0, pthread_create(&thread, NULL, flip, self->ctx));
	for (unsigned int i = 0; i < 600; i++) {
		struct bitmem *other = i % 16 ? NULL : test_open(2 * MIB);

		got = from(self->ctx, i % 4, (size_t)1 << (i % 23));
		EXPECT_TRUE((got >= 0 && got < 4) || got == -ENOMEM);
		if (other)
			EXPECT_EQ(0, bitmem_close(other));
	}
	EXPECT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, test_stats(self->ctx).live);
}

TEST_HARNESS_MAIN
