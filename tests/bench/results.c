// SPDX-License-Identifier: GPL-2.0
#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 1000

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double results_median(double *values, size_t count)
{
	if (!count)
		return NAN;
	qsort(values, count, sizeof(*values), compare);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* NAN if there is no such number. */
static double number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

double results_time(const struct results *results, size_t which, size_t subject, const char *key)
{
	const json_t *slices = results->cells[which][subject].slices;
	double values[ROUNDS_MAX], value;
	size_t i, count = 0;

	for (i = 0; i < json_array_size(slices); i++) {
		value = number(json_array_get(slices, i), key);
		if (!isnan(value))
			values[count++] = value;
	}
	return results_median(values, count);
}

double results_time_ratio(const struct results *results, size_t which, size_t subject, size_t other)
{
	const json_t *ours = results->cells[which][subject].slices;
	const json_t *theirs = results->cells[which][other].slices;
	double values[ROUNDS_MAX], value;
	size_t i, count = 0;

	/* A slice that failed is null in both arrays' order. */
	for (i = 0; i < json_array_size(ours); i++) {
		value = number(json_array_get(ours, i), "ns_median") /
			number(json_array_get(theirs, i), "ns_median");
		if (isfinite(value))
			values[count++] = value;
	}
	return results_median(values, count);
}

double results_best_time(const struct results *results, size_t which)
{
	double best = NAN;
	size_t i;

	for (i = 0; i < SUBJECTS; i++) {
		if (subjects[i].kind == SUBJECT_PEER)
			best = fmin(best, results_time(results, which, i, "ns_median"));
	}
	return best;
}

static const json_t *point_of(const struct results *results, size_t which, size_t subject,
			      const char *name)
{
	const json_t *points, *point, *text;
	size_t i;

	points = json_object_get(results->cells[which][subject].space, "points");
	for (i = 0; name && i < json_array_size(points); i++) {
		point = json_array_get(points, i);
		text = json_object_get(point, "name");
		if (json_is_string(text) && !strcmp(json_string_value(text), name))
			return point;
	}
	return NULL;
}

double results_held(const struct results *results, size_t which, size_t subject, const char *point,
		    enum space_when when)
{
	const json_t *space = json_object_get(point_of(results, which, subject, point),
					      when == SPACE_BEFORE ? "before" : "after");

	/* fmax() leaves out what is NAN. */
	return fmax(number(space, "resident"), number(space, "stats_committed"));
}

double results_held_to_live(const struct results *results, size_t which, size_t subject,
			    const char *point, enum space_when when)
{
	double live = number(point_of(results, which, subject, point), "live_bytes");

	return live > 0 ? results_held(results, which, subject, point, when) / live : NAN;
}

static double tracking(const struct results *results, size_t which, size_t subject, const char *key)
{
	const json_t *point = point_of(results, which, subject, plan_cases[which].point);
	double live = number(point, "live");

	if (subjects[subject].kind != SUBJECT_BITMEM || !(live > 0))
		return NAN;
	return number(json_object_get(point, "before"), key) / live;
}

double results_tracking(const struct results *results, size_t which, size_t subject)
{
	return tracking(results, which, subject, "stats_meta");
}

double results_tracking_outside(const struct results *results, size_t which, size_t subject)
{
	return tracking(results, which, subject, "anonymous");
}
