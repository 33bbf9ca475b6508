// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem monitor: what the kernel module tells over generic netlink, as it happens.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bitmem/events.h>

#include "cmd.h"
#include "counters.h"
#include "number.h"
#include "output.h"
#include "progress.h"
#include "stop.h"
#include "text.h"

#define TIME_LEN 40

struct options {
	bool json;
	uint64_t count; /* 0: no end */
	double seconds; /* below 0: no end */
};

/* A listening under way. */
struct watch {
	const struct options *options;
	uint64_t count;
	bool failed;
};

static const char *type_name(enum bitmem_event_type type)
{
	static const char *const names[] = {
		[BITMEM_EVENT_PRESSURE] = "pressure",	  [BITMEM_EVENT_EXHAUSTED] = "exhausted",
		[BITMEM_EVENT_QUARANTINE] = "quarantine", [BITMEM_EVENT_COMPACTED] = "compacted",
		[BITMEM_EVENT_RETIRED] = "retired",	  [BITMEM_EVENT_SHRUNK] = "shrunk",
		[BITMEM_EVENT_RECLAIMED] = "reclaimed",	  [BITMEM_EVENT_LOST] = "lost",
	};

	/* A newer library may have more. */
	return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "unknown";
}

/* "2026-11-24T14:03:22.125+0100" */
static const char *text_now(char text[TIME_LEN])
{
	struct timespec now;
	struct tm tm;
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	used = strftime(text, TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	used += (size_t)snprintf(text + used, TIME_LEN - used, ".%03ld", now.tv_nsec / 1000000);
	strftime(text + used, TIME_LEN - used, "%z", &tm);
	return text;
}

/* --- JSON --- */

static void set_bytes(json_t **object, const char *key, uint64_t value)
{
	output_json_set(object, key, output_json_u64(value));
}

static void file_members(json_t **object, const struct bitmem_event *event)
{
	set_bytes(object, "file", event->file);
	set_bytes(object, "buffers", event->buffers);
	set_bytes(object, "bytes", event->bytes);
	if (event->pid == BITMEM_EVENT_NOBODY)
		return;
	output_json_set(object, "pid", json_integer(event->pid));
	output_json_set(object, "uid", json_integer(event->uid));
	output_json_set(object, "comm", output_json_text(event->comm));
}

static void pool_members(json_t **object, const struct bitmem_event *event)
{
	output_json_set(object, "pool", json_integer(event->pool));
	output_json_set(object, "node", json_integer(event->node));
	switch (event->type) {
	case BITMEM_EVENT_PRESSURE:
		output_json_set(object, "level", json_string(counters_level(event->level)));
		set_bytes(object, "free", event->free);
		set_bytes(object, "capacity", event->capacity);
		return;
	case BITMEM_EVENT_COMPACTED:
		set_bytes(object, "moved", event->moved);
		set_bytes(object, "freed", event->freed);
		set_bytes(object, "skipped", event->skipped);
		return;
	case BITMEM_EVENT_EXHAUSTED:
		set_bytes(object, "bytes", event->bytes);
		set_bytes(object, "count", event->count);
		return;
	default:
		set_bytes(object, "bytes", event->bytes);
	}
}

static int print_json(const struct bitmem_event *event, const char *time)
{
	json_t *object = json_object();

	output_json_set(&object, "time", json_string(time));
	output_json_set(&object, "event", json_string(type_name(event->type)));
	if (event->type == BITMEM_EVENT_RECLAIMED)
		file_members(&object, event);
	else if (event->type != BITMEM_EVENT_LOST)
		pool_members(&object, event);
	return output_json(object);
}

/* --- lines --- */

static void print_owner(const struct bitmem_event *event)
{
	char *comm;

	if (event->pid == BITMEM_EVENT_NOBODY)
		return;
	comm = text_escape(event->comm);
	printf(", opened by pid %u%s%s%s, uid %u", event->pid, comm && *comm ? " (" : "",
	       comm ? comm : "", comm && *comm ? ")" : "", event->uid);
	free(comm);
}

static void print_what(const struct bitmem_event *event)
{
	char a[TEXT_SIZE_LEN];
	char b[TEXT_SIZE_LEN];
	char c[TEXT_SIZE_LEN];

	switch (event->type) {
	case BITMEM_EVENT_PRESSURE:
		printf("level %s, %s of %s free", counters_level(event->level),
		       text_size(event->free, a), text_size(event->capacity, b));
		return;
	case BITMEM_EVENT_EXHAUSTED:
		printf("%" PRIu64 " %s refused, the last for %s", event->count,
		       event->count == 1 ? "request" : "requests", text_size(event->bytes, a));
		return;
	case BITMEM_EVENT_QUARANTINE:
		printf("%s given back are still in use", text_size(event->bytes, a));
		return;
	case BITMEM_EVENT_COMPACTED:
		printf("%s moved, %s freed, %s skipped", text_size(event->moved, a),
		       text_size(event->freed, b), text_size(event->skipped, c));
		return;
	case BITMEM_EVENT_RETIRED:
		printf("%s hardware-poisoned", text_size(event->bytes, a));
		return;
	case BITMEM_EVENT_SHRUNK:
		printf("%s back to the system", text_size(event->bytes, a));
		return;
	case BITMEM_EVENT_RECLAIMED:
		printf("file %" PRIu64 " closed with %" PRIu64 " %s, %s", event->file,
		       event->buffers, event->buffers == 1 ? "buffer" : "buffers",
		       text_size(event->bytes, a));
		print_owner(event);
		return;
	case BITMEM_EVENT_LOST:
		fputs("events were missed, as they were not read fast enough", stdout);
	}
}

static int print_line(const struct bitmem_event *event, const char *time)
{
	printf("%s  %-10s  ", time, type_name(event->type));
	if (event->type != BITMEM_EVENT_RECLAIMED && event->type != BITMEM_EVENT_LOST)
		printf("pool %u, node %u: ", event->pool, event->node);
	print_what(event);
	putchar('\n');
	return output_flush();
}

/* --- listening --- */

static int take_event(const struct bitmem_event *event, void *data)
{
	struct watch *watch = data;
	char time[TIME_LEN];

	text_now(time);
	if (watch->options->json ? print_json(event, time) : print_line(event, time)) {
		watch->failed = true;
		return 1;
	}
	watch->count++;
	/* In a flood there is no end of events that are there to be read. */
	return watch->count == watch->options->count || stop_signal();
}

static int say_missing(const struct watch *watch)
{
	output_error("--timeout: %" PRIu64 " of %" PRIu64 " events in %g s", watch->count,
		     watch->options->count, watch->options->seconds);
	return -1;
}

static int listen_to(struct bitmem_events *events, const struct options *options)
{
	struct watch watch = {.options = options};
	double started = progress_clock();
	double left = -1;
	int err;

	while (!stop_signal()) {
		if (options->seconds >= 0)
			left = options->seconds - (progress_clock() - started);
		if (options->seconds >= 0 && left <= 0)
			return options->count ? say_missing(&watch) : 0;
		err = stop_poll(bitmem_events_fd(events), left);
		if (err > 0)
			err = bitmem_events_read(events, take_event, &watch);
		else if (err < 0)
			err = -errno;
		if (err < 0) {
			output_error("netlink: %s", strerror(-err));
			return -1;
		}
		if (err > 0)
			return watch.failed ? -1 : 0;
	}
	return 0;
}

/* With owners if they are told to the caller. */
static struct bitmem_events *open_events(bool *owners)
{
	struct bitmem_events *events = bitmem_events_open(BITMEM_EVENTS_OWNERS);

	*owners = events != NULL;
	if (!events && errno == EPERM)
		events = bitmem_events_open(0);
	if (!events && errno == ENOENT)
		output_error("netlink: no family bitmem here (is the module loaded? It is in "
			     "the initial network namespace only)");
	else if (!events)
		output_error("netlink: %s", strerror(errno));
	return events;
}

static int monitor(const struct options *options)
{
	struct bitmem_events *events;
	bool owners;
	int err;

	stop_catch();
	events = open_events(&owners);
	if (!events)
		return -1;
	fprintf(stderr, "listening, pid %d%s\n", getpid(),
		owners ? "" : "; whose files are closed is told with CAP_SYS_ADMIN only");
	err = listen_to(events, options);
	bitmem_events_close(events);
	return err;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
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
	int status = command_parse(&cmd_monitor, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	return monitor(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"count", required_argument, NULL, 'n'},
	{"timeout", required_argument, NULL, 't'},
	COMMAND_HELP,
};

const struct command cmd_monitor = {
	.name = "monitor",
	.run = run,
	.options = longs,
	.letters = "hn:t:",
	.summary = "print events as they happen",
	.usage = "[-n COUNT] [-t SECONDS] [--json]\n"
		 "\n"
		 "Pressure, refusals, quarantine, compaction, poison, memory given back, and\n"
		 "files closed with buffers in them; root is told whose. Ends at SIGINT or\n"
		 "SIGTERM.\n"
		 "\n"
		 "  -n, --count COUNT      end after so many events\n"
		 "  -t, --timeout SECONDS  end after so long; it is a failure if --count is not\n"
		 "                         reached then\n"
		 "  --json                 print one JSON object an event\n",
};
