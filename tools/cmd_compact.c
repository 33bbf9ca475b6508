// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem compact and bitmem trim: the same but for what the kernel is asked to do with a pool.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cmd.h"
#include "device.h"
#include "number.h"
#include "output.h"
#include "text.h"

struct options {
	/* The request. */
	unsigned long request;
	const char *name;
	bool json;
	bool one;
	uint32_t index;
	uint64_t budget; /* 0: no limit */
};

/* What became of the pools. */
struct result {
	struct bitmem_compact *pools;
	uint32_t n;
	struct bitmem_compact total;
};

static int ask(const struct device *device, const struct options *options, uint32_t index,
	       struct result *result)
{
	struct bitmem_compact *arg = &result->pools[result->n];
	struct bitmem_compact *total = &result->total;
	uint64_t done = options->request == BITMEM_TRIM ? total->out_freed : total->out_moved;

	*arg = (struct bitmem_compact){.size = sizeof(*arg), .index = index};
	/* What a pool did beyond its budget is not to be the next one's without a limit. */
	if (options->budget && done >= options->budget)
		return 0;
	arg->budget = options->budget ? options->budget - done : 0;
	if (ioctl(device->fd, options->request, arg)) {
		output_error("%s: %s: pool %u: %s", device->path, options->name, index,
			     strerror(errno));
		return -1;
	}
	total->out_moved += arg->out_moved;
	total->out_freed += arg->out_freed;
	total->out_skipped += arg->out_skipped;
	result->n++;
	return 0;
}

/* --- JSON --- */

static json_t *figures_json(json_t *object, const struct bitmem_compact *pool)
{
	output_json_set(&object, "moved", output_json_u64(pool->out_moved));
	output_json_set(&object, "freed", output_json_u64(pool->out_freed));
	output_json_set(&object, "skipped", output_json_u64(pool->out_skipped));
	return object;
}

static json_t *pool_json(const struct bitmem_compact *pool)
{
	json_t *object = json_object();

	output_json_set(&object, "index", json_integer(pool->index));
	return figures_json(object, pool);
}

static int print_json(const struct result *result)
{
	json_t *object = json_object();
	json_t *pools = json_array();

	for (uint32_t i = 0; i < result->n; i++)
		output_json_append(&pools, pool_json(&result->pools[i]));
	output_json_set(&object, "pools", pools);
	return output_json(figures_json(object, &result->total));
}

/* --- text --- */

static void print_figures(const struct bitmem_compact *pool, unsigned long request)
{
	char size[TEXT_SIZE_LEN];

	if (request == BITMEM_COMPACT)
		printf("%" PRIu64 " bytes moved, %" PRIu64 " skipped, ", (uint64_t)pool->out_moved,
		       (uint64_t)pool->out_skipped);
	printf("%" PRIu64 " bytes (%s) %s\n", (uint64_t)pool->out_freed,
	       text_size(pool->out_freed, size),
	       request == BITMEM_COMPACT ? "became whole and free" : "back to the system");
}

static int print_text(const struct result *result, unsigned long request)
{
	for (uint32_t i = 0; i < result->n; i++) {
		printf("pool %u: ", result->pools[i].index);
		print_figures(&result->pools[i], request);
	}
	if (result->n > 1) {
		printf("all: ");
		print_figures(&result->total, request);
	}
	return output_flush();
}

/* --- the commands --- */

static int ask_all(const struct device *device, const struct options *options,
		   struct result *result)
{
	uint32_t end = options->one ? options->index + 1 : device->info.out_pools;
	int err = 0;

	for (uint32_t i = options->one ? options->index : 0; !err && i < end; i++)
		err = ask(device, options, i, result);
	return err;
}

static int do_it(const struct device *device, void *data)
{
	const struct options *options = data;
	struct result result = {0};
	int err;

	if (options->one && device_no_pool(device, options->index))
		return -1;
	result.pools = calloc((size_t)device->info.out_pools + 1, sizeof(*result.pools));
	if (!result.pools) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	err = ask_all(device, options, &result);
	if (!err)
		err = options->json ? print_json(&result) : print_text(&result, options->request);
	free(result.pools);
	return err;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;
	uint64_t index;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 'b':
		return number_parse("--budget", text, 1, UINT64_MAX, &options->budget);
	default:
		if (number_parse("--pool", text, 0, UINT32_MAX - 1, &index))
			return -1;
		options->one = true;
		options->index = (uint32_t)index;
		return 0;
	}
}

static int run_compact(int argc, char **argv)
{
	struct options options = {.request = BITMEM_COMPACT, .name = "COMPACT"};
	int status = command_parse(&cmd_compact, argc, argv, take_option, &options);

	return status >= 0 ? status : command_on_device(do_it, &options);
}

static int run_trim(int argc, char **argv)
{
	struct options options = {.request = BITMEM_TRIM, .name = "TRIM"};
	int status = command_parse(&cmd_trim, argc, argv, take_option, &options);

	return status >= 0 ? status : command_on_device(do_it, &options);
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"pool", required_argument, NULL, 'p'},
	{"budget", required_argument, NULL, 'b'},
	COMMAND_HELP,
};

const struct command cmd_compact = {
	.name = "compact",
	.run = run_compact,
	.options = longs,
	.summary = "pack the pools' single pages together",
	.usage = "[--pool N] [--budget BYTES] [--json]\n"
		 "\n"
		 "Moves single pages, whoever's they are, so that superblocks become whole and\n"
		 "free. Addresses and contents stay; what something refers to is skipped.\n"
		 "\n"
		 "  --pool N        this pool only\n"
		 "  --budget BYTES  copy so many at most; may end in K, M or G\n"
		 "  --json          print one JSON object, with exact bytes\n",
};

const struct command cmd_trim = {
	.name = "trim",
	.run = run_trim,
	.options = longs,
	.summary = "give free memory of the pools back to the system",
	.usage = "[--pool N] [--budget BYTES] [--json]\n"
		 "\n"
		 "Gives back superblocks that are wholly free, down to a pool's reserve. The\n"
		 "pool's target is what is left then.\n"
		 "\n"
		 "  --pool N        this pool only\n"
		 "  --budget BYTES  give back so many at most; may end in K, M or G\n"
		 "  --json          print one JSON object, with exact bytes\n",
};
