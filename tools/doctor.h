/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What doctor finds, and what it looks at.
 */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "device.h"

enum doctor_status {
	DOCTOR_OK,
	DOCTOR_NOTE,	/* worth knowing */
	DOCTOR_WARNING, /* works, but not as well as it could */
	DOCTOR_PROBLEM, /* stops use */
	DOCTOR_STATUSES,
};

struct doctor_finding {
	/* What was looked at, a word. */
	const char *check;
	enum doctor_status status;
	char *what;
	/* What to do about it, or NULL. */
	char *remedy;
};

struct doctor {
	/* In the order in which they were found. */
	struct doctor_finding *findings;
	size_t n;
	/* Memory ran out. */
	bool failed;
	/* It is open. */
	bool has_device;
	struct device device;
	/* A pool is being filled. */
	bool filling;
};

/* Adds a finding. */
void doctor_add(struct doctor *doctor, const char *check, enum doctor_status status,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Says what to do about the last finding. */
void doctor_remedy(struct doctor *doctor, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The module: whether it is there, of the right version, allowed to be loaded. */
void doctor_module(struct doctor *doctor);

/* The device and who may open it; opens it for those after. */
void doctor_device(struct doctor *doctor);

/* With the device: its pools, and what can be done with a buffer. */
void doctor_pools(struct doctor *doctor);
void doctor_use(struct doctor *doctor);

/* The system: limits and settings that keep memory from being had or used well. */
void doctor_limits(struct doctor *doctor);
void doctor_memory(struct doctor *doctor);

#endif /* TOOLS_DOCTOR_H */
