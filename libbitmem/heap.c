/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The heap's trees are treaps: binary trees by length and address whose nodes'
 * priorities are a hash of the address. They stay balanced whatever the order of
 * insertions, and need no memory besides the links. A bin has a tree of its own, and
 * bins are in the order of lengths: so most trees are a few nodes.
 */
#include <string.h>

#include "heap.h"

/* Runs that are long enough but may not have an aligned part, looked at before a longer one. */
#define ALIGN_TRIES 8

void bm_heap_init(struct bm_heap *heap, struct bm_arena *arena, uint8_t pool)
{
	*heap = (struct bm_heap) { .arena = arena, .pool = pool };
}

static struct bm_run *run_of(const struct bm_heap *heap, uint32_t run)
{
	return &heap->arena->runs[run];
}

/* --- numbers --- */

static uint32_t run_new(struct bm_heap *heap, uint32_t first, uint32_t n, enum bm_run_kind kind)
{
	struct bm_arena *arena = heap->arena;
	uint32_t run = arena->free_run;

	if (run)
		arena->free_run = arena->runs[run].left;
	else
		run = arena->nr_runs++;
	arena->used_runs++;
	arena->runs[run] = (struct bm_run) {
		.first = first, .n = n, .kind = kind, .pool = heap->pool,
	};
	return run;
}

static void run_delete(struct bm_heap *heap, uint32_t run)
{
	*run_of(heap, run) = (struct bm_run) { .left = heap->arena->free_run };
	heap->arena->free_run = run;
	heap->arena->used_runs--;
}

/* Where the number of a run that begins at @first, or ends before @end, is to stand. */
static uint32_t *first_mark(const struct bm_arena *arena, size_t first)
{
	struct bm_frame *frame = &arena->frames[first / BM_FRAME_UNITS];

	return first % BM_FRAME_UNITS || frame->magic ? &arena->units[first] : &frame->next;
}

static uint32_t *end_mark(const struct bm_arena *arena, size_t end)
{
	struct bm_frame *frame = &arena->frames[(end - 1) / BM_FRAME_UNITS];

	return end % BM_FRAME_UNITS || frame->magic ? &arena->units[end - 1] : &frame->prev;
}

static void run_mark(struct bm_heap *heap, uint32_t run)
{
	const struct bm_run *r = run_of(heap, run);

	*first_mark(heap->arena, r->first) = run;
	*end_mark(heap->arena, (size_t)r->first + r->n) = run;
}

/* --- the tree --- */

/* The finalizer of murmur3: a bijection that spreads every bit. */
static uint32_t priority(const struct bm_run *r)
{
	uint32_t x = r->first;

	x = (x ^ (x >> 16)) * 0x85ebca6bu;
	x = (x ^ (x >> 13)) * 0xc2b2ae35u;
	return x ^ (x >> 16);
}

static bool before(const struct bm_run *a, const struct bm_run *b)
{
	return a->n < b->n || (a->n == b->n && a->first < b->first);
}

static unsigned int bin_of(uint32_t n)
{
	unsigned int shift, bin;

	if (n < 32)
		return n;
	shift = 27 - (unsigned int)__builtin_clz(n);
	bin = 16 * shift + (n >> shift);
	return bin < BM_HEAP_BINS ? bin : BM_HEAP_BINS - 1;
}

/* The first bin from @bin on that has any runs, or BM_HEAP_BINS. */
static unsigned int next_bin(const struct bm_heap *heap, unsigned int bin)
{
	return (unsigned int)bm_bits_find(heap->used, bin, BM_HEAP_BINS, true);
}

/* Where the tree points to @run. */
static uint32_t *link_of(struct bm_heap *heap, uint32_t run)
{
	struct bm_run *parent = run_of(heap, run_of(heap, run)->parent);

	if (!run_of(heap, run)->parent)
		return &heap->roots[bin_of(run_of(heap, run)->n)];
	return parent->left == run ? &parent->left : &parent->right;
}

/* Exchanges @run with its parent, keeping the order. */
static void rotate_up(struct bm_heap *heap, uint32_t run)
{
	struct bm_run *r = run_of(heap, run), *parent = run_of(heap, r->parent);
	uint32_t above = r->parent, *link = link_of(heap, above);
	uint32_t *inner = parent->left == run ? &r->right : &r->left;
	uint32_t *outer = parent->left == run ? &parent->left : &parent->right;

	*outer = *inner;
	if (*inner)
		run_of(heap, *inner)->parent = above;
	*inner = above;
	r->parent = parent->parent;
	parent->parent = run;
	*link = run;
}

