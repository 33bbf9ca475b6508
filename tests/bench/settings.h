/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The command line.
 */
#ifndef BENCH_SETTINGS_H
#define BENCH_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"
#include "subject.h"

struct settings {
	/* Of the timed slices together, about. */
	double seconds;
	unsigned int rounds;
	bool cases[PLAN_CASES];
	bool subjects[SUBJECTS];
	/* Instead of what the plan says; or NULL. */
	const char *writing;
	uint64_t budget_mib, model_mib, seed;
	bool tiny, time, space, instructions;
	const char *json;
};

/* Exits after a message if it cannot be right. */
void settings_parse(struct settings *settings, int argc, char **argv);

#endif /* BENCH_SETTINGS_H */
