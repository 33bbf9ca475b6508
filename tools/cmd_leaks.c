// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem leaks: buffers, by how likely it is that nobody will give them back.
 *
 * What a process does with its memory only it knows. From outside there is what the kernel tells
 * of each buffer: who opened its file and whether anybody still has that, whether something maps
 * it, refers to it by a dma-buf, or could find it by a name; and how old it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/events.h>

#include "cmd.h"
#include "device.h"
#include "holders.h"
#include "number.h"
#include "output.h"
#include "table.h"
#include "text.h"

#define N_COLUMNS 7

/* What is odd about a buffer; the first that fits. */
enum finding {
	/* Its file is closed, and an export or another's id keeps it. */
	FINDING_CLOSED,
	/* Nobody that is seen has the file, by a descriptor or a mapping. */
	FINDING_UNSEEN,
	/* Who opened the file is gone; others have it. */
	FINDING_INHERITED,
	/* Nothing maps it, and it is neither exported nor published. */
	FINDING_UNMAPPED,
	/* It is published, and nothing maps it. */
	FINDING_IDLE_NAME,
	FINDING_NONE,
	FINDINGS,
};

static const char *const names[FINDINGS] = {
	[FINDING_CLOSED] = "closed",	   [FINDING_UNSEEN] = "unseen",
	[FINDING_INHERITED] = "inherited", [FINDING_UNMAPPED] = "unmapped",
	[FINDING_IDLE_NAME] = "published", [FINDING_NONE] = "none",
};

static const char *const words[FINDINGS] = {
	[FINDING_CLOSED] = "file closed, kept by others' ids or dma-bufs",
	[FINDING_UNSEEN] = "no process seen here has its file",
	[FINDING_INHERITED] = "who opened its file is gone",
	[FINDING_UNMAPPED] = "not mapped, exported or published",
	[FINDING_IDLE_NAME] = "published, and mapped by nobody",
	[FINDING_NONE] = "in use",
};

struct options {
	bool json;
	bool all;
	pid_t pid;
	double older; /* seconds */
};

/* Buffers of one file with the same tag and finding. */
struct group {
	uint64_t file;
	uint32_t pid;
	uint32_t uid;
	char comm[16];
	char tag[32];
	enum finding finding;
	uint64_t buffers;
	uint64_t bytes;
	uint64_t oldest_ms;
};

struct search {
	const struct options *options;
	const struct holders *holders;
	struct group *groups;
	size_t n;
};

static const struct held_file *find_file(const struct holders *holders, uint64_t file)
{
	for (size_t i = 0; i < holders->n_files; i++) {
		if (holders->files[i].file == file)
			return &holders->files[i];
	}
	return NULL;
}

static bool has_process(const struct held_file *file, uint32_t pid)
{
	for (size_t i = 0; file && i < file->n_processes; i++) {
		if ((uint32_t)file->processes[i].pid == pid)
			return true;
	}
	return false;
}

/* Whether the process maps memory without a descriptor of its file: which, is not told. */
static bool is_mapper(const struct holders *holders, uint32_t pid)
{
	for (size_t i = 0; i < holders->n_mappers; i++) {
		if ((uint32_t)holders->mappers[i].process.pid == pid)
			return true;
	}
	return false;
}

static enum finding judge(const struct search *search, const struct bitmem_nl_buffer *buffer)
{
	const struct held_file *file = find_file(search->holders, buffer->file);

	if (buffer->closed)
		return FINDING_CLOSED;
	if (!file && !buffer->mappings)
		return FINDING_UNSEEN;
	/* The name is empty when the process is gone: its number may be another's by now. */
	if (!*buffer->comm)
		return FINDING_INHERITED;
	if (buffer->mappings || buffer->exports)
		return FINDING_NONE;
	return *buffer->name ? FINDING_IDLE_NAME : FINDING_UNMAPPED;
}

