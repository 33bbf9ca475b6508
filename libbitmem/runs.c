/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "runs.h"

/*
 * Bytes of runs that the caches of a context hold at most, of which each has its part, but so
 * many at least; and how many of a class.
 */
#define RUN_BYTES_MAX	((size_t)128 << 20)
#define RUN_BYTES_MIN	((size_t)2 << 20)
#define STACK_FIRST	4u
/* When all is granted, this part of it is taken back. */
#define SOME		16u
#define STACK_MAX	64u
/* So many it has memory for at first. */
#define STACK_FEW	16u

/* Units of the shortest run that is cached; up to twice STEPS each number of units is a class. */
#define MIN_UNITS	((uint32_t)(BM_SLAB_MAX >> BM_UNIT_SHIFT) + 1)
#define STEPS		16u

_Static_assert(BM_NR_RUN_CLASSES == 1 + (2 * STEPS - MIN_UNITS + 1) + 3 * STEPS,
	       "as many classes as there are up to BM_CACHED_UNITS");

/* Which doubling above 2 * STEPS units @n is in; its classes are 1 << that apart. */
static unsigned int shift_of(uint32_t n)
{
	return n <= 2 * STEPS ? 0 : 27 - (unsigned int)__builtin_clz(n - 1);
}

unsigned int bm_run_class_of(uint32_t n)
{
	const unsigned int shift = shift_of(n);

	if (n < MIN_UNITS || n > BM_CACHED_UNITS)
		return 0;
	return ((n - 1) >> shift) + 1 + shift * STEPS - (MIN_UNITS - 1);
}

uint32_t bm_run_class_units(unsigned int class)
{
	const uint32_t n = class + MIN_UNITS - 1;

	if (n <= 2 * STEPS)
		return n;
	return (STEPS + 1 + (n - 1) % STEPS) << ((n - 1) / STEPS - 1);
}

static size_t bytes_of(const struct bm_cache *cache, const struct bm_stack *stack)
{
	return (size_t)bm_run_class_units((unsigned int)(stack - cache->runs)) << BM_UNIT_SHIFT;
}

/* How many a stack may hold. */
static size_t room_of(const struct bm_stack *stack)
{
	return stack->base ? (size_t)(stack->limit - stack->base) - 1 : 0;
}

/* Takes back what a stack was granted and does not use. */
static void take_back(struct bm_cache *cache, struct bm_stack *stack)
{
	if (stack->limit == stack->top)
		return;
	cache->run_bytes -= (size_t)(stack->limit - stack->top) * bytes_of(cache, stack);
	stack->limit = stack->top;
}

void bm_runs_flush(struct bitmem *ctx, struct bm_cache *cache, struct bm_stack *stack, size_t n)
{
	size_t given = 0;

	for (size_t i = 1; i <= n; i++) {
		uint32_t run = bm_run_of_slot(&ctx->arena, stack->base[i].slot);

		if (ctx->arena.runs[run].kind != BM_RUN_BLOCK ||
		    bm_slot_is_owned(stack->base[i].slot))
			continue;
		bm_pool_give(ctx, run);
		given++;
	}
	bm_stack_drop(cache, stack, n, given);
}

/* The part of a cache in all that those of its context may be granted. */
static size_t part_of(const struct bitmem *ctx)
{
	const size_t part = RUN_BYTES_MAX / __atomic_load_n(&ctx->nr_caches, __ATOMIC_RELAXED);

	return part < RUN_BYTES_MIN ? RUN_BYTES_MIN : part;
}

/* Bytes that a cache may be granted more. */
static size_t budget_of(const struct bitmem *ctx, const struct bm_cache *cache)
{
	const size_t part = part_of(ctx);

	return part > cache->run_bytes ? part - cache->run_bytes : 0;
}

/* The stack whose turn it is. */
static struct bm_stack *next_stack(struct bm_cache *cache)
{
	cache->next_run = cache->next_run % (BM_NR_RUN_CLASSES - 1) + 1;
	return &cache->runs[cache->next_run];
}

