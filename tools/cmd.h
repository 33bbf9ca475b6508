/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The subcommands of bitmem, and what every one of them does the same way.
 *
 * Exit statuses: 0 done; 1 failed, with one line on stderr; 2 wrong usage;
 * 128 + N ended early by signal N.
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

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
};

extern const struct command cmd_info;
extern const struct command cmd_load;
extern const struct command cmd_map;
extern const struct command cmd_monitor;
extern const struct command cmd_pools;
extern const struct command cmd_ps;
extern const struct command cmd_top;

/* Prints the usage on stdout. Returns the exit status. */
int command_help(const struct command *command);

/* Says on stderr where help is. Returns EXIT_USAGE. */
int command_usage_error(const struct command *command);

#endif /* TOOLS_CMD_H */
