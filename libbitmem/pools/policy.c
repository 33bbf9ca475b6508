/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a request to a pool goes, one after the other.
 *
 * First each pool is asked for what it has or can get, and those that are under pressure only
 * for what they have; then all of them with all means. What is asked is decided when the request
 * comes: who changes a policy meanwhile changes that of the next.
 */
#include <errno.h>
#include <string.h>

#include "../block.h"
#include "../options.h"
#include "nodes.h"
#include "pools.h"

/* The first version's size. */
#define POLICY_SIZE_1 BM_FIRST_SIZE(struct bitmem_policy, error)

void bitmem_policy_init_sized(struct bitmem_policy *policy, size_t size)
{
	const struct bitmem_policy defaults = {
		.size = size,
		.kind = BITMEM_POLICY_STRICT,
		.level = BITMEM_PRESSURE_HIGH,
	};

	bm_write_sized(policy, size, &defaults, sizeof(defaults));
}

/* --- the order --- */

struct order {
	unsigned int n, pools[BM_MAX_POOLS];
	enum bitmem_pressure level;
};

static bool has(const struct order *order, unsigned int pool)
{
	for (unsigned int i = 0; i < order->n; i++) {
		if (order->pools[i] == pool)
			return true;
	}
	return false;
}

/* Address bits, with all of them for any. */
static unsigned int width_of(const struct bm_pool *pool)
{
	return pool->where.width ? pool->where.width : 64;
}

/* The nearest of those not in the order yet that a device reaches as well; -1 if there is none. */
static int nearest(const struct bitmem *ctx, const struct bm_pool *pool, const struct order *order)
{
	int best = -1;

	for (unsigned int i = 0; i < ctx->nr_pools; i++) {
		if (has(order, i) || width_of(&ctx->pools[i]) > width_of(pool))
			continue;
		if (best < 0 || pool->policy.distances[i] < pool->policy.distances[best])
			best = (int)i;
	}
	return best;
}

/* Whom a request to @pool asks. */
static struct order order_of(struct bitmem *ctx, unsigned int number)
{
	struct bm_pool *pool = &ctx->pools[number];
	struct bm_policy *policy = &pool->policy;
	struct order order = { .n = 0 }, turned;
	unsigned int turn;
	int next;

	bm_lock(ctx);
	order.level = (enum bitmem_pressure)policy->level;
	for (unsigned int i = 0; i < policy->nr_pools; i++)
		order.pools[order.n++] = policy->pools[i];
	if (!policy->nr_pools)
		order.pools[order.n++] = number;
	while (!policy->nr_pools && (next = nearest(ctx, pool, &order)) >= 0)
		order.pools[order.n++] = (unsigned int)next;
	turn = policy->kind == BITMEM_POLICY_INTERLEAVE ? policy->turn++ : 0;
	/* It may have been made that just now. */
	if (policy->kind == BITMEM_POLICY_STRICT) {
		order.pools[0] = number;
		order.n = 1;
	}
	bm_unlock(ctx);
	turned = order;
	for (unsigned int i = 0; i < order.n; i++)
		turned.pools[i] = order.pools[(turn + i) % order.n];
	return turned;
}

/* --- requests --- */

/* A pool is asked, for what it has if it is under pressure; then -EAGAIN if it has not. */
static void *ask(struct bitmem *ctx, struct bm_block_request *rq, const struct order *order)
{
	void *ptr;

	rq->effort = BM_HELD;
	ptr = bm_block_alloc_in(ctx, rq);
	if (ptr || errno != EAGAIN)
		return ptr;
	if (order->level && bm_pool_level(ctx, rq->pool) >= order->level) {
		errno = EAGAIN;
		return NULL;
	}
	rq->effort = BM_EASY;
	return bm_block_alloc_in(ctx, rq);
}

/* What another pool may have instead. */
static bool is_short(int error)
{
	return error == ENOMEM || error == EAGAIN;
}

void *bm_policy_alloc(struct bitmem *ctx, const struct bm_block_request *request)
{
	const struct order order = order_of(ctx, request->pool);
	struct bm_block_request rq = *request;
	void *ptr;

	for (unsigned int i = 0; i < order.n; i++) {
		rq.pool = order.pools[i];
		ptr = ask(ctx, &rq, &order);
		if (ptr || !is_short(errno))
			return ptr;
	}
	rq.effort = BM_FULL;
	for (unsigned int i = 0; i < order.n; i++) {
		rq.pool = order.pools[i];
		ptr = bm_block_alloc_in(ctx, &rq);
		if (ptr || !is_short(errno))
			return ptr;
	}
	return NULL;
}

