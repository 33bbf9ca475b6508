/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs of bench-worker, which lies beside this program.
 */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct child;
struct settings;

/* The worker's path, for as long as the program runs. */
const char *worker_path(void);
/* Adds the options that choose an allocator, and its preload. */
void worker_choose(struct child *child, size_t subject);

/* Looks whether an allocator is there; says on one line if it is not. -1: something is wrong. */
int worker_probe(size_t subject);
/*
 * A case under an allocator: for @ms milliseconds or, with 0, for its memory. What
 * the worker said, or NULL after a message.
 */
json_t *worker_run(const struct settings *settings, size_t which, size_t subject, uint64_t ms);

#endif /* BENCH_WORKER_H */