/*
 * Takes back what nobody uses, of one stack after another, until @bytes and some more are not
 * granted.
 */
static void take_back_some(const struct bitmem *ctx, struct bm_cache *cache, size_t bytes)
{
	const size_t part = part_of(ctx), wanted = bytes + part / SOME;

	for (unsigned int i = 1; i < BM_NR_RUN_CLASSES && cache->run_bytes + wanted > part; i++)
		take_back(cache, next_stack(cache));
}

/* The same with the half of a stack that was cached first. With the lock held. */
static void flush_some(struct bitmem *ctx, struct bm_cache *cache, size_t bytes)
{
	const size_t part = part_of(ctx), wanted = bytes + part / SOME;

	for (unsigned int i = 1; i < BM_NR_RUN_CLASSES && cache->run_bytes + wanted > part; i++) {
		struct bm_stack *stack = next_stack(cache);

		bm_runs_flush(ctx, cache, stack, (bm_stack_level(stack) + 1) / 2);
		take_back(cache, stack);
	}
}

/* How many a full stack is to hold: as many more as it has, as far as the budget goes. */
static size_t more_of(const struct bitmem *ctx, const struct bm_cache *cache,
		      const struct bm_stack *stack)
{
	const size_t n = room_of(stack), most = n + budget_of(ctx, cache) / bytes_of(cache, stack);
	size_t more = n < STACK_FIRST ? STACK_FIRST : 2 * n;

	more = more > STACK_MAX ? STACK_MAX : more;
	return more > most ? most : more;
}

/* Whether a stack has the memory for @n. */
static bool has_memory(const struct bm_stack *stack, size_t n)
{
	return (n + 1) * sizeof(*stack->base) <= malloc_usable_size(stack->base);
}

static void grant(struct bm_cache *cache, struct bm_stack *stack, size_t n)
{
	cache->run_bytes += (n - room_of(stack)) * bytes_of(cache, stack);
	stack->limit = stack->base + 1 + n;
}

/* Gives a stack the memory for @n. Whether there was any. */
static bool resize(struct bitmem *ctx, struct bm_stack *stack, size_t n)
{
	const size_t old = stack->base ? bm_meta_size(stack->base) : 0;
	const size_t level = bm_stack_level(stack), room = room_of(stack);
	const size_t bytes = ((n > STACK_FEW ? STACK_MAX : STACK_FEW) + 1) * sizeof(*stack->base);
	struct bm_entry *base = realloc(stack->base, bytes);

	if (!base)
		return false;
	if (!stack->base)
		base[0] = bm_no_runs[0].top[-1];
	stack->base = base;
	stack->top = base + 1 + level;
	stack->limit = base + 1 + room;
	ctx->counters.meta_bytes += bm_meta_size(base) - old;
	return true;
}

/* Lets a full stack hold more, if there is room in the budget or what makes room can go. */
static void grow(struct bitmem *ctx, struct bm_cache *cache, struct bm_stack *stack)
{
	const size_t bytes = bytes_of(cache, stack);
	size_t n;

	if (bytes > budget_of(ctx, cache))
		take_back_some(ctx, cache, bytes);
	if (bytes > budget_of(ctx, cache))
		flush_some(ctx, cache, bytes);
	n = more_of(ctx, cache, stack);
	if (n > room_of(stack) && (has_memory(stack, n) || resize(ctx, stack, n)))
		grant(cache, stack, n);
}

/* The same for a cache that was entered, as far as it goes without the lock. */
static bool grow_alone(const struct bitmem *ctx, struct bm_cache *cache, struct bm_stack *stack)
{
	const size_t bytes = bytes_of(cache, stack);
	size_t n;

	if (bytes > budget_of(ctx, cache))
		take_back_some(ctx, cache, bytes);
	n = more_of(ctx, cache, stack);
	if (n <= room_of(stack) || !has_memory(stack, n))
		return false;
	grant(cache, stack, n);
	return true;
}

