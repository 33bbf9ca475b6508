/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is to be counted under callgrind: it is told to count inside
 * bench_measured() only.
 */
#ifndef BENCH_MEASURED_H
#define BENCH_MEASURED_H

#include <stddef.h>

#include "crew.h"

#define MEASURED_FUNCTION "bench_measured"

/* Pairs of a block of @size, @count times; @live others are alive, if it is not 0. */
void measured_loop(struct job *job, size_t size, size_t live, size_t count);
/* One pass of the job's workload, after one that does not count. */
void measured_pass(struct job *job);

#endif /* BENCH_MEASURED_H */
