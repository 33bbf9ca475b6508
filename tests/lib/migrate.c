/* SPDX-License-Identifier: GPL-2.0 */
/* Tensors that move to another pool: the handle stays, and so does all that it tells. */
#include <linux/mempolicy.h>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bitmem/share.h>
#include <bitmem/track.h>

#include "lib_test.h"
#include "pools_test.h"

/* Two pools besides the first: on two nodes, where there are. */
static int last_node(void)
{
	return test_node(test_nodes() - 1);
}

static void add_pools(struct __test_metadata *_metadata, struct bitmem *ctx)
{
	ASSERT_EQ(1, test_pool(ctx, test_node(0)));
	ASSERT_EQ(2, test_pool(ctx, last_node()));
}

static struct bitmem_tensor *filled(struct bitmem *ctx, unsigned int pool, uint64_t n)
{
	struct bitmem_tensor *tensor = bitmem_tensor_new_in(ctx, pool, BITMEM_I32, 1, &n);
	int32_t *data = tensor ? bitmem_tensor_data(tensor) : NULL;

	for (uint64_t i = 0; data && i < n; i++)
		data[i] = (int32_t)(i * 2654435761u);
	return tensor;
}

static bool is_as_filled(const struct bitmem_tensor *tensor)
{
	const int32_t *data = bitmem_tensor_data(tensor);

	for (uint64_t i = 0; i < *bitmem_tensor_shape(tensor); i++) {
		if (data[i] != (int32_t)(i * 2654435761u))
			return false;
	}
	return true;
}

/* Of any size: there and back again. */
TEST_F(lib, there_and_back)
{
	static const uint64_t sizes[] = { 0, 1, 100, 1000, 8192, 100000, 300000, 1 << 20 };

	add_pools(_metadata, self->ctx);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct bitmem_tensor *tensor = filled(self->ctx, 0, sizes[i]);
		const size_t bytes = 4 * sizes[i];
		const unsigned int way[] = { 1, 2, 2, 1, 0 };
		struct bitmem_stats before, after;

		ASSERT_NE(NULL, tensor);
		before = test_stats(self->ctx);
		for (size_t k = 0; k < sizeof(way) / sizeof(*way); k++) {
			EXPECT_EQ(0, bitmem_tensor_migrate(tensor, way[k]));
			EXPECT_EQ(way[k], bitmem_pool_of(self->ctx, bitmem_tensor_data(tensor)));
			EXPECT_EQ(bytes, test_usage(self->ctx, way[k]).live);
			EXPECT_EQ(bytes, test_usage(self->ctx, BITMEM_ALL_POOLS).live);
			EXPECT_TRUE(is_as_filled(tensor));
			EXPECT_EQ(sizes[i], *bitmem_tensor_shape(tensor));
			EXPECT_EQ(BITMEM_I32, bitmem_tensor_dtype(tensor));
			if (bytes && way[k] == 2)
				EXPECT_LE(bytes, test_on_node(bitmem_tensor_data(tensor), bytes,
							      last_node()));
		}
		after = test_stats(self->ctx);
		EXPECT_EQ(before.live, after.live);
		EXPECT_EQ(before.live_bytes, after.live_bytes);
		EXPECT_EQ(after.allocs - before.allocs, after.frees - before.frees);
		bitmem_tensor_unref(tensor);
	}
	bitmem_trim(self->ctx);
	EXPECT_EQ(0, test_stats(self->ctx).committed_bytes);
}

TEST_F(lib, wrong_ones)
{
	struct bitmem_tensor *tensor, *view;
	const uint64_t n = 100;

	add_pools(_metadata, self->ctx);
	tensor = filled(self->ctx, 0, n);
	ASSERT_NE(NULL, tensor);
	EXPECT_EQ(-ENOENT, bitmem_tensor_migrate(tensor, 3));
	EXPECT_EQ(-ENOENT, bitmem_tensor_migrate(tensor, BITMEM_ALL_POOLS));
	view = bitmem_tensor_view(tensor, BITMEM_I32, 1, &n, 0);
	ASSERT_NE(NULL, view);
	EXPECT_EQ(-EINVAL, bitmem_tensor_migrate(view, 1));
	EXPECT_EQ(-EBUSY, bitmem_tensor_migrate(tensor, 1));
	bitmem_tensor_unref(view);
	bitmem_tensor_ref(tensor);
	EXPECT_EQ(-EBUSY, bitmem_tensor_migrate(tensor, 1));
	/* Where it is already is no move. */
	EXPECT_EQ(0, bitmem_tensor_migrate(tensor, 0));
	bitmem_tensor_unref(tensor);
	EXPECT_EQ(0, bitmem_pool_of(self->ctx, bitmem_tensor_data(tensor)));
	EXPECT_TRUE(is_as_filled(tensor));
	EXPECT_EQ(0, bitmem_tensor_migrate(tensor, 1));
	bitmem_tensor_unref(tensor);
	EXPECT_EQ(-ESTALE, bitmem_tensor_migrate(tensor, 2));
}

