// SPDX-License-Identifier: GPL-2.0
/*
 * Hands out the same block every time, by calls that the compiler cannot see
 * through. All blocks being one, a replay with checks finds them damaged.
 */
#include <stdlib.h>

#include "replay.h"

#define REPLAY	      replay_null
#define REPLAY_ZEROES true

#define LARGEST	      ((size_t)32 << 20)

static char memory[LARGEST] __attribute__((aligned(BLOCK_ALIGN)));

static __attribute__((noinline)) void *block_alloc(size_t size)
{
	__asm__ volatile("" : : "r"(size));
	return memory;
}

static __attribute__((noinline)) void block_free(void *block)
{
	__asm__ volatile("" : : "r"(block) : "memory");
}

#include "replay_impl.h"
