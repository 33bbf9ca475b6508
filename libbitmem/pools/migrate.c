/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tensor's memory goes to another pool.
 *
 * A segment of its own is moved by the backend, pages and all, at the same address. A block
 * that shares its segment is copied. The commit lock is held while a segment moves: so two
 * that move the same one do it one after the other, and it is booked where it is.
 */
#include <errno.h>
#include <string.h>

#include "../backend.h"
#include "../block.h"
#include "../site.h"
#include "pools.h"
#include "tensor.h"

/* Whether the memory of one pool is as good for a device as that of the other. */
static bool is_as_wide(const struct bitmem *ctx, unsigned int a, unsigned int b)
{
	const unsigned int from = ctx->pools[a].where.width, to = ctx->pools[b].where.width;

	return ctx->backend->ops->kind != BITMEM_BACKEND_DEVICE ||
	       bm_device_width(from) == bm_device_width(to);
}

/* With the commit lock held. 0 or -errno. */
static int move(struct bitmem *ctx, struct bm_segment *segment, unsigned int pool)
{
	if (segment->pool == pool)
		return 0;
	if (!is_as_wide(ctx, segment->pool, pool))
		return -EOPNOTSUPP;
	return ctx->backend->ops->migrate(ctx->backend, &ctx->pools[pool].where, &segment->range);
}

/* A segment that tensors are on directly. The caller's tensor keeps it. */
static int move_segment(struct bitmem *ctx, struct bm_segment *segment, unsigned int pool)
{
	int ret;

	pthread_mutex_lock(&ctx->commit_lock);
	ret = move(ctx, segment, pool);
	if (!ret) {
		bm_lock(ctx);
		segment->pool = (uint8_t)pool;
		bm_unlock(ctx);
	}
	pthread_mutex_unlock(&ctx->commit_lock);
	return ret;
}

/* The same for the segment that the block at @ptr has for itself. */
static int move_direct(struct bitmem *ctx, struct bm_segment *segment, const void *ptr,
		       unsigned int pool)
{
	int ret;

	pthread_mutex_lock(&ctx->commit_lock);
	ret = move(ctx, segment, pool);
	if (!ret) {
		bm_lock(ctx);
		bm_pool_change(ctx, ptr, pool);
		bm_unlock(ctx);
	}
	pthread_mutex_unlock(&ctx->commit_lock);
	return ret;
}

/* Who allocated the new block, and when, is who allocated the old one. */
static int copy(struct bitmem *ctx, struct bitmem_tensor *tensor, const struct bm_slot *slot,
		unsigned int pool)
{
	void *old = bitmem_tensor_data(tensor);
	const struct bm_block_request rq = {
		.size = bitmem_tensor_bytes(tensor),
		.align = BM_ALIGN_MIN,
		.pool = pool,
		.state = BM_SLOT_TENSOR | BM_SITE_OTHER,
	};
	void *ptr = bm_block_alloc_in(ctx, &rq);
	size_t room;
	int ret;

	if (!ptr)
		return -errno;
	memcpy(ptr, old, rq.size);
	/* At one instant, for those who take a snapshot. */
	bm_lock(ctx);
	ret = bm_tensor_set_block(tensor, ptr);
	if (!ret)
		bm_slot_fill(bm_block_slot(ctx, ptr, &room),
			     (uint32_t)slot->time << 16 | bm_slot_state(slot));
	bm_unlock(ctx);
	bm_block_free(ctx, ret ? ptr : old, BM_SLOT_TENSOR);
	return ret;
}

static int move_block(struct bitmem *ctx, struct bitmem_tensor *tensor, bool alone,
		      unsigned int pool)
{
	const void *ptr = bitmem_tensor_data(tensor);
	struct bm_segment *segment;
	struct bm_slot *slot;
	unsigned int from;
	size_t room;

	bm_lock(ctx);
	slot = bm_block_slot(ctx, ptr, &room);
	from = bm_block_pool(ctx, ptr, slot);
	segment = bm_pool_own_segment(ctx, ptr);
	bm_unlock(ctx);
	if (from == pool)
		return 0;
	if (segment && is_as_wide(ctx, from, pool))
		return move_direct(ctx, segment, ptr, pool);
	return alone ? copy(ctx, tensor, slot, pool) : -EBUSY;
}

int bitmem_tensor_migrate(struct bitmem_tensor *tensor, unsigned int pool)
{
	struct bm_segment *segment;
	struct bitmem *ctx;
	bool alone;
	int ret = bm_tensor_check_own(tensor, &alone);

	if (ret)
		return ret;
	ctx = bm_tensor_context(tensor);
	if (!bm_pool_exists(ctx, pool))
		return -ENOENT;
	segment = bm_tensor_segment(tensor);
	return segment ? move_segment(ctx, segment, pool) : move_block(ctx, tensor, alone, pool);
}
