/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The results as tables on stdout.
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

struct instructions;
struct results;
struct settings;
struct targets;

void table_subjects(void);
void table_cases(const struct settings *settings, const struct results *results);
void table_instructions(const struct instructions *instructions);
void table_targets(const struct targets *targets);

#endif /* BENCH_TABLE_H */
