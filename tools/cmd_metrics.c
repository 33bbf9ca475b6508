// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem metrics: the counters for Prometheus.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "metrics.h"
#include "number.h"
#include "output.h"
#include "replace.h"
#include "stop.h"

#define MIN_INTERVAL 0.1
/* The reader is another user than the writer. */
#define FILE_MODE 0644

struct options {
	const char *output;
	double interval; /* 0: once */
};

/* Nothing is written before all of it is known. */
static int show(const struct device *device, void *data)
{
	const struct options *options = data;
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	int err = out ? metrics_write(device, out) : 0;

	if (!out || fclose(out)) {
		output_error("%s", strerror(ENOMEM));
		err = -1;
	}
	if (!err)
		err = replace_file(options->output, text, length, FILE_MODE);
	free(text);
	return err;
}

/* The device is not kept open meanwhile: the module can be replaced. */
static int repeat(struct options *options)
{
	int status;

	stop_catch();
	do {
		status = command_on_device(show, options);
		if (status == EXIT_SUCCESS && !stop_signal())
			stop_poll(-1, options->interval);
	} while (status == EXIT_SUCCESS && !stop_signal());
	return status;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	if (option == 'o') {
		options->output = text;
		return 0;
	}
	return number_seconds("--interval", text, MIN_INTERVAL, &options->interval);
}

static int run(int argc, char **argv)
{
	struct options options = {.output = "-"};
	int status = command_parse(&cmd_metrics, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	if (options.interval && !strcmp(options.output, "-")) {
		output_error("--interval: only with --output FILE");
		return command_usage_error(&cmd_metrics);
	}
	return options.interval ? repeat(&options) : command_on_device(show, &options);
}

static const struct option longs[] = {
	{"output", required_argument, NULL, 'o'},
	{"interval", required_argument, NULL, 'i'},
	COMMAND_HELP,
};

const struct command cmd_metrics = {
	.name = "metrics",
	.run = run,
	.options = longs,
	.letters = "ho:i:",
	.summary = "print the counters for Prometheus",
	.usage = "[-o FILE [-i SECONDS]]\n"
		 "\n"
		 "Root is told what each user has, others what they have themselves.\n"
		 "\n"
		 "  -o, --output FILE       replace a file, for node_exporter's textfile "
		 "collector;\n"
		 "                          a reader never sees half of it\n"
		 "  -i, --interval SECONDS  do so again and again, until SIGINT or SIGTERM\n",
};
