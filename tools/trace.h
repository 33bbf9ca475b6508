/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's tracepoints of bitmem, as they are hit.
 */
#ifndef TOOLS_TRACE_H
#define TOOLS_TRACE_H

#include <stdint.h>
#include <sys/types.h>

enum trace_kind {
	TRACE_ALLOC,
	TRACE_FREE,
	TRACE_COMMIT,	  /* part of a buffer got memory, or gave it back: @bytes below 0 */
	TRACE_RECLAIM,	  /* a file was closed with @count buffers */
	TRACE_PRESSURE,	  /* a pool's level is @count now, @bytes are free */
	TRACE_QUARANTINE, /* @bytes went in, @other came out */
	TRACE_SHRINK,	  /* @bytes went back to the system */
	TRACE_COMPACT,	  /* @bytes were copied, @other became free */
	TRACE_HELD,	  /* a buffer that was there when tracing began */
	TRACE_KINDS,
};

struct trace_event {
	enum trace_kind kind;
	/* Since tracing began. */
	uint64_t ns;
	/* Who was running. */
	pid_t pid;
	char comm[16];
	/* What the kind has; else 0. */
	uint64_t file;
	uint64_t offset;
	int64_t bytes;
	uint64_t other;
	uint64_t count;
	int node;
	/* Any bytes. */
	char tag[32];
};

/* Told of an event. Not 0 ends the call. */
typedef int (*trace_fn)(const struct trace_event *event, void *data);

struct trace;

/* Begins tracing. NULL after saying on stderr what failed. */
struct trace *trace_start(void);

/*
 * Calls @fn for what has happened since the last call, in the order of time. 0, what @fn
 * returned if that was not 0, or -1 after saying on stderr what failed.
 */
int trace_read(struct trace *trace, trace_fn fn, void *data);

/* Seconds, in nanoseconds, since tracing began. */
uint64_t trace_age(const struct trace *trace);

/* Events that were lost, as they were not read fast enough. */
uint64_t trace_lost(const struct trace *trace);

/* Ends it and leaves nothing behind. NULL does nothing. */
void trace_end(struct trace *trace);

/* "alloc", "free", ... */
const char *trace_kind_name(enum trace_kind kind);

#endif /* TOOLS_TRACE_H */
