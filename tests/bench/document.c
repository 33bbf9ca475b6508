// SPDX-License-Identifier: GPL-2.0
/*
 * All that the workers said is in it, with the figures that the tables show:
 *
 *   settings      what was asked for
 *   allocators    name, library, backend, zeroes
 *   cases         name, workload, threads, crossing, writing, point, results
 *     results     allocator, the figures, slices and space as the workers gave them
 *   instructions  name and, of each allocator, instructions a pair
 *   targets       text, value, limit, met
 */
#include "document.h"

#include <err.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "instructions.h"
#include "results.h"
#include "settings.h"
#include "targets.h"

/* JSON has no NAN: what was not measured is left out. */
static void set(json_t *object, const char *key, double value)
{
	if (isfinite(value))
		json_object_set_new(object, key, json_real(value));
}

static json_t *settings_json(const struct settings *settings)
{
	return json_pack("{s:f, s:i, s:I, s:I, s:I, s:b}", "seconds", settings->seconds, "rounds",
			 (int)settings->rounds, "budget_mib", (json_int_t)settings->budget_mib,
			 "model_mib", (json_int_t)settings->model_mib, "seed",
			 (json_int_t)settings->seed, "tiny", settings->tiny);
}

static json_t *subjects_json(void)
{
	json_t *list = json_array(), *about;
	const char *key;
	json_t *value;
	json_t *item;
	size_t i;

	for (i = 0; i < SUBJECTS; i++) {
		about = subjects[i].about;
		if (!about)
			continue;
		item = json_pack("{s:s}", "name", subjects[i].name);
		json_object_foreach(about, key, value) {
			if (json_is_string(value) || json_is_boolean(value))
				json_object_set(item, key, value);
		}
		json_object_del(item, "allocator");
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *result_json(const struct results *results, size_t which, size_t subject)
{
	const struct cell *cell = &results->cells[which][subject];
	const char *point = plan_cases[which].point;
	double median = results_time(results, which, subject, "ns_median");
	json_t *item = json_pack("{s:s}", "allocator", subjects[subject].name);

	set(item, "ns_median", median);
	set(item, "ns_p99", results_time(results, which, subject, "ns_p99"));
	set(item, "ns_mean", results_time(results, which, subject, "ns_mean"));
	set(item, "to_best_peer", median / results_best_time(results, which));
	set(item, "committed_to_live",
	    results_held_to_live(results, which, subject, point, SPACE_BEFORE));
	set(item, "committed_to_live_trimmed",
	    results_held_to_live(results, which, subject, point, SPACE_AFTER));
	set(item, "left_bytes", results_held(results, which, subject, "left", SPACE_BEFORE));
	set(item, "left_bytes_trimmed", results_held(results, which, subject, "left", SPACE_AFTER));
	set(item, "tracking_bytes", results_tracking(results, which, subject));
	set(item, "tracking_bytes_outside", results_tracking_outside(results, which, subject));
	if (cell->slices)
		json_object_set(item, "slices", cell->slices);
	if (cell->space)
		json_object_set(item, "space", cell->space);
	return item;
}

static json_t *case_json(const struct settings *settings, const struct results *results,
			 size_t which)
{
	const struct plan_case *plan = &plan_cases[which];
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < SUBJECTS; i++) {
		if (results->cells[which][i].slices || results->cells[which][i].space)
			json_array_append_new(list, result_json(results, which, i));
	}
	return json_pack("{s:s, s:s, s:i, s:b, s:s, s:s?, s:o}", "name", plan->name, "workload",
			 plan->workload, "threads", (int)plan->threads, "crossing", plan->crossing,
			 "writing", settings->writing ? settings->writing : plan->writing, "point",
			 plan->point, "results", list);
}

static json_t *instructions_json(const struct instructions *instructions)
{
	json_t *list = json_array(), *pairs;
	size_t which, subject;

	for (which = 0; which < INSTRUCTIONS_CASES; which++) {
		pairs = json_object();
		for (subject = 0; subject < SUBJECTS; subject++)
			set(pairs, subjects[subject].name, instructions->pair[which][subject]);
		json_array_append_new(list,
				      json_pack("{s:s, s:o}", "name",
						instructions_cases[which].name, "pair", pairs));
	}
	return list;
}

static json_t *targets_json(const struct targets *targets)
{
	const struct target *target;
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < targets->count; i++) {
		target = &targets->list[i];
		json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:b}", "text", target->text,
						      "value", target->value, "limit",
						      target->limit, "met", target_is_met(target)));
	}
	return list;
}

int document_prepare(const struct settings *settings)
{
	FILE *file = fopen(settings->json, "ae");

	if (!file || fclose(file)) {
		warn("%s", settings->json);
		return -1;
	}
	return 0;
}

int document_write(const struct settings *settings, const struct results *results,
		   const struct instructions *instructions, const struct targets *targets)
{
	json_t *document, *cases = json_array();
	size_t which;
	int ret;

	for (which = 0; which < PLAN_CASES; which++) {
		if (settings->cases[which])
			json_array_append_new(cases, case_json(settings, results, which));
	}
	document = json_pack("{s:o, s:o, s:o, s:o, s:o}", "settings", settings_json(settings),
			     "allocators", subjects_json(), "cases", cases, "instructions",
			     instructions_json(instructions), "targets", targets_json(targets));
	if (!document)
		errx(1, "out of memory");
	ret = json_dump_file(document, settings->json, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	if (ret)
		warn("%s", settings->json);
	json_decref(document);
	return ret;
}
