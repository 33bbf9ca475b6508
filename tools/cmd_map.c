// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem map: the memory of the pools as a picture.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd.h"
#include "device.h"
#include "map.h"
#include "map_text.h"
#include "number.h"
#include "output.h"
#include "picture.h"

#define DEFAULT_COLUMNS 80
#define MIN_COLUMNS	20
#define MAX_COLUMNS	1000

enum when {
	WHEN_AUTO,
	WHEN_ALWAYS,
	WHEN_NEVER,
};

struct options {
	bool json;
	enum when colour;
	uint64_t columns; /* 0: as the terminal has */
	const char *svg;
	const char *png;
};

/* --- JSON --- */

static json_t *share_json(const struct map *map, unsigned int kind, uint64_t bytes)
{
	json_t *object = json_object();

	output_json_set(&object, "kind", json_string(map_kind_name(kind)));
	output_json_set(&object, "what", output_json_text(map->legend[kind].text));
	output_json_set(&object, "bytes", output_json_u64(bytes));
	return object;
}

static json_t *owner_json(const struct bitmem_nl_superblock *is)
{
	json_t *object = json_object();

	if (!is->file) {
		json_decref(object);
		return json_null();
	}
	output_json_set(&object, "file", output_json_u64(is->file));
	output_json_set(&object, "pid", is->pid ? json_integer(is->pid) : json_null());
	output_json_set(&object, "comm", *is->comm ? output_json_text(is->comm) : json_null());
	output_json_set(&object, "uid", json_integer(is->uid));
	output_json_set(&object, "closed", json_boolean(is->closed));
	output_json_set(&object, "offset", is->offset ? output_json_u64(is->offset) : json_null());
	output_json_set(&object, "tag", *is->tag ? output_json_text(is->tag) : json_null());
	return object;
}

static json_t *run_json(const struct map_run *run)
{
	const struct bitmem_nl_superblock *is = &run->is;
	json_t *object = json_object();

	output_json_set(&object, "pool", json_integer(is->pool));
	output_json_set(&object, "index", output_json_u64(is->index));
	output_json_set(&object, "count", output_json_u64(is->count));
	output_json_set(&object, "kind", json_string(map_kind_name(run->kind)));
	output_json_set(&object, "split", json_boolean(is->split));
	output_json_set(&object, "gathered", json_boolean(is->gathered));
	output_json_set(&object, "zeroed", output_json_u64(is->zeroed));
	output_json_set(&object, "dirty", output_json_u64(is->dirty));
	output_json_set(&object, "allocated", output_json_u64(is->allocated));
	output_json_set(&object, "quarantined", output_json_u64(is->quarantined));
	output_json_set(&object, "retired", output_json_u64(is->retired));
	output_json_set(&object, "busy", output_json_u64(is->busy));
	output_json_set(&object, "owner", owner_json(is));
	return object;
}

/* Or null, if they were not told of. */
static json_t *runs_json(const struct map *map, const struct map_node *node)
{
	json_t *runs = map->places ? json_null() : json_array();

	for (size_t i = 0; i < node->n_runs; i++)
		output_json_append(&runs, run_json(&node->runs[i]));
	return runs;
}

static json_t *node_json(const struct map *map, const struct map_node *node)
{
	json_t *object = json_object();
	json_t *shares = json_array();

	for (unsigned int i = 0; i < MAP_KINDS; i++) {
		if (node->bytes[i])
			output_json_append(&shares, share_json(map, i, node->bytes[i]));
	}
	output_json_set(&object, "node", json_integer(node->node));
	output_json_set(&object, "pools", json_string(node->pools));
	output_json_set(&object, "capacity", output_json_u64(node->capacity));
	output_json_set(&object, "free", output_json_u64(node->free));
	output_json_set(&object, "whole", output_json_u64(node->whole));
	output_json_set(&object, "split", output_json_u64(node->split));
	output_json_set(&object, "shares", shares);
	output_json_set(&object, "superblocks", runs_json(map, node));
	return object;
}

