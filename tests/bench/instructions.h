/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Instructions a pair, by callgrind: the steady figure, the same on a machine that
 * is busy with other things.
 */
#ifndef BENCH_INSTRUCTIONS_H
#define BENCH_INSTRUCTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "subject.h"

struct settings;

struct instructions_case {
	const char *name;
	/* Either a size, allocated and freed at once or beside so many alive; */
	unsigned int size, live;
	/* or a workload. */
	const char *workload;
	/* Not blocks, but tensors that have such. */
	bool tensors;
};

enum {
	INSTRUCTIONS_64,
	INSTRUCTIONS_1K,
	INSTRUCTIONS_16K,
	INSTRUCTIONS_256K,
	INSTRUCTIONS_FEW,
	INSTRUCTIONS_MANY,
	INSTRUCTIONS_W1,
	INSTRUCTIONS_W2,
	INSTRUCTIONS_W3,
	INSTRUCTIONS_TENSOR,
	INSTRUCTIONS_CASES,
};

#define INSTRUCTIONS_SIZES (INSTRUCTIONS_256K + 1)

extern const struct instructions_case instructions_cases[INSTRUCTIONS_CASES];

struct instructions {
	/* NAN if not measured. */
	double pair[INSTRUCTIONS_CASES][SUBJECTS];
	unsigned int failures;
};

void instructions_run(const struct settings *settings, struct instructions *instructions);

#endif /* BENCH_INSTRUCTIONS_H */
