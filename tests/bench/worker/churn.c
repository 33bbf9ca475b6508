// SPDX-License-Identifier: GPL-2.0
/*
 * W2: small blocks of 64 B to 4 KiB with random lifetimes: a set of them is alive,
 * and one after another of it, at random, is replaced by one of another size.
 */
#include "random.h"
#include "trace.h"
#include "workload.h"

enum { SMALLEST = 64, LARGEST = 4096 };

struct trace *churn_trace(const struct scale *scale)
{
	uint32_t live = scale->tiny ? 500 : 10000, i;
	uint32_t pairs = scale->tiny ? 5000 : 100000 / scale->shorter;
	struct trace *trace = trace_new(2 * (size_t)(live + pairs), live);
	struct random random = { scale->seed };

	for (i = 0; i < live; i++)
		trace_alloc(trace, random_size(&random, SMALLEST, LARGEST));
	trace_phase(trace, false, NULL, false);
	for (i = 0; i < pairs; i++) {
		trace_free(trace, random_below(&random, live));
		trace_alloc(trace, random_size(&random, SMALLEST, LARGEST));
	}
	trace_phase(trace, true, "steady", true);
	trace_free_all(trace);
	trace_phase(trace, false, NULL, false);
	return trace;
}
