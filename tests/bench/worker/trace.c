// SPDX-License-Identifier: GPL-2.0
#include "trace.h"

#include <err.h>

#include "pages.h"

struct trace *trace_new(size_t ops, size_t slots)
{
	struct trace *trace = pages_new(sizeof(*trace));

	trace->ops = pages_new(ops * sizeof(*trace->ops));
	trace->room = ops;
	trace->sizes = pages_new(slots * sizeof(*trace->sizes));
	trace->empty = pages_new(slots * sizeof(*trace->empty));
	trace->slot_room = slots;
	return trace;
}

static void add(struct trace *trace, uint32_t slot, size_t size)
{
	if (trace->count == trace->room)
		errx(1, "a trace has room for %zu operations", trace->room);
	trace->ops[trace->count++] = (struct op){ .slot = slot, .size = (uint32_t)size };
}

uint32_t trace_alloc(struct trace *trace, size_t size)
{
	uint32_t slot;

	if (trace->empty_count) {
		slot = trace->empty[--trace->empty_count];
	} else {
		if (trace->slots == trace->slot_room)
			errx(1, "a trace has room for %zu blocks", trace->slot_room);
		slot = (uint32_t)trace->slots++;
	}
	trace->sizes[slot] = (uint32_t)size;
	trace->live_bytes += size;
	add(trace, slot, size);
	return slot;
}

void trace_free(struct trace *trace, uint32_t slot)
{
	trace->live_bytes -= trace->sizes[slot];
	trace->sizes[slot] = 0;
	trace->empty[trace->empty_count++] = slot;
	add(trace, slot, 0);
}

void trace_free_all(struct trace *trace)
{
	uint32_t slot;

	for (slot = 0; slot < trace->slots; slot++) {
		if (trace->sizes[slot])
			trace_free(trace, slot);
	}
}

void trace_phase(struct trace *trace, bool timed, const char *point, bool trim)
{
	if (trace->phase_count == TRACE_PHASES)
		errx(1, "a trace has room for %d phases", TRACE_PHASES);
	trace->phases[trace->phase_count++] =
		(struct phase){ .end = trace->count, .timed = timed, .point = point, .trim = trim };
}
