// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem run: a program whose large allocations come from the pool.
 *
 * What the preloaded library is to do it reads from the environment, BITMEM_PRELOAD_*, so
 * that programs which the program starts do the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bitmem/bitmem.h>

#include "cmd.h"
#include "device.h"
#include "installed.h"
#include "number.h"
#include "output.h"

#define LIBRARY "preload.so"
#define MAX_TAG 31

struct options {
	struct bitmem_options context;
	uint64_t min_bytes; /* 0: the library's default */
	const char *tag;
	const char *fork;
	bool stats;
	bool json;
	bool require;
};

/* 0, or -1 after saying on stderr that there is no memory. */
static int set(const char *name, const char *value)
{
	char variable[64];

	snprintf(variable, sizeof(variable), "BITMEM_PRELOAD_%s", name);
	if (!(value ? setenv(variable, value, 1) : unsetenv(variable)))
		return 0;
	output_error("the environment: %s", strerror(errno));
	return -1;
}

static int set_number(const char *name, bool given, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return set(name, given ? text : NULL);
}

/* What an outer bitmem run has said does not count. */
static int set_options(const struct options *options)
{
	const char *stats = options->stats ? (options->json ? "json" : "text") : NULL;

	if (set_number("MIN_BYTES", options->min_bytes, options->min_bytes) ||
	    set_number("NODE", options->context.node != BITMEM_NODE_ANY,
		       (uint64_t)options->context.node) ||
	    set("BACKEND", bitmem_backend_name(options->context.backend)) ||
	    set("TAG", options->tag) || set("FORK", options->fork) || set("STATS", stats))
		return -1;
	return set("REQUIRE", options->require ? "1" : NULL);
}

/* Whether @path is the first of @list already: an outer bitmem run. */
static bool comes_first(const char *list, const char *path)
{
	const size_t length = strlen(path);

	return list && !strncmp(list, path, length) && strchr(" :", list[length]);
}

static int set_library(void)
{
	const char *others = getenv("LD_PRELOAD");
	char path[INSTALLED_LEN];
	char *list;
	int err;

	if (installed(LIBRARY, path)) {
		output_error("run: /proc/self/exe does not tell where " LIBRARY " is");
		return -1;
	}
	if (strpbrk(path, " :")) {
		output_error("%s: LD_PRELOAD takes no path with blanks or colons", path);
		return -1;
	}
	if (access(path, R_OK)) {
		output_error("%s: %s", path, strerror(errno));
		return -1;
	}
	if (comes_first(others, path))
		return 0;
	if (asprintf(&list, "%s%s%s", path, others && *others ? ":" : "", others ?: "") < 0)
		list = NULL;
	err = !list || setenv("LD_PRELOAD", list, 1);
	if (err)
		output_error("the environment: %s", strerror(errno));
	free(list);
	return err ? -1 : 0;
}

/*
 * Looks whether there is a pool before somebody relies on it. 0, or -1 after saying on stderr
 * what failed; without --require that is a warning only.
 */
static int try_pool(const struct options *options)
{
	struct bitmem_options how = options->context;
	struct bitmem_error error = {0};
	struct bitmem *ctx;
	int err;

	how.error = &error;
	ctx = bitmem_open(&how);
	err = errno;
	bitmem_close(ctx);
	if (ctx)
		return 0;
	output_error("%s%s%s", *error.text ? error.text : strerror(err), device_remedy(err),
		     options->require ? "" : "; all memory will be malloc()'s own");
	return options->require ? -1 : 0;
}

static int take_backend(struct options *options, const char *text)
{
	for (int i = BITMEM_BACKEND_DEVICE; i <= BITMEM_BACKEND_MEMFD; i++) {
		if (!strcmp(text, bitmem_backend_name((enum bitmem_backend)i))) {
			options->context.backend = (enum bitmem_backend)i;
			return 0;
		}
	}
	output_error("--backend: neither device nor memfd: %s", text);
	return -1;
}

static int take_fork(struct options *options, const char *text)
{
	if (strcmp(text, "copy") && strcmp(text, "drop")) {
		output_error("--fork: neither copy nor drop: %s", text);
		return -1;
	}
	options->fork = text;
	return 0;
}

static int take_node(struct options *options, const char *text)
{
	uint64_t value;

	if (number_parse("--node", text, 0, NUMBER_MAX_NODE, &value))
		return -1;
	options->context.node = (int)value;
	return 0;
}

static int take_tag(struct options *options, const char *text)
{
	const size_t length = strlen(text);

	if (!length || length > MAX_TAG) {
		output_error("--tag: not 1 to %d bytes long: %s", MAX_TAG, text);
		return -1;
	}
	options->tag = text;
	return 0;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'b':
		return take_backend(options, text);
	case 'f':
		return take_fork(options, text);
	case 'm':
		return number_parse("--min-bytes", text, 1, SIZE_MAX, &options->min_bytes);
	case 'n':
		return take_node(options, text);
	case 't':
		return take_tag(options, text);
	case 'j':
		options->json = true;
		return 0;
	case 'r':
		options->require = true;
		return 0;
	default:
		options->stats = true;
		return 0;
	}
}

/* -1 to go on, else the exit status. */
static int check(int argc, const struct options *options)
{
	if (options->json && !options->stats) {
		output_error("--json: only with --stats");
		return command_usage_error(&cmd_run);
	}
	if (optind == argc) {
		output_error("run: which program?");
		return command_usage_error(&cmd_run);
	}
	return -1;
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	int status;

	bitmem_options_init(&options.context);
	status = command_parse(&cmd_run, argc, argv, take_option, &options);
	if (status < 0)
		status = check(argc, &options);
	if (status >= 0)
		return status;
	if (try_pool(&options) || set_options(&options) || set_library())
		return EXIT_FAILURE;
	execvp(argv[optind], argv + optind);
	output_error("%s: %s", argv[optind], strerror(errno));
	return EXIT_FAILURE;
}

static const struct option longs[] = {
	{"backend", required_argument, NULL, 'b'},
	{"fork", required_argument, NULL, 'f'},
	{"json", no_argument, NULL, 'j'},
	{"min-bytes", required_argument, NULL, 'm'},
	{"node", required_argument, NULL, 'n'},
	{"require", no_argument, NULL, 'r'},
	{"stats", no_argument, NULL, 's'},
	{"tag", required_argument, NULL, 't'},
	COMMAND_HELP,
};

const struct command cmd_run = {
	.name = "run",
	.run = run,
	.options = longs,
	/* What follows the program's name is the program's. */
	.letters = "+h",
	.arguments = true,
	.summary = "run a program with its large allocations in the pool",
	.usage = "[OPTION]... [--] PROGRAM [ARGUMENT]...\n"
		 "\n"
		 "  --backend BACKEND   device or memfd (default: the device if it can be opened)\n"
		 "  --fork copy|drop    what children of fork() get of the memory (copy)\n"
		 "  --min-bytes BYTES   what is smaller stays malloc()'s own (128K)\n"
		 "  --node N            the NUMA node to prefer\n"
		 "  --require           fail where the pool refuses, rather than use malloc()\n"
		 "  --stats             at exit, a line on stderr; --json: as an object\n"
		 "  --tag TEXT          what bitmem ps calls the memory\n",
};
