// SPDX-License-Identifier: GPL-2.0
/*
 * The C library's interface, which the peers take over when they are preloaded.
 * Of its ways to ask for an alignment memalign() is the one that takes the fewest
 * instructions in each of them.
 */
#include <malloc.h>
#include <stdlib.h>

#include "replay.h"

#define REPLAY	      replay_malloc
#define REPLAY_ZEROES false

static inline void *block_alloc(size_t size)
{
	return memalign(BLOCK_ALIGN, size);
}

static inline void block_free(void *block)
{
	free(block);
}

#include "replay_impl.h"
