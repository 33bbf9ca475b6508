// SPDX-License-Identifier: GPL-2.0
/*
 * W5: fills the budget with blocks of 256 B to 256 KiB, frees three of four at
 * random, and asks for blocks of 1 to 8 MiB, as many bytes as were freed: what is
 * left of the small ones is everywhere, and the large ones fit nowhere between.
 */
#include "pages.h"
#include "random.h"
#include "trace.h"
#include "workload.h"

enum {
	SMALLEST = 256,
	LARGEST = 256 << 10,
	LARGE_MIN = 1 << 20,
	LARGE_MAX = 8 << 20,
	/* Less than the mean of the small blocks, for the room that the trace needs. */
	MEAN = 16 << 10,
};

/* Frees three of four blocks, in random order. Returns their bytes. */
static uint64_t free_most(struct trace *trace, struct random *random)
{
	uint32_t count = (uint32_t)trace->slots, i, at, slot;
	uint32_t *order = pages_new(count * sizeof(*order));
	uint64_t before = trace->live_bytes;

	for (i = 0; i < count; i++)
		order[i] = i;
	for (i = 0; i < count - count / 4; i++) {
		at = i + random_below(random, count - i);
		slot = order[at];
		order[at] = order[i];
		trace_free(trace, slot);
	}
	pages_free(order, count * sizeof(*order));
	return before - trace->live_bytes;
}

struct trace *adversary_trace(const struct scale *scale)
{
	size_t slots = scale->budget / MEAN + 64;
	struct trace *trace = trace_new(4 * slots, slots);
	struct random random = { scale->seed };
	uint64_t freed, size;

	while (trace->live_bytes < scale->budget)
		trace_alloc(trace, random_size(&random, SMALLEST, LARGEST));
	freed = free_most(trace, &random);
	while (freed >= LARGE_MIN) {
		size = random_size(&random, LARGE_MIN, LARGE_MAX);
		if (size > freed)
			size = freed;
		trace_alloc(trace, size);
		freed -= size;
	}
	trace_phase(trace, true, "large", true);
	trace_free_all(trace);
	trace_phase(trace, true, NULL, false);
	return trace;
}
