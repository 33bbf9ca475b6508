/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every ioctl of the device with arguments that are good, for tests of the rules
 * that hold for all of them.
 */
#ifndef BITMEM_COMMANDS_H
#define BITMEM_COMMANDS_H

#include "bitmem_test.h"

/** BT_COMMAND() - the command of an ioctl's number. */
#define BT_COMMAND(nr)	(&bt_commands[(nr) - BITMEM_CMD_BASE])

/** BT_COMMANDS - how many there are. */
#define BT_COMMANDS	(BITMEM_CMD_SEGMENTS - BITMEM_CMD_BASE + 1)

/** BT_ARG_MAX - bytes that the longest structure has at most. */
#define BT_ARG_MAX	512

/**
 * struct bt_command - one of them
 * @cmd: its number
 * @first: the size of its structure in the first release
 * @flags: those that are defined
 * @reserved: offset of a reserved member, or 0
 * @takes_id: it is about a buffer
 * @writes: it has outputs
 * @privileged: only root may
 * @fill: makes the argument for the buffer @id, or for none. Outputs are rubbish
 */
struct bt_command {
	const char *name;
	unsigned long cmd;
	size_t first;
	uint32_t flags;
	size_t reserved;
	bool takes_id;
	bool writes;
	bool privileged;
	void (*fill)(void *arg, int fd, uint32_t id);
};

extern const struct bt_command bt_commands[BT_COMMANDS];

/**
 * bt_prepare() - put an argument that is good at @arg, with a new buffer if it takes one.
 * Once: a second call with the same argument may fail. @arg may lie anyhow.
 */
int bt_prepare(const struct bt_command *command, int fd, void *arg);

#endif /* BITMEM_COMMANDS_H */
