// SPDX-License-Identifier: GPL-2.0
#include <err.h>

#include "allocator.h"
#include "crew.h"

struct scale job_scale(const struct job *job, unsigned int thread)
{
	struct scale scale = job->scale;

	scale.budget /= job->threads;
	scale.model /= job->threads;
	scale.seed += thread;
	return scale;
}

void job_baseline(struct job *job)
{
	/* The first reading brings in what reading needs. */
	footprint_read(&job->spaces.base);
	footprint_read(&job->spaces.base);
	allocator_open(job->allocator);
	allocator_stats(job->allocator, &job->spaces.base_stats);
}

struct point *job_point(struct job *job, const char *name)
{
	struct point *point;

	if (job->spaces.count == POINTS)
		errx(1, "more than %d points", POINTS);
	point = &job->spaces.points[job->spaces.count++];
	point->name = name;
	return point;
}

void job_end(struct job *job)
{
	struct point *point;

	if (job->ms)
		return;
	point = job_point(job, "left");
	space_read(&job->spaces, job->allocator, &point->before);
	job->allocator->trim();
	point->trimmed = true;
	space_read(&job->spaces, job->allocator, &point->after);
}
