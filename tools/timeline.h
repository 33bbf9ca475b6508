/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is to be drawn of a trace: how much each file had, when; each buffer's life; and what
 * else happened.
 */
#ifndef TOOLS_TIMELINE_H
#define TOOLS_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

/* Files that are told apart: those with most; one more kind is for the others. */
#define TIMELINE_FILES	12
#define TIMELINE_KINDS	(TIMELINE_FILES + 1)
#define TIMELINE_OTHERS TIMELINE_FILES
/* Of time, from left to right. */
#define TIMELINE_COLUMNS 880
/* Rows of buffers. */
#define TIMELINE_LANES	 40
#define TIMELINE_NO_LANE UINT32_MAX

struct timeline_file {
	uint64_t file;
	/* Who was running when it was first seen. */
	pid_t pid;
	char comm[16];
	/* Now, and the most it ever had. */
	uint64_t bytes;
	uint64_t peak;
	unsigned int kind;
};

struct timeline_buffer {
	uint64_t file;
	uint64_t offset;
	/* Bytes of it that have memory. */
	uint64_t bytes;
	/* UINT64_MAX: it lives on. */
	uint64_t born;
	uint64_t died;
	char tag[32];
	/* TIMELINE_NO_LANE: there was no room. */
	uint32_t lane;
};

/* A column shows the moment at which most was held. */
struct timeline_column {
	uint64_t total;
	uint64_t bytes[TIMELINE_KINDS];
};

struct timeline {
	/* What happened, to be freed by timeline_free(). */
	struct trace_event *events;
	size_t n_events;
	size_t room;
	/* How long was looked. */
	uint64_t ns;
	uint64_t lost;
	/* What is made of it by timeline_build(). */
	struct timeline_file *files; /* sorted by number */
	size_t n_files;
	struct timeline_buffer *buffers;
	size_t n_buffers;
	size_t room_buffers;
	uint32_t lanes;
	size_t no_lane;
	uint64_t peak;
	/* How often each kind of event was. */
	uint64_t counts[TRACE_KINDS];
	struct timeline_column columns[TIMELINE_COLUMNS];
};

/* Keeps an event. 0, or -1 with errno. */
int timeline_add(struct timeline *timeline, const struct trace_event *event);

/* Makes of the events what is to be drawn. 0, or -1 with errno. */
int timeline_build(struct timeline *timeline);

void timeline_free(struct timeline *timeline);

/* The file of this number, or NULL. */
struct timeline_file *timeline_file(const struct timeline *timeline, uint64_t file);

#endif /* TOOLS_TIMELINE_H */
