/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads that replay a workload at the same time, each a trace of its own.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "replay.h"
#include "space.h"
#include "workload.h"

#define CREW_MAX 64

/* What a worker is to do, and how it went. */
struct job {
	struct allocator *allocator;
	const struct workload *workload;
	unsigned int threads;
	struct scale scale; /* all threads' together */
	enum writing writing;
	/* Times for so long, or checks and measures memory if it is 0. */
	uint64_t ms;

	struct histogram *histogram;
	uint64_t overhead, ns, pairs;
	struct replay_check check;
	struct spaces spaces;
};

/* The scale of one of the job's threads. */
struct scale job_scale(const struct job *job, unsigned int thread);

/* Baseline; then bitmem is opened, which counts. */
void job_baseline(struct job *job);
/* After all threads have gone, everything freed: trims and measures once more. */
void job_end(struct job *job);
/* The next point for a measurement. */
struct point *job_point(struct job *job, const char *name);

void crew_run(struct job *job);

/* Blocks that one thread allocates, with the sizes of the workload, and another frees. */
void crossing_run(struct job *job);

#endif /* BENCH_CREW_H */
