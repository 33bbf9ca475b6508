/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The context and its counters, for the library's core.
 *
 * ctx->lock guards the counters, the block allocator and the members of
 * segments that say so. Whatever changes memory changes the counters in the
 * same critical section, so that a reader never sees one without the other.
 */
#ifndef BITMEM_CONTEXT_H
#define BITMEM_CONTEXT_H

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "internal.h"

/* The alignment that every block has, and the largest that can be asked for. */
#define BM_ALIGN_MIN ((size_t)64)
#define BM_ALIGN_MAX ((size_t)2 << 20)

struct bm_blocks;

/* What struct bitmem_stats reports, under the same names. */
struct bm_counters {
	uint64_t live, live_bytes;
	uint64_t views;
	uint64_t peak_bytes;
	uint64_t allocs, frees;
	uint64_t committed_bytes, segments;
	uint64_t pinned_bytes;
	uint64_t meta_bytes;
};

struct bitmem {
	atomic_size_t refs;
	struct bm_backend *backend;
	struct bm_blocks *blocks;
	pthread_mutex_t lock;
	struct bm_counters counters; /* under lock */
};

/* What a record of our own costs: what malloc() set aside and its header. */
static inline size_t bm_meta_size(const void *record)
{
	return malloc_usable_size((void *)record) + sizeof(size_t);
}

/* A block or tensor of @bytes came to be, with @meta bytes to track it. Under the lock. */
static inline void bm_count_alloc(struct bm_counters *counters, size_t bytes, size_t meta)
{
	counters->allocs++;
	counters->live++;
	counters->live_bytes += bytes;
	if (counters->peak_bytes < counters->live_bytes)
		counters->peak_bytes = counters->live_bytes;
	counters->meta_bytes += meta;
}

/* It is gone again. Under the lock. */
static inline void bm_count_free(struct bm_counters *counters, size_t bytes, size_t meta)
{
	counters->frees++;
	counters->live--;
	counters->live_bytes -= bytes;
	counters->meta_bytes -= meta;
}

/* @value rounded up to a multiple of @unit, a power of two. The caller knows that it fits. */
static inline size_t bm_round_up(size_t value, size_t unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

#endif /* BITMEM_CONTEXT_H */
