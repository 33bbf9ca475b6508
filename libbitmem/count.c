/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "count.h"

/* In how many parts at most what nobody has is divided. */
#define MOST_PARTS	4
/* How many deposits one waits for at most. */
#define ROUNDS		4
/* How often one looks whether somebody left credit: some microseconds, less than a claim takes. */
#define LOOKS		256

/*
 * Whether one thread's stores are seen in their order by another's loads, without a barrier.
 * Elsewhere a look at the others' credit says nothing.
 */
#if defined(__x86_64__)
#define STORES_IN_ORDER true
#else
#define STORES_IN_ORDER false
#endif

static uint64_t frees_of(const struct bm_cache *cache)
{
	return __atomic_load_n(&cache->frees, __ATOMIC_ACQUIRE);
}

/*
 * Whether none of the others had any credit at one instant of this call. Credit comes from
 * frees alone, which are counted after, and before the thread leaves its cache: where nobody is
 * in one, and no count changes from the first look to the last, there was none between.
 */
static bool others_have_none(const struct bitmem *ctx, const struct bm_cache *own)
{
	uint64_t before = 0, after = 0;
	const struct bm_cache *cache;

	if (!STORES_IN_ORDER)
		return ctx->caches == own && own && !own->next_of_context;
	for (cache = ctx->caches; cache; cache = cache->next_of_context)
		before += cache == own ? 0 : frees_of(cache);
	for (cache = ctx->caches; cache; cache = cache->next_of_context) {
		if (cache != own && __atomic_load_n(&cache->credit, __ATOMIC_ACQUIRE))
			return false;
	}
	for (cache = ctx->caches; cache; cache = cache->next_of_context) {
		if (cache == own)
			continue;
		if (__atomic_load_n(&cache->busy, __ATOMIC_ACQUIRE))
			return false;
		after += frees_of(cache);
	}
	return before == after;
}

/* Makes everybody's credit the spare. */
static void gather(struct bitmem *ctx, struct bm_cache *own)
{
	bm_caches_claim(ctx, own);
	for (struct bm_cache *cache = ctx->caches; cache; cache = cache->next_of_context) {
		ctx->spare += cache->credit;
		cache->credit = 0;
	}
	bm_caches_release(ctx, own);
}

/* Makes a thread's credit the spare, which those wait for who are short. */
static void deposit(struct bitmem *ctx, struct bm_cache *cache)
{
	ctx->spare += cache->credit;
	cache->credit = 0;
	if (ctx->nr_short && ctx->spare)
		__atomic_store_n(&ctx->deposits, ctx->deposits + 1, __ATOMIC_RELAXED);
}

/*
 * Gives a thread its part of what it has and nobody has: so that it seldom runs out, and those
 * that do find something without anybody's credit being gathered. What it keeps is all, where
 * there is no other, and no less than a part in MOST_PARTS, since most threads are idle where many
 * are.
 */
static void divide(struct bitmem *ctx, struct bm_cache *cache)
{
	const int64_t n = ctx->nr_caches < MOST_PARTS ? ctx->nr_caches : MOST_PARTS;

	if (!cache)
		return;
	deposit(ctx, cache);
	if (ctx->nr_short)
		return;
	cache->credit = ctx->spare / n;
	ctx->spare -= cache->credit;
}

/* Waits for a deposit, but not long; without the lock. Whether there was one. */
static bool await_deposit(const struct bitmem *ctx, uint32_t seen)
{
	for (unsigned int i = 0; i < LOOKS; i++) {
		if (__atomic_load_n(&ctx->deposits, __ATOMIC_RELAXED) != seen)
			return true;
		bm_relax();
	}
	return false;
}

void bm_count_await(struct bitmem *ctx, struct bm_cache *cache, size_t bytes)
{
	bool goes_on = cache;

	for (unsigned int i = 0; goes_on && i < ROUNDS; i++) {
		uint32_t seen;

		deposit(ctx, cache);
		if (ctx->spare >= (int64_t)bytes || others_have_none(ctx, cache))
			return;
		seen = ctx->deposits;
		ctx->nr_short++;
		bm_caches_call(ctx, cache);
		bm_unlock(ctx);
		goes_on = await_deposit(ctx, seen);
		bm_lock(ctx);
		if (!--ctx->nr_short)
			bm_caches_dismiss(ctx);
	}
}

void bm_count_take(struct bitmem *ctx, struct bm_cache *cache, size_t bytes)
{
	const int64_t wanted = (int64_t)bytes;

	if (cache)
		deposit(ctx, cache);
	if (ctx->spare < wanted && !others_have_none(ctx, cache))
		gather(ctx, cache);
	if (ctx->spare < wanted) {
		ctx->peak += wanted - ctx->spare;
		ctx->spare = wanted;
	}
	ctx->spare -= wanted;
	divide(ctx, cache);
}

void bm_count_give(struct bitmem *ctx, struct bm_cache *cache, size_t bytes)
{
	ctx->spare += (int64_t)bytes;
	divide(ctx, cache);
}

struct bm_totals bm_count_totals(const struct bitmem *ctx)
{
	struct bm_totals totals = {
		.peak_bytes = (uint64_t)ctx->peak,
		.allocs = ctx->gone_allocs,
		.frees = ctx->gone_frees,
	};
	int64_t credit = ctx->spare;

	for (const struct bm_cache *cache = ctx->caches; cache; cache = cache->next_of_context) {
		credit += cache->credit;
		totals.frees += cache->frees;
		totals.allocs += cache->frees + cache->filled - cache->flushed -
				 bm_cache_level(cache);
	}
	totals.live_bytes = (uint64_t)(ctx->peak - credit);
	return totals;
}
