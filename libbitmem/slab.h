/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slabs: runs cut into slots of one size class, each at the start of a frame.
 *
 * Classes are eight to a doubling, and multiples of 64 bytes: a slot is at most an
 * eighth longer than what was asked for, from 512 bytes up. A slot is free in its
 * slab, in a thread's cache, or live. Of slabs all of whose slots are free a few are
 * kept, since no frame becomes another slab unless all caches are claimed.
 *
 * A class's slabs begin small and double, so that what is hardly used costs little.
 *
 * What is known of slots lies closely together, and two threads that write to the same cache line
 * wait for each other. So a slab is one cache's as long as there are enough of them. (The C library
 * gives memory that threads ask for from different places, too.)
 *
 * All under the context's lock, but for what the owner of a live or cached slot does
 * to that slot's description.
 */
#ifndef BITMEM_SLAB_H
#define BITMEM_SLAB_H

#include "heap.h"
#include "util.h"

#define BM_SLAB_MAX		((size_t)32768)	/* bytes of the largest class */
#define BM_NR_CLASSES		56u

/* A slot and where its block is. */
struct bm_entry {
	void *ptr;
	struct bm_slot *slot;
};

/* The slabs of one pool. */
struct bm_slabs {
	struct bm_heap *heap;
	/* Frames with free slots, by class: those to be filled up first, and the last of them. */
	uint32_t first[BM_NR_CLASSES], last[BM_NR_CLASSES];
	uint32_t nr_slabs[BM_NR_CLASSES], nr_slots[BM_NR_CLASSES], nr_free[BM_NR_CLASSES];
	size_t meta_bytes;	/* of the slots' descriptions and the frames' */
	size_t empty_bytes;	/* in slabs all of whose slots are free */
	bool returned;		/* some free slots may have no memory */
};

void bm_slabs_init(struct bm_slabs *slabs, struct bm_heap *heap);

/* Bytes of a slot. */
size_t bm_class_size(unsigned int class);
/* The smallest class for @size bytes, 1 to BM_SLAB_MAX. */
unsigned int bm_class_of(size_t size);

/*
 * Takes up to @n slots of a class out of slabs there are, which are BM_SLOT_CACHED then. They are
 * for the cache of number @user, and out of no other's slab, unless too much is free in those;
 * 0 is for anybody, and takes whatever there is. Returns how many; 0 if it needs a new slab.
 */
size_t bm_slabs_take(struct bm_slabs *slabs, unsigned int class, uint32_t user,
		     struct bm_entry *entries, size_t n);

/* The same from one slab, that which begins in frame @number and has free slots. */
size_t bm_slab_take(struct bm_slabs *slabs, uint32_t number, struct bm_entry *entries, size_t n);

/*
 * A frame keeps the slots of the slab that it was: who frees a block a second time may be looking
 * at them without a lock. They may be forgotten when all caches have been claimed since, and
 * must be before the frame is a slab again, or gone.
 */
static inline bool bm_frame_is_haunted(const struct bm_frame *frame)
{
	return frame->slots && !frame->magic;
}

void bm_frame_forget(struct bm_slabs *slabs, struct bm_frame *frame);

/* Units that a new slab of the class would have now. */
uint32_t bm_slab_units(const struct bm_slabs *slabs, unsigned int class);
/*
 * Makes a block at a multiple of BM_FRAME_UNITS a slab; @bin is for its frame. 0; -ENOMEM, and
 * no change.
 */
int bm_slab_make(struct bm_slabs *slabs, unsigned int class, uint32_t run, uint16_t bin);
/*
 * Gives a slot back that is in nobody's cache any more. Returns the free run that its slab
 * became part of, or 0 if the slab is still there: which one without blocks may be, if @keep.
 */
uint32_t bm_slabs_give(struct bm_slabs *slabs, const struct bm_entry *entry, bool keep);
/* Gives one slab of a class back that has no blocks. Returns the free run; 0 if there is none. */
uint32_t bm_slabs_release(struct bm_slabs *slabs, unsigned int class);
/* The same for that which begins in frame @number, which has none. */
uint32_t bm_slab_release(struct bm_slabs *slabs, uint32_t number);

/* The frame that @offset lies in. */
static inline struct bm_frame *bm_frame_at(const struct bm_arena *arena, size_t offset)
{
	return &arena->frames[offset >> BM_FRAME_SHIFT];
}

/*
 * Finds the slot of the block at @offset in a slab's frame. False if no block begins there.
 *
 * D. Lemire, O. Kaser, N. Kurz, "Faster remainder by direct computation", 2019: with
 * magic = ceil(2^64 / size) the high half of the product is the quotient, and the low
 * half is less than magic if and only if nothing remains.
 */
static inline bool bm_frame_slot(const struct bm_frame *frame, size_t offset,
				 struct bm_slot **slot)
{
	const uint64_t magic = __atomic_load_n(&frame->magic, __ATOMIC_ACQUIRE);
	const unsigned __int128 product = (unsigned __int128)magic * (offset & (BM_FRAME - 1));

	if (unlikely((uint64_t)product >= magic))
		return false;
	/* A slab may be shorter than its frame; then other runs lie behind it. */
	if (unlikely((uint16_t)(product >> 64) >= frame->nr_slots))
		return false;
	*slot = &frame->slots[(size_t)(product >> 64)];
	return true;
}

#endif /* BITMEM_SLAB_H */
