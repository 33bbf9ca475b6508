// SPDX-License-Identifier: GPL-2.0
/*
 * bench-alloc: bitmem's allocator beside others, on the same workloads in one run.
 * See docs/bench.md for what each figure is.
 *
 * Exits with 0 however fast or slow it was, with 1 if something did not work, with
 * 2 if it was called in a wrong way.
 */
#include <stdio.h>

#include "document.h"
#include "instructions.h"
#include "results.h"
#include "rounds.h"
#include "settings.h"
#include "table.h"
#include "targets.h"
#include "worker.h"

static struct results results;
static struct instructions instructions;
static struct targets targets;

int main(int argc, char **argv)
{
	struct settings settings;
	int failed = 0;
	size_t i;

	settings_parse(&settings, argc, argv);
	if (settings.json && document_prepare(&settings))
		return 1;
	for (i = 0; i < SUBJECTS; i++) {
		if (settings.subjects[i])
			failed |= worker_probe(i);
	}
	table_subjects();
	fflush(stdout);
	if (settings.space)
		rounds_space(&settings, &results);
	if (settings.time)
		rounds_time(&settings, &results);
	instructions_run(&settings, &instructions);
	targets_find(&results, &instructions, &targets);
	table_cases(&settings, &results);
	table_instructions(&instructions);
	table_targets(&targets);
	if (settings.json)
		failed |= document_write(&settings, &results, &instructions, &targets);
	return failed || results.failures || instructions.failures || fflush(stdout) ? 1 : 0;
}