/* What has memory of its own keeps its address, with views and references on it. */
static void check_in_place(struct __test_metadata *_metadata, struct bitmem *ctx,
			   struct bitmem_tensor *tensor)
{
	const size_t bytes = bitmem_tensor_bytes(tensor);
	void *data = bitmem_tensor_data(tensor);
	struct bitmem_tensor *view;
	const uint64_t n = 100;

	view = bitmem_tensor_view(tensor, BITMEM_I32, 1, &n, 0);
	ASSERT_NE(NULL, view);
	EXPECT_EQ(0, bitmem_pool_of(ctx, data));
	for (unsigned int pool = 3; pool--;) {
		const int node = pool ? test_node(pool == 2 ? test_nodes() - 1 : 0) : -1;

		EXPECT_EQ(0, bitmem_tensor_migrate(tensor, pool));
		EXPECT_EQ(data, bitmem_tensor_data(tensor));
		EXPECT_EQ(pool, bitmem_pool_of(ctx, data));
		EXPECT_EQ(bytes, test_usage(ctx, pool).live);
		EXPECT_EQ(bytes, test_usage(ctx, BITMEM_ALL_POOLS).live);
		EXPECT_TRUE(is_as_filled(tensor));
		EXPECT_TRUE(is_as_filled(view));
		if (node >= 0)
			EXPECT_LE(bytes, test_on_node(data, bytes, node));
	}
	bitmem_tensor_unref(view);
	EXPECT_EQ(0, bitmem_tensor_migrate(tensor, 2));
	bitmem_tensor_unref(tensor);
	EXPECT_EQ(0, test_usage(ctx, 2).committed);
}

TEST_F(lib, in_place)
{
	struct bitmem_tensor *tensor;

	add_pools(_metadata, self->ctx);
	tensor = filled(self->ctx, 0, MIB);
	ASSERT_NE(NULL, tensor);
	check_in_place(_metadata, self->ctx, tensor);
}

TEST_F(lib, shareable)
{
	const uint64_t n = 10000;
	struct bitmem_tensor *tensor = bitmem_tensor_new_shareable(self->ctx, BITMEM_I32, 1, &n);
	int32_t *data;

	ASSERT_NE(NULL, tensor);
	add_pools(_metadata, self->ctx);
	data = bitmem_tensor_data(tensor);
	for (uint64_t i = 0; i < n; i++)
		data[i] = (int32_t)(i * 2654435761u);
	check_in_place(_metadata, self->ctx, tensor);
}

/* What the kernel goes by for the memory at @ptr; -1 if it does not say. */
static int mode_of(const void *ptr)
{
	int mode;

	return syscall(SYS_get_mempolicy, &mode, NULL, 0, ptr, MPOL_F_ADDR) ? -1 : mode;
}

/* In a pool without a node memory is not that of the node any more where it was. */
TEST_F(lib, binding_ends)
{
	const uint64_t n = MIB;
	struct bitmem_tensor *tensors[2];

	if (bitmem_backend(self->ctx) == BITMEM_BACKEND_DEVICE)
		SKIP(return, "the module moves pages, and has no policy");
	if (mode_of(&n) < 0)
		SKIP(return, "a kernel without NUMA");
	add_pools(_metadata, self->ctx);
	tensors[0] = filled(self->ctx, 0, n);
	tensors[1] = bitmem_tensor_new_shareable(self->ctx, BITMEM_I32, 1, &n);
	for (int i = 0; i < 2; i++) {
		ASSERT_NE(NULL, tensors[i]);
		EXPECT_EQ(MPOL_DEFAULT, mode_of(bitmem_tensor_data(tensors[i])));
		EXPECT_EQ(0, bitmem_tensor_migrate(tensors[i], 1));
		EXPECT_EQ(MPOL_BIND, mode_of(bitmem_tensor_data(tensors[i])));
		EXPECT_EQ(0, bitmem_tensor_migrate(tensors[i], 0));
		EXPECT_EQ(MPOL_DEFAULT, mode_of(bitmem_tensor_data(tensors[i])));
		bitmem_tensor_unref(tensors[i]);
	}
}

