// SPDX-License-Identifier: GPL-2.0
#include "measured.h"

#include "allocator.h"
#include "pages.h"
#include "trace.h"

struct call {
	const struct replay *replay;
	void **slots;
	size_t size, live, count;
	const struct trace *trace;
	size_t from, to;
};

static void loop(const struct call *call)
{
	call->replay->loop(call->size, call->count);
}

static void swap(const struct call *call)
{
	call->replay->swap(call->slots, (uint32_t)call->live, call->size, call->count);
}

static void pass(const struct call *call)
{
	call->replay->plain(call->trace, call->slots, call->from, call->to);
}

void bench_measured(void (*function)(const struct call *), const struct call *call);

__attribute__((noinline)) void bench_measured(void (*function)(const struct call *),
					      const struct call *call)
{
	function(call);
	/* Keeps the call from becoming a jump, out of what is counted. */
	__asm__ volatile("" : : : "memory");
}

void measured_loop(struct job *job, size_t size, size_t live, size_t count)
{
	struct call call = {
		.replay = job->allocator->replay, .size = size, .live = live, .count = count
	};
	const uint32_t block = (uint32_t)size;
	size_t i;

	job_baseline(job);
	call.slots = pages_new((live + 1) * sizeof(*call.slots));
	for (i = 0; i < live; i++)
		call.replay->allocate(&call.slots[i], &block, 1, WRITE_NOTHING);
	if (live)
		swap(&call);
	else
		loop(&call);
	bench_measured(live ? swap : loop, &call);
	for (i = 0; i < live; i++)
		call.replay->release(&call.slots[i], 1);
	job->pairs = count;
}

void measured_pass(struct job *job)
{
	struct scale scale = job_scale(job, 0);
	struct trace *trace = job->workload->build(&scale);
	struct call call = { .replay = job->allocator->replay, .trace = trace };
	unsigned int round;
	size_t i;

	job_baseline(job);
	call.slots = pages_new((trace->slots + 1) * sizeof(*call.slots));
	for (round = 0; round < 2; round++) {
		call.from = 0;
		for (i = 0; i < trace->phase_count; i++) {
			call.to = trace->phases[i].end;
			if (round && trace->phases[i].timed) {
				bench_measured(pass, &call);
				job->pairs += (call.to - call.from) / 2;
			} else {
				pass(&call);
			}
			call.from = call.to;
		}
	}
}
