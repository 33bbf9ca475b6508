// SPDX-License-Identifier: GPL-2.0
/* T: one activation after another, of a size that is cached, each dropped at once. */
#include "trace.h"
#include "workload.h"

enum { SIZE = 8 << 10 };

struct trace *drops_trace(const struct scale *scale)
{
	uint32_t pairs = scale->tiny ? 5000 : 100000 / scale->shorter, i;
	struct trace *trace = trace_new(2 * (size_t)pairs, 1);

	for (i = 0; i < pairs; i++)
		trace_free(trace, trace_alloc(trace, SIZE));
	trace_phase(trace, true, NULL, false);
	return trace;
}
