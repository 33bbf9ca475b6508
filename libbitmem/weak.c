/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Weak handles: the number of a context, the address of a tensor, and a number that no other
 * tensor of that context ever has. The address is only looked up, never followed: the
 * context may have gone, and its records with it.
 *
 * Whoever drops the last reference takes the entry away under the lock, under which a handle
 * is looked up; he has brought the references to 0 before, and from there no one raises them.
 */
#include <bitmem/lifetime.h>

#include "side.h"
#include "tensor.h"

int bitmem_tensor_weak(struct bitmem_tensor *tensor, struct bitmem_weak *weak)
{
	struct bitmem *ctx = context_of(tensor);
	struct bm_side *side;
	int ret;

	bm_lock(ctx);
	ret = bm_side_get(ctx, tensor, &side);
	if (!ret) {
		if (!side->generation)
			side->generation = ++ctx->sides.generations;
		*weak = (struct bitmem_weak) {
			.context = ctx->number, .id = (uintptr_t)tensor,
			.generation = side->generation,
		};
	}
	bm_unlock(ctx);
	return ret;
}

struct bitmem_tensor *bitmem_weak_get(const struct bitmem_weak *weak)
{
	struct bitmem_tensor *tensor = (struct bitmem_tensor *)(uintptr_t)weak->id;
	struct bm_side *side;
	struct bitmem *ctx;
	bool got = false;

	if (!weak->generation) {
		errno = EINVAL;
		return NULL;
	}
	ctx = bm_context_lock(weak->context);
	if (ctx) {
		side = bm_side_find(ctx, tensor);
		got = side && side->generation == weak->generation && bm_tensor_try_ref(tensor);
		bm_unlock(ctx);
	}
	if (got)
		return tensor;
	errno = ESTALE;
	return NULL;
}
