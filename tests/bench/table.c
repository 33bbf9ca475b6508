// SPDX-License-Identifier: GPL-2.0
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "instructions.h"
#include "results.h"
#include "settings.h"
#include "targets.h"

#define MIB (1024.0 * 1024)

/* A number in @width characters; a dash if there is none. */
static void cell(int width, int digits, double value)
{
	if (isnan(value))
		printf(" %*s", width, "-");
	else
		printf(" %*.*f", width, digits, value);
}

static const char *about(size_t subject, const char *key)
{
	const json_t *value = json_object_get(subjects[subject].about, key);

	return json_is_string(value) ? json_string_value(value) : "";
}

void table_subjects(void)
{
	size_t i;

	for (i = 0; i < SUBJECTS; i++) {
		if (!subject_is_there(i) || subjects[i].kind == SUBJECT_NULL)
			continue;
		printf("%-16s %s %s%s\n", subjects[i].name, about(i, "library"),
		       about(i, "backend"),
		       json_is_true(json_object_get(subjects[i].about, "zeroes"))
			       ? ", blocks are zeroed"
			       : "");
	}
}

static bool has_figures(const struct results *results, size_t which, size_t subject)
{
	return results->cells[which][subject].slices || results->cells[which][subject].space;
}

static void print_row(const struct results *results, size_t which, size_t subject)
{
	const struct plan_case *plan = &plan_cases[which];
	double median = results_time(results, which, subject, "ns_median");

	printf("  %-16s", subjects[subject].name);
	cell(9, 1, median);
	cell(9, 1, results_time(results, which, subject, "ns_p99"));
	cell(9, 1, results_time(results, which, subject, "ns_mean"));
	cell(7, 2, median / results_best_time(results, which));
	printf(" |");
	cell(7, 2, results_held_to_live(results, which, subject, plan->point, SPACE_BEFORE));
	cell(7, 2, results_held_to_live(results, which, subject, plan->point, SPACE_AFTER));
	cell(9, 2, results_held(results, which, subject, "left", SPACE_BEFORE) / MIB);
	cell(9, 2, results_held(results, which, subject, "left", SPACE_AFTER) / MIB);
	cell(8, 1, results_tracking(results, which, subject));
	cell(8, 1, results_tracking_outside(results, which, subject));
	printf("\n");
}

/* What is held when the models are gone and the churn's blocks are still there. */
static void print_unloaded(const struct results *results, size_t which)
{
	double before, after;
	size_t i;

	for (i = 0; i < SUBJECTS; i++) {
		before = results_held(results, which, i, "unloaded", SPACE_BEFORE);
		after = results_held(results, which, i, "unloaded", SPACE_AFTER);
		if (!isnan(before))
			printf("  %-16s both models unloaded: %.1f MiB held, after trim %.1f\n",
			       subjects[i].name, before / MIB, after / MIB);
	}
}

static void print_case(const struct settings *settings, const struct results *results, size_t which)
{
	const struct plan_case *plan = &plan_cases[which];
	size_t i;

	printf("\n%s: %s; %u thread%s; written: %s\n", plan->name, plan->title, plan->threads,
	       plan->threads > 1 ? "s" : "", settings->writing ? settings->writing : plan->writing);
	printf("  %-16s %9s %9s %9s %7s | %7s %7s %9s %9s %8s %8s\n", "", "ns/pair", "p99", "mean",
	       "x best", "c/live", "trimmed", "left MiB", "trimmed", "B/block", "outside");
	for (i = 0; i < SUBJECTS; i++) {
		if (has_figures(results, which, i))
			print_row(results, which, i);
	}
	print_unloaded(results, which);
}

void table_cases(const struct settings *settings, const struct results *results)
{
	size_t which, i;

	for (which = 0; which < PLAN_CASES; which++) {
		for (i = 0; i < SUBJECTS && !has_figures(results, which, i); i++)
			;
		if (i < SUBJECTS)
			print_case(settings, results, which);
	}
}

void table_instructions(const struct instructions *instructions)
{
	size_t which, subject, any = 0;

	for (which = 0; which < INSTRUCTIONS_CASES; which++) {
		for (subject = 0; subject < SUBJECTS; subject++)
			any += !isnan(instructions->pair[which][subject]);
	}
	if (!any)
		return;
	printf("\nInstructions a pair (callgrind), the harness's own (null) included\n  %-20s", "");
	for (subject = 0; subject < SUBJECTS; subject++)
		printf(" %15s", subjects[subject].name);
	printf("\n");
	for (which = 0; which < INSTRUCTIONS_CASES; which++) {
		printf("  %-20s", instructions_cases[which].name);
		for (subject = 0; subject < SUBJECTS; subject++)
			cell(15, 1, instructions->pair[which][subject]);
		printf("\n");
	}
}

void table_targets(const struct targets *targets)
{
	const struct target *target;
	size_t i;

	if (targets->count)
		printf("\nTargets, for bitmem-sites\n");
	for (i = 0; i < targets->count; i++) {
		target = &targets->list[i];
		printf("  %-7s %-60s %10.3f %s %.3f\n", target_is_met(target) ? "met" : "not met",
		       target->text, target->value, target->below ? "< " : "<=", target->limit);
	}
}
