// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that change hands: one thread allocates batches of them, the other frees
 * them, with a bounded queue between. What waiting for each other takes does not
 * count: the time of a batch is that of its allocations and that of its frees.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "allocator.h"
#include "clock.h"
#include "crew.h"
#include "histogram.h"
#include "pages.h"
#include "trace.h"

#define BATCH 16
#define QUEUE 64
/* So many batches do not count: the allocator has nothing yet. */
#define WARM 1024
/* With checks, so many batches in all. */
#define CHECKED 3000

struct batch {
	void *blocks[BATCH];
	size_t first; /* the first one's size */
	uint64_t ns;
	bool last;
};

struct crossing {
	struct job *job;
	pthread_barrier_t start;
	uint64_t deadline; /* the producer's */
	/* The sizes of the workload, in its order, and BATCH more. */
	uint32_t *sizes;
	size_t count;
	struct batch queue[QUEUE];
	_Alignas(64) _Atomic size_t put;
	_Alignas(64) _Atomic size_t taken;
};

static void sizes_of(struct crossing *crossing)
{
	struct scale scale = job_scale(crossing->job, 0);
	const struct trace *trace = crossing->job->workload->build(&scale);
	size_t i;

	crossing->sizes = pages_new((trace->count + BATCH) * sizeof(*crossing->sizes));
	for (i = 0; i < trace->count; i++) {
		if (trace->ops[i].size)
			crossing->sizes[crossing->count++] = trace->ops[i].size;
	}
	for (i = 0; i < BATCH; i++)
		crossing->sizes[crossing->count + i] = crossing->sizes[i];
}

/* Waits until @counter is not @value. */
static void await_other(_Atomic size_t *counter, size_t value)
{
	unsigned int spins = 0;

	while (atomic_load_explicit(counter, memory_order_acquire) == value) {
		if (++spins > 100)
			sched_yield();
	}
}

static void stamp(const struct crossing *crossing, const struct batch *batch)
{
	size_t i;

	for (i = 0; i < BATCH; i++)
		replay_stamp(batch->blocks[i], (uint32_t)(batch->first + i),
			     crossing->sizes[batch->first + i]);
}

static void check(struct crossing *crossing, const struct batch *batch)
{
	struct replay_check *found = &crossing->job->check;
	size_t i;

	for (i = 0; i < BATCH; i++)
		found->bad += !replay_is_stamped(batch->blocks[i], (uint32_t)(batch->first + i),
						 crossing->sizes[batch->first + i]);
	found->blocks += BATCH;
}

static uint64_t less(uint64_t ns, uint64_t overhead)
{
	return ns > overhead ? ns - overhead : 0;
}

/* The time starts when what does not count is done. */
static bool is_over(struct crossing *crossing, size_t put)
{
	uint64_t now = clock_ns();

	if (put <= WARM)
		crossing->deadline = now + crossing->job->ms * 1000000;
	return now >= crossing->deadline;
}

static void *producer(void *arg)
{
	struct crossing *crossing = arg;
	struct job *job = crossing->job;
	size_t at = 0, put = 0;
	struct batch *batch;
	uint64_t start;

	pthread_barrier_wait(&crossing->start);
	pthread_barrier_wait(&crossing->start);
	do {
		await_other(&crossing->taken, put - QUEUE);
		batch = &crossing->queue[put % QUEUE];
		batch->first = at;
		start = clock_ns();
		job->allocator->replay->allocate(batch->blocks, crossing->sizes + at, BATCH,
						 job->writing);
		batch->ns = less(clock_ns() - start, job->overhead);
		if (!job->ms)
			stamp(crossing, batch);
		at = (at + BATCH) % crossing->count;
		if (job->ms)
			batch->last = is_over(crossing, put);
		else
			batch->last = put == CHECKED;
		atomic_store_explicit(&crossing->put, ++put, memory_order_release);
	} while (!batch->last);
	return NULL;
}

static void *consumer(void *arg)
{
	struct crossing *crossing = arg;
	struct job *job = crossing->job;
	size_t taken = 0;
	struct batch *batch;
	uint64_t start;
	bool last;

	pthread_barrier_wait(&crossing->start);
	pthread_barrier_wait(&crossing->start);
	do {
		await_other(&crossing->put, taken);
		batch = &crossing->queue[taken % QUEUE];
		if (!job->ms)
			check(crossing, batch);
		start = clock_ns();
		job->allocator->replay->release(batch->blocks, BATCH);
		batch->ns += less(clock_ns() - start, job->overhead);
		if (taken > WARM) {
			histogram_add(job->histogram, batch->ns);
			job->ns += batch->ns;
			job->pairs += BATCH;
		}
		last = batch->last;
		atomic_store_explicit(&crossing->taken, ++taken, memory_order_release);
	} while (!last);
	return NULL;
}

void crossing_run(struct job *job)
{
	struct crossing *crossing = pages_new(sizeof(*crossing));
	pthread_t threads[2];

	crossing->job = job;
	sizes_of(crossing);
	if (pthread_barrier_init(&crossing->start, NULL, 3))
		errx(1, "barriers");
	if (pthread_create(&threads[0], NULL, producer, crossing) ||
	    pthread_create(&threads[1], NULL, consumer, crossing))
		errx(1, "threads");
	pthread_barrier_wait(&crossing->start);
	job_baseline(job);
	pthread_barrier_wait(&crossing->start);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	job_end(job);
}
