/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks have addresses that their owners know, so nothing is moved here; what can be put
 * together is the memory behind them, by the module, after what is free has gone back: that
 * is what leaves superblocks half empty.
 */
#include <errno.h>

#include "../options.h"
#include "pools.h"

/* The first version's size. */
#define COMPACTED_SIZE_1 BM_FIRST_SIZE(struct bitmem_compacted, freed)

/* Bits of the pools that hold memory. */
static unsigned int holders(struct bitmem *ctx)
{
	unsigned int pools = 0;

	bm_lock(ctx);
	for (const struct bm_segment *s = ctx->counted; s; s = s->next_counted)
		pools |= 1u << s->pool;
	bm_unlock(ctx);
	return pools;
}

int bitmem_compact(struct bitmem *ctx, struct bitmem_compacted *done)
{
	struct bitmem_compacted now = { .size = done ? done->size : sizeof(now) };
	struct bm_backend *backend = ctx->backend;
	unsigned int pools;
	int ret = 0;

	if (now.size < COMPACTED_SIZE_1)
		return -EINVAL;
	now.returned = bitmem_trim(ctx);
	pools = backend->ops->compact ? holders(ctx) : 0;
	for (unsigned int i = 0; !ret && i < BM_MAX_POOLS; i++) {
		if (pools >> i & 1)
			ret = backend->ops->compact(backend, &ctx->pools[i].where, &now.moved,
						    &now.freed);
	}
	if (done)
		bm_write_sized(done, done->size, &now, sizeof(now));
	return ret;
}
