// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem pools: all counters of the pools, and their settings.
 *
 * Counters come from the device, as everybody may see them; settings are changed over
 * generic netlink, which asks for a capability.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/events.h>

#include "cmd.h"
#include "counters.h"
#include "device.h"
#include "number.h"
#include "output.h"

/* What getopt_long() returns for the settings: their indexes are added. */
#define FIRST_SETTING 256

static const struct setting {
	const char *name;
	size_t offset;
} settings[] = {
	{"target", offsetof(struct bitmem_nl_settings, target)},
	{"max", offsetof(struct bitmem_nl_settings, max)},
	{"reserve", offsetof(struct bitmem_nl_settings, reserve)},
	{"low", offsetof(struct bitmem_nl_settings, low)},
	{"high", offsetof(struct bitmem_nl_settings, high)},
	{"emergency", offsetof(struct bitmem_nl_settings, emergency)},
};

#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

struct options {
	bool json;
	/* The pool asked for, if one was. */
	bool one;
	uint32_t index;
	/* There are some. */
	bool set;
	struct bitmem_nl_settings settings;
	/* As they were given, NULL if not. */
	const char *texts[N_SETTINGS];
};

/* " --target 4G --max 8G": what was asked for. */
static void list_settings(const struct options *options, char *text, size_t room)
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < N_SETTINGS; i++) {
		int n = options->texts[i] ? snprintf(text + used, room - used, " --%s %s",
						     settings[i].name, options->texts[i])
					  : 0;

		if (n < 0 || (size_t)n >= room - used)
			return;
		used += (size_t)n;
	}
}

static int set(const struct options *options)
{
	char reason[BITMEM_NL_REASON_LEN];
	char asked[256];
	int err = bitmem_nl_pool_set(options->index, &options->settings, reason);

	if (!err)
		return 0;
	list_settings(options, asked, sizeof(asked));
	if (err == -EPERM)
		output_error("pool %u:%s: needs CAP_SYS_ADMIN (try as root)", options->index,
			     asked);
	else if (err == -ENOENT && !*reason)
		output_error("netlink: no family bitmem here (it is in the initial network "
			     "namespace only)");
	else
		output_error("pool %u:%s: %s", options->index, asked,
			     *reason ? reason : strerror(-err));
	return -1;
}

static int print(const struct bitmem_pool_info *pools, size_t n, bool json)
{
	json_t *object;

	if (!json)
		return counters_print(pools, n, COUNTERS_ALL) ? -1 : output_flush();
	object = json_object();
	output_json_set(&object, "pools", counters_json_all(pools, n, COUNTERS_ALL));
	return output_json(object);
}

static int show(const struct device *device, const struct options *options)
{
	struct bitmem_pool_info *pools;
	struct bitmem_pool_info pool;
	int err;

	if (options->one)
		return device_pool(device, options->index, &pool) ? -1
								  : print(&pool, 1, options->json);
	pools = device_pools(device);
	if (!pools)
		return -1;
	err = print(pools, device->info.out_pools, options->json);
	free(pools);
	return err;
}

static int do_it(const struct device *device, void *data)
{
	const struct options *options = data;

	if (options->one && device_no_pool(device, options->index))
		return -1;
	if (options->set && set(options))
		return -1;
	return show(device, options);
}

static int take_pool(struct options *options, const char *text)
{
	uint64_t index;

	if (number_parse("--pool", text, 0, UINT32_MAX, &index))
		return -1;
	options->one = true;
	options->index = (uint32_t)index;
	return 0;
}

static int take_setting(struct options *options, size_t i, const char *text)
{
	char name[32];
	uint64_t value;

	snprintf(name, sizeof(name), "--%s", settings[i].name);
	if (number_parse(name, text, 0, BITMEM_NL_KEEP - 1, &value))
		return -1;
	memcpy((char *)&options->settings + settings[i].offset, &value, sizeof(value));
	options->texts[i] = text;
	options->set = true;
	return 0;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 'p':
		return take_pool(options, text);
	default:
		return take_setting(options, (size_t)(option - FIRST_SETTING), text);
	}
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	int status;

	bitmem_nl_settings_init(&options.settings);
	status = command_parse(&cmd_pools, argc, argv, take_option, &options);
	if (status >= 0)
		return status;
	if (options.set && !options.one) {
		output_error("--pool: say which pool is to be changed");
		return command_usage_error(&cmd_pools);
	}
	return command_on_device(do_it, &options);
}

/* The settings in the order of their table. */
static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"pool", required_argument, NULL, 'p'},
	{"target", required_argument, NULL, FIRST_SETTING},
	{"max", required_argument, NULL, FIRST_SETTING + 1},
	{"reserve", required_argument, NULL, FIRST_SETTING + 2},
	{"low", required_argument, NULL, FIRST_SETTING + 3},
	{"high", required_argument, NULL, FIRST_SETTING + 4},
	{"emergency", required_argument, NULL, FIRST_SETTING + 5},
	COMMAND_HELP,
};

const struct command cmd_pools = {
	.name = "pools",
	.run = run,
	.options = longs,
	.summary = "show all counters of the pools, or change their sizes",
	.usage = "[--pool N] [--json] [SETTING]...\n"
		 "\n"
		 "  --pool N           this pool only\n"
		 "  --json             print one JSON object, with exact bytes\n"
		 "\n"
		 "Settings of the pool named by --pool, all or none; they need CAP_SYS_ADMIN:\n"
		 "  --target BYTES     what it is to hold now\n"
		 "  --max BYTES        what it may grow to\n"
		 "  --reserve BYTES    what is never given back to the system\n"
		 "  --low BYTES        free memory below which it grows and the level is low\n"
		 "  --high BYTES       free memory at which growth ends\n"
		 "  --emergency BYTES  free memory below which the level is emergency\n"
		 "BYTES may end in K, M or G. reserve <= target <= max, and\n"
		 "emergency <= low <= high <= max.\n",
};
