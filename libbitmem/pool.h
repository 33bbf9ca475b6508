/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pools: the segments of one kind of memory, cut into runs.
 *
 * All under the context's lock. Those functions that say so drop it on their way, as the
 * backend takes its time; what they took is the caller's by then.
 */
#ifndef BITMEM_POOL_H
#define BITMEM_POOL_H

#include "pools/policy.h"
#include "pressure/level.h"
#include "segment.h"
#include "slab.h"

struct bm_pool {
	struct bm_heap heap;
	struct bm_slabs slabs;
	struct bm_where where;
	/* The segment that was found empty last. It is kept if it still is, others are not. */
	struct bm_segment *spare;
	bool growing;		/* somebody gets it another segment */
	struct bm_policy policy;
	struct bm_level level;	/* under keeper.pressure.lock */
};

void bm_pool_init(struct bm_pool *pool, struct bm_arena *arena, uint8_t number,
		  const struct bm_where *where);

/* What a run is wanted for, and what came of it. */
struct bm_run_request {
	uint32_t n, align;	/* units */
	enum bm_effort effort;
	uint32_t run;
	bool clean;		/* nothing was written to it since the backend zeroed it */
};

/*
 * Gets a run, with memory, of kind BM_RUN_BLOCK. Drops the lock where a segment has to be made
 * or memory to come back. 0 or -errno.
 */
int bm_pool_take(struct bitmem *ctx, struct bm_pool *pool, struct bm_run_request *request);

/* A run that is a whole segment, for @bytes; otherwise the same. @align is in bytes. */
int bm_pool_take_direct(struct bitmem *ctx, struct bm_pool *pool, size_t bytes, size_t align,
			enum bm_effort effort, uint32_t *run);

/*
 * Has memory come back for units that are the caller's, which it may have none for. Drops the lock
 * if there is some to come; with BM_HELD that is -EAGAIN instead. 0 or -errno.
 */
int bm_pool_commit(struct bitmem *ctx, size_t first, size_t n, enum bm_effort effort);

/* Gives a run back that is a block. A segment that nobody needs is dropped at bm_unlock(). */
void bm_pool_give(struct bitmem *ctx, uint32_t run);

/* A slot goes back to its slab: bm_slabs_give(), with what follows from it. */
void bm_pool_give_slot(struct bitmem *ctx, const struct bm_entry *entry);

/* The segment that a live block has for itself; NULL if it shares one. */
struct bm_segment *bm_pool_own_segment(const struct bitmem *ctx, const void *ptr);
/* Such a block, whose memory is another pool's now. */
void bm_pool_change(struct bitmem *ctx, const void *ptr, unsigned int pool);

/* Drops all segments without blocks at bm_unlock(). Returns the bytes that go back. */
size_t bm_pool_drop_empty(struct bitmem *ctx, struct bm_pool *pool);

/*
 * Gives the memory of free runs and slots back to the backend: all, or what has been free since
 * the last call with @idle. Drops the lock. Returns the bytes, those of the segments that go with
 * it at bm_unlock() included.
 */
size_t bm_pool_return(struct bitmem *ctx, struct bm_pool *pool, bool idle);

#endif /* BITMEM_POOL_H */
