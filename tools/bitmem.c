// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem: loads models into pinned memory and shows what holds it.
 *
 * One program with subcommands, one file each; this one finds the subcommand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bitmem/bitmem.h>

#include "cmd.h"
#include "output.h"

static const struct command *const commands[] = {
	&cmd_load,
	&cmd_hold,
	&cmd_attach,
	&cmd_info,
	&cmd_ps,
	&cmd_pools,
	&cmd_map,
	&cmd_top,
	&cmd_monitor,
	&cmd_leaks,
	&cmd_trim,
	&cmd_compact,
	&cmd_migrate,
	&cmd_quota,
	&cmd_run,
	&cmd_trace,
	&cmd_metrics,
	&cmd_doctor,
	&cmd_bench,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	}
	return NULL;
}

static void print_usage(FILE *out)
{
	fputs("usage: bitmem COMMAND [ARGUMENT]...\n"
	      "       bitmem help [COMMAND]\n"
	      "       bitmem --version\n"
	      "\n"
	      "Commands:\n",
	      out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
}

static int no_such_command(const char *name)
{
	output_error("no such command: %s", name);
	fputs("Try 'bitmem help'.\n", stderr);
	return EXIT_USAGE;
}

static int run_help(int argc, char **argv)
{
	const struct command *command;

	if (argc > 2) {
		output_error("help takes one command at most");
		return EXIT_USAGE;
	}
	if (argc == 2) {
		command = find_command(argv[1]);
		return command ? command_help(command) : no_such_command(argv[1]);
	}
	print_usage(stdout);
	return output_flush() ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_version(void)
{
	printf("bitmem %s\n", bitmem_version());
	return output_flush() ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	char title[32];

	/* getopt() starts its messages with it. */
	snprintf(title, sizeof(title), "bitmem %s", command->name);
	argv[0] = title;
	return command->run(argc, argv);
}

/*
 * A closed standard descriptor would be taken by the next open(), and output
 * would go into a model file or the device. Opened read-only, it stays an error
 * to write to.
 */
static int occupy_standard_fds(void)
{
	int fd;

	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
		if (fcntl(i, F_GETFD) != -1 || errno != EBADF)
			continue;
		fd = open("/dev/null", (i == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
		if (fd != i)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (occupy_standard_fds())
		return EXIT_FAILURE;
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version"))
		return run_version();
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return run_help(argc - 1, argv + 1);
	command = find_command(argv[1]);
	if (!command)
		return no_such_command(argv[1]);
	return run_command(command, argc - 1, argv + 1);
}
