// SPDX-License-Identifier: GPL-2.0
/*
 * Tracing in an instance of its own, so that nobody else's is disturbed. The instance has this
 * process's number in its name: what a killed one left behind is taken away by the next.
 */
#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tracefs.h>

#include "output.h"
#include "sysfile.h"

#define SYSTEM "bitmem"
#define PREFIX "bitmem-tool-"

struct trace {
	struct tracefs_instance *instance;
	struct tep_handle *tep;
	uint64_t started;
	uint64_t lost;
	/* The read under way. */
	trace_fn fn;
	void *data;
	int result;
	/* Of the event before. */
	pid_t pid;
	char comm[16];
};

/* What an event has, and where it goes; the unit of pages is made one of bytes. */
struct field {
	const char *name;
	size_t offset;
	bool is_pages;
};

#define TO(_member) offsetof(struct trace_event, _member)

static const struct {
	const char *name;
	const char *event;
	struct field fields[5];
} kinds[] = {
	[TRACE_ALLOC] = {"alloc",
			 "bitmem_alloc",
			 {{"file", TO(file), false},
			  {"offset", TO(offset), false},
			  {"bytes", TO(bytes), false}}},
	[TRACE_FREE] = {"free",
			"bitmem_free",
			{{"file", TO(file), false},
			 {"offset", TO(offset), false},
			 {"bytes", TO(bytes), false}}},
	[TRACE_COMMIT] = {"commit",
			  "bitmem_commit",
			  {{"offset", TO(offset), false}, {"pages", TO(bytes), true}}},
	[TRACE_RECLAIM] = {"reclaim",
			   "bitmem_reclaim",
			   {{"file", TO(file), false},
			    {"buffers", TO(count), false},
			    {"bytes", TO(bytes), false}}},
	[TRACE_PRESSURE] = {"pressure",
			    "bitmem_pressure",
			    {{"level", TO(count), false}, {"free", TO(bytes), true}}},
	[TRACE_QUARANTINE] = {"quarantine",
			      "bitmem_quarantine",
			      {{"in", TO(bytes), true}, {"out", TO(other), true}}},
	[TRACE_SHRINK] = {"shrink", "bitmem_shrink", {{"pages", TO(bytes), true}}},
	[TRACE_COMPACT] = {"compact",
			   "bitmem_compact",
			   {{"moved", TO(bytes), true}, {"freed", TO(other), true}}},
	[TRACE_HELD] = {"held", NULL, {{0}}},
};

