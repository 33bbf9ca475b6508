/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arena's addresses. Reserved without access and without a claim on memory;
 * where the process may not have that many addresses (RLIMIT_AS), fewer will do.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "util.h"

/* The largest alignment that a block may have. */
#define ARENA_ALIGN	((size_t)1 << 30)
/* Fewer addresses than this are no arena. */
#define ARENA_MIN	((size_t)256 << 20)
/* More than this has no number of 32 bits for its last unit's end. */
#define ARENA_MAX	(((size_t)1 << (32 + BM_UNIT_SHIFT)) - ARENA_ALIGN)

static void *reserve(size_t length, int prot)
{
	void *addr = mmap(NULL, length, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return addr == MAP_FAILED ? NULL : addr;
}

/*
 * A process that locks all it maps (MCL_FUTURE) would have all pages of the tables at once; and
 * huge pages would be 2 MiB for what takes some KiB, here and there.
 */
static char *reserve_tables(size_t length)
{
	char *tables = reserve(length, PROT_NONE);

	if (!tables)
		return NULL;
	munlock(tables, length);
	if (mprotect(tables, length, PROT_READ | PROT_WRITE)) {
		munmap(tables, length);
		return NULL;
	}
	madvise(tables, length, MADV_NOHUGEPAGE);
	return tables;
}

/* Lengths of the arrays over an arena, in the order in which they lie one after the other. */
struct lengths {
	size_t frames, units, runs, segments, bitmap, places;
};

static struct lengths lengths_of(size_t size, size_t superblock)
{
	return (struct lengths) {
		.frames = size / BM_FRAME * sizeof(struct bm_frame),
		.units = size / BM_UNIT * sizeof(uint32_t),
		.runs = size / BM_UNIT * sizeof(struct bm_run),
		.segments = bm_round_up(size / superblock * sizeof(struct bm_segment *), BM_UNIT),
		.bitmap = bm_round_up(size / BM_UNIT / 8, BM_UNIT),
		.places = bm_round_up(size / superblock / 8 + 1, BM_UNIT),
	};
}

static size_t tables_length(const struct lengths *l)
{
	return l->frames + l->units + l->runs + l->segments + 3 * l->bitmap + l->places;
}

static void set_tables(struct bm_arena *arena, const struct lengths *l, char *at)
{
	arena->frames = (struct bm_frame *)at;
	at += l->frames;
	arena->units = (uint32_t *)at;
	at += l->units;
	arena->runs = (struct bm_run *)at;
	at += l->runs;
	arena->segments = (struct bm_segment **)at;
	at += l->segments;
	arena->returned = (uint64_t *)at;
	at += l->bitmap;
	arena->dirty = (uint64_t *)at;
	at += l->bitmap;
	arena->idle = (uint64_t *)at;
	at += l->bitmap;
	arena->places = (uint64_t *)at;
	arena->nr_runs = 1;
}

/* Reserves @size bytes and what lies over them. */
static bool try_size(struct bm_arena *arena, size_t size)
{
	const struct lengths l = lengths_of(size, arena->superblock);
	char *hole = reserve(size + ARENA_ALIGN, PROT_NONE), *tables;
	size_t head;

	if (!hole)
		return false;
	arena->base = (char *)bm_round_up((uintptr_t)hole, ARENA_ALIGN);
	arena->size = size;
	head = (size_t)(arena->base - hole);
	if (head)
		munmap(hole, head);
	munmap(arena->base + size, ARENA_ALIGN - head);
	tables = reserve_tables(tables_length(&l));
	if (!tables) {
		munmap(arena->base, size);
		return false;
	}
	set_tables(arena, &l, tables);
	arena->nr_places = size / arena->superblock;
	/* Nobody gets the first: unit 0 and frame 0 stand for none. */
	bm_bits_set(arena->places, 0, 1);
	return true;
}

int bm_arena_init(struct bm_arena *arena, size_t superblock)
{
	const size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	size_t size = bm_round_up(2 * memory, ARENA_ALIGN);

	if (size > ARENA_MAX)
		size = ARENA_MAX;

	memset(arena, 0, sizeof(*arena));
	arena->superblock = superblock;
	for (; size >= ARENA_MIN && size >= superblock; size /= 2) {
		if (try_size(arena, size - size % superblock))
			return 0;
	}
	return -ENOMEM;
}

void bm_arena_destroy(struct bm_arena *arena)
{
	const struct lengths l = lengths_of(arena->size, arena->superblock);

	munmap(arena->frames, tables_length(&l));
	munmap(arena->base, arena->size);
}

/* The system's pages are multiples of a unit. */
static void drop_pages(void *from, void *to)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t first = bm_round_up((uintptr_t)from, page);
	const uintptr_t end = (uintptr_t)to & ~(page - 1);

	if (first < end)
		madvise((void *)first, end - first, MADV_DONTNEED);
}

void bm_arena_forget(struct bm_arena *arena, const char *addr, size_t length)
{
	const size_t first = bm_arena_offset(arena, addr), end = first + length;

	drop_pages(&arena->frames[bm_round_up(first, BM_FRAME) >> BM_FRAME_SHIFT],
		   &arena->frames[end >> BM_FRAME_SHIFT]);
	drop_pages(&arena->units[first >> BM_UNIT_SHIFT], &arena->units[end >> BM_UNIT_SHIFT]);
}

/* The first of @n free places in a row at a multiple of @step, from @from up to @end; or @end. */
static size_t find_places(const struct bm_arena *arena, size_t from, size_t end, size_t n,
			  size_t step)
{
	while (from < end) {
		size_t taken;

		from = bm_round_up(bm_bits_find(arena->places, from, end, false), step);
		if (from >= end || end - from < n)
			return end;
		taken = bm_bits_find(arena->places, from, from + n, true);
		if (taken == from + n)
			return from;
		from = taken + 1;
	}
	return end;
}

char *bm_arena_enter(struct bm_arena *arena, size_t length, size_t align)
{
	const size_t n = bm_round_up(length, arena->superblock) / arena->superblock;
	const size_t step = align / arena->superblock, end = arena->nr_places;
	size_t place = find_places(arena, arena->next_place, end, n, step);

	if (place == end)
		place = find_places(arena, 0, end, n, step);
	if (place == end)
		return NULL;
	bm_bits_set(arena->places, place, n);
	arena->next_place = place + n;
	if (arena->end_place < place + n)
		arena->end_place = place + n;
	return arena->base + place * arena->superblock;
}

void bm_arena_leave(struct bm_arena *arena, char *addr, size_t length)
{
	const size_t place = bm_arena_offset(arena, addr) / arena->superblock;

	bm_bits_clear(arena->places, place,
		      bm_round_up(length, arena->superblock) / arena->superblock);
	if (arena->next_place > place)
		arena->next_place = place;
}
