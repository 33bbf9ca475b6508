// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem trace: what the tracepoints tell, as lines, JSON, or a picture.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bitmem/events.h>

#include "cmd.h"
#include "counters.h"
#include "number.h"
#include "output.h"
#include "picture.h"
#include "stop.h"
#include "text.h"
#include "timeline.h"
#include "trace.h"

/* Seconds between two looks. */
#define PERIOD 0.1

struct options {
	bool json;
	uint64_t count; /* 0: no end */
	double seconds; /* below 0: no end */
	const char *svg;
	const char *png;
};

/* A tracing under way. */
struct watch {
	const struct options *options;
	struct trace *trace;
	struct timeline *timeline;
	uint64_t count;
};

static bool wants_picture(const struct options *options)
{
	return options->svg || options->png;
}

/* --- JSON --- */

static void buffer_members(json_t **object, const struct trace_event *event)
{
	output_json_set(object, "file", output_json_u64(event->file));
	output_json_set(object, "offset", output_json_u64(event->offset));
	output_json_set(object, "bytes", json_integer(event->bytes));
	output_json_set(object, "node", event->node < 0 ? json_null() : json_integer(event->node));
	output_json_set(object, "tag", output_json_text(event->tag));
}

static void other_members(json_t **object, const struct trace_event *event)
{
	output_json_set(object, "bytes", json_integer(event->bytes));
	switch (event->kind) {
	case TRACE_COMMIT:
		output_json_set(object, "offset", output_json_u64(event->offset));
		return;
	case TRACE_RECLAIM:
		output_json_set(object, "file", output_json_u64(event->file));
		output_json_set(object, "buffers", output_json_u64(event->count));
		return;
	case TRACE_PRESSURE:
		output_json_set(object, "level",
				json_string(counters_level((unsigned int)event->count)));
		break;
	case TRACE_QUARANTINE:
		output_json_set(object, "released", output_json_u64(event->other));
		break;
	case TRACE_COMPACT:
		output_json_set(object, "freed", output_json_u64(event->other));
		break;
	default:
		break;
	}
	output_json_set(object, "node", json_integer(event->node));
}

static int print_json(const struct trace_event *event)
{
	json_t *object = json_object();

	output_json_set(&object, "ns", output_json_u64(event->ns));
	output_json_set(&object, "event", json_string(trace_kind_name(event->kind)));
	output_json_set(&object, "pid", json_integer(event->pid));
	output_json_set(&object, "comm", output_json_text(event->comm));
	if (event->kind == TRACE_ALLOC || event->kind == TRACE_FREE || event->kind == TRACE_HELD)
		buffer_members(&object, event);
	else
		other_members(&object, event);
	return output_json(object);
}

/* --- lines --- */

static void print_buffer(const struct trace_event *event)
{
	char size[TEXT_SIZE_LEN];
	char *tag = text_escape(event->tag);

	printf("file %" PRIu64 ": %s", event->file, text_size((uint64_t)event->bytes, size));
	if (event->node >= 0)
		printf(", node %d", event->node);
	if (tag && *tag)
		printf(": %s", tag);
	free(tag);
}

static void print_what(const struct trace_event *event)
{
	uint64_t bytes = (uint64_t)(event->bytes < 0 ? -event->bytes : event->bytes);
	char a[TEXT_SIZE_LEN], b[TEXT_SIZE_LEN];

	text_size(bytes, a);
	text_size(event->other, b);
	switch (event->kind) {
	case TRACE_COMMIT:
		printf("offset %" PRIu64 ": %s %s", event->offset, a,
		       event->bytes < 0 ? "given back" : "had");
		return;
	case TRACE_RECLAIM:
		printf("file %" PRIu64 " closed with %" PRIu64 " %s, %s", event->file, event->count,
		       event->count == 1 ? "buffer" : "buffers", a);
		return;
	case TRACE_PRESSURE:
		printf("node %d: level %s, %s free", event->node,
		       counters_level((unsigned int)event->count), a);
		return;
	case TRACE_QUARANTINE:
		printf("node %d: %s in, %s out", event->node, a, b);
		return;
	case TRACE_SHRINK:
		printf("node %d: %s back to the system", event->node, a);
		return;
	case TRACE_COMPACT:
		printf("node %d: %s moved, %s freed", event->node, a, b);
		return;
	default:
		print_buffer(event);
	}
}

static int print_line(const struct trace_event *event)
{
	char *comm = text_escape(event->comm);

	printf("%12.6f  %-10s  %s%s%d%s  ", (double)event->ns / 1e9, trace_kind_name(event->kind),
	       comm ? comm : "", comm && *comm ? " (" : "", event->pid, comm && *comm ? ")" : "");
	free(comm);
	print_what(event);
	putchar('\n');
	return output_flush();
}

/* --- tracing --- */

static int keep(struct watch *watch, const struct trace_event *event)
{
	if (!timeline_add(watch->timeline, event))
		return 0;
	output_error("%s", strerror(ENOMEM));
	return -1;
}

static int take_event(const struct trace_event *event, void *data)
{
	struct watch *watch = data;
	int err;

	if (wants_picture(watch->options))
		err = keep(watch, event);
	else
		err = watch->options->json ? print_json(event) : print_line(event);
	if (err)
		return -1;
	watch->count++;
	return watch->count == watch->options->count;
}

