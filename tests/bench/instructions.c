// SPDX-License-Identifier: GPL-2.0
/*
 * The worker does everything once before it calls the function inside which
 * callgrind counts: caches are filled, and what is set up once is set up. callgrind
 * replaces no malloc(), so that peers are preloaded as ever.
 *
 * The harness's own share is the same for all, and shows as the figure of "null".
 */
#include "instructions.h"

#include <err.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "settings.h"
#include "worker.h"

#define TOGGLE "--toggle-collect=bench_measured"

/* Of one size: the same again and again. Of many alive: each of another age. */
enum { PAIRS = 2000, PAIRS_ALIVE = 20000 };

const struct instructions_case instructions_cases[INSTRUCTIONS_CASES] = {
	[INSTRUCTIONS_64] = { "64 B", 64, 0, NULL, false },
	[INSTRUCTIONS_1K] = { "1 KiB", 1024, 0, NULL, false },
	[INSTRUCTIONS_16K] = { "16 KiB", 16384, 0, NULL, false },
	[INSTRUCTIONS_256K] = { "256 KiB", 262144, 0, NULL, false },
	[INSTRUCTIONS_FEW] = { "1 KiB, 100 alive", 1024, 100, NULL, false },
	[INSTRUCTIONS_MANY] = { "1 KiB, 100000 alive", 1024, 100000, NULL, false },
	[INSTRUCTIONS_W1] = { "W1", 0, 0, "W1", false },
	[INSTRUCTIONS_W2] = { "W2", 0, 0, "W2", false },
	[INSTRUCTIONS_W3] = { "W3", 0, 0, "W3", false },
	[INSTRUCTIONS_TENSOR] = { "tensor of 8 KiB", 8192, 0, NULL, true },
};

static void describe(struct child *child, const struct settings *settings,
		     const struct instructions_case *icase)
{
	unsigned int live = icase->live;

	if (icase->tensors)
		child_arg(child, "--tensors");
	if (icase->workload) {
		child_arg(child, "--count");
		child_arg(child, "--workload");
		child_arg(child, icase->workload);
		child_option(child, "seed", settings->seed);
		child_option(child, "budget", settings->budget_mib << 20);
		if (settings->tiny)
			child_arg(child, "--tiny");
		return;
	}
	child_option(child, "size", icase->size);
	child_option(child, "pairs", settings->tiny ? 1000 : live ? PAIRS_ALIVE : PAIRS);
	child_option(child, "live", settings->tiny && live > 1000 ? 1000 : live);
}

/* How many pairs the worker says it was; 0 if it says nothing. */
static double pairs_of(const char *output)
{
	const char *start = output ? strstr(output, "{\"allocator\"") : NULL;
	json_t *json = start ? json_loads(start, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	double pairs = json_number_value(json_object_get(json, "pairs"));

	json_decref(json);
	return pairs;
}

/* callgrind says "==PID== Collected : COUNT" in its log, which comes before the worker's line. */
static double counted(const char *log)
{
	const char *at = log ? strstr(log, "Collected : ") : NULL;

	return at ? strtod(at + strlen("Collected : "), NULL) : NAN;
}

static double count(const struct settings *settings, const struct instructions_case *icase,
		    size_t subject)
{
	struct child child = { 0 };
	double pair = NAN;
	int status;

	child_arg(&child, "valgrind");
	child_arg(&child, "--tool=callgrind");
	child_arg(&child, "--callgrind-out-file=/dev/null");
	child_arg(&child, TOGGLE);
	/* Both on stdout, one after the other. */
	child_arg(&child, "--log-fd=1");
	child_arg(&child, worker_path());
	worker_choose(&child, subject);
	describe(&child, settings, icase);
	status = child_run(&child, STDOUT_FILENO);
	if (!status)
		pair = counted(child.output) / pairs_of(child.output);
	if (!isfinite(pair)) {
		warnx("%s, %s: no count; valgrind ended with %d", icase->name,
		      subjects[subject].name, status);
		pair = NAN;
	}
	child_free(&child);
	return pair;
}

/* How the number alive matters is asked of bitmem only. */
static bool is_wanted(const struct settings *settings, size_t which, size_t subject)
{
	return settings->subjects[subject] && subject_is_there(subject) &&
	       (!instructions_cases[which].live || subjects[subject].kind == SUBJECT_BITMEM);
}

static bool has_valgrind(void)
{
	struct child child = { 0 };
	int status;

	child_arg(&child, "valgrind");
	child_arg(&child, "--version");
	status = child_run(&child, STDOUT_FILENO);
	child_free(&child);
	return !status;
}

void instructions_run(const struct settings *settings, struct instructions *instructions)
{
	bool possible = settings->instructions && has_valgrind();
	size_t which, subject;

	if (settings->instructions && !possible)
		fprintf(stderr, "valgrind: going on without instructions (package valgrind)\n");
	for (which = 0; which < INSTRUCTIONS_CASES; which++) {
		for (subject = 0; subject < SUBJECTS; subject++) {
			double *pair = &instructions->pair[which][subject];

			*pair = NAN;
			if (!possible || !is_wanted(settings, which, subject))
				continue;
			*pair = count(settings, &instructions_cases[which], subject);
			instructions->failures += isnan(*pair);
		}
	}
}
