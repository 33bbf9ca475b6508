// SPDX-License-Identifier: GPL-2.0
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "allocator.h"
#include "histogram.h"

#define U64(name) "\"" name "\": %" PRIu64

static void print_space(const char *name, const struct space *space, bool is_bitmem)
{
	printf(", \"%s\": {" U64("resident") ", " U64("anonymous"), name, space->outside.resident,
	       space->outside.anonymous);
	if (is_bitmem)
		printf(", " U64("stats_committed") ", " U64("stats_live") ", " U64(
			       "stats_live_bytes") ", " U64("stats_meta") ", " U64("stats_pinned"),
		       space->stats.committed_bytes, space->stats.live, space->stats.live_bytes,
		       space->stats.meta_bytes, space->stats.pinned_bytes);
	printf("}");
}

static void print_points(const struct job *job, bool is_bitmem)
{
	const struct point *point;
	unsigned int i;

	printf(", \"points\": [");
	for (i = 0; i < job->spaces.count; i++) {
		point = &job->spaces.points[i];
		printf("%s{\"name\": \"%s\", " U64("live") ", " U64("live_bytes"), i ? ", " : "",
		       point->name, point->live, point->live_bytes);
		print_space("before", &point->before, is_bitmem);
		if (point->trimmed)
			print_space("after", &point->after, is_bitmem);
		printf("}");
	}
	printf("]");
}

int report_print(const struct job *job, bool zeroes)
{
	const char *backend = allocator_backend(job->allocator);
	double batch = job->workload ? job->workload->batch : 1;

	printf("{\"allocator\": \"%s\", \"library\": \"%s\", ", job->allocator->name,
	       job->allocator->library);
	if (backend)
		printf("\"backend\": \"%s\", ", backend);
	printf("\"zeroes\": %s, \"threads\": %u, " U64("pairs"), zeroes ? "true" : "false",
	       job->threads, job->pairs);
	if (job->histogram->count)
		printf(", \"ns_median\": %.3f, \"ns_p99\": %.3f, \"ns_mean\": %.3f, " U64(
			       "clock_ns") ", " U64("batches"),
		       histogram_quantile(job->histogram, 0.5) / batch,
		       histogram_quantile(job->histogram, 0.99) / batch,
		       (double)job->ns / (double)job->pairs, job->overhead, job->histogram->count);
	printf(", " U64("checked") ", " U64("bad"), job->check.blocks, job->check.bad);
	print_points(job, backend != NULL);
	printf("}\n");
	return fflush(stdout) ? -1 : 0;
}
