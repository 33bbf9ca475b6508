/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A context's pools: how they come, and where they are. */
#include <errno.h>
#include <string.h>

#include "../block.h"
#include "../options.h"
#include "nodes.h"
#include "pools.h"

/* The first version's size. */
#define OPTIONS_SIZE_1 BM_FIRST_SIZE(struct bitmem_pool_options, error)

void bitmem_pool_options_init_sized(struct bitmem_pool_options *options, size_t size)
{
	const struct bitmem_pool_options defaults = {
		.size = size,
		.node = BITMEM_NODE_ANY,
		.bind = 1,
	};

	bm_write_sized(options, size, &defaults, sizeof(defaults));
}

/* Copies the caller's options; what it does not know stays at the default. */
static int read_options(const struct bitmem_pool_options *from,
			struct bitmem_pool_options *options)
{
	int ret;

	bitmem_pool_options_init(options);
	ret = bm_read_options(options, from, OPTIONS_SIZE_1, "options");
	if (ret)
		return ret;
	if (options->node < BITMEM_NODE_ANY)
		return bm_error(options->error, -EINVAL, "options.node: %d is no node",
				options->node);
	if (options->width && options->width < 32)
		return bm_error(options->error, -EINVAL, "options.width: %u is less than 32",
				options->width);
	if (options->width > 64)
		return bm_error(options->error, -EINVAL, "options.width: %u is more than 64",
				options->width);
	return 0;
}

/* From a pool that is to be @number to all others, and back. Without the lock: files are read. */
static void read_distances(const struct bitmem *ctx, const struct bm_where *where,
			   unsigned int number, uint8_t to[BM_MAX_POOLS],
			   uint8_t from[BM_MAX_POOLS])
{
	for (unsigned int i = 0; i < number; i++) {
		const int node = ctx->pools[i].where.node;

		to[i] = bm_node_distance(BM_NODES, where->node, node);
		from[i] = bm_node_distance(BM_NODES, node, where->node);
	}
	to[number] = BM_DISTANCE_LOCAL;
}

/* Makes the next pool. Whoever came before has made it another's number: -EAGAIN. */
static int add(struct bitmem *ctx, const struct bm_where *where, unsigned int number)
{
	uint8_t to[BM_MAX_POOLS] = { 0 }, from[BM_MAX_POOLS] = { 0 };
	struct bm_pool *pool = &ctx->pools[number];

	read_distances(ctx, where, number, to, from);
	bm_lock(ctx);
	if (ctx->nr_pools != number) {
		bm_unlock(ctx);
		return -EAGAIN;
	}
	/* A policy for all pools is there already. */
	bm_pool_init(pool, &ctx->arena, (uint8_t)number, where);
	memcpy(pool->policy.distances, to, sizeof(to));
	for (unsigned int i = 0; i < number; i++)
		ctx->pools[i].policy.distances[number] = from[i];
	__atomic_store_n(&ctx->nr_pools, number + 1, __ATOMIC_RELEASE);
	bm_unlock(ctx);
	return 0;
}

int bitmem_pool_add(struct bitmem *ctx, const struct bitmem_pool_options *options,
		    unsigned int *pool)
{
	struct bitmem_pool_options opt;
	struct bm_where where;
	unsigned int number;
	int ret = read_options(options, &opt);

	if (ret)
		return ret;
	where = (struct bm_where){
		.node = opt.node, .width = opt.width,
		.bind = opt.bind && opt.node != BITMEM_NODE_ANY,
	};
	ret = ctx->backend->ops->check(ctx->backend, &where, opt.error);
	if (ret)
		return ret;
	do {
		number = bm_nr_pools(ctx);
		if (number == BM_MAX_POOLS)
			return bm_error(opt.error, -EMFILE, "there are %u pools already", number);
		ret = add(ctx, &where, number);
	} while (ret);
	*pool = number;
	return 0;
}

int bitmem_pool_info(struct bitmem *ctx, unsigned int pool, struct bitmem_pool_options *options)
{
	struct bitmem_pool_options now;
	size_t size = options->size;

	if (size < OPTIONS_SIZE_1)
		return -EINVAL;
	if (!bm_pool_exists(ctx, pool))
		return -ENOENT;
	now = (struct bitmem_pool_options){
		.size = size,
		.node = ctx->pools[pool].where.node,
		.width = ctx->pools[pool].where.width,
		.bind = ctx->pools[pool].where.bind,
		.error = options->error,
	};
	bm_write_sized(options, size, &now, sizeof(now));
	return 0;
}

int bitmem_pool_of(struct bitmem *ctx, const void *ptr)
{
	const struct bm_slot *slot;
	int pool = -EINVAL;
	size_t room;

	bm_lock(ctx);
	slot = bm_block_slot(ctx, ptr, &room);
	if (slot && bm_state_is_live(bm_slot_state(slot)))
		pool = (int)bm_block_pool(ctx, ptr, slot);
	for (const struct bm_segment *s = ctx->counted; pool < 0 && s; s = s->next_counted) {
		if (s->tensors && (uintptr_t)ptr - (uintptr_t)s->range.addr < s->range.length)
			pool = s->pool;
	}
	bm_unlock(ctx);
	return pool;
}
