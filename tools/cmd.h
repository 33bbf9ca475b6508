/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The subcommands of bitmem, and what every one of them does the same way.
 *
 * Exit statuses: 0 done; 1 failed, with one line on stderr; 2 wrong usage;
 * 128 + N ended early by signal N.
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include <getopt.h>
#include <stdbool.h>

#include "device.h"

enum {
	EXIT_USAGE = 2,
	EXIT_SIGNAL = 128,
};

struct command {
	const char *name;
	/* argv[0] is "bitmem NAME". Returns the exit status. */
	int (*run)(int argc, char **argv);
	/* For the list of commands. */
	const char *summary;
	/* For --help: what follows "usage: bitmem NAME", one line or more. */
	const char *usage;
	/* As getopt_long() takes them, COMMAND_HELP last. */
	const struct option *options;
	/* As getopt() takes them; NULL: "h" alone. */
	const char *letters;
	/* Takes arguments besides options; else one is refused. */
	bool arguments;
};

/* The end of a table of options. */
#define COMMAND_HELP {"help", no_argument, NULL, 'h'}, {0}

extern const struct command cmd_attach;
extern const struct command cmd_bench;
extern const struct command cmd_compact;
extern const struct command cmd_doctor;
extern const struct command cmd_hold;
extern const struct command cmd_info;
extern const struct command cmd_leaks;
extern const struct command cmd_load;
extern const struct command cmd_map;
extern const struct command cmd_metrics;
extern const struct command cmd_migrate;
extern const struct command cmd_monitor;
extern const struct command cmd_pools;
extern const struct command cmd_ps;
extern const struct command cmd_quota;
extern const struct command cmd_run;
extern const struct command cmd_top;
extern const struct command cmd_trace;
extern const struct command cmd_trim;

/* Prints the usage on stdout. Returns the exit status. */
int command_help(const struct command *command);

/* Says on stderr where help is. Returns EXIT_USAGE. */
int command_usage_error(const struct command *command);

/*
 * Takes an option and its text, if it has one, into the command's @options. 0, or -1 after
 * saying on stderr what is wrong.
 */
typedef int (*command_take_fn)(void *options, int option, const char *text);

/*
 * Reads the command line; arguments are from optind on. Returns -1 to go on, else the exit
 * status.
 */
int command_parse(const struct command *command, int argc, char **argv, command_take_fn take,
		  void *options);

/* What a command does with the device. 0, or -1 after saying on stderr what failed. */
typedef int (*command_device_fn)(const struct device *device, void *options);

/* Does it with the device, which is open meanwhile. Returns the exit status. */
int command_on_device(command_device_fn what, void *options);

#endif /* TOOLS_CMD_H */
