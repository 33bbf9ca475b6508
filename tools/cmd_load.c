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
#include "device.h"
#include "digest.h"
#include "model_report.h"
#include "number.h"
#include "output.h"
#include "progress.h"
#include "stop.h"

struct options {
	struct bitmem_options context;
	struct bitmem_model_options model;
	bool sha256;
	bool json;
	bool hold;
	const char *const *paths;
	size_t n_paths;
};

static int on_progress(const struct bitmem_progress *progress, void *arg)
{
	progress_draw(arg, progress->done, progress->total);
	return stop_signal();
}

/* Says why a load ended. Returns the exit status. */
static int load_failed(const struct options *options, const struct bitmem_error *error, int err)
{
	if (stop_signal()) {
		output_error("%s: cancelled: %s", options->paths[0], strsignal(stop_signal()));
		return EXIT_SIGNAL + stop_signal();
	}
	if (*error->text)
		output_error("%s", error->text);
	else
		output_error("%s: %s", options->paths[0], strerror(err));
	return EXIT_FAILURE;
}

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
			return load_failed(options, &error, errno);
	}
	err = options->json ? model_report_json(&report) : model_report_text(&report);
	free(report.digests);
	if (err)
		return EXIT_FAILURE;
	return options->hold ? hold(ctx) : EXIT_SUCCESS;
}

static int load(struct bitmem *ctx, const struct options *options)
{
	struct bitmem_model_options how = options->model;
	struct bitmem_error error = {0};
	struct bitmem_model *model;
	struct progress progress;
	int status;
	int err;

	progress_start(&progress, "loading");
	how.progress = on_progress;
	how.progress_arg = &progress;
	how.error = &error;
	model = bitmem_model_load_files(ctx, options->paths, options->n_paths, &how);
	err = errno;
	progress_end(&progress);
	if (!model)
		return load_failed(options, &error, err);
	status = report(ctx, model, options);
	bitmem_model_close(model);
	return status;
}

static struct bitmem *open_context(const struct options *options)
{
	struct bitmem_options how = options->context;
	struct bitmem_error error = {0};
	struct bitmem *ctx;
	int err;

	how.error = &error;
	ctx = bitmem_open(&how);
	if (ctx)
		return ctx;
	err = errno;
	output_error("%s%s", *error.text ? error.text : strerror(err), device_remedy(err));
	return NULL;
}

static int parse_backend(struct options *options, const char *text)
{
	if (!strcmp(text, "device")) {
		options->context.backend = BITMEM_BACKEND_DEVICE;
	} else if (!strcmp(text, "memfd")) {
		options->context.backend = BITMEM_BACKEND_MEMFD;
	} else {
		output_error("--backend: neither device nor memfd: %s", text);
		return -1;
	}
	return 0;
}

static int parse_dialect(struct options *options, const char *text)
{
	if (!strcmp(text, "ggml")) {
		options->model.dialect = BITMEM_DIALECT_GGML;
	} else if (!strcmp(text, "bitnet")) {
		options->model.dialect = BITMEM_DIALECT_BITNET;
	} else {
		output_error("--dialect: neither ggml nor bitnet: %s", text);
		return -1;
	}
	return 0;
}

static int parse_number(struct options *options, int option, const char *text)
{
	uint64_t value;

	switch (option) {
	case 'n':
		if (number_parse("--node", text, 0, NUMBER_MAX_NODE, &value))
			return -1;
		options->context.node = (int)value;
		return 0;
	case 'q':
		if (number_parse("--queue-depth", text, 1, NUMBER_MAX_QUEUE_DEPTH, &value))
			return -1;
		options->model.queue_depth = (unsigned int)value;
		return 0;
	default:
		if (number_parse("--window", text, 1, NUMBER_MAX_WINDOW, &value))
			return -1;
		options->model.window = value;
		return 0;
	}
}

/* 0, or -1 if the option is wrong. */
static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'b':
		return parse_backend(options, text);
	case 'd':
		return parse_dialect(options, text);
	case 'n':
	case 'q':
	case 'w':
		return parse_number(options, option, text);
	case 's':
		options->sha256 = true;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case 'H':
		options->hold = true;
		return 0;
	case 'u':
		options->model.flags |= BITMEM_MODEL_BUFFERED;
		return 0;
	default:
		return -1;
	}
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	struct bitmem *ctx;
	int status;

	bitmem_options_init(&options.context);
	bitmem_model_options_init(&options.model);
	status = command_parse(&cmd_load, argc, argv, take_option, &options);
	if (status >= 0)
		return status;
	if (optind == argc) {
		output_error("load: no file given");
		return command_usage_error(&cmd_load);
	}
	options.paths = (const char *const *)&argv[optind];
	options.n_paths = (size_t)(argc - optind);
	stop_catch();
	ctx = open_context(&options);
	if (!ctx)
		return EXIT_FAILURE;
	status = load(ctx, &options);
	bitmem_close(ctx);
	return status;
}

static const struct option longs[] = {
	{"backend", required_argument, NULL, 'b'},
	{"buffered", no_argument, NULL, 'u'},
	{"dialect", required_argument, NULL, 'd'},
	{"hold", no_argument, NULL, 'H'},
	{"json", no_argument, NULL, 'j'},
	{"node", required_argument, NULL, 'n'},
	{"queue-depth", required_argument, NULL, 'q'},
	{"sha256", no_argument, NULL, 's'},
	{"window", required_argument, NULL, 'w'},
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
