/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arena: the range of addresses that a context's blocks lie in, and arrays
 * over it that tell what is where.
 *
 * It is reserved once and stays where it is. Segments are mapped into it, at
 * multiples of the superblock. A *unit* is what runs are made of, a *frame* what a
 * slab takes. The arrays are as long as the arena, but only those pages of them
 * exist that were written to.
 *
 * Locks: base, size and the addresses of the arrays never change. Of the places
 * in use the context's lock is held; what is said of a frame or a unit changes
 * under that lock, and not while it has a live block.
 */
#ifndef BITMEM_ARENA_H
#define BITMEM_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A cache line. */
#define BM_LINE		64

#define BM_UNIT_SHIFT	12
#define BM_UNIT		((size_t)1 << BM_UNIT_SHIFT)
#define BM_FRAME_SHIFT	17
#define BM_FRAME	((size_t)1 << BM_FRAME_SHIFT)
#define BM_FRAME_UNITS	(BM_FRAME / BM_UNIT)

/*
 * What is known of a slot: a block of a slab, or one that is a run.
 *
 * It is a thread's, in its cache, when neither bit of an owner is set. Freeing clears one of them,
 * and no more than that. No instruction that locks memory does it, which would have to wait
 * for all that the program has written: so of two threads that free a block at the same
 * moment both may be content. A slot that is in two caches is found when it is to be used: it is
 * live then, or free.
 */
struct bm_slot {
	uint16_t state;
	uint16_t time;	/* of the allocation, in the context's ticks */
	uint16_t size;	/* of a slab's: bytes asked for */
};

#define BM_SLOT_BLOCK	0x8000u	/* live, by bitmem_alloc() */
#define BM_SLOT_TENSOR	0x4000u	/* live, a tensor's */
#define BM_SLOT_OWNED	(BM_SLOT_BLOCK | BM_SLOT_TENSOR)
#define BM_SLOT_SITE	0x3fffu	/* the mask of the site, which is never 0 */
#define BM_SLOT_FREE	BM_SLOT_TENSOR	/* without a site: its slab's */
#define BM_SLOT_CACHED	1u
#define BM_SLOT_IDLE	0u	/* a cache's, and not used since idle memory was looked for */
#define BM_SIZE_IDLE	0xffffu	/* the same of one that is its slab's: no slot has that size */

static inline bool bm_state_is_live(uint16_t state)
{
	return state & BM_SLOT_OWNED && state != BM_SLOT_FREE;
}

/* A slot's owner and site, and the time in the upper half; others may look at the former. */
static inline void bm_slot_fill(struct bm_slot *slot, uint32_t state)
{
#ifdef __SANITIZE_THREAD__
	slot->time = (uint16_t)(state >> 16);
	__atomic_store_n(&slot->state, (uint16_t)state, __ATOMIC_RELEASE);
#else
	memcpy(slot, &state, sizeof(state));
#endif
}

static inline uint16_t bm_slot_state(const struct bm_slot *slot)
{
	return __atomic_load_n(&slot->state, __ATOMIC_RELAXED);
}

/* Whether a slot that a cache has is not its. (The compiler does not fold an atomic load in.) */
static inline bool bm_slot_is_owned(const struct bm_slot *slot)
{
#ifdef __SANITIZE_THREAD__
	return bm_slot_state(slot) & BM_SLOT_OWNED;
#else
	return slot->state & BM_SLOT_OWNED;
#endif
}

/*
 * A frame that a slab begins in. Where there is none only next and prev have a meaning: the runs
 * that begin and that end where the frame does.
 */
struct bm_frame {
	/* 2^64 / the slots' size, rounded up; 0: no slab. */
	uint64_t magic;
	struct bm_slot *slots;	/* in a struct bm_slab */
	uint32_t next, prev;	/* numbers of frames: its class's list of those with free slots */
	uint16_t nr_free;	/* slots in state BM_SLOT_FREE */
	uint16_t hint;		/* below it none is free */
	uint16_t bin;		/* offset of the class's stack in a thread's cache */
	uint16_t nr_slots;
};

_Static_assert(sizeof(struct bm_frame) == 32, "two a cache line");

