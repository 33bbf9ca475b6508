// SPDX-License-Identifier: GPL-2.0
/*
 * Slices take turns, so that a machine that is slower for a while is so for all:
 * each round goes through the cases, and in each case through the allocators, and
 * starts with another of them than the round before.
 */
#include "rounds.h"

#include <stdio.h>
#include <unistd.h>

#include "results.h"
#include "settings.h"
#include "worker.h"

enum { MS_MIN = 10 };

static bool is_wanted(const struct settings *settings, size_t which, size_t subject)
{
	return settings->cases[which] && settings->subjects[subject] && subject_is_there(subject) &&
	       plan_fits(which, subject);
}

/* For people who wait; on a terminal only. */
static void progress(const char *what, unsigned int done, unsigned int all)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (done < all)
		fprintf(stderr, "\r%s: %u of %u ", what, done, all);
	else
		fprintf(stderr, "\r\033[K");
}

static unsigned int count(const struct settings *settings)
{
	unsigned int wanted = 0;
	size_t which, subject;

	for (which = 0; which < PLAN_CASES; which++) {
		for (subject = 0; subject < SUBJECTS; subject++)
			wanted += is_wanted(settings, which, subject);
	}
	return wanted;
}

void rounds_space(const struct settings *settings, struct results *results)
{
	unsigned int done = 0, all = count(settings);
	size_t which, subject;

	for (which = 0; which < PLAN_CASES; which++) {
		for (subject = 0; subject < SUBJECTS; subject++) {
			if (!is_wanted(settings, which, subject))
				continue;
			progress("memory", done++, all);
			if (!plan_cases[which].point)
				continue;
			results->cells[which][subject].space =
				worker_run(settings, which, subject, 0);
			results->failures += !results->cells[which][subject].space;
		}
	}
	progress("memory", all, all);
}

/* A slice that failed leaves a null, so that the others stay in their rounds. */
static void slice(const struct settings *settings, struct results *results, size_t which,
		  size_t subject, uint64_t ms)
{
	struct cell *cell = &results->cells[which][subject];
	json_t *json = worker_run(settings, which, subject, ms);

	results->failures += !json;
	if (!cell->slices)
		cell->slices = json_array();
	json_array_append_new(cell->slices, json ? json : json_null());
}

void rounds_time(const struct settings *settings, struct results *results)
{
	unsigned int done = 0, all = count(settings) * settings->rounds, round;
	size_t which, i, subject;
	uint64_t ms;

	if (!all)
		return;
	ms = (uint64_t)(settings->seconds * 1000 / all);
	if (ms < MS_MIN)
		ms = MS_MIN;
	for (round = 0; round < settings->rounds; round++) {
		for (which = 0; which < PLAN_CASES; which++) {
			for (i = 0; i < SUBJECTS; i++) {
				subject = (i + round + which) % SUBJECTS;
				if (!is_wanted(settings, which, subject))
					continue;
				progress("time", done++, all);
				slice(settings, results, which, subject, ms);
			}
		}
	}
	progress("time", all, all);
}
