/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cases: a workload, how many threads, and what is written to the blocks.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

struct plan_case {
	const char *name, *workload;
	unsigned int threads;
	/* One thread allocates, another frees. */
	bool crossing;
	/* Not blocks, but tensors that have such. */
	bool tensors;
	const char *writing;
	/* At which of the workload's points committed/live is taken; NULL: not measured. */
	const char *point;
	const char *title;
};

#define PLAN_CASES 15

extern const struct plan_case plan_cases[PLAN_CASES];

/* Whether a subject makes sense in a case. */
bool plan_fits(size_t which, size_t subject);

#endif /* BENCH_PLAN_H */
