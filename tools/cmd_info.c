// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem info: the device and its pools.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmd.h"
#include "counters.h"
#include "device.h"
#include "number.h"
#include "output.h"
#include "progress.h"
#include "text.h"

struct options {
	bool json;
	bool wait;
	double seconds; /* to wait at most, below 0 for ever */
};

static const struct {
	uint64_t bit;
	const char *name;
} features[] = {
	{BITMEM_FEATURE_DMABUF, "dmabuf"},
	{BITMEM_FEATURE_URING, "uring"},
};

#define N_FEATURES (sizeof(features) / sizeof(features[0]))

/* 1 while a pool is being filled, 0 when none is, -1 after an error. */
static int any_filling(const struct device *device)
{
	struct bitmem_pool_info pool;

	for (uint32_t i = 0; i < device->info.out_pools; i++) {
		if (device_pool(device, i, &pool))
			return -1;
		if (counters_filling(&pool))
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

static json_t *features_json(uint64_t bits)
{
	json_t *array = json_array();

	for (size_t i = 0; i < N_FEATURES; i++) {
		if (bits & features[i].bit)
			output_json_append(&array, json_string(features[i].name));
	}
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
	output_json_set(&object, "feature_names", features_json(info->out_features));
	output_json_set(&object, "level", json_string(counters_level(info->out_level)));
	output_json_set(&object, "nodes", json_integer(info->out_nodes));
	output_json_set(&object, "pools", counters_json_all(pools, info->out_pools, COUNTERS_MAIN));
	return output_json(object);
}

static void print_device(const struct device *device)
{
	const struct bitmem_info *info = &device->info;
	char page[TEXT_SIZE_LEN];
	char superblock[TEXT_SIZE_LEN];
	char pmd[TEXT_SIZE_LEN];

	printf("%s: abi %u, page %s, superblock %s, PMD %s, %u %s on %u %s\n", device->path,
	       info->out_abi, text_size(info->out_page_size, page),
	       text_size(info->out_superblock_size, superblock), text_size(info->out_pmd_size, pmd),
	       info->out_pools, info->out_pools == 1 ? "pool" : "pools", info->out_nodes,
	       info->out_nodes == 1 ? "node" : "nodes");
	printf("level %s, features 0x%" PRIx64, counters_level(info->out_level),
	       (uint64_t)info->out_features);
	for (size_t i = 0; i < N_FEATURES; i++) {
		if (info->out_features & features[i].bit)
			printf(" %s", features[i].name);
	}
	fputs("\n\n", stdout);
}

static int print_text(const struct device *device, const struct bitmem_pool_info *pools)
{
	print_device(device);
	if (counters_print(pools, device->info.out_pools, COUNTERS_MAIN))
		return -1;
	return output_flush();
}

static int show(const struct device *device, void *data)
{
	const struct options *options = data;
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

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	if (option == 'j') {
		options->json = true;
		return 0;
	}
	options->wait = true;
	options->seconds = -1;
	return text ? number_seconds("--wait", text, 0, &options->seconds) : 0;
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	int status = command_parse(&cmd_info, argc, argv, take_option, &options);

	return status >= 0 ? status : command_on_device(show, &options);
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"wait", optional_argument, NULL, 'w'},
	COMMAND_HELP,
};

const struct command cmd_info = {
	.name = "info",
	.run = run,
	.options = longs,
	.summary = "show the device and its pools",
	.usage = "[--json] [--wait[=SECONDS]]\n"
		 "\n"
		 "  --json            print one JSON object, with exact bytes\n"
		 "  --wait[=SECONDS]  first wait until no pool is being filled any more\n",
};
