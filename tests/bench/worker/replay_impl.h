/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The loops of a replay. Before including this, define
 *   REPLAY          the struct replay to make
 *   REPLAY_ZEROES   whether the allocator's blocks are zeroed
 *   block_alloc(), block_free()
 * Compiled with -fno-builtin: the compiler may drop pairs of calls that it knows.
 */
#include <stdbool.h>
#include <string.h>

#include "clock.h"
#include "histogram.h"
#include "replay.h"
#include "trace.h"

#define INLINE static inline __attribute__((always_inline))
#define PAGE   ((size_t)4096)

INLINE void write_pages(void *block, size_t size)
{
	char *p = block, *last = p + size - 1;

	for (; p < last; p += PAGE)
		*(volatile char *)p = 1;
	*(volatile char *)last = 1;
}

INLINE void *use_alloc(size_t size, enum writing writing)
{
	void *block = block_alloc(size);

	if (__builtin_expect(!block, 0))
		replay_no_memory(size);
	if (writing == WRITE_PAGES)
		write_pages(block, size);
	else if (writing == WRITE_ZEROS && !REPLAY_ZEROES)
		memset(block, 0, size);
	return block;
}

INLINE void run(const struct op *op, const struct op *end, void **slots, enum writing writing)
{
	for (; op < end; op++) {
		if (op->size)
			slots[op->slot] = use_alloc(op->size, writing);
		else
			block_free(slots[op->slot]);
	}
}

static void plain(const struct trace *trace, void **slots, size_t from, size_t to)
{
	run(trace->ops + from, trace->ops + to, slots, WRITE_NOTHING);
}

INLINE void run_timed(const struct op *op, const struct op *end, void **slots,
		      struct replay_timing *timing, enum writing writing)
{
	const size_t step = 2 * (size_t)timing->batch;
	const struct op *stop;
	uint64_t start, ns;

	for (; op < end; op = stop) {
		stop = (size_t)(end - op) < step ? end : op + step;
		start = clock_ns();
		run(op, stop, slots, writing);
		ns = clock_ns() - start;
		ns = ns > timing->overhead ? ns - timing->overhead : 0;
		timing->ns += ns;
		/* What is left at the end is not a whole batch. */
		if (stop == op + step)
			histogram_add(timing->histogram, ns);
	}
}

static void timed(const struct trace *trace, void **slots, size_t from, size_t to,
		  struct replay_timing *timing)
{
	const struct op *op = trace->ops + from, *end = trace->ops + to;

	switch (timing->writing) {
	case WRITE_NOTHING:
		run_timed(op, end, slots, timing, WRITE_NOTHING);
		break;
	case WRITE_PAGES:
		run_timed(op, end, slots, timing, WRITE_PAGES);
		break;
	case WRITE_ZEROS:
		run_timed(op, end, slots, timing, WRITE_ZEROS);
		break;
	}
	timing->pairs += (to - from) / 2;
}

/* A slot's size is in the trace's table, which nobody needs any more for building. */
static void checked(const struct trace *trace, void **slots, size_t from, size_t to,
		    struct replay_check *check)
{
	uint32_t *sizes = trace->sizes;
	const struct op *op;

	for (op = trace->ops + from; op < trace->ops + to; op++) {
		if (op->size) {
			slots[op->slot] = use_alloc(op->size, WRITE_NOTHING);
			check->bad += (uintptr_t)slots[op->slot] % BLOCK_ALIGN != 0;
			write_pages(slots[op->slot], op->size);
			replay_stamp(slots[op->slot], op->slot, op->size);
			sizes[op->slot] = op->size;
		} else {
			check->blocks++;
			check->bad +=
				!replay_is_stamped(slots[op->slot], op->slot, sizes[op->slot]);
			block_free(slots[op->slot]);
			sizes[op->slot] = 0;
		}
	}
}

INLINE void fill(void **blocks, const uint32_t *sizes, unsigned int count, enum writing writing)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		blocks[i] = use_alloc(sizes[i], writing);
}

static void allocate(void **blocks, const uint32_t *sizes, unsigned int count, enum writing writing)
{
	switch (writing) {
	case WRITE_NOTHING:
		fill(blocks, sizes, count, WRITE_NOTHING);
		break;
	case WRITE_PAGES:
		fill(blocks, sizes, count, WRITE_PAGES);
		break;
	case WRITE_ZEROS:
		fill(blocks, sizes, count, WRITE_ZEROS);
		break;
	}
}

static void release(void *const *blocks, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		block_free(blocks[i]);
}

static void loop(size_t size, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		block_free(use_alloc(size, WRITE_NOTHING));
}

static void swap(void **slots, uint32_t live, size_t size, size_t count)
{
	uint32_t state = 1, at;
	size_t i;

	for (i = 0; i < count; i++) {
		state = state * 1664525 + 1013904223;
		at = (uint32_t)((uint64_t)state * live >> 32);
		block_free(slots[at]);
		slots[at] = use_alloc(size, WRITE_NOTHING);
	}
}

const struct replay REPLAY = {
	.plain = plain,
	.timed = timed,
	.checked = checked,
	.allocate = allocate,
	.release = release,
	.loop = loop,
	.swap = swap,
};