static bool is_wanted(const struct search *search, const struct bitmem_nl_buffer *buffer)
{
	const struct options *options = search->options;
	uint32_t pid = (uint32_t)options->pid;

	if ((double)buffer->age_ns / 1e9 < options->older)
		return false;
	return options->all || buffer->pid == pid ||
	       has_process(find_file(search->holders, buffer->file), pid);
}

static struct group *group_of(struct search *search, const struct bitmem_nl_buffer *buffer,
			      enum finding finding)
{
	struct group *groups = search->groups;
	struct group *group;

	for (size_t i = 0; i < search->n; i++) {
		if (groups[i].file == buffer->file && groups[i].finding == finding &&
		    !strcmp(groups[i].tag, buffer->tag))
			return &groups[i];
	}
	groups = reallocarray(groups, search->n + 1, sizeof(*groups));
	if (!groups)
		return NULL;
	search->groups = groups;
	group = &groups[search->n++];
	*group = (struct group){
		.file = buffer->file,
		.pid = buffer->pid,
		.uid = buffer->uid,
		.finding = finding,
	};
	memcpy(group->comm, buffer->comm, sizeof(group->comm));
	memcpy(group->tag, buffer->tag, sizeof(group->tag));
	return group;
}

static int take_buffer(const struct bitmem_nl_buffer *buffer, void *data)
{
	struct search *search = data;
	struct group *group;

	if (!is_wanted(search, buffer))
		return 0;
	group = group_of(search, buffer, judge(search, buffer));
	if (!group)
		return -ENOMEM;
	group->buffers++;
	group->bytes += buffer->resident;
	if (group->oldest_ms < buffer->age_ns / 1000000)
		group->oldest_ms = buffer->age_ns / 1000000;
	return 0;
}

/* The oddest first, and of these the largest. */
static int compare(const void *a, const void *b)
{
	const struct group *first = a;
	const struct group *second = b;

	if (first->finding != second->finding)
		return first->finding > second->finding ? 1 : -1;
	return (first->bytes < second->bytes) - (first->bytes > second->bytes);
}

/* --- output --- */

static json_t *pids_json(const struct held_file *file)
{
	json_t *array = json_array();

	for (size_t i = 0; file && i < file->n_processes; i++)
		output_json_append(&array, json_integer(file->processes[i].pid));
	return array;
}

static json_t *group_json(const struct search *search, const struct group *group)
{
	json_t *object = json_object();

	output_json_set(&object, "finding", json_string(names[group->finding]));
	output_json_set(&object, "file", output_json_u64(group->file));
	output_json_set(&object, "owner", json_integer(group->pid));
	output_json_set(&object, "comm", output_json_text(group->comm));
	output_json_set(&object, "uid", json_integer(group->uid));
	output_json_set(&object, "processes", pids_json(find_file(search->holders, group->file)));
	output_json_set(&object, "tag", output_json_text(group->tag));
	output_json_set(&object, "buffers", output_json_u64(group->buffers));
	output_json_set(&object, "bytes", output_json_u64(group->bytes));
	output_json_set(&object, "oldest_ms", output_json_u64(group->oldest_ms));
	return object;
}

static int print_json(const struct search *search)
{
	json_t *object = json_object();
	json_t *groups = json_array();
	uint64_t suspect = 0;

	for (size_t i = 0; i < search->n; i++) {
		output_json_append(&groups, group_json(search, &search->groups[i]));
		if (search->groups[i].finding != FINDING_NONE)
			suspect += search->groups[i].bytes;
	}
	output_json_set(&object, "groups", groups);
	output_json_set(&object, "suspect_bytes", output_json_u64(suspect));
	output_json_set(&object, "hidden_processes", output_json_u64(search->holders->hidden));
	return output_json(object);
}

static void add_group(struct table *table, const struct group *group)
{
	char size[TEXT_SIZE_LEN];
	char age[TEXT_AGE_LEN];

	table_cell(table, "%" PRIu64, group->file);
	table_cell(table, "%u", group->pid);
	table_cell(table, "%" PRIu64, group->buffers);
	table_cell(table, "%s", text_size(group->bytes, size));
	table_cell(table, "%s", text_age(group->oldest_ms, age));
	table_cell(table, "%s", *group->tag ? group->tag : "-");
	table_cell(table, "%s", words[group->finding]);
}

