/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that are run and whose output is read.
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#define CHILD_ARGS 32

struct child {
	/* The command, ended by NULL; what its words point to must stay. */
	const char *args[CHILD_ARGS + 1];
	size_t count;
	/* LD_PRELOAD for it; NULL for none. */
	const char *preload;
	/* Whether its complaints are dropped. */
	bool quiet;
	/* What it printed on stdout, or stderr if that is asked for; to be freed. */
	char *output;
	size_t length;
};

void child_arg(struct child *child, const char *word);
/* --name=value, to be freed with the child. */
void child_option(struct child *child, const char *name, unsigned long long value);
/*
 * Runs it to its end. Returns its exit status; 128 and the signal if one killed it;
 * -1 with a message if it could not be run.
 */
int child_run(struct child *child, int fd);
void child_free(struct child *child);

#endif /* BENCH_CHILD_H */
