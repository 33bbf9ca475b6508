/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs of a thread's cache: stacks of them by class.
 *
 * How many a stack may hold is granted from a budget of bytes that the cache has for all of them,
 * its part of the context's; so that who takes and gives runs need not count bytes each time. What
 * a stack was granted and does not use goes to another that is full.
 *
 * All with the context's lock held, or in a cache that was entered where it says so.
 */
#ifndef BITMEM_RUNS_H
#define BITMEM_RUNS_H

#include "cache.h"

/* The stacks of a cache that has none. */
extern struct bm_stack bm_no_runs[BM_NR_RUN_CLASSES];

/* The smallest class for @n units; 0 for what is not cached. */
unsigned int bm_run_class_of(uint32_t n);
/* Units of a run of that class. */
uint32_t bm_run_class_units(unsigned int class);

/* Where a class's stack is in a thread's runs. */
static inline uint16_t bm_run_bin(unsigned int class)
{
	return (uint16_t)(class * sizeof(struct bm_stack));
}

/*
 * Takes a run for @size bytes, of @class at least, and of which an eighth at most is not asked
 * for. 0 if there is none. In a cache that was entered will do.
 */
uint32_t bm_runs_pop(const struct bitmem *ctx, const struct bm_cache *cache, unsigned int class,
		     size_t size);

/*
 * The same for a cache that was entered, which a block is made of, unless there is too little
 * credit. Whether there is one.
 */
bool bm_runs_take(const struct bitmem *ctx, struct bm_cache *cache, size_t size, uint32_t state,
		  void **ptr);

/*
 * Frees a run into the calling thread's cache, where that needs nothing but room for one more.
 * Whether it did; if not, stacks may have been granted others' room. Without the lock.
 */
bool bm_runs_give(const struct bitmem *ctx, void *ptr, uint16_t owner);

/* The stack that the run goes to, with room for it; NULL if it goes back at once. */
struct bm_stack *bm_runs_make_room(struct bitmem *ctx, struct bm_cache *cache,
				   const struct bm_run *run);

/* Gives the @n runs of a stack back that were cached first. */
void bm_runs_flush(struct bitmem *ctx, struct bm_cache *cache, struct bm_stack *stack, size_t n);

/* Gives all runs of a cache back, and what it had for them. */
void bm_runs_delete(struct bitmem *ctx, struct bm_cache *cache);

#endif /* BITMEM_RUNS_H */
