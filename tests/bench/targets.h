/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bitmem is meant to reach, beside what it did. For reading: no target that
 * is missed is an error.
 */
#ifndef BENCH_TARGETS_H
#define BENCH_TARGETS_H

#include <stdbool.h>
#include <stddef.h>

struct instructions;
struct results;

struct target {
	char text[120];
	double value, limit;
	/* Less than the limit, or also the limit itself. */
	bool below;
};

#define TARGETS_MAX 96

struct targets {
	struct target list[TARGETS_MAX];
	size_t count;
};

/* Those of which both sides were measured. */
void targets_find(const struct results *results, const struct instructions *instructions,
		  struct targets *targets);
bool target_is_met(const struct target *target);

#endif /* BENCH_TARGETS_H */
