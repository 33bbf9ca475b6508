/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "slab.h"

#define STEP		64u	/* sizes of classes are multiples of it */
#define PER_DOUBLING	8u
#define FEW_SLOTS	8u	/* that a slab has at least, if they fit */
/* Bytes of a class that may be free in slabs of other caches where one gets a slab of its own. */
#define OTHERS_MAX	((size_t)1 << 20)
/* How many slabs are looked at for one that is a cache's. */
#define LOOKS		16u
/* Bytes of slabs without blocks that are kept at most. */
#define EMPTY_MAX	((size_t)16 << 20)

void bm_slabs_init(struct bm_slabs *slabs, struct bm_heap *heap)
{
	memset(slabs, 0, sizeof(*slabs));
	slabs->heap = heap;
}

/* Up to 16 steps every multiple is a class, and from there on every eighth of a power of two. */
size_t bm_class_size(unsigned int class)
{
	unsigned int shift;

	if (class < 2 * PER_DOUBLING)
		return (size_t)STEP * (class + 1);
	shift = class / PER_DOUBLING - 1;
	return (size_t)STEP * (PER_DOUBLING + class % PER_DOUBLING + 1) << shift;
}

unsigned int bm_class_of(size_t size)
{
	size_t steps = (size - 1) / STEP;
	unsigned int shift;

	if (steps < 2 * PER_DOUBLING)
		return (unsigned int)steps;
	shift = 60 - (unsigned int)__builtin_clzll(steps);
	return PER_DOUBLING * shift + (unsigned int)(steps >> shift);
}

static struct bm_frame *frame_of(const struct bm_slabs *slabs, uint32_t number)
{
	return &slabs->heap->arena->frames[number];
}

static unsigned int class_of(const struct bm_slabs *slabs, uint32_t number)
{
	return slabs->heap->arena->runs[bm_slab_run(slabs->heap->arena, number)].class;
}

/* Bytes of the slab in a frame. */
static size_t bytes_of(const struct bm_slabs *slabs, uint32_t number)
{
	const struct bm_arena *arena = slabs->heap->arena;

	return (size_t)arena->runs[bm_slab_run(arena, number)].n << BM_UNIT_SHIFT;
}

/* --- lists: frames have numbers above 0, as the arena's first superblock is never a slab --- */

/* Makes neighbours of two in a class's list, of which one may be 0: its beginning or its end. */
static void list_link(struct bm_slabs *slabs, unsigned int class, uint32_t prev, uint32_t next)
{
	if (prev)
		frame_of(slabs, prev)->next = next;
	else
		slabs->first[class] = next;
	if (next)
		frame_of(slabs, next)->prev = prev;
	else
		slabs->last[class] = prev;
}

static void list_remove(struct bm_slabs *slabs, uint32_t number)
{
	struct bm_frame *frame = frame_of(slabs, number);

	list_link(slabs, class_of(slabs, number), frame->prev, frame->next);
	frame->next = 0;
	frame->prev = 0;
}

static void list_add_first(struct bm_slabs *slabs, uint32_t number)
{
	const unsigned int class = class_of(slabs, number);

	list_link(slabs, class, number, slabs->first[class]);
	list_link(slabs, class, 0, number);
}

static void list_add_last(struct bm_slabs *slabs, uint32_t number)
{
	const unsigned int class = class_of(slabs, number);

	list_link(slabs, class, slabs->last[class], number);
	list_link(slabs, class, number, 0);
}

/* --- slots --- */

static char *frame_addr(const struct bm_slabs *slabs, uint32_t number)
{
	return slabs->heap->arena->base + ((size_t)number << BM_FRAME_SHIFT);
}

size_t bm_slab_take(struct bm_slabs *slabs, uint32_t number, struct bm_entry *entries, size_t n)
{
	struct bm_frame *frame = frame_of(slabs, number);
	const size_t size = bm_class_size(class_of(slabs, number));
	char *addr = frame_addr(slabs, number);
	size_t taken = 0;
	uint16_t i;

	if (frame->nr_free == frame->nr_slots)
		slabs->empty_bytes -= bytes_of(slabs, number);
	for (i = frame->hint; taken < n && frame->nr_free; i++) {
		if (bm_slot_state(&frame->slots[i]) != BM_SLOT_FREE)
			continue;
		bm_slot_fill(&frame->slots[i], BM_SLOT_CACHED);
		frame->nr_free--;
		entries[taken++] = (struct bm_entry) {
			addr + (size_t)i * size, &frame->slots[i],
		};
	}
	frame->hint = i;
	slabs->nr_free[class_of(slabs, number)] -= (uint32_t)taken;
	if (!frame->nr_free)
		list_remove(slabs, number);
	return taken;
}

static struct bm_slab *slab_of(const struct bm_frame *frame)
{
	return (struct bm_slab *)((char *)frame->slots - offsetof(struct bm_slab, slots));
}

/* The slab with free slots that a cache is to take from; 0 if it is to have a new one. */
static uint32_t choose(const struct bm_slabs *slabs, unsigned int class, uint32_t user)
{
	uint32_t number = slabs->first[class];

	for (unsigned int i = 0; user && number && i < LOOKS; i++) {
		const uint32_t other = slab_of(frame_of(slabs, number))->user;

		if (!other || other == user)
			return number;
		number = frame_of(slabs, number)->next;
	}
	if (user && slabs->nr_free[class] * bm_class_size(class) < OTHERS_MAX)
		return 0;
	return slabs->first[class];
}

size_t bm_slabs_take(struct bm_slabs *slabs, unsigned int class, uint32_t user,
		     struct bm_entry *entries, size_t n)
{
	size_t taken = 0;
	uint32_t number;