static void tree_insert(struct bm_heap *heap, uint32_t run)
{
	struct bm_run *r = run_of(heap, run);
	const unsigned int bin = bin_of(r->n);
	uint32_t *link = &heap->roots[bin], parent = 0;

	bm_bits_set(heap->used, bin, 1);
	while (*link) {
		struct bm_run *p = run_of(heap, *link);

		parent = *link;
		link = before(r, p) ? &p->left : &p->right;
	}
	r->left = 0;
	r->right = 0;
	r->parent = parent;
	*link = run;
	while (r->parent && priority(run_of(heap, r->parent)) < priority(r))
		rotate_up(heap, run);
	heap->free_units += r->n;
	heap->nr_free++;
}

static void tree_erase(struct bm_heap *heap, uint32_t run)
{
	struct bm_run *r = run_of(heap, run);

	while (r->left || r->right) {
		uint32_t child = r->left;

		if (!child || (r->right &&
			       priority(run_of(heap, child)) < priority(run_of(heap, r->right))))
			child = r->right;
		rotate_up(heap, child);
	}
	*link_of(heap, run) = 0;
	if (!heap->roots[bin_of(r->n)])
		bm_bits_clear(heap->used, bin_of(r->n), 1);
	heap->free_units -= r->n;
	heap->nr_free--;
}

/* The first run of all from a bin on; 0 if they have none. */
static uint32_t first_from(const struct bm_heap *heap, unsigned int bin)
{
	uint32_t run;

	bin = next_bin(heap, bin);
	if (bin == BM_HEAP_BINS)
		return 0;
	run = heap->roots[bin];
	while (run_of(heap, run)->left)
		run = run_of(heap, run)->left;
	return run;
}

uint32_t bm_heap_last(const struct bm_heap *heap)
{
	uint32_t run = 0;

	for (unsigned int bin = BM_HEAP_BINS; bin-- && !run;)
		run = heap->roots[bin];
	while (run && run_of(heap, run)->right)
		run = run_of(heap, run)->right;
	return run;
}

/* The one of a bin or of later ones that comes after all of @n units that begin up to @first. */
static uint32_t first_after(const struct bm_heap *heap, unsigned int bin, uint32_t n,
			    uint32_t first)
{
	uint32_t run = heap->roots[bin], found = 0;

	while (run) {
		const struct bm_run *r = run_of(heap, run);

		if (r->n > n || (r->n == n && r->first > first)) {
			found = run;
			run = r->left;
		} else {
			run = r->right;
		}
	}
	return found ? found : first_from(heap, bin + 1);
}

uint32_t bm_heap_next(const struct bm_heap *heap, uint32_t n, uint32_t first)
{
	return first_after(heap, bin_of(n), n, first);
}

/* The first run that has @n units at least, or 0. */
static uint32_t tree_fit(const struct bm_heap *heap, uint32_t n)
{
	return first_after(heap, bin_of(n), n - 1, UINT32_MAX);
}

/* The one after @run, or 0. */
static uint32_t tree_next(const struct bm_heap *heap, uint32_t run)
{
	return bm_heap_next(heap, run_of(heap, run)->n, run_of(heap, run)->first);
}

/* --- runs and their neighbours --- */

static struct bm_segment *segment_at(const struct bm_arena *arena, size_t unit)
{
	return arena->segments[(unit << BM_UNIT_SHIFT) / arena->superblock];
}

/* The run of the slab in whose frame a unit lies; 0 if there is none. */
static uint32_t slab_near(const struct bm_arena *arena, size_t unit)
{
	const size_t number = unit / BM_FRAME_UNITS;

	return __atomic_load_n(&arena->frames[number].magic, __ATOMIC_ACQUIRE) ?
		       bm_slab_run(arena, number) : 0;
}

static bool begins_at(const struct bm_arena *arena, uint32_t run, size_t first)
{
	return run && arena->runs[run].kind != BM_RUN_NONE && arena->runs[run].first == first;
}

static bool ends_at(const struct bm_arena *arena, uint32_t run, size_t end)
{
	const struct bm_run *r = &arena->runs[run];

	return run && r->kind != BM_RUN_NONE && (size_t)r->first + r->n == end;
}

/* Marks are not moved when a slab comes or goes: so all places are looked at. */
uint32_t bm_run_at(const struct bm_arena *arena, size_t first)
{
	uint32_t run = slab_near(arena, first);

	if (begins_at(arena, run, first))
		return run;
	run = *first_mark(arena, first);
	if (begins_at(arena, run, first))
		return run;
	run = arena->units[first];
	return begins_at(arena, run, first) ? run : 0;
}

void bm_run_leave_frame(struct bm_arena *arena, size_t number)
{
	const size_t end = (number + 1) * BM_FRAME_UNITS;

	if (ends_at(arena, arena->frames[number].prev, end))
		arena->units[end - 1] = arena->frames[number].prev;
}

uint32_t bm_run_next(const struct bm_arena *arena, uint32_t run)
{
	const size_t end = (size_t)arena->runs[run].first + arena->runs[run].n;

	if (end << BM_UNIT_SHIFT >= arena->size ||
	    segment_at(arena, end) != segment_at(arena, end - 1))
		return 0;
	return bm_run_at(arena, end);
}

