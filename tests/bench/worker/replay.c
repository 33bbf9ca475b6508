// SPDX-License-Identifier: GPL-2.0
#include "replay.h"

#include <err.h>
#include <string.h>

#define WORD sizeof(uint64_t)

struct bitmem *replay_ctx;

static uint64_t stamp_of(uint32_t tag, uint32_t size)
{
	return ((uint64_t)tag << 32 | size) * 0x9e3779b97f4a7c15;
}

void replay_stamp(void *block, uint32_t tag, uint32_t size)
{
	uint64_t first = stamp_of(tag, size), last = ~first;

	memcpy(block, &first, WORD);
	memcpy((char *)block + size - WORD, &last, WORD);
}

bool replay_is_stamped(const void *block, uint32_t tag, uint32_t size)
{
	uint64_t first, last;

	memcpy(&first, block, WORD);
	memcpy(&last, (const char *)block + size - WORD, WORD);
	return first == stamp_of(tag, size) && last == ~first;
}

void replay_no_memory(size_t size)
{
	err(1, "a block of %zu bytes", size);
}
