/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heap: runs of units in the segments of one pool, those that are free in
 * trees by length and then by address, one for a few lengths.
 *
 * The runs of a segment cover it without gap or overlap, and no two free ones are
 * neighbours in it: a segment is empty exactly when one free run covers it. The number of a
 * run stands where it begins and where it ends: a slab's with its slots, another's in the
 * frame, if it begins or ends where a frame without a slab does, else at the unit. What
 * stands elsewhere is old, and the run of that number says so. That nothing but slabs
 * and segments then needs a unit's number keeps the largest of the arrays untouched.
 *
 * All under the context's lock.
 */
#ifndef BITMEM_HEAP_H
#define BITMEM_HEAP_H

#include "arena.h"

/* Bins of lengths: of up to 31 units each has its own, then there are 16 to a doubling. */
#define BM_HEAP_BINS 192u

struct bm_heap {
	struct bm_arena *arena;
	uint8_t pool;
	uint32_t roots[BM_HEAP_BINS];	/* of trees, the last one's of all that are longer, too */
	uint64_t used[BM_HEAP_BINS / 64]; /* bitmap of those that have any */
	size_t free_units, nr_free;	/* in free runs, and how many these are */
};

void bm_heap_init(struct bm_heap *heap, struct bm_arena *arena, uint8_t pool);

/* Adds a segment's @n units from @first on, as one free run. */
void bm_heap_add(struct bm_heap *heap, uint32_t first, uint32_t n);
/* Takes the free run @run, which covers a segment, out of the heap for good. */
void bm_heap_remove(struct bm_heap *heap, uint32_t run);

/*
 * Takes @n units at a multiple of @align units (a power of two) from the shortest free run
 * that has them, the one with the lowest address of those. Returns a run of that length,
 * its kind BM_RUN_BLOCK and its slot all zero; 0 if there is none.
 */
uint32_t bm_heap_take(struct bm_heap *heap, uint32_t n, uint32_t align);

/* Makes a run free and merges it with its neighbours. Returns the run that it is part of now. */
uint32_t bm_heap_give(struct bm_heap *heap, uint32_t run);

/* Adds a segment's @n units from @first on, as one block. Returns its run. */
uint32_t bm_heap_add_block(struct bm_heap *heap, uint32_t first, uint32_t n);
/* Takes such a block out of the heap for good. */
void bm_heap_remove_block(struct bm_heap *heap, uint32_t run);

/* The longest free run, or 0. */
uint32_t bm_heap_last(const struct bm_heap *heap);
/* The free run after all of up to @n units, and those of @n that begin at @first or below; or 0. */
uint32_t bm_heap_next(const struct bm_heap *heap, uint32_t n, uint32_t first);

/* Makes a given free run a block, as bm_heap_take() does. */
void bm_heap_claim(struct bm_heap *heap, uint32_t run);

/* The run whose slot that is, and its number. */
static inline struct bm_run *bm_slot_run(struct bm_slot *slot)
{
	return (struct bm_run *)((char *)slot - offsetof(struct bm_run, slot));
}

static inline uint32_t bm_run_of_slot(const struct bm_arena *arena, const struct bm_slot *slot)
{
	const char *run = (const char *)slot - offsetof(struct bm_run, slot);

	return (uint32_t)((const struct bm_run *)run - arena->runs);
}

/* The run of the slab that begins in frame @number. */
static inline uint32_t bm_slab_run(const struct bm_arena *arena, size_t number)
{
	const char *slots = (const char *)arena->frames[number].slots;

	return ((const struct bm_slab *)(slots - offsetof(struct bm_slab, slots)))->run;
}

/* The run that begins at unit @first; 0 if none does. */
uint32_t bm_run_at(const struct bm_arena *arena, size_t first);
/* Frame @number becomes a slab's: a run behind that, which ends with it, is marked elsewhere. */
void bm_run_leave_frame(struct bm_arena *arena, size_t number);
/* The run that begins where @run ends, in the same segment; 0 at its end. */
uint32_t bm_run_next(const struct bm_arena *arena, uint32_t run);

#endif /* BITMEM_HEAP_H */