/* The slots of a slab, and the number of the run that it is. */
struct bm_slab {
	uint32_t run;
	uint32_t user;	/* number of the cache that slots were taken for last; 0: none */
	struct bm_slot slots[];
};

struct bm_segment;

/* What a run is. */
enum bm_run_kind {
	BM_RUN_NONE,	/* the number is not in use */
	BM_RUN_FREE,
	BM_RUN_BLOCK,	/* a block of its own, live or in a thread's cache */
	BM_RUN_SLAB,
};

typedef uint64_t bm_u64_aligned4 __attribute__((aligned(4)));

/* Units that belong together. Runs are known by their number; 0 is none. */
struct bm_run {
	uint32_t first, n;	/* units */
	union {
		/* BM_RUN_FREE: in its heap's tree. BM_RUN_NONE: @left is the next such number. */
		struct {
			uint32_t left, right, parent;
		};
		bm_u64_aligned4 bytes;	/* BM_RUN_BLOCK: asked for */
	};
	struct bm_slot slot;	/* BM_RUN_BLOCK; else all 0, whoever may try to free it */
	uint8_t kind;
	uint8_t pool;
	uint8_t class;		/* BM_RUN_SLAB */
	uint8_t unused;
	uint16_t bin;		/* BM_RUN_BLOCK: its stack's place in a thread's runs; 0: none */
};

_Static_assert(sizeof(struct bm_run) == 32, "two a cache line");

struct bm_arena {
	char *base;
	size_t size;
	struct bm_frame *frames;
	uint32_t *units;		/* numbers of the runs that begin or end there (heap.h) */
	struct bm_run *runs;
	struct bm_segment **segments;	/* by superblock; NULL where no blocks are allocated from */
	uint64_t *returned, *dirty;	/* bitmaps, a bit a unit */
	uint64_t *idle;			/* the same: free since idle memory was looked for */
	uint64_t *places;		/* bitmap, a bit a superblock: taken */
	size_t superblock;
	size_t nr_places;
	/*
	 * What changes, apart from what all threads read each time. Under the lock, as all that the
	 * arrays say.
	 */
	_Alignas(BM_LINE) uint32_t nr_runs; /* numbers ever in use, 0 included */
	uint32_t free_run;		/* list of numbers that are not in use */
	uint32_t used_runs;
	size_t next_place;		/* where to look first */
	size_t end_place;		/* none was ever taken from here on */
};

/* Reserves addresses for twice as much memory as there is. 0 or -errno. */
int bm_arena_init(struct bm_arena *arena, size_t superblock);
void bm_arena_destroy(struct bm_arena *arena);

/*
 * Finds @length bytes of addresses at a multiple of @align (a power of two, a superblock
 * at least, 1 GiB at most) that nobody has. NULL if there are none. For bm_arena_leave().
 */
char *bm_arena_enter(struct bm_arena *arena, size_t length, size_t align);
/* Gives them back; nothing of a segment may be mapped there any more. */
void bm_arena_leave(struct bm_arena *arena, char *addr, size_t length);

/*
 * Forgets what the arrays by frame and unit say of @length bytes at @addr, whose memory goes back
 * as far as it is whole pages. Nobody's slots may be known of any frame there.
 */
void bm_arena_forget(struct bm_arena *arena, const char *addr, size_t length);

/* Offset of @ptr in the arena; not less than its size if it does not lie in it. */
static inline size_t bm_arena_offset(const struct bm_arena *arena, const void *ptr)
{
	return (uintptr_t)ptr - (uintptr_t)arena->base;
}

/* Units that @bytes take. */
static inline uint32_t bm_units_of(size_t bytes)
{
	return (uint32_t)((bytes + BM_UNIT - 1) >> BM_UNIT_SHIFT);
}

/* Sets, clears and counts bits @first to @first + @n - 1. */
void bm_bits_set(uint64_t *bits, size_t first, size_t n);
void bm_bits_clear(uint64_t *bits, size_t first, size_t n);
size_t bm_bits_count(const uint64_t *bits, size_t first, size_t n);
/* The first bit from @first on, below @end, that is @value; @end if there is none. */
size_t bm_bits_find(const uint64_t *bits, size_t first, size_t end, bool value);

#endif /* BITMEM_ARENA_H */
