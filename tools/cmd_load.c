// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem load: a model into pinned memory, and what came of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bitmem/model.h>

#include "cmd.h"
#include "digest.h"
#include "loading.h"
#include "model_report.h"
#include "output.h"
#include "stop.h"

struct options {
	struct loading loading;
	bool sha256;
	bool json;
	bool hold;
};

static int hold(struct bitmem *ctx)
{
	struct bitmem_stats stats = {.size = sizeof(stats)};

	bitmem_stats(ctx, &stats);
	fprintf(stderr, "holding %" PRIu64 " bytes, pid %d\n", stats.committed_bytes, getpid());
	stop_wait();
	return EXIT_SUCCESS;
}

static int report(struct bitmem *ctx, const struct bitmem_model *model,
		  const struct options *options)
{
	struct model_report report = {
		.model = model,
		.backend = bitmem_backend_name(bitmem_backend(ctx)),
	};
	struct bitmem_error error = {0};
	int err;

	if (options->sha256) {
		report.digests = digest_model(model);
		if (!report.digests)
			return loading_failed(&options->loading, &error, errno);
	}
	err = options->json ? model_report_json(&report) : model_report_text(&report);
	free(report.digests);
	if (err)
		return EXIT_FAILURE;
	return options->hold ? hold(ctx) : EXIT_SUCCESS;
}

static int load(struct bitmem *ctx, const struct options *options)
{
	struct bitmem_model *model;
	int status;

	model = loading_load(ctx, &options->loading, NULL, NULL, &status);
	if (!model)
		return status;
	status = report(ctx, model, options);
	bitmem_model_close(model);
	return status;
}

static int parse_backend(struct options *options, const char *text)
{
	struct bitmem_options *context = &options->loading.context;

	if (!strcmp(text, "device")) {
		context->backend = BITMEM_BACKEND_DEVICE;
	} else if (!strcmp(text, "memfd")) {
		context->backend = BITMEM_BACKEND_MEMFD;
	} else {
		output_error("--backend: neither device nor memfd: %s", text);
		return -1;
	}
	return 0;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'b':
		return parse_backend(options, text);
	case 's':
		options->sha256 = true;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case 'H':
		options->hold = true;
		return 0;
	default:
		return loading_take(&options->loading, option, text);
	}
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	struct bitmem *ctx;
	int status;

	loading_init(&options.loading);
	status = command_parse(&cmd_load, argc, argv, take_option, &options);
	if (status >= 0)
		return status;
	if (loading_paths(&options.loading, &cmd_load, argc, argv))
		return command_usage_error(&cmd_load);
	stop_catch();
	ctx = loading_open(&options.loading);
	if (!ctx)
		return EXIT_FAILURE;
	status = load(ctx, &options);
	bitmem_close(ctx);
	return status;
}

static const struct option longs[] = {
	{"backend", required_argument, NULL, 'b'},
	{"hold", no_argument, NULL, 'H'},
	{"json", no_argument, NULL, 'j'},
	{"sha256", no_argument, NULL, 's'},
	LOADING_OPTIONS,
	COMMAND_HELP,
};

const struct command cmd_load = {
	.name = "load",
	.run = run,
	.options = longs,
	.arguments = true,
	.summary = "load a model file into pinned memory",
	.usage = "[OPTION]... FILE...\n"
		 "\n"
		 "Loads GGUF and safetensors files; of a split model the first file, of a\n"
		 "sharded one the index, stands for all.\n"
		 "\n"
		 "  --backend device|memfd  where the memory comes from\n"
		 "  --buffered              read through the page cache\n"
		 "  --dialect ggml|bitnet   meaning of GGUF type ids that two projects use\n"
		 "  --hold                  keep the memory until SIGINT or SIGTERM\n"
		 "  --json                  print one JSON object\n"
		 "  --node N                NUMA node to prefer\n"
		 "  --queue-depth N         reads in flight, at most 1024\n"
		 "  --sha256                hash every tensor\n"
		 "  --window BYTES          bytes of one read, at most 64M; K and M are "
		 "understood\n",
};
