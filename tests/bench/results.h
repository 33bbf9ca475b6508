/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What was measured, and the figures that follow from it. A figure that was not
 * measured is NAN.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "plan.h"
#include "subject.h"

/* One case under one allocator: what the workers said. */
struct cell {
	json_t *slices; /* of time, an array in the order of the rounds */
	json_t *space;	/* NULL if memory was not measured */
};

struct results {
	struct cell cells[PLAN_CASES][SUBJECTS];
	/* Runs that went wrong. */
	unsigned int failures;
};

/* The median over the slices of a figure of theirs: ns_median, ns_p99, ns_mean. */
double results_time(const struct results *results, size_t which, size_t subject, const char *key);
/* The median over the rounds of a slice's ns_median to that of another allocator's. */
double results_time_ratio(const struct results *results, size_t which, size_t subject,
			  size_t other);
/* The least among the peers; NAN if there are none. */
double results_best_time(const struct results *results, size_t which);

enum space_when { SPACE_BEFORE, SPACE_AFTER };

/*
 * Bytes that the process holds at a point before or after the trim. On bitmem's
 * side the larger of what the kernel counts and what bitmem says of itself.
 */
double results_held(const struct results *results, size_t which, size_t subject, const char *point,
		    enum space_when when);
/* The same, divided by the bytes that are live there. */
double results_held_to_live(const struct results *results, size_t which, size_t subject,
			    const char *point, enum space_when when);
/* Bytes a live block that bitmem says it uses to keep track; as the kernel counts them. */
double results_tracking(const struct results *results, size_t which, size_t subject);
double results_tracking_outside(const struct results *results, size_t which, size_t subject);

/* Sorts @values, and returns the middle; NAN if there are none. */
double results_median(double *values, size_t count);

#endif /* BENCH_RESULTS_H */