static int take_held(const struct bitmem_nl_buffer *buffer, void *data)
{
	struct trace_event event = {
		.kind = TRACE_HELD,
		.pid = (pid_t)buffer->pid,
		.file = buffer->file,
		.offset = buffer->offset,
		.bytes = (int64_t)buffer->resident,
		.node = buffer->n_spread ? (int)buffer->spread[0].node : -1,
	};

	memcpy(event.comm, buffer->comm, sizeof(event.comm));
	memcpy(event.tag, buffer->tag, sizeof(event.tag));
	/* Netlink's own errors are below 0. */
	return keep(data, &event) ? 1 : 0;
}

/* For the picture: what was there before. Where netlink does not reach there is no telling. */
static int list_held(struct watch *watch)
{
	int err = bitmem_nl_buffers(take_held, watch);

	if (err > 0)
		return -1;
	if (err)
		fprintf(stderr, "netlink: %s: buffers that were there before are not told\n",
			strerror(-err));
	return 0;
}

static int watch_events(struct watch *watch)
{
	const struct options *options = watch->options;
	int ended = 0;

	while (!ended) {
		double left = options->seconds - (double)trace_age(watch->trace) / 1e9;
		bool last = stop_signal() || (options->seconds >= 0 && left <= 0);

		ended = trace_read(watch->trace, take_event, watch);
		if (last || ended)
			break;
		if (stop_poll(-1, options->seconds >= 0 && left < PERIOD ? left : PERIOD) < 0) {
			output_error("%s", strerror(errno));
			return -1;
		}
	}
	return ended < 0 ? -1 : 0;
}

static int draw(const struct options *options, struct timeline *timeline)
{
	int err = timeline_build(timeline);

	if (err) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	if (options->svg)
		err = picture_save("picture_timeline", timeline, PICTURE_SVG, options->svg);
	if (options->png && !err)
		err = picture_save("picture_timeline", timeline, PICTURE_PNG, options->png);
	return err;
}

/* Whoever waits for the end of a count in vain is told so. */
static int finish(struct watch *watch)
{
	struct timeline *timeline = watch->timeline;
	const struct options *options = watch->options;

	timeline->ns = trace_age(watch->trace);
	timeline->lost = trace_lost(watch->trace);
	if (timeline->lost)
		fprintf(stderr, "%" PRIu64 " events were lost, as they were not read fast enough\n",
			timeline->lost);
	if (wants_picture(options) && draw(options, timeline))
		return -1;
	if (options->seconds < 0 || watch->count >= options->count || stop_signal())
		return 0;
	output_error("--timeout: %" PRIu64 " of %" PRIu64 " events in %g s", watch->count,
		     options->count, options->seconds);
	return -1;
}

static int trace(const struct options *options)
{
	struct timeline *timeline = calloc(1, sizeof(*timeline));
	struct watch watch = {.options = options, .timeline = timeline};
	int err = -1;

	if (!timeline) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	stop_catch();
	watch.trace = trace_start();
	if (watch.trace) {
		fprintf(stderr, "tracing, pid %d\n", getpid());
		err = wants_picture(options) ? list_held(&watch) : 0;
		if (!err)
			err = watch_events(&watch);
		if (!err)
			err = finish(&watch);
	}
	trace_end(watch.trace);
	timeline_free(timeline);
	free(timeline);
	return err;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 's':
		options->svg = text;
		return 0;
	case 'p':
		options->png = text;
		return 0;
	case 'n':
		return number_parse("--count", text, 1, UINT64_MAX, &options->count);
	default:
		return number_seconds("--timeout", text, 0, &options->seconds);
	}
}

static int run(int argc, char **argv)
{
	struct options options = {.seconds = -1};
	int status = command_parse(&cmd_trace, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	if (options.json && wants_picture(&options)) {
		output_error("--json: not with --svg or --png");
		return command_usage_error(&cmd_trace);
	}
	if (!picture_outputs(options.svg, options.png, false))
		return command_usage_error(&cmd_trace);
	return trace(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},	   {"svg", required_argument, NULL, 's'},
	{"png", required_argument, NULL, 'p'},	   {"count", required_argument, NULL, 'n'},
	{"timeout", required_argument, NULL, 't'}, COMMAND_HELP,
};

const struct command cmd_trace = {
	.name = "trace",
	.run = run,
	.options = longs,
	.letters = "hn:t:",
	.summary = "show allocations over time, as lines or as a picture",
	.usage = "[-n COUNT] [-t SECONDS] [--json | [--svg FILE] [--png FILE]]\n"
		 "\n"
		 "Buffers as they are allocated and freed, and what else happens to pools, by the\n"
		 "kernel's tracepoints; needs root. Ends at SIGINT or SIGTERM.\n"
		 "\n"
		 "  -n, --count COUNT      end after so many events\n"
		 "  -t, --timeout SECONDS  end after so long; it is a failure if --count is not\n"
		 "                         reached then\n"
		 "  --json                 print one JSON object an event\n"
		 "  --svg FILE             draw into a file, at the end\n"
		 "  --png FILE             likewise\n",
};