bool bm_runs_give(const struct bitmem *ctx, void *ptr, uint16_t owner)
{
	const size_t offset = bm_arena_offset(&ctx->arena, ptr);
	struct bm_cache *cache = bm_cache_last;
	struct bm_stack *stack;
	struct bm_slot *slot;
	struct bm_run *run;
	bool given = false;
	uint16_t bin;

	if (bm_cache_enter(cache, ctx) && offset < ctx->arena.size &&
	    !bm_frame_slot(bm_frame_at(&ctx->arena, offset), offset, &slot) &&
	    bm_find_cached(&ctx->arena, offset, &run, &bin)) {
		stack = bm_run_stack(cache, bin);
		if (stack->base && stack->top == stack->limit && grow_alone(ctx, cache, stack))
			given = bm_cache_give_run(ctx, cache, ptr, owner);
	}
	bm_cache_leave(cache);
	return given;
}

static bool make_stacks(struct bitmem *ctx, struct bm_cache *cache)
{
	struct bm_stack *runs;

	if (cache->runs != bm_no_runs)
		return true;
	runs = malloc(sizeof(bm_no_runs));
	if (!runs)
		return false;
	cache->runs = memcpy(runs, bm_no_runs, sizeof(bm_no_runs));
	ctx->counters.meta_bytes += bm_meta_size(runs);
	return true;
}

static uint32_t pop(const struct bitmem *ctx, struct bm_stack *stack)
{
	while (bm_stack_level(stack)) {
		const struct bm_slot *slot = (--stack->top)->slot;
		const uint32_t run = bm_run_of_slot(&ctx->arena, slot);

		/* What is owned was freed twice, and is forgotten. */
		if (!bm_slot_is_owned(slot) && ctx->arena.runs[run].kind == BM_RUN_BLOCK)
			return run;
	}
	return 0;
}

uint32_t bm_runs_pop(const struct bitmem *ctx, const struct bm_cache *cache, unsigned int class,
		     size_t size)
{
	const size_t most = size + size / 8;
	uint32_t run = pop(ctx, &cache->runs[class]);

	while (!run && ++class < BM_NR_RUN_CLASSES &&
	       (size_t)bm_run_class_units(class) << BM_UNIT_SHIFT <= most)
		run = pop(ctx, &cache->runs[class]);
	return run;
}

bool bm_runs_take(const struct bitmem *ctx, struct bm_cache *cache, size_t size, uint32_t state,
		  void **ptr)
{
	const unsigned int class = bm_run_class_of(bm_units_of(size));
	const int64_t credit = cache->credit - (int64_t)size;
	struct bm_run *run;
	uint32_t number;

	if (credit < 0)
		return false;
	number = bm_runs_pop(ctx, cache, class, size);
	if (!number)
		return false;
	run = &ctx->arena.runs[number];
	bm_owner_set(&cache->credit, credit);
	run->bytes = size;
	bm_slot_fill(&run->slot, state | bm_stamp(ctx));
	*ptr = ctx->arena.base + ((size_t)run->first << BM_UNIT_SHIFT);
	return true;
}

struct bm_stack *bm_runs_make_room(struct bitmem *ctx, struct bm_cache *cache,
				   const struct bm_run *run)
{
	struct bm_stack *stack;

	if (!run->bin || !make_stacks(ctx, cache))
		return NULL;
	stack = bm_run_stack(cache, run->bin);
	if (stack->top == stack->limit)
		grow(ctx, cache, stack);
	if (stack->top == stack->limit)
		bm_runs_flush(ctx, cache, stack, (bm_stack_level(stack) + 1) / 2);
	return stack->top == stack->limit ? NULL : stack;
}

void bm_runs_delete(struct bitmem *ctx, struct bm_cache *cache)
{
	if (cache->runs == bm_no_runs)
		return;
	for (unsigned int i = 1; i < BM_NR_RUN_CLASSES; i++) {
		bm_runs_flush(ctx, cache, &cache->runs[i], bm_stack_level(&cache->runs[i]));
		bm_stack_delete(ctx, &cache->runs[i]);
	}
	ctx->counters.meta_bytes -= bm_meta_size(cache->runs);
	free(cache->runs);
	cache->runs = bm_no_runs;
	cache->run_bytes = 0;
}