	while (taken < n) {
		number = choose(slabs, class, user);
		if (!number)
			break;
		if (user)
			slab_of(frame_of(slabs, number))->user = user;
		taken += bm_slab_take(slabs, number, entries + taken, n - taken);
	}
	return taken;
}

/* As many slots as the class has already, but a few at least, and a frame at most. */
static size_t slab_bytes(const struct bm_slabs *slabs, unsigned int class)
{
	const size_t size = bm_class_size(class);
	size_t n = slabs->nr_slots[class] < FEW_SLOTS ? FEW_SLOTS : slabs->nr_slots[class];

	return n * size > BM_FRAME / 2 ? BM_FRAME : bm_round_up(n * size, BM_UNIT);
}

static size_t slots_of(const struct bm_slabs *slabs, unsigned int class)
{
	return slab_bytes(slabs, class) / bm_class_size(class);
}

/* Without what would be left over at the end. */
uint32_t bm_slab_units(const struct bm_slabs *slabs, unsigned int class)
{
	size_t used = slots_of(slabs, class) * bm_class_size(class);

	return (uint32_t)(bm_round_up(used, BM_UNIT) >> BM_UNIT_SHIFT);
}

static size_t meta_of(const struct bm_frame *frame)
{
	return bm_meta_size(slab_of(frame)) + sizeof(*frame);
}

int bm_slab_make(struct bm_slabs *slabs, unsigned int class, uint32_t run, uint16_t bin)
{
	struct bm_run *r = &slabs->heap->arena->runs[run];
	const uint32_t number = r->first / (uint32_t)BM_FRAME_UNITS;
	struct bm_frame *frame = frame_of(slabs, number);
	const size_t size = bm_class_size(class), n = ((size_t)r->n << BM_UNIT_SHIFT) / size;
	struct bm_slab *slab = calloc(1, sizeof(*slab) + n * sizeof(*slab->slots));

	if (!slab)
		return -ENOMEM;
	slab->run = run;
	for (size_t i = 0; i < n; i++)
		slab->slots[i].state = BM_SLOT_FREE;
	if (r->n < BM_FRAME_UNITS)
		bm_run_leave_frame(slabs->heap->arena, number);
	r->kind = BM_RUN_SLAB;
	r->class = (uint8_t)class;
	frame->slots = slab->slots;
	frame->next = 0;
	frame->prev = 0;
	frame->nr_free = (uint16_t)n;
	frame->hint = 0;
	frame->bin = bin;
	frame->nr_slots = (uint16_t)n;
	/* Who looks at it without the lock sees the magic last. */
	__atomic_store_n(&frame->magic, ~(uint64_t)0 / size + 1, __ATOMIC_RELEASE);
	list_add_first(slabs, number);
	slabs->meta_bytes += meta_of(frame_of(slabs, number));
	slabs->empty_bytes += (size_t)r->n << BM_UNIT_SHIFT;
	slabs->nr_slabs[class]++;
	slabs->nr_slots[class] += (uint32_t)n;
	slabs->nr_free[class] += (uint32_t)n;
	return 0;
}

void bm_frame_forget(struct bm_slabs *slabs, struct bm_frame *frame)
{
	slabs->meta_bytes -= meta_of(frame);
	free(slab_of(frame));
	frame->slots = NULL;
	frame->nr_slots = 0;
}

/* All but its slots, which are forgotten later. None is in use. */
uint32_t bm_slab_release(struct bm_slabs *slabs, uint32_t number)
{
	struct bm_frame *frame = frame_of(slabs, number);
	const unsigned int class = class_of(slabs, number);
	const uint32_t run = bm_slab_run(slabs->heap->arena, number);

	list_remove(slabs, number);
	slabs->empty_bytes -= bytes_of(slabs, number);
	slabs->nr_slabs[class]--;
	slabs->nr_slots[class] -= frame->nr_slots;
	slabs->nr_free[class] -= frame->nr_free;
	frame->nr_free = 0;
	__atomic_store_n(&frame->magic, 0, __ATOMIC_RELEASE);
	return bm_heap_give(slabs->heap, run);
}

/*
 * Slabs that are mostly in use are filled up first, so that the others get a chance to
 * become empty: one whose free slots become more than the used ones goes to the end.
 */
uint32_t bm_slabs_give(struct bm_slabs *slabs, const struct bm_entry *entry, bool keep)
{
	size_t offset = bm_arena_offset(slabs->heap->arena, entry->ptr);
	uint32_t number = (uint32_t)(offset >> BM_FRAME_SHIFT);
	struct bm_frame *frame = frame_of(slabs, number);
	uint16_t index = (uint16_t)(entry->slot - frame->slots);

	__atomic_store_n(&entry->slot->state, BM_SLOT_FREE, __ATOMIC_RELAXED);
	if (index < frame->hint)
		frame->hint = index;
	slabs->nr_free[class_of(slabs, number)]++;
	if (!frame->nr_free++)
		list_add_first(slabs, number);
	if (frame->nr_free == frame->nr_slots) {
		slabs->empty_bytes += bytes_of(slabs, number);
		slab_of(frame)->user = 0;
		if (!keep || slabs->empty_bytes > EMPTY_MAX)
			return bm_slab_release(slabs, number);
	}
	if (frame->nr_free == frame->nr_slots / 2 + 1) {
		list_remove(slabs, number);
		list_add_last(slabs, number);
	}
	return 0;
}

uint32_t bm_slabs_release(struct bm_slabs *slabs, unsigned int class)
{
	uint32_t number = slabs->first[class];

	while (number && frame_of(slabs, number)->nr_free != frame_of(slabs, number)->nr_slots)
		number = frame_of(slabs, number)->next;
	return number ? bm_slab_release(slabs, number) : 0;
}
