/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs of the workers, case by case and allocator by allocator.
 */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

struct results;
struct settings;

/* Memory, once for each: the same seed makes the same figures. */
void rounds_space(const struct settings *settings, struct results *results);
/* Times, in short slices that take turns. */
void rounds_time(const struct settings *settings, struct results *results);

#endif /* BENCH_ROUNDS_H */