/* The run that ends where @run begins, in the same segment; 0 at its start. */
static uint32_t run_prev(const struct bm_arena *arena, uint32_t run)
{
	const uint32_t first = arena->runs[run].first;

	uint32_t prev;

	if (!first || segment_at(arena, first) != segment_at(arena, first - 1))
		return 0;
	prev = slab_near(arena, first - 1);
	if (ends_at(arena, prev, first))
		return prev;
	prev = *end_mark(arena, first);
	if (ends_at(arena, prev, first))
		return prev;
	prev = arena->units[first - 1];
	return ends_at(arena, prev, first) ? prev : 0;
}

void bm_heap_add(struct bm_heap *heap, uint32_t first, uint32_t n)
{
	uint32_t run = run_new(heap, first, n, BM_RUN_FREE);

	run_mark(heap, run);
	tree_insert(heap, run);
}

void bm_heap_remove(struct bm_heap *heap, uint32_t run)
{
	tree_erase(heap, run);
	run_delete(heap, run);
}

uint32_t bm_heap_add_block(struct bm_heap *heap, uint32_t first, uint32_t n)
{
	uint32_t run = run_new(heap, first, n, BM_RUN_BLOCK);

	run_mark(heap, run);
	return run;
}

void bm_heap_remove_block(struct bm_heap *heap, uint32_t run)
{
	run_delete(heap, run);
}

/* Makes @n units from @first on, cut off from another run, a free run. */
static void free_rest(struct bm_heap *heap, uint32_t first, uint32_t n)
{
	if (n)
		bm_heap_add(heap, first, n);
}

/* Units to leave out at the start of a run so that the rest is aligned. */
static uint32_t skip_of(const struct bm_run *r, uint32_t align)
{
	return (0 - r->first) & (align - 1);
}

static bool has_aligned(const struct bm_run *r, uint32_t n, uint32_t align)
{
	const uint32_t skip = skip_of(r, align);

	return r->n >= skip && r->n - skip >= n;
}

/*
 * A few that are long enough, then one that must have an aligned part; else the longest, which
 * may be a segment that is empty, and is aligned to all that is asked for.
 */
static uint32_t find_aligned(const struct bm_heap *heap, uint32_t n, uint32_t align)
{
	uint32_t run = tree_fit(heap, n);

	for (int i = 0; run && i < ALIGN_TRIES; i++) {
		if (has_aligned(run_of(heap, run), n, align))
			return run;
		run = tree_next(heap, run);
	}
	if (!run)
		return 0;
	run = tree_fit(heap, n + align - 1);
	if (!run)
		run = bm_heap_last(heap);
	return has_aligned(run_of(heap, run), n, align) ? run : 0;
}

uint32_t bm_heap_take(struct bm_heap *heap, uint32_t n, uint32_t align)
{
	uint32_t run = align > 1 ? find_aligned(heap, n, align) : tree_fit(heap, n), skip;
	struct bm_run *r = run_of(heap, run);
	uint32_t first, rest;

	if (!run)
		return 0;
	tree_erase(heap, run);
	skip = skip_of(r, align);
	first = r->first;
	rest = r->n - skip - n;
	*r = (struct bm_run) {
		.first = first + skip, .n = n, .kind = BM_RUN_BLOCK, .pool = heap->pool,
	};
	run_mark(heap, run);
	free_rest(heap, first, skip);
	free_rest(heap, first + skip + n, rest);
	return run;
}

void bm_heap_claim(struct bm_heap *heap, uint32_t run)
{
	struct bm_run *r = run_of(heap, run);

	tree_erase(heap, run);
	*r = (struct bm_run) {
		.first = r->first, .n = r->n, .kind = BM_RUN_BLOCK, .pool = heap->pool,
	};
}

/* Adds the units of @from, which is free and a neighbour of @run, to @run. */
static void absorb(struct bm_heap *heap, uint32_t run, uint32_t from)
{
	struct bm_run *r = run_of(heap, run);
	const struct bm_run *f = run_of(heap, from);

	if (!from || f->kind != BM_RUN_FREE)
		return;
	tree_erase(heap, from);
	if (f->first < r->first)
		r->first = f->first;
	r->n += f->n;
	run_delete(heap, from);
}

uint32_t bm_heap_give(struct bm_heap *heap, uint32_t run)
{
	struct bm_run *r = run_of(heap, run);
	uint32_t prev = run_prev(heap->arena, run), next = bm_run_next(heap->arena, run);

	*r = (struct bm_run) {
		.first = r->first, .n = r->n, .kind = BM_RUN_FREE, .pool = heap->pool,
	};
	absorb(heap, run, prev);
	absorb(heap, run, next);
	run_mark(heap, run);
	tree_insert(heap, run);
	return run;
}
