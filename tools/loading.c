// SPDX-License-Identifier: GPL-2.0
/*
 * Options of a load, the load itself, and what ends it.
 */
#include "loading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "number.h"
#include "output.h"
#include "progress.h"
#include "stop.h"

/* A load under way. */
struct watch {
	struct progress progress;
	loading_told_fn told;
	void *arg;
};

void loading_init(struct loading *loading)
{
	*loading = (struct loading){0};
	bitmem_options_init(&loading->context);
	bitmem_model_options_init(&loading->model);
}

static int parse_dialect(struct loading *loading, const char *text)
{
	if (!strcmp(text, "ggml")) {
		loading->model.dialect = BITMEM_DIALECT_GGML;
	} else if (!strcmp(text, "bitnet")) {
		loading->model.dialect = BITMEM_DIALECT_BITNET;
	} else {
		output_error("--dialect: neither ggml nor bitnet: %s", text);
		return -1;
	}
	return 0;
}

int loading_take(struct loading *loading, int option, const char *text)
{
	uint64_t value;

	switch (option) {
	case 'd':
		return parse_dialect(loading, text);
	case 'u':
		loading->model.flags |= BITMEM_MODEL_BUFFERED;
		return 0;
	case 'n':
		if (number_parse("--node", text, 0, NUMBER_MAX_NODE, &value))
			return -1;
		loading->context.node = (int)value;
		return 0;
	case 'q':
		if (number_parse("--queue-depth", text, 1, NUMBER_MAX_QUEUE_DEPTH, &value))
			return -1;
		loading->model.queue_depth = (unsigned int)value;
		return 0;
	default:
		if (number_parse("--window", text, 1, NUMBER_MAX_WINDOW, &value))
			return -1;
		loading->model.window = value;
		return 0;
	}
}

int loading_paths(struct loading *loading, const struct command *command, int argc, char **argv)
{
	if (optind == argc) {
		output_error("%s: no file given", command->name);
		return -1;
	}
	loading->paths = (const char *const *)&argv[optind];
	loading->n_paths = (size_t)(argc - optind);
	return 0;
}

struct bitmem *loading_open(const struct loading *loading)
{
	struct bitmem_options how = loading->context;
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

int loading_failed(const struct loading *loading, const struct bitmem_error *error, int err)
{
	if (stop_signal()) {
		output_error("%s: cancelled: %s", loading->paths[0], strsignal(stop_signal()));
		return EXIT_SIGNAL + stop_signal();
	}
	if (*error->text)
		output_error("%s", error->text);
	else
		output_error("%s: %s", loading->paths[0], strerror(err));
	return EXIT_FAILURE;
}

static int on_progress(const struct bitmem_progress *progress, void *arg)
{
	struct watch *watch = arg;

	progress_draw(&watch->progress, progress->done, progress->total);
	if (watch->told)
		watch->told(progress, watch->arg);
	return stop_signal();
}

struct bitmem_model *loading_load(struct bitmem *ctx, const struct loading *loading,
				  loading_told_fn told, void *arg, int *status)
{
	struct bitmem_model_options how = loading->model;
	struct watch watch = {.told = told, .arg = arg};
	struct bitmem_error error = {0};
	struct bitmem_model *model;
	int err;

	progress_start(&watch.progress, "loading");
	how.progress = on_progress;
	how.progress_arg = &watch;
	how.error = &error;
	model = bitmem_model_load_files(ctx, loading->paths, loading->n_paths, &how);
	err = errno;
	progress_end(&watch.progress);
	if (!model)
		*status = loading_failed(loading, &error, err);
	return model;
}
