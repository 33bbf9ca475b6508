// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem info: the device and its pools.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "device.h"
#include "output.h"
#include "progress.h"
#include "table.h"
#include "text.h"

struct options {
	bool json;
	bool wait;
	double seconds; /* to wait at most, below 0 for ever */
};

/* The counters of a pool, in the order in which they are shown. */
static const struct counter {
	const char *name;
	size_t offset;
	bool is_bytes;
} counters[] = {
	{"target", offsetof(struct bitmem_pool_info, out_target), true},
	{"capacity", offsetof(struct bitmem_pool_info, out_capacity), true},
	{"zeroed", offsetof(struct bitmem_pool_info, out_zeroed), true},
	{"dirty", offsetof(struct bitmem_pool_info, out_dirty), true},
	{"allocated", offsetof(struct bitmem_pool_info, out_allocated), true},
	{"quarantined", offsetof(struct bitmem_pool_info, out_quarantined), true},
	{"retired", offsetof(struct bitmem_pool_info, out_retired), true},
	{"largest", offsetof(struct bitmem_pool_info, out_largest), true},
	{"split", offsetof(struct bitmem_pool_info, out_split), true},
	{"buffers", offsetof(struct bitmem_pool_info, out_buffers), false},
	{"allocs", offsetof(struct bitmem_pool_info, out_allocs), false},
	{"fallbacks", offsetof(struct bitmem_pool_info, out_fallbacks), false},
	{"failures", offsetof(struct bitmem_pool_info, out_failures), false},
};

#define N_COUNTERS (sizeof(counters) / sizeof(counters[0]))

static uint64_t counter_value(const struct bitmem_pool_info *pool, const struct counter *counter)
{
	uint64_t value;

	memcpy(&value, (const char *)pool + counter->offset, sizeof(value));
	return value;
}

static bool is_filling(const struct bitmem_pool_info *pool)
{
	return pool->out_state & BITMEM_POOL_FILLING;
}

/* 1 while a pool is being filled, 0 when none is, -1 after an error. */
static int any_filling(const struct device *device)
{
	struct bitmem_pool_info pool;

	for (uint32_t i = 0; i < device->info.out_pools; i++) {
		if (device_pool(device, i, &pool))
			return -1;
		if (is_filling(&pool))
			return 1;
	}
	return 0;
}

