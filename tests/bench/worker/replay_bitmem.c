// SPDX-License-Identifier: GPL-2.0
#include <bitmem/bitmem.h>

#include "replay.h"

#define REPLAY	      replay_bitmem
#define REPLAY_ZEROES true

static inline void *block_alloc(size_t size)
{
	return bitmem_alloc(replay_ctx, size, BLOCK_ALIGN);
}

static inline void block_free(void *block)
{
	bitmem_free(replay_ctx, block);
}

#include "replay_impl.h"