static int print_json(const struct map *map)
{
	json_t *object = json_object();
	json_t *nodes = json_array();

	for (size_t i = 0; i < map->n_nodes; i++)
		output_json_append(&nodes, node_json(map, &map->nodes[i]));
	output_json_set(&object, "superblock_size", output_json_u64(map->superblock));
	output_json_set(&object, "owners_told", json_boolean(!map->owners_error));
	output_json_set(&object, "owners_error",
			map->owners_error ? json_string(map->why) : json_null());
	output_json_set(&object, "nodes", nodes);
	return output_json(object);
}

/* --- terminal --- */

static bool wants_colour(enum when colour)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (colour != WHEN_AUTO)
		return colour == WHEN_ALWAYS;
	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && *term &&
	       strcmp(term, "dumb") != 0;
}

static unsigned int columns_of(const struct options *options)
{
	struct winsize size;

	if (options->columns)
		return (unsigned int)options->columns;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col < MIN_COLUMNS)
		return DEFAULT_COLUMNS;
	return size.ws_col;
}

static int print_text(const struct map *map, const struct options *options)
{
	struct map_style style = {
		.colour = wants_colour(options->colour),
		.columns = columns_of(options),
	};

	/* Only to learn what the terminal shows; numbers stay as they are. */
	setlocale(LC_CTYPE, "");
	style.blocks = style.colour && !strcmp(nl_langinfo(CODESET), "UTF-8");
	return map_print(map, &style);
}

/* --- the command --- */

static int show(const struct map *map, const struct options *options)
{
	int err = 0;

	if (options->svg)
		err = picture_save("picture_map", map, PICTURE_SVG, options->svg);
	if (options->png && !err)
		err = picture_save("picture_map", map, PICTURE_PNG, options->png);
	if (err)
		return err;
	if (options->json)
		return print_json(map);
	return options->svg || options->png ? 0 : print_text(map, options);
}

static int parse_when(const char *text, enum when *when)
{
	static const char *const names[] = {"auto", "always", "never"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*when = (enum when)i;
			return 0;
		}
	}
	output_error("--color: not auto, always or never: %s", text);
	return -1;
}

static int take_option(void *data, int option, const char *text)
{
	struct options *options = data;

	switch (option) {
	case 'j':
		options->json = true;
		return 0;
	case 's':
		options->svg = text;
		return 0;
	case 'p':
		options->png = text;
		return 0;
	case 'c':
		return parse_when(text, &options->colour);
	default:
		return number_parse("--width", text, MIN_COLUMNS, MAX_COLUMNS, &options->columns);
	}
}

static int read_map(const struct device *device, void *map)
{
	return map_read(device, map);
}

static int run(int argc, char **argv)
{
	struct options options = {0};
	struct map map;
	int status = command_parse(&cmd_map, argc, argv, take_option, &options);

	if (status >= 0)
		return status;
	if (!picture_outputs(options.svg, options.png, options.json))
		return command_usage_error(&cmd_map);
	if (command_on_device(read_map, &map))
		return EXIT_FAILURE;
	status = show(&map, &options) ? EXIT_FAILURE : EXIT_SUCCESS;
	map_free(&map);
	return status;
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	{"svg", required_argument, NULL, 's'},
	{"png", required_argument, NULL, 'p'},
	{"color", required_argument, NULL, 'c'},
	{"width", required_argument, NULL, 'w'},
	COMMAND_HELP,
};

const struct command cmd_map = {
	.name = "map",
	.run = run,
	.options = longs,
	.summary = "draw the pools' memory by state and owner",
	.usage = "[--color WHEN] [--width COLUMNS] [--svg FILE] [--png FILE] [--json]\n"
		 "\n"
		 "A cell stands for a superblock, or for several if there are many. Root sees\n"
		 "each in its place and whose it is, others shares and what is their own.\n"
		 "\n"
		 "  --color WHEN     auto (the default), always or never\n"
		 "  --width COLUMNS  of the picture; else that of the terminal, or 80\n"
		 "  --svg FILE       draw into a file instead; - is stdout\n"
		 "  --png FILE       likewise\n"
		 "  --json           print one JSON object, with exact bytes\n",
};
