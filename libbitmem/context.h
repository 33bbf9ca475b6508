/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The context, for the library's core.
 *
 * ctx->lock guards all that is not said to be somebody else's. Whatever changes memory
 * changes the counters in the same critical section, so that a reader never sees one
 * without the other.
 */
#ifndef BITMEM_CONTEXT_H
#define BITMEM_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache.h"
#include "internal.h"
#include "pool.h"
#include "pressure/keeper.h"
#include "scope.h"
#include "side.h"
#include "track/track.h"

/* The alignment that every block has; the largest within a segment; and of a block of its own. */
#define BM_ALIGN_MIN	((size_t)64)
#define BM_ALIGN_MAX	((size_t)2 << 20)
#define BM_ALIGN_DIRECT	((size_t)1 << 30)

/* What is counted under the lock as it changes; the rest follows from the caches (count.h). */
struct bm_counters {
	uint64_t views;
	uint64_t committed_bytes, segments;
	uint64_t pinned_bytes;
	uint64_t meta_bytes;
};

struct bitmem {
	/* For the fast paths. The stamp changes as time goes by, the rest does not. */
	union {
		uint32_t stamp;	/* what a slot's state and time get besides owner and site */
		struct {
			uint16_t stamp_state, stamp_time;
		};
	};
	struct bm_arena arena;
	/* By (size + 63) / 64: where in a cache the stack for that size is. */
	uint16_t bins[BM_SLAB_MAX / BM_ALIGN_MIN + 1];
	/* By units: where in a cache's runs. */
	uint16_t run_bins[BM_CACHED_UNITS + 1];

	/* Does not change either. */
	struct bm_backend *backend;
	size_t segment_size;
	size_t near_size;	/* of the arena, that places of 32 bits reach (tensor.c) */
	char tag[BM_TAG_MAX + 1]; /* of its segments; if empty, what they are for */
	enum bitmem_tracking tracking;

	/* From bitmem_close() on, each of its tensors holds one. */
	atomic_size_t refs;
	atomic_bool closed;
	struct bitmem *next_context;	/* under the registry's lock */
	/* Under the lock: there was a fork() since, and who goes on with it may be the other. */
	bool forked;
	/*
	 * A child that has taken no memory and given none: what threads that it does not have kept
	 * is empty here, but the parent has it still. So nothing goes back to the backend.
	 */
	bool heir;
	uint64_t number;	/* no other context of the process ever has it */

	/* Held while memory comes back; taken before the lock. */
	pthread_mutex_t commit_lock;
	pthread_cond_t grown;	/* with the lock: a pool got another segment, or did not */
	pthread_mutex_t lock;
	struct bm_pool pools[BM_MAX_POOLS];
	unsigned int nr_pools;
	struct bm_segment *doomed;	/* dropped when the lock is */
	uint64_t dropped;		/* bytes of those that ever were in it */
	struct bm_cache *caches;
	unsigned int nr_caches;
	uint32_t last_cache;		/* number of the one that came last */
	unsigned int claims;		/* of the caches */
	struct bm_counters counters;
	struct bm_records *records;
	struct bm_sides sides;
	struct bm_scopes scopes;
	struct bm_segment *counted;	/* all segments, those outside the arena included */
	/* See count.h. */
	int64_t peak, spare;
	unsigned int nr_short;		/* threads that wait for others to leave credit */
	uint32_t deposits;		/* how often one did */
	uint64_t gone_allocs, gone_frees;

	struct bm_track track;
	struct bm_keeper keeper;	/* has locks of its own */
};

/* Memory was taken: wakes a keeper that waits for that. No lock may be held. */
static inline void bm_keeper_feed(struct bitmem *ctx)
{
	if (atomic_load_explicit(&ctx->keeper.hungry, memory_order_relaxed))
		bm_keeper_start(ctx);
}

/*
 * It changes while others read it, which any order will do for. (The compiler does not fold an
 * atomic load in.)
 */
static inline uint32_t bm_stamp(const struct bitmem *ctx)
{
#ifdef __SANITIZE_THREAD__
	return __atomic_load_n(&ctx->stamp, __ATOMIC_RELAXED);
#else
	return ctx->stamp;
#endif
}

/* It is held for microseconds at most, unless who has it does not run: less than a sleep takes. */
void bm_lock(struct bitmem *ctx);

/* Drops the lock, and then the segments that are to be dropped. */
void bm_unlock(struct bitmem *ctx);

/* bitmem_stats(), with the lock held and all caches claimed; all members that there are. */
struct bitmem_stats bm_stats_now(const struct bitmem *ctx);
/* What of it @stats->size has room for. 0; -EINVAL if that is too little. */
int bm_stats_copy(const struct bitmem_stats *now, struct bitmem_stats *stats);

/* bitmem_trim(), but counted by nobody. */
size_t bm_trim(struct bitmem *ctx);

#endif /* BITMEM_CONTEXT_H */
