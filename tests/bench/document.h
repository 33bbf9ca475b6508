/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The results as JSON.
 */
#ifndef BENCH_DOCUMENT_H
#define BENCH_DOCUMENT_H

struct instructions;
struct results;
struct settings;
struct targets;

/* Whether it can be written, before the minutes that it takes. 0, or -1 after a message. */
int document_prepare(const struct settings *settings);
/* Writes them to settings->json. 0, or -1 after a message. */
int document_write(const struct settings *settings, const struct results *results,
		   const struct instructions *instructions, const struct targets *targets);

#endif /* BENCH_DOCUMENT_H */
