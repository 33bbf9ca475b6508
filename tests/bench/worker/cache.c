// SPDX-License-Identifier: GPL-2.0
/*
 * W3: a KV cache. A request takes one block after another as its sequence grows,
 * up to the length that it was drawn with, and frees them all when it ends. The
 * size of its blocks, 16 to 512 KiB, is drawn with it: for half of the requests
 * whole pages, for half of them not.
 *
 * The cache is kept at 70 % of the budget: a block that would exceed it makes
 * some request end first.
 */
#include <err.h>

#include "pages.h"
#include "random.h"
#include "trace.h"
#include "workload.h"

enum {
	SMALLEST = 16 << 10,
	LARGEST = 512 << 10,
	PAGE = 4096,
	LENGTH_MIN = 4,
	LENGTH_MAX = 64,
	REQUESTS = 1024,
	/* One step in so many brings a request: more than the cache can hold. */
	ARRIVAL = 8,
	OCCUPANCY = 70,
};

struct request {
	uint32_t size, length, count;
	uint32_t blocks[LENGTH_MAX + 1];
};

struct cache {
	struct trace *trace;
	struct random random;
	uint64_t target;
	struct request *requests;
	uint32_t active;
};

static void request_begin(struct cache *cache)
{
	struct request *rq = &cache->requests[cache->active++];

	rq->size = random_size(&cache->random, SMALLEST, LARGEST);
	if (random_below(&cache->random, 2))
		rq->size -= rq->size % PAGE;
	rq->length = random_size(&cache->random, LENGTH_MIN, LENGTH_MAX + 1);
	rq->count = 0;
}

static void request_end(struct cache *cache, uint32_t at)
{
	struct request *rq = &cache->requests[at];
	uint32_t i;

	for (i = 0; i < rq->count; i++)
		trace_free(cache->trace, rq->blocks[i]);
	*rq = cache->requests[--cache->active];
}

/* One more block for some request. */
static void grow(struct cache *cache)
{
	uint32_t at = random_below(&cache->random, cache->active);
	struct request *rq = &cache->requests[at];

	if (rq->count == rq->length) {
		request_end(cache, at);
		return;
	}
	if (cache->trace->live_bytes + rq->size > cache->target) {
		request_end(cache, random_below(&cache->random, cache->active));
		return;
	}
	rq->blocks[rq->count++] = trace_alloc(cache->trace, rq->size);
}

static void step(struct cache *cache)
{
	if (!cache->active || (cache->active < REQUESTS && !random_below(&cache->random, ARRIVAL)))
		request_begin(cache);
	grow(cache);
}

struct trace *cache_trace(const struct scale *scale)
{
	size_t pairs = scale->tiny ? 500 : 20000;
	size_t slots = scale->budget / SMALLEST + LENGTH_MAX;
	size_t requests = REQUESTS * sizeof(struct request);
	struct cache cache = {
		.trace = trace_new(4 * (slots + pairs), slots),
		.random = { scale->seed },
		.target = scale->budget * OCCUPANCY / 100,
		.requests = pages_new(requests),
	};
	size_t warm;

	if (cache.target < LARGEST)
		errx(1, "W3: a budget of %llu bytes is too small",
		     (unsigned long long)scale->budget);
	while (cache.trace->live_bytes + LARGEST <= cache.target)
		step(&cache);
	trace_phase(cache.trace, false, NULL, false);
	warm = cache.trace->count;
	while (cache.trace->count < warm + 2 * pairs)
		step(&cache);
	/* The last one to end may have left the cache at less. */
	while (cache.trace->live_bytes + LARGEST <= cache.target)
		step(&cache);
	trace_phase(cache.trace, true, "steady", true);
	trace_free_all(cache.trace);
	trace_phase(cache.trace, false, NULL, false);
	pages_free(cache.requests, requests);
	return cache.trace;
}