static int wait_until_filled(const struct device *device, double seconds)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	double started = progress_clock();
	int filling;

	while ((filling = any_filling(device)) > 0) {
		if (seconds >= 0 && progress_clock() - started >= seconds) {
			output_error("%s: pools are still being filled after %g s", device->path,
				     seconds);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return filling;
}

static json_t *pool_json(const struct bitmem_pool_info *pool)
{
	json_t *object = json_object();

	output_json_set(&object, "index", json_integer(pool->index));
	output_json_set(&object, "node", json_integer(pool->out_node));
	output_json_set(&object, "width", json_integer(pool->out_width));
	output_json_set(&object, "filling", json_boolean(is_filling(pool)));
	for (size_t i = 0; i < N_COUNTERS; i++)
		output_json_set(&object, counters[i].name,
				output_json_u64(counter_value(pool, &counters[i])));
	return object;
}

static json_t *pools_json(const struct bitmem_pool_info *pools, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		output_json_append(&array, pool_json(&pools[i]));
	return array;
}

static int print_json(const struct device *device, const struct bitmem_pool_info *pools)
{
	const struct bitmem_info *info = &device->info;
	json_t *object = json_object();

	output_json_set(&object, "device", output_json_text(device->path));
	output_json_set(&object, "abi", json_integer(info->out_abi));
	output_json_set(&object, "page_size", json_integer(info->out_page_size));
	output_json_set(&object, "superblock_size", output_json_u64(info->out_superblock_size));
	output_json_set(&object, "pmd_size", output_json_u64(info->out_pmd_size));
	output_json_set(&object, "features", output_json_u64(info->out_features));
	output_json_set(&object, "nodes", json_integer(info->out_nodes));
	output_json_set(&object, "pools", pools_json(pools, info->out_pools));
	return output_json(object);
}

static void print_device(const struct device *device)
{
	const struct bitmem_info *info = &device->info;
	char page[TEXT_SIZE_LEN];
	char superblock[TEXT_SIZE_LEN];
	char pmd[TEXT_SIZE_LEN];

	printf("%s: abi %u, page %s, superblock %s, PMD %s, features 0x%" PRIx64
	       ", %u %s on %u %s\n\n",
	       device->path, info->out_abi, text_size(info->out_page_size, page),
	       text_size(info->out_superblock_size, superblock), text_size(info->out_pmd_size, pmd),
	       (uint64_t)info->out_features, info->out_pools,
	       info->out_pools == 1 ? "pool" : "pools", info->out_nodes,
	       info->out_nodes == 1 ? "node" : "nodes");
}

static void counter_cell(struct table *table, const struct counter *counter, uint64_t value)
{
	char size[TEXT_SIZE_LEN];

	if (counter->is_bytes)
		table_cell(table, "%s", text_size(value, size));
	else
		table_cell(table, "%" PRIu64, value);
}

static void add_counters(struct table *table, const struct bitmem_pool_info *pools, size_t n)
{
	for (size_t c = 0; c < N_COUNTERS; c++) {
		uint64_t total = 0;

		table_cell(table, "%s", counters[c].name);
		for (size_t i = 0; i < n; i++) {
			uint64_t value = counter_value(&pools[i], &counters[c]);

			counter_cell(table, &counters[c], value);
			total += value;
		}
		if (n > 1)
			counter_cell(table, &counters[c], total);
	}
}

/* A row of something that has no total. */
static void end_row(struct table *table, size_t n)
{
	if (n > 1)
		table_cell(table, "-");
}

static void add_pools(struct table *table, const struct bitmem_pool_info *pools, size_t n)
{
	table_cell(table, "POOL");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%u", pools[i].index);
	if (n > 1)
		table_cell(table, "TOTAL");
	table_cell(table, "node");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%d", pools[i].out_node);
	end_row(table, n);
	table_cell(table, "width");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%u", pools[i].out_width);
	end_row(table, n);
	table_cell(table, "state");
	for (size_t i = 0; i < n; i++)
		table_cell(table, "%s", is_filling(&pools[i]) ? "filling" : "ready");
	end_row(table, n);
	add_counters(table, pools, n);
}

static int print_text(const struct device *device, const struct bitmem_pool_info *pools)
{
	size_t n = device->info.out_pools;
	size_t columns = n + 1 + (n > 1);
	struct table *table = table_new(columns);
	int err = -1;

	if (table) {
		for (size_t i = 1; i < columns; i++)
			table_align_right(table, i);
		add_pools(table, pools, n);
		print_device(device);
		err = table_print(table);
		table_free(table);
	}
	if (err) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	return output_flush();
}

static int show(const struct device *device, const struct options *options)
{
	struct bitmem_pool_info *pools;
	int err;

	if (options->wait && wait_until_filled(device, options->seconds))
		return -1;
	pools = device_pools(device);
	if (!pools)
		return -1;
	err = options->json ? print_json(device, pools) : print_text(device, pools);
	free(pools);
	return err;
}

static int parse_seconds(const char *text, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(text, &end);
	if (errno || end == text || *end || !(*seconds >= 0)) {
		output_error("--wait: not a number of seconds: %s", text);
		return -1;
	}
	return 0;
}

/* -1 to go on, else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, 'j'},
		{"wait", optional_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'j':
			options->json = true;
			break;
		case 'w':
			options->wait = true;
			options->seconds = -1;
			if (optarg && parse_seconds(optarg, &options->seconds))
				return command_usage_error(&cmd_info);
			break;
		case 'h':
			return command_help(&cmd_info);
		default:
			return command_usage_error(&cmd_info);
		}
	}
	if (optind < argc) {
		output_error("info takes no arguments: %s", argv[optind]);
		return command_usage_error(&cmd_info);
	}
	return -1;
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	struct device device;
	int status = parse(argc, argv, &options);

	if (status >= 0)
		return status;
	if (device_open(&device))
		return EXIT_FAILURE;
	status = show(&device, &options) ? EXIT_FAILURE : EXIT_SUCCESS;
	device_close(&device);
	return status;
}

const struct command cmd_info = {
	.name = "info",
	.run = run,
	.summary = "show the device and its pools",
	.usage = "[--json] [--wait[=SECONDS]]\n"
		 "\n"
		 "  --json            print one JSON object, with exact bytes\n"
		 "  --wait[=SECONDS]  first wait until no pool is being filled any more\n",
};
