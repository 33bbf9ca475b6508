/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "label.h"
#include "side.h"
#include "tensor.h"

struct bm_side *bm_side_find(const struct bitmem *ctx, const struct bitmem_tensor *tensor)
{
	struct bm_hash_node *node = bm_hash_first(&ctx->sides.tensors,
						  bm_hash_of_pointer(tensor));

	while (node && bm_side_of(node)->tensor != tensor)
		node = bm_hash_next(node);
	return node ? bm_side_of(node) : NULL;
}

/* Sets the mark. False if the handle is stale. */
static bool mark(struct bitmem_tensor *tensor)
{
	uint32_t state = state_of(tensor);

	do {
		if (state < REF)
			return false;
	} while (!__atomic_compare_exchange_n(&tensor->record.state, &state, state | MARKED, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

int bm_side_get(struct bitmem *ctx, struct bitmem_tensor *tensor, struct bm_side **side)
{
	struct bm_side *new;

	*side = NULL;
	if (!is_live(tensor))
		return -ESTALE;
	*side = bm_side_find(ctx, tensor);
	if (*side)
		return 0;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->tensor = tensor;
	if (!bm_hash_add(&ctx->sides.tensors, &new->node, bm_hash_of_pointer(tensor),
			 &ctx->counters.meta_bytes)) {
		free(new);
		return -ENOMEM;
	}
	ctx->counters.meta_bytes += bm_meta_size(new);
	if (!mark(tensor)) {
		bm_side_tidy(ctx, new);
		return -ESTALE;
	}
	*side = new;
	return 0;
}

void bm_side_tidy(struct bitmem *ctx, struct bm_side *side)
{
	if (side->generation || side->name || side->tag)
		return;
	__atomic_fetch_and(&side->tensor->record.state, ~MARKED, __ATOMIC_RELAXED);
	bm_hash_remove(&ctx->sides.tensors, &side->node, &ctx->counters.meta_bytes);
	ctx->counters.meta_bytes -= bm_meta_size(side);
	free(side);
}

void bm_side_drop(struct bitmem *ctx, struct bitmem_tensor *tensor)
{
	struct bm_side *side;

	bm_lock(ctx);
	side = bm_side_find(ctx, tensor);
	if (side) {
		side->generation = 0;
		bm_label_drop(ctx, side);
		bm_side_tidy(ctx, side);
	}
	bm_unlock(ctx);
}