/* --- setting --- */

/* Copies the caller's policy. What can be said without knowing the pools is said here. */
static int read_policy(const struct bitmem_policy *from, struct bitmem_policy *policy)
{
	int ret;

	bitmem_policy_init(policy);
	ret = bm_read_options(policy, from, POLICY_SIZE_1, "policy");
	if (ret)
		return ret;
	if ((unsigned int)policy->kind > BITMEM_POLICY_INTERLEAVE)
		return bm_error(policy->error, -EINVAL, "policy.kind: %d is no policy",
				(int)policy->kind);
	if ((unsigned int)policy->level > BITMEM_PRESSURE_CRITICAL)
		return bm_error(policy->error, -EINVAL, "policy.level: %d is no level of pressure",
				(int)policy->level);
	if (policy->nr_pools > BM_MAX_POOLS)
		return bm_error(policy->error, -EINVAL, "policy.nr_pools: %u is more than %u",
				policy->nr_pools, BM_MAX_POOLS);
	return 0;
}

static int check_pools(const struct bitmem_policy *policy, unsigned int nr_pools)
{
	for (unsigned int i = 0; i < policy->nr_pools; i++) {
		if (policy->pools[i] >= nr_pools)
			return bm_error(policy->error, -EINVAL,
					"policy.pools[%u]: there is no pool %u", i,
					policy->pools[i]);
		for (unsigned int j = 0; j < i; j++) {
			if (policy->pools[j] == policy->pools[i])
				return bm_error(policy->error, -EINVAL,
						"policy.pools[%u]: pool %u is there twice", i,
						policy->pools[i]);
		}
	}
	return 0;
}

/* A pool's policy: as set, and the pool itself first where it falls back. With the lock held. */
static void set(struct bm_policy *policy, unsigned int pool, const struct bitmem_policy *to)
{
	struct order order = { .n = 0 };

	for (unsigned int i = 0; i < to->nr_pools; i++)
		order.pools[order.n++] = to->pools[i];
	policy->nr_pools = 0;
	if (to->kind == BITMEM_POLICY_FALLBACK && order.n && !has(&order, pool))
		policy->pools[policy->nr_pools++] = (uint8_t)pool;
	for (unsigned int i = 0; i < order.n; i++)
		policy->pools[policy->nr_pools++] = (uint8_t)order.pools[i];
	policy->level = (uint8_t)to->level;
	policy->turn = 0;
	__atomic_store_n(&policy->kind, (uint8_t)to->kind, __ATOMIC_RELAXED);
}

int bitmem_set_policy(struct bitmem *ctx, unsigned int pool, const struct bitmem_policy *policy)
{
	struct bitmem_policy to;
	int ret = read_policy(policy, &to);

	if (ret)
		return ret;
	bm_lock(ctx);
	if (pool != BITMEM_ALL_POOLS && pool >= ctx->nr_pools)
		ret = bm_error(to.error, -ENOENT, "there is no pool %u", pool);
	else
		ret = check_pools(&to, ctx->nr_pools);
	for (unsigned int i = 0; !ret && i < BM_MAX_POOLS; i++) {
		if (pool == BITMEM_ALL_POOLS || i == pool)
			set(&ctx->pools[i].policy, i, &to);
	}
	bm_unlock(ctx);
	return ret;
}

int bitmem_get_policy(struct bitmem *ctx, unsigned int pool, struct bitmem_policy *policy)
{
	struct bitmem_policy now;
	size_t size = policy->size;

	if (size < POLICY_SIZE_1)
		return -EINVAL;
	if (!bm_pool_exists(ctx, pool))
		return -ENOENT;
	bitmem_policy_init(&now);
	now.size = size;
	now.error = policy->error;
	bm_lock(ctx);
	now.kind = (enum bitmem_policy_kind)ctx->pools[pool].policy.kind;
	now.level = (enum bitmem_pressure)ctx->pools[pool].policy.level;
	now.nr_pools = ctx->pools[pool].policy.nr_pools;
	for (unsigned int i = 0; i < now.nr_pools; i++)
		now.pools[i] = ctx->pools[pool].policy.pools[i];
	bm_unlock(ctx);
	bm_write_sized(policy, size, &now, sizeof(now));
	return 0;
}
