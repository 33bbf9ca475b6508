// SPDX-License-Identifier: GPL-2.0
#include "plan.h"

#include <string.h>

#include "subject.h"

#define DECODE	  "decode loop, 2 KiB-1 MiB in graph order"
#define CHURN	  "small churn, 64 B-4 KiB, random lifetimes"
#define CACHE	  "KV cache, 16-512 KiB at 70 % occupancy"
#define MODELS	  "two models in turn, churn between"
#define ADVERSARY "free 3 of 4 at random, then ask for large"

const struct plan_case plan_cases[PLAN_CASES] = {
	{ "W1", "W1", 1, false, false, "nothing", NULL, DECODE },
	{ "W1", "W1", 2, false, false, "nothing", NULL, DECODE },
	{ "W1w", "W1", 1, false, false, "pages", "peak", DECODE },
	{ "W1w", "W1", 2, false, false, "pages", "peak", DECODE },
	{ "W2", "W2", 1, false, false, "pages", "steady", CHURN },
	{ "W2", "W2", 2, false, false, "pages", "steady", CHURN },
	{ "W3", "W3", 1, false, false, "pages", "steady", CACHE },
	{ "W3", "W3", 2, false, false, "pages", "steady", CACHE },
	{ "W4", "W4", 1, false, false, "pages", "loaded", MODELS },
	{ "W4", "W4", 2, false, false, "pages", "loaded", MODELS },
	{ "W5", "W5", 1, false, false, "pages", "large", ADVERSARY },
	{ "W5", "W5", 2, false, false, "pages", "large", ADVERSARY },
	{ "X1", "W1", 2, true, false, "nothing", "left", "W1's sizes, freed by another thread" },
	{ "X2", "W2", 2, true, false, "pages", "left", "W2's sizes, freed by another thread" },
	{ "T", "T", 1, false, true, "nothing", NULL, "tensors of 8 KiB, created and dropped" },
};

bool plan_fits(size_t which, size_t subject)
{
	/* What is handed out by nobody cannot be written to or change hands. */
	return subjects[subject].kind != SUBJECT_NULL ||
	       (!strcmp(plan_cases[which].writing, "nothing") && !plan_cases[which].crossing);
}
