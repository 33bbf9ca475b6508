// SPDX-License-Identifier: GPL-2.0
#include "targets.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "instructions.h"
#include "results.h"

#define TRACKING_COST  1.02
#define TRACKING_BYTES 16
#define DROP_SPREAD    0.10
/* Twenty million tensors a second. */
#define TENSOR_NS      50
#define MIB	       (1024.0 * 1024)
/* As much may be left by anyone: an allocator's own tables. */
#define LEFT_MIB 1.0
/* Bytes held to bytes alive, when all that can be was given back. */
#define HELD_TO_LIVE 1.05

struct finder {
	const struct results *results;
	const struct instructions *instructions;
	struct targets *targets;
	size_t counters, sites, tcmalloc;
};

bool target_is_met(const struct target *target)
{
	return target->below ? target->value < target->limit : target->value <= target->limit;
}

static void __attribute__((format(printf, 5, 6)))
add(struct finder *finder, double value, double limit, bool below, const char *format, ...)
{
	struct target *target = &finder->targets->list[finder->targets->count];
	va_list args;

	if (!isfinite(value) || !isfinite(limit) || finder->targets->count == TARGETS_MAX)
		return;
	va_start(args, format);
	vsnprintf(target->text, sizeof(target->text), format, args);
	va_end(args);
	target->value = value;
	target->limit = limit;
	target->below = below;
	finder->targets->count++;
}

static void find_instructions(struct finder *finder)
{
	const double(*pair)[SUBJECTS] = finder->instructions->pair;
	size_t i;

	for (i = 0; i < INSTRUCTIONS_SIZES; i++)
		add(finder, pair[i][finder->sites], pair[i][finder->tcmalloc], true,
		    "%s: instructions a pair, fewer than tcmalloc's", instructions_cases[i].name);
	for (i = 0; i < INSTRUCTIONS_CASES; i++) {
		if (!instructions_cases[i].live)
			add(finder, pair[i][finder->sites] / pair[i][finder->counters],
			    TRACKING_COST, false, "%s: instructions with sites to counters only",
			    instructions_cases[i].name);
	}
	add(finder,
	    fabs(pair[INSTRUCTIONS_MANY][finder->sites] / pair[INSTRUCTIONS_FEW][finder->sites] -
		 1),
	    DROP_SPREAD, false, "replacing one of 100000 to one of 100: off by");
}

static void find_tracking(struct finder *finder)
{
	const struct plan_case *plan;
	size_t i;

	for (i = 0; i < PLAN_CASES; i++) {
		plan = &plan_cases[i];
		if (strcmp(plan->workload, "W1") && strcmp(plan->workload, "W2"))
			continue;
		add(finder, results_time_ratio(finder->results, i, finder->sites, finder->counters),
		    TRACKING_COST, false, "%s x%u: time with sites to counters only", plan->name,
		    plan->threads);
	}
	for (i = 0; i < PLAN_CASES; i++) {
		if (!strcmp(plan_cases[i].name, "W2"))
			add(finder, results_tracking(finder->results, i, finder->sites),
			    TRACKING_BYTES, false, "%s x%u: tracking, bytes a block",
			    plan_cases[i].name, plan_cases[i].threads);
	}
}

/* Where much is freed and most of it asked for again in other sizes. */
static void find_held(struct finder *finder)
{
	const struct plan_case *plan;
	size_t i;

	for (i = 0; i < PLAN_CASES; i++) {
		plan = &plan_cases[i];
		if (!strcmp(plan->name, "W3") || !strcmp(plan->name, "W4") ||
		    !strcmp(plan->name, "W5"))
			add(finder,
			    results_held_to_live(finder->results, i, finder->sites, plan->point,
						 SPACE_AFTER),
			    HELD_TO_LIVE, false, "%s x%u: committed/live after trim", plan->name,
			    plan->threads);
	}
}

/* The least of the peers' figures. */
static double least_held(const struct results *results, size_t which, const char *point, bool ratio)
{
	double least = NAN;
	size_t i;

	for (i = 0; i < SUBJECTS; i++) {
		if (subjects[i].kind != SUBJECT_PEER)
			continue;
		least = fmin(least,
			     ratio ? results_held_to_live(results, which, i, point, SPACE_AFTER)
				   : results_held(results, which, i, point, SPACE_AFTER));
	}
	return least;
}

static void add_left(struct finder *finder, size_t which, const char *point, const char *words)
{
	double least = least_held(finder->results, which, point, false) / MIB;

	add(finder, results_held(finder->results, which, finder->sites, point, SPACE_AFTER) / MIB,
	    isnan(least) ? NAN : fmax(least, LEFT_MIB), false,
	    "%s x%u: MiB %s + trim, best peer's or %.0f", plan_cases[which].name,
	    plan_cases[which].threads, words, LEFT_MIB);
}

static void find_peers(struct finder *finder)
{
	const struct results *results = finder->results;
	const struct plan_case *plan;
	size_t i, ours = finder->sites;

	for (i = 0; i < PLAN_CASES; i++) {
		plan = &plan_cases[i];
		add(finder, results_time(results, i, ours, "ns_median"),
		    plan->tensors ? TENSOR_NS : results_best_time(results, i), false,
		    plan->tensors ? "%s x%u: ns a tensor, 20 million a second" :
				    "%s x%u: ns a pair, best peer's",
		    plan->name, plan->threads);
		add(finder, results_held_to_live(results, i, ours, plan->point, SPACE_AFTER),
		    least_held(results, i, plan->point, true), false,
		    "%s x%u: committed/live after trim, best peer's", plan->name, plan->threads);
		add_left(finder, i, "unloaded", "after unloading");
		add_left(finder, i, "left", "left after free-all");
	}
}

void targets_find(const struct results *results, const struct instructions *instructions,
		  struct targets *targets)
{
	struct finder finder = {
		.results = results,
		.instructions = instructions,
		.targets = targets,
		.counters = (size_t)subject_find("bitmem-counters"),
		.sites = (size_t)subject_find("bitmem-sites"),
		.tcmalloc = (size_t)subject_find("tcmalloc"),
	};

	targets->count = 0;
	find_instructions(&finder);
	find_tracking(&finder);
	find_held(&finder);
	find_peers(&finder);
}
