// SPDX-License-Identifier: GPL-2.0
/*
 * What subcommands have in common: options, help, the device open for as long as they need it.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>

#include "output.h"

int command_help(const struct command *command)
{
	printf("usage: bitmem %s %s", command->name, command->usage);
	return output_flush() ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_usage_error(const struct command *command)
{
	fprintf(stderr, "Try 'bitmem help %s'.\n", command->name);
	return EXIT_USAGE;
}

int command_parse(const struct command *command, int argc, char **argv, command_take_fn take,
		  void *options)
{
	const char *letters = command->letters ? command->letters : "h";
	int option;

	while ((option = getopt_long(argc, argv, letters, command->options, NULL)) != -1) {
		if (option == 'h')
			return command_help(command);
		/* getopt_long() has said what is wrong. */
		if (option == '?' || take(options, option, optarg))
			return command_usage_error(command);
	}
	if (optind < argc && !command->arguments) {
		output_error("%s takes no arguments: %s", command->name, argv[optind]);
		return command_usage_error(command);
	}
	return -1;
}

int command_on_device(command_device_fn what, void *options)
{
	struct device device;
	int err;

	if (device_open(&device))
		return EXIT_FAILURE;
	err = what(&device, options);
	device_close(&device);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
