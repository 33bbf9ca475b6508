/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A trace: what a workload asks of an allocator, worked out beforehand, so that
 * nothing but the calls themselves is left for the time that is measured.
 *
 * A block lives in a slot. A trace starts and ends with all slots empty, so it can
 * be replayed any number of times.
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Allocates @size bytes into the slot; frees what is in it if @size is 0. */
struct op {
	uint32_t slot;
	uint32_t size;
};

/* Operations up to @end, and what comes after them. */
struct phase {
	size_t end;
	bool timed;
	/* Where memory is measured: the point's name, or NULL for none. */
	const char *point;
	/* Whether the allocator is told to trim there, and measured again. */
	bool trim;
};

#define TRACE_PHASES 8

struct trace {
	struct op *ops;
	size_t count, room;
	struct phase phases[TRACE_PHASES];
	size_t phase_count;
	/* While it is built: each slot's size, 0 if it is empty, and the empty ones. */
	uint32_t *sizes, *empty;
	size_t slots, slot_room, empty_count;
	uint64_t live_bytes;
};

struct trace *trace_new(size_t ops, size_t slots);

/* Adds an allocation; returns its slot. */
uint32_t trace_alloc(struct trace *trace, size_t size);
/* Adds the free of what is in a slot. */
void trace_free(struct trace *trace, uint32_t slot);
/* Adds frees of everything that is still there. */
void trace_free_all(struct trace *trace);

/* Ends a phase: what was added since the last one. @point may be NULL. */
void trace_phase(struct trace *trace, bool timed, const char *point, bool trim);

#endif /* BENCH_TRACE_H */