const char *trace_kind_name(enum trace_kind kind)
{
	return kinds[kind].name;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* --- one event --- */

/* The kernel keeps names of most that it traced; whose it does not may be there still. */
static void find_comm(struct trace *trace, pid_t pid)
{
	char *all = tracefs_instance_file_read(NULL, "saved_cmdlines", NULL);
	char *line, *rest = all;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	sysfile_line(path, trace->comm, sizeof(trace->comm));
	while (all && (line = strsep(&rest, "\n"))) {
		char *comm;

		if (strtol(line, &comm, 10) == pid && *comm == ' ')
			snprintf(trace->comm, sizeof(trace->comm), "%s", comm + 1);
	}
	free(all);
	trace->pid = pid;
}

static void read_fields(const struct field *fields, struct tep_event *event,
			struct tep_record *record, struct trace_event *out)
{
	unsigned long long value;

	for (size_t i = 0; i < 5 && fields[i].name; i++) {
		if (tep_get_field_val(NULL, event, fields[i].name, record, &value, 0))
			continue;
		if (fields[i].is_pages)
			value *= (unsigned long long)sysconf(_SC_PAGESIZE);
		memcpy((char *)out + fields[i].offset, &value, sizeof(uint64_t));
	}
	if (!tep_get_field_val(NULL, event, "node", record, &value, 0))
		out->node = (int)value;
}

static void read_tag(struct tep_event *event, struct tep_record *record, struct trace_event *out)
{
	int length = 0;
	const char *tag = tep_get_field_raw(NULL, event, "tag", record, &length, 0);

	if (tag && length > 0)
		snprintf(out->tag, sizeof(out->tag), "%.*s", length, tag);
}

static int take(struct tep_event *event, struct tep_record *record, int cpu, void *data)
{
	struct trace_event out = {0};
	struct trace *trace = data;

	(void)cpu;
	if (record->missed_events)
		trace->lost += record->missed_events > 0 ? (uint64_t)record->missed_events : 1;
	while (out.kind < TRACE_HELD && strcmp(kinds[out.kind].event, event->name) != 0)
		out.kind++;
	if (out.kind == TRACE_HELD)
		return 0;
	out.ns = record->ts > trace->started ? record->ts - trace->started : 0;
	out.pid = tep_data_pid(trace->tep, record);
	if (out.pid != trace->pid || !*trace->comm)
		find_comm(trace, out.pid);
	memcpy(out.comm, trace->comm, sizeof(out.comm));
	read_fields(kinds[out.kind].fields, event, record, &out);
	read_tag(event, record, &out);
	trace->result = trace->fn(&out, trace->data);
	return trace->result;
}

int trace_read(struct trace *trace, trace_fn fn, void *data)
{
	trace->fn = fn;
	trace->data = data;
	trace->result = 0;
	if (tracefs_iterate_raw_events(trace->tep, trace->instance, NULL, 0, take, trace) < 0 &&
	    !trace->result) {
		output_error("tracefs: %s", strerror(errno));
		return -1;
	}
	return trace->result;
}

uint64_t trace_age(const struct trace *trace)
{
	return now() - trace->started;
}

uint64_t trace_lost(const struct trace *trace)
{
	return trace->lost;
}

/* --- beginning and end --- */

/* Instances of processes that are no more. */
static void remove_stale(void)
{
	char **names = tracefs_instances("^" PREFIX);

	for (size_t i = 0; names && names[i]; i++) {
		pid_t pid = (pid_t)strtol(names[i] + strlen(PREFIX), NULL, 10);
		struct tracefs_instance *instance;

		if (pid <= 0 || !kill(pid, 0) || errno != ESRCH)
			continue;
		instance = tracefs_instance_create(names[i]);
		if (instance) {
			tracefs_instance_destroy(instance);
			tracefs_instance_free(instance);
		}
	}
	tracefs_list_free(names);
}

static int enable_all(struct trace *trace)
{
	for (enum trace_kind kind = 0; kind < TRACE_HELD; kind++) {
		if (tracefs_event_enable(trace->instance, SYSTEM, kinds[kind].event))
			return -1;
	}
	return 0;
}

/* 0, or -1 with errno. */
static int set_up(struct trace *trace)
{
	static const char *const systems[] = {SYSTEM, NULL};
	char name[sizeof(PREFIX) + 16];

	trace->tep = tracefs_local_events_system(NULL, systems);
	if (!trace->tep)
		return -1;
	snprintf(name, sizeof(name), PREFIX "%d", getpid());
	trace->instance = tracefs_instance_create(name);
	if (!trace->instance)
		return -1;
	/* Comparable between processors, and with what now() tells. */
	if (tracefs_instance_file_write(trace->instance, "trace_clock", "mono") < 0)
		return -1;
	trace->started = now();
	return enable_all(trace);
}

struct trace *trace_start(void)
{
	const char *dir = tracefs_tracing_dir();
	struct trace *trace;

	if (!dir || access(dir, R_OK | W_OK | X_OK)) {
		output_error("tracefs: %s%s", dir ? strerror(errno) : "not mounted",
			     dir && (errno == EACCES || errno == EPERM) ? " (try as root)" : "");
		return NULL;
	}
	if (!tracefs_dir_exists(NULL, "events/" SYSTEM)) {
		output_error("%s/events/" SYSTEM ": not there (is the module loaded? try: modprobe "
			     "bitmem)",
			     dir);
		return NULL;
	}
	trace = calloc(1, sizeof(*trace));
	remove_stale();
	if (trace && !set_up(trace))
		return trace;
	output_error("tracefs: %s: %s", dir, strerror(errno));
	trace_end(trace);
	return NULL;
}

void trace_end(struct trace *trace)
{
	if (!trace)
		return;
	if (trace->instance) {
		tracefs_instance_destroy(trace->instance);
		tracefs_instance_free(trace->instance);
	}
	if (trace->tep)
		tep_free(trace->tep);
	free(trace);
}
