// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem migrate: buffers to another NUMA node. The kernel moves what a file has an id of: the
 * files are a process's, borrowed, or this program's own, in which a published name is attached.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "borrow.h"
#include "cmd.h"
#include "device.h"
#include "named.h"
#include "number.h"
#include "output.h"
#include "text.h"

struct options {
	bool json;
	bool node_given;
	uint32_t node;
	/* Of these, one. */
	pid_t pid;
	const char *name;
	uint32_t uid;
};

struct result {
	uint64_t buffers;
	uint64_t bytes; /* that have memory */
	uint64_t moved;
	uint64_t skipped;
};

static int print(const struct result *result, const struct options *options)
{
	char moved[TEXT_SIZE_LEN];
	char skipped[TEXT_SIZE_LEN];
	json_t *object;

	if (!options->json) {
		printf("%" PRIu64 " %s: %" PRIu64 " bytes (%s) moved to node %u, %" PRIu64
		       " bytes (%s) skipped\n",
		       result->buffers, result->buffers == 1 ? "buffer" : "buffers",
		       result->moved, text_size(result->moved, moved), options->node,
		       result->skipped, text_size(result->skipped, skipped));
		return output_flush();
	}
	object = json_object();
	output_json_set(&object, "node", json_integer(options->node));
	output_json_set(&object, "buffers", output_json_u64(result->buffers));
	output_json_set(&object, "bytes", output_json_u64(result->bytes));
	output_json_set(&object, "moved", output_json_u64(result->moved));
	output_json_set(&object, "skipped", output_json_u64(result->skipped));
	return output_json(object);
}

/* Moves a buffer that was just looked at. 0, or -1 after saying what failed. */
static int move(int fd, const struct bitmem_query *buffer, const struct options *options,
		struct result *result)
{
	struct bitmem_migrate arg = {
		.size = sizeof(arg),
		.id = buffer->out_id,
		.node = (int32_t)options->node,
	};

	if (ioctl(fd, BITMEM_MIGRATE, &arg)) {
		if (errno == ENOENT) /* freed meanwhile */
			return 0;
		if (errno != EBUSY) {
			output_error("buffer %u: %s; %" PRIu64 " bytes were moved before",
				     buffer->out_id,
				     errno == EACCES ? "may only be read here" :
				     errno == ENOMEM ? "the node has not enough free memory" :
						       strerror(errno), result->moved);
			return -1;
		}
		arg.out_skipped = buffer->out_resident;
	}
	result->buffers++;
	result->bytes += buffer->out_resident;
	result->moved += arg.out_moved;
	result->skipped += arg.out_skipped;
	return 0;
}

static int move_all(int fd, const struct options *options, struct result *result)
{
	struct bitmem_query query = {.size = sizeof(query), .flags = BITMEM_QUERY_NEXT};

	while (!ioctl(fd, BITMEM_QUERY, &query)) {
		/* Others' that may only be read here are theirs to move. */
		if (query.out_flags & BITMEM_BUFFER_READONLY)
			result->skipped += query.out_resident;
		else if (move(fd, &query, options, result))
			return -1;
		query.id = query.out_id;
	}
	if (errno == ENOENT)
		return 0;
	output_error("%s: QUERY: %s", device_path(), strerror(errno));
	return -1;
}

static int move_processes(const struct options *options, struct result *result)
{
	struct borrowed borrowed;
	int err = 0;

	if (borrow(device_path(), options->pid, &borrowed))
		return -1;
	for (size_t i = 0; i < borrowed.n && !err; i++)
		err = move_all(borrowed.fds[i], options, result);
	borrow_end(&borrowed);
	return err;
}

static int move_named(const struct device *device, const struct options *options,
		      struct result *result)
{
	struct bitmem_query buffer;

	if (named_attach(device, options->name, options->uid, false, &buffer))
		return -1;
	return move(device->fd, &buffer, options, result);
}

/* Whether there is no pool on the node; says so. */
static bool no_node(const struct device *device, uint32_t node)
{
	struct bitmem_pool_info *pools = device_pools(device);
	bool found = false;

	if (!pools)
		return true;
	for (uint32_t i = 0; i < device->info.out_pools; i++)
		found |= pools[i].out_node == (int32_t)node;
	free(pools);
	if (!found)
		output_error("--node: there is no pool on node %u", node);
	return !found;
}

static int do_it(const struct device *device, void *data)
{
	const struct options *options = data;
	struct result result = {0};
	int err;

	if (no_node(device, options->node))
		return -1;
	err = options->name ? move_named(device, options, &result)
			    : move_processes(options, &result);
	return err ? -1 : print(&result, options);
}

static int take_number(const char *option, const char *text, uint64_t min, uint64_t max,
		       uint32_t *value)
{
	uint64_t number;

	if (number_parse(option, text, min, max, &number))
		return -1;
	*value = (uint32_t)number;
	return 0;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 'n':
		options->node_given = true;
		return take_number("--node", text, 0, NUMBER_MAX_NODE, &options->node);
	case 'u':
		return take_number("--uid", text, 0, UINT32_MAX - 1, &options->uid);
	default:
		options->name = text;
		return named_check("--name", text);
	}
}

static int parse_arguments(struct options *options, char **argv, int n)
{
	uint32_t pid;

	if (!options->node_given) {
		output_error("--node: say where to move it");
		return -1;
	}
	if (n + !!options->name != 1) {
		output_error("migrate: give one process or one --name");
		return -1;
	}
	if (options->name)
		return 0;
	if (options->uid != BITMEM_UID_SELF) {
		output_error("--uid: goes with --name");
		return -1;
	}
	if (take_number("PID", argv[0], 1, INT32_MAX, &pid))
		return -1;
	options->pid = (pid_t)pid;
	return 0;
}

static int run(int argc, char **argv)
{
	struct options options = {.uid = BITMEM_UID_SELF};
	int status = command_parse(&cmd_migrate, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	if (parse_arguments(&options, argv + optind, argc - optind))
		return command_usage_error(&cmd_migrate);
	return command_on_device(do_it, &options);
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"node", required_argument, NULL, 'n'},
	{"name", required_argument, NULL, 'a'},
	{"uid", required_argument, NULL, 'u'},
	COMMAND_HELP,
};

const struct command cmd_migrate = {
	.name = "migrate",
	.run = run,
	.options = longs,
	.arguments = true,
	.summary = "move buffers to another NUMA node",
	.usage = "--node N PID [--json]\n"
		 "       bitmem migrate --node N --name NAME [--uid UID] [--json]\n"
		 "\n"
		 "Moves all buffers of the files that a process has open, or a published one that\n"
		 "may be written to. Addresses and contents stay; what something refers to is\n"
		 "skipped. A process of somebody else's needs what a debugger does.\n"
		 "\n"
		 "  --node N     where to\n"
		 "  --name NAME  the buffer published under this name\n"
		 "  --uid UID    by this user; else by oneself\n"
		 "  --json       print one JSON object, with exact bytes\n",
};
