// SPDX-License-Identifier: GPL-2.0
/*
 * bitmem doctor: what keeps the device from being used, or used well, and what to do about it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "doctor.h"
#include "output.h"
#include "text.h"

static const char *const status_names[DOCTOR_STATUSES] = {"ok", "note", "warning", "problem"};

/* --- findings --- */

static char *format(struct doctor *doctor, const char *fmt, va_list args)
{
	char *text, *safe;

	if (vasprintf(&text, fmt, args) < 0) {
		doctor->failed = true;
		return NULL;
	}
	safe = text_escape(text);
	free(text);
	doctor->failed |= !safe;
	return safe;
}

void doctor_add(struct doctor *doctor, const char *check, enum doctor_status status,
		const char *fmt, ...)
{
	struct doctor_finding *list;
	va_list args;

	list = reallocarray(doctor->findings, doctor->n + 1, sizeof(*list));
	if (!list) {
		doctor->failed = true;
		return;
	}
	doctor->findings = list;
	va_start(args, fmt);
	list[doctor->n++] = (struct doctor_finding){
		.check = check,
		.status = status,
		.what = format(doctor, fmt, args),
	};
	va_end(args);
}

void doctor_remedy(struct doctor *doctor, const char *fmt, ...)
{
	va_list args;

	/* There may be no finding to go with, or an older one. */
	if (doctor->failed)
		return;
	va_start(args, fmt);
	doctor->findings[doctor->n - 1].remedy = format(doctor, fmt, args);
	va_end(args);
}

static unsigned int count(const struct doctor *doctor, enum doctor_status status)
{
	unsigned int n = 0;

	for (size_t i = 0; i < doctor->n; i++)
		n += doctor->findings[i].status == status;
	return n;
}

static void examine(struct doctor *doctor)
{
	doctor_module(doctor);
	doctor_device(doctor);
	doctor_pools(doctor);
	doctor_use(doctor);
	doctor_limits(doctor);
	doctor_memory(doctor);
}

static void discharge(struct doctor *doctor)
{
	if (doctor->has_device)
		device_close(&doctor->device);
	for (size_t i = 0; i < doctor->n; i++) {
		free(doctor->findings[i].what);
		free(doctor->findings[i].remedy);
	}
	free(doctor->findings);
}

/* --- output --- */

static json_t *finding_json(const struct doctor_finding *finding)
{
	json_t *object = json_object();

	output_json_set(&object, "check", json_string(finding->check));
	output_json_set(&object, "status", json_string(status_names[finding->status]));
	output_json_set(&object, "what", output_json_text(finding->what));
	output_json_set(&object, "remedy",
			finding->remedy ? output_json_text(finding->remedy) : json_null());
	return object;
}

static int print_json(const struct doctor *doctor)
{
	json_t *object = json_object();
	json_t *findings = json_array();

	for (size_t i = 0; i < doctor->n; i++)
		output_json_append(&findings, finding_json(&doctor->findings[i]));
	output_json_set(&object, "usable", json_boolean(!count(doctor, DOCTOR_PROBLEM)));
	output_json_set(&object, "findings", findings);
	return output_json(object);
}

static void print_count(unsigned int n, const char *what)
{
	printf("%u %s%s", n, what, n == 1 ? "" : "s");
}

static int print_text(const struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->n; i++) {
		const struct doctor_finding *finding = &doctor->findings[i];

		printf("%-8s %-10s  %s\n", status_names[finding->status], finding->check,
		       finding->what);
		if (finding->remedy)
			printf("%-19s  -> %s\n", "", finding->remedy);
	}
	putchar('\n');
	print_count(count(doctor, DOCTOR_PROBLEM), "problem");
	fputs(", ", stdout);
	print_count(count(doctor, DOCTOR_WARNING), "warning");
	fputs(", ", stdout);
	print_count(count(doctor, DOCTOR_NOTE), "note");
	putchar('\n');
	return output_flush();
}

/* --- the command --- */

static int take_option(void *data, int option, const char *text)
{
	(void)option;
	(void)text;
	*(bool *)data = true;
	return 0;
}

static int run(int argc, char **argv)
{
	struct doctor doctor = {0};
	bool json = false;
	int status = command_parse(&cmd_doctor, argc, argv, take_option, &json);
	int err;

	if (status >= 0)
		return status;
	examine(&doctor);
	err = doctor.failed ? -1 : 0;
	if (err)
		output_error("%s", strerror(ENOMEM));
	else
		err = json ? print_json(&doctor) : print_text(&doctor);
	status = err || count(&doctor, DOCTOR_PROBLEM) ? EXIT_FAILURE : EXIT_SUCCESS;
	discharge(&doctor);
	return status;
}

static const struct option longs[] = {
	{"json", no_argument, NULL, 'j'},
	COMMAND_HELP,
};

const struct command cmd_doctor = {
	.name = "doctor",
	.run = run,
	.options = longs,
	.summary = "look for what keeps the device from being used well",
	.usage =
		"[--json]\n"
		"\n"
		"Says of each finding what to do about it. It is a failure (1) if something stops\n"
		"use. Run it as who is to use the device.\n"
		"\n"
		"  --json  print one JSON object\n",
};
