// SPDX-License-Identifier: GPL-2.0
/*
 * All threads are there before the baseline is taken. At a point all of them wait
 * while the first one measures; they trim one after the other, as some allocators
 * can give back only what the calling thread keeps.
 *
 * The times of one thread are taken in a process that has no other: some
 * allocators are faster there. Memory is measured with threads always, and at the
 * end after they have gone, so that nobody is charged with what a thread caches.
 */
#include "crew.h"

#include <err.h>
#include <pthread.h>

#include "allocator.h"
#include "clock.h"
#include "histogram.h"
#include "pages.h"
#include "trace.h"

/* The last of so many passes is measured: what a second load meets counts. */
#define PASSES 2

struct crew;

struct hand {
	struct crew *crew;
	unsigned int index;
	pthread_t thread;
	struct trace *trace;
	void **slots;
	struct replay_timing timing;
	/* Where times go that are not asked for. */
	struct replay_timing unused;
	struct replay_check check;
};

struct crew {
	struct job *job;
	/* For the main thread too; and among the hands. */
	pthread_barrier_t start, barrier;
	struct hand hands[CREW_MAX];
};

static void hand_init(struct crew *crew, unsigned int index)
{
	struct hand *hand = &crew->hands[index];
	struct scale scale = job_scale(crew->job, index);

	hand->crew = crew;
	hand->index = index;
	hand->trace = crew->job->workload->build(&scale);
	hand->slots = pages_new((hand->trace->slots + 1) * sizeof(*hand->slots));
	hand->timing = (struct replay_timing){
		.histogram = histogram_new(),
		.overhead = crew->job->overhead,
		.batch = crew->job->workload->batch,
		.writing = crew->job->writing,
	};
	hand->unused = hand->timing;
	hand->unused.histogram = histogram_new();
}

static void count_live(const struct crew *crew, struct point *point)
{
	const struct trace *trace;
	unsigned int i;
	size_t slot;

	for (i = 0; i < crew->job->threads; i++) {
		trace = crew->hands[i].trace;
		for (slot = 0; slot < trace->slots; slot++) {
			point->live += trace->sizes[slot] != 0;
			point->live_bytes += trace->sizes[slot];
		}
	}
}

static void measure(struct hand *hand, const struct phase *phase)
{
	struct crew *crew = hand->crew;
	struct job *job = crew->job;
	struct point *point = NULL;
	unsigned int i;

	pthread_barrier_wait(&crew->barrier);
	if (!hand->index) {
		point = job_point(job, phase->point);
		count_live(crew, point);
		space_read(&job->spaces, job->allocator, &point->before);
		point->trimmed = phase->trim;
	}
	for (i = 0; i < job->threads; i++) {
		pthread_barrier_wait(&crew->barrier);
		if (phase->trim && i == hand->index)
			job->allocator->trim();
	}
	pthread_barrier_wait(&crew->barrier);
	if (point)
		space_read(&job->spaces, job->allocator, &point->after);
	pthread_barrier_wait(&crew->barrier);
}

static void check_pass(struct hand *hand, bool last)
{
	const struct trace *trace = hand->trace;
	const struct job *job = hand->crew->job;
	size_t i, from = 0;

	for (i = 0; i < trace->phase_count; from = trace->phases[i++].end) {
		job->allocator->replay->checked(trace, hand->slots, from, trace->phases[i].end,
						&hand->check);
		if (last && trace->phases[i].point)
			measure(hand, &trace->phases[i]);
	}
}

static void timed_pass(struct hand *hand, bool counts)
{
	const struct trace *trace = hand->trace;
	const struct replay *replay = hand->crew->job->allocator->replay;
	size_t i, from = 0;

	/* What does not count is written to like the rest. */
	for (i = 0; i < trace->phase_count; from = trace->phases[i++].end)
		replay->timed(trace, hand->slots, from, trace->phases[i].end,
			      counts && trace->phases[i].timed ? &hand->timing : &hand->unused);
}

static void work(struct hand *hand)
{
	struct crew *crew = hand->crew;
	uint64_t deadline;
	unsigned int i;

	if (crew->job->ms) {
		/* The first pass meets an allocator that has nothing yet. */
		timed_pass(hand, false);
		pthread_barrier_wait(&crew->barrier);
		deadline = clock_ns() + crew->job->ms * 1000000;
		do {
			timed_pass(hand, true);
		} while (clock_ns() < deadline);
	} else {
		for (i = 0; i < PASSES; i++)
			check_pass(hand, i == PASSES - 1);
	}
}

static void *hand_main(void *arg)
{
	struct hand *hand = arg;

	/* The baseline is taken between these two. */
	pthread_barrier_wait(&hand->crew->start);
	pthread_barrier_wait(&hand->crew->start);
	work(hand);
	return NULL;
}

static void start(struct crew *crew)
{
	struct job *job = crew->job;
	unsigned int i;

	for (i = 0; i < job->threads; i++) {
		if (pthread_create(&crew->hands[i].thread, NULL, hand_main, &crew->hands[i]))
			errx(1, "threads");
	}
	pthread_barrier_wait(&crew->start);
	job_baseline(job);
	pthread_barrier_wait(&crew->start);
}

static void add_up(struct job *job, const struct hand *hand)
{
	histogram_merge(job->histogram, hand->timing.histogram);
	job->ns += hand->timing.ns;
	job->pairs += hand->timing.pairs;
	job->check.blocks += hand->check.blocks;
	job->check.bad += hand->check.bad;
}

void crew_run(struct job *job)
{
	struct crew *crew = pages_new(sizeof(*crew));
	unsigned int i;

	crew->job = job;
	if (pthread_barrier_init(&crew->start, NULL, job->threads + 1) ||
	    pthread_barrier_init(&crew->barrier, NULL, job->threads))
		errx(1, "barriers");
	for (i = 0; i < job->threads; i++)
		hand_init(crew, i);
	if (job->ms && job->threads == 1) {
		job_baseline(job);
		work(&crew->hands[0]);
	} else {
		start(crew);
		for (i = 0; i < job->threads; i++)
			pthread_join(crew->hands[i].thread, NULL);
	}
	for (i = 0; i < job->threads; i++)
		add_up(job, &crew->hands[i]);
	job_end(job);
}
