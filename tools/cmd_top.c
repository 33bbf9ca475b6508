// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem top: pools and who holds most, again and again.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "device.h"
#include "number.h"
#include "output.h"
#include "stop.h"
#include "top_view.h"

#define MIN_DELAY 0.1

struct options {
	bool json;
	bool batch;
	bool reverse;
	enum top_key key;
	double seconds;
	uint64_t count; /* 0: no end */
};

static int print(const struct top *top, const struct options *options)
{
	return options->json ? output_json(top_json(top)) : top_print(top);
}

static int batch(struct top *top, const struct options *options)
{
	for (uint64_t i = 0; !stop_signal() && (!options->count || i < options->count); i++) {
		if (i && !options->json)
			putchar('\n');
		if (top_read(top) || print(top, options))
			return -1;
		if (i + 1 != options->count)
			stop_poll(-1, options->seconds);
	}
	return 0;
}

static int show(const struct device *device, void *data)
{
	const struct options *options = data;
	struct top top;
	int err;

	top_start(&top, device);
	top.key = options->key;
	top.reverse = options->reverse;
	stop_catch();
	err = options->batch ? batch(&top, options)
			     : top_screen(&top, options->seconds, options->count);
	top_end(&top);
	return err;
}

static int parse_key(const char *text, enum top_key *key)
{
	for (unsigned int i = 0; top_key_name(i); i++) {
		if (!strcmp(text, top_key_name(i))) {
			*key = (enum top_key)i;
			return 0;
		}
	}
	output_error("--sort: not bytes, change, buffers, age or pid: %s", text);
	return -1;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
		options->batch = true;
		return 0;
	case 'b':
		options->batch = true;
		return 0;
	case 'r':
		options->reverse = true;
		return 0;
	case 's':
		return parse_key(text, &options->key);
	case 'd':
		return number_seconds("--delay", text, MIN_DELAY, &options->seconds);
	default:
		return number_parse("--count", text, 1, UINT64_MAX, &options->count);
	}
}

static int run(int argc, char **argv)
{
	struct options options = {.seconds = 1};
	int status = command_parse(&cmd_top, argc, argv, take_option, &options);

	return status >= 0 ? status : command_on_device(show, &options);
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"batch", no_argument, NULL, 'b'},
	{"count", required_argument, NULL, 'n'},
	{"delay", required_argument, NULL, 'd'},
	{"sort", required_argument, NULL, 's'},
	{"reverse", no_argument, NULL, 'r'},
	COMMAND_HELP,
};

const struct command cmd_top = {
	.name = "top",
	.run = run,
	.options = longs,
	.letters = "bd:hn:rs:",
	.summary = "watch the pools and who holds most",
	.usage = "[-b] [-n COUNT] [-d SECONDS] [-s KEY] [-r] [--json]\n"
		 "\n"
		 "Run by root it shows everybody's files. Key h tells of the keys, q quits.\n"
		 "\n"
		 "  -b, --batch          print tables, for scripts\n"
		 "  -n, --count COUNT    end after so many looks\n"
		 "  -d, --delay SECONDS  between two looks, 1 unless given\n"
		 "  -s, --sort KEY       bytes (the default), change, buffers, age or pid\n"
		 "  -r, --reverse        the smallest first\n"
		 "  --json               --batch as JSON, one object a look\n",
};