static int print_table(const struct search *search)
{
	static const char *const header[N_COLUMNS] = {"FILE", "OPENER", "BUFFERS", "BYTES",
						      "OLDEST", "TAG", "FINDING"};
	struct table *table = table_new(N_COLUMNS);
	int err;

	if (!table)
		return -1;
	for (size_t i = 0; i < N_COLUMNS; i++) {
		table_cell(table, "%s", header[i]);
		if (i < 5)
			table_align_right(table, i);
	}
	for (size_t i = 0; i < search->n; i++)
		add_group(table, &search->groups[i]);
	err = table_print(table);
	table_free(table);
	return err;
}

static int print_text(const struct search *search)
{
	size_t hidden = search->holders->hidden;

	if (print_table(search)) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	if (hidden)
		printf("\n%zu %s not permitted to look into; what they have may be shown as "
		       "nobody's\n", hidden, hidden == 1 ? "process" : "processes");
	return output_flush();
}

/* --- the command --- */

static int search_and_print(const struct options *options, const struct holders *holders)
{
	struct search search = {.options = options, .holders = holders};
	int err = bitmem_nl_buffers(take_buffer, &search);

	if (err == -ENOENT) {
		output_error("netlink: no family bitmem here (it is in the initial network "
			     "namespace only)");
	} else if (err) {
		output_error("netlink: %s", strerror(-err));
	} else {
		if (search.n)
			qsort(search.groups, search.n, sizeof(*search.groups), compare);
		err = options->json ? print_json(&search) : print_text(&search);
	}
	free(search.groups);
	return err ? -1 : 0;
}

static int look(const struct options *options)
{
	struct holders holders;
	struct device device;
	int err;

	/* It has to be one; and not to be open when /proc is searched. */
	if (device_open(&device))
		return -1;
	device_close(&device);
	if (!options->all && kill(options->pid, 0) && errno == ESRCH) {
		output_error("process %d: %s", options->pid, strerror(ESRCH));
		return -1;
	}
	if (holders_scan(device_path(), &holders)) {
		output_error("/proc: %s", strerror(errno));
		return -1;
	}
	if (!options->all && is_mapper(&holders, (uint32_t)options->pid))
		fprintf(stderr, "process %d maps memory of a file that it has no descriptor of; "
			"only what it opened itself is shown\n", options->pid);
	err = search_and_print(options, &holders);
	holders_free(&holders);
	return err;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 'a':
		options->all = true;
		return 0;
	default:
		return number_seconds("--older", text, 0, &options->older);
	}
}

static int parse_arguments(struct options *options, char **argv, int n)
{
	uint64_t pid;

	if (n + options->all != 1) {
		output_error("leaks: give one process or --all");
		return -1;
	}
	if (options->all)
		return 0;
	if (number_parse("PID", argv[0], 1, INT32_MAX, &pid))
		return -1;
	options->pid = (pid_t)pid;
	return 0;
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	int status = command_parse(&cmd_leaks, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	if (parse_arguments(&options, argv + optind, argc - optind))
		return command_usage_error(&cmd_leaks);
	return look(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"all", no_argument, NULL, 'a'},
	{"older", required_argument, NULL, 'o'},
	COMMAND_HELP,
};

const struct command cmd_leaks = {
	.name = "leaks",
	.run = run,
	.options = longs,
	.arguments = true,
	.summary = "show buffers that nobody may give back",
	.usage = "PID|--all [--older SECONDS] [--json]\n"
		 "\n"
		 "Shows buffers by file and tag, the oddest first: of closed files, of files that\n"
		 "nobody seen here has, not mapped. It is what the kernel knows; what is lost inside\n"
		 "of a process only that can tell (BITMEM_LEAKS=1). Root sees everybody's.\n"
		 "\n"
		 "  --all            of all processes\n"
		 "  --older SECONDS  only buffers of this age at least\n"
		 "  --json           print one JSON object, with exact bytes\n",
};