/* After the context is closed its tensors live on, and may still move. */
TEST_F(lib, after_close)
{
	struct bitmem_tensor *tensor;

	add_pools(_metadata, self->ctx);
	tensor = filled(self->ctx, 0, 1000);
	ASSERT_NE(NULL, tensor);
	EXPECT_EQ(1, bitmem_close(self->ctx));
	self->ctx = NULL;
	EXPECT_EQ(0, bitmem_tensor_migrate(tensor, 1));
	EXPECT_TRUE(is_as_filled(tensor));
	bitmem_tensor_unref(tensor);
}

#define THREADS 3

struct mover {
	struct bitmem *ctx;
	struct bitmem_tensor *shared;
	uint64_t n;
	size_t bad;
};

static void *mover_main(void *arg)
{
	struct mover *m = arg;
	struct bitmem_tensor *tensor = filled(m->ctx, 0, m->n);

	for (unsigned int i = 0; tensor && i < 100; i++) {
		m->bad += bitmem_tensor_migrate(tensor, i % 3) != 0;
		m->bad += !is_as_filled(tensor);
		/* Of one with memory of its own it does not matter who else moves it. */
		m->bad += bitmem_tensor_migrate(m->shared, (i + (unsigned int)m->n) % 3) != 0;
		m->bad += bitmem_tensor_bytes(m->shared) != 4 * MIB;
	}
	m->bad += !tensor;
	bitmem_tensor_unref(tensor);
	return NULL;
}

TEST_F(lib, threads)
{
	struct bitmem_tensor *shared;
	struct mover movers[THREADS];
	pthread_t threads[THREADS];

	add_pools(_metadata, self->ctx);
	shared = filled(self->ctx, 0, MIB);
	ASSERT_NE(NULL, shared);
	for (int i = 0; i < THREADS; i++) {
		movers[i] = (struct mover){ self->ctx, shared, 500u << (3 * i), 0 };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, mover_main, &movers[i]));
	}
	for (int i = 0; i < 50; i++)
		EXPECT_NE(1, test_usage(self->ctx, BITMEM_ALL_POOLS).committed);
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, movers[i].bad);
	}
	EXPECT_TRUE(is_as_filled(shared));
	bitmem_tensor_unref(shared);
}

/* Whoever allocated it has, wherever it is; and nothing is there that was not, at each level. */
TEST_F(lib, is_the_same_to_the_tracker)
{
	const enum bitmem_tracking levels[] = { BITMEM_TRACKING_SITES, BITMEM_TRACKING_FULL };

	for (unsigned int i = 0; i < 2; i++) {
		struct bitmem_options options;
		struct bitmem_tensor *tensor;
		struct bitmem_snapshot *snapshot;
		struct bitmem_mark *marks[2];
		struct bitmem_change *changes;
		struct bitmem *ctx;
		size_t n;

		bitmem_options_init(&options);
		options.tracking = levels[i];
		ctx = bitmem_open(&options);
		ASSERT_NE(NULL, ctx);
		add_pools(_metadata, ctx);
		tensor = bitmem_tensor_new(ctx, BITMEM_U8, 1, &(uint64_t){ 1000 });
		marks[0] = bitmem_mark(ctx);
		ASSERT_EQ(0, bitmem_tensor_migrate(tensor, 1));
		marks[1] = bitmem_mark(ctx);
		EXPECT_EQ(0, bitmem_mark_diff(marks[0], marks[1], &changes, &n));
		EXPECT_EQ(0, n);
		snapshot = bitmem_snapshot(ctx);
		ASSERT_NE(NULL, snapshot);
		ASSERT_EQ(1, bitmem_snapshot_count(snapshot));
		EXPECT_EQ(1, bitmem_snapshot_get(snapshot, 0)->pool);
		ASSERT_NE(NULL, bitmem_snapshot_get(snapshot, 0)->place->file);
		EXPECT_NE(NULL, strstr(bitmem_snapshot_get(snapshot, 0)->place->file, "migrate.c"));
		bitmem_snapshot_free(snapshot);
		for (unsigned int k = 0; k < 2; k++)
			bitmem_mark_free(marks[k]);
		bitmem_tensor_unref(tensor);
		EXPECT_EQ(0, bitmem_close(ctx));
	}
}

TEST_HARNESS_MAIN
