/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads' caches: how they come and go: with their thread, with their
 * context, and across fork().
 *
 * The registry's lock guards which caches there are, in the lists of threads and of
 * contexts. A cache is freed by its thread alone; a context that ends before leaves it
 * empty and nobody's. Before a fork all caches of all contexts are claimed, so that the
 * child finds each as if no thread had been in it; those of the threads that the child
 * does not have are emptied there.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "context.h"
#include "runs.h"
#include "site.h"

/* Bytes of blocks that a stack may hold, and how many at least and at most. */
#define STACK_BYTES	((size_t)1 << 20)
#define STACK_MIN	8u
#define STACK_MAX	80u

/* What an empty stack without memory points to: the entry below the first. */
static struct bm_slot no_slot = { .state = BM_SLOT_FREE };
static struct bm_entry no_entry = { NULL, &no_slot };

/* The cache of those who have none: never anybody's context. */
static struct bm_cache no_cache;

__thread struct bm_cache *bm_cache_last = &no_cache;

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;	/* a thread's list of caches, for its end */
static int once_error;
static struct bitmem *contexts;	/* all, by next_context; under the registry's lock */
static uint64_t nr_contexts;	/* so many were there; under that lock, too */

/* --- stacks --- */

/* The runs of those who have none. */
struct bm_stack bm_no_runs[BM_NR_RUN_CLASSES] = {
	[0 ... BM_NR_RUN_CLASSES - 1] = { .top = &no_entry + 1, .limit = &no_entry + 1 },
};

void bm_stack_reset(struct bm_stack *stack)
{
	*stack = bm_no_runs[0];
}

bool bm_stack_ready(struct bitmem *ctx, struct bm_stack *stack, size_t size)
{
	size_t n = STACK_BYTES / size;

	if (stack->base)
		return true;
	n = n < STACK_MIN ? STACK_MIN : n > STACK_MAX ? STACK_MAX : n;
	stack->base = calloc(n + 1, sizeof(*stack->base));
	if (!stack->base)
		return false;
	stack->base[0] = no_entry;
	stack->top = stack->base + 1;
	stack->limit = stack->base + 1 + n;
	ctx->counters.meta_bytes += bm_meta_size(stack->base);
	return true;
}

size_t bm_cache_level(const struct bm_cache *cache)
{
	size_t level = 0;

	for (unsigned int i = 0; i < BM_NR_CLASSES; i++)
		level += bm_stack_level(&cache->stacks[i]);
	for (unsigned int i = 0; i < BM_NR_RUN_CLASSES; i++)
		level += bm_stack_level(&cache->runs[i]);
	return level;
}

/*
 * Takes the @n entries at the bottom out of a stack, @given of which went back. The others were
 * freed twice, and are counted as one free less.
 */
void bm_stack_drop(struct bm_cache *cache, struct bm_stack *stack, size_t n, size_t given)
{
	if (!n)
		return;
	memmove(stack->base + 1, stack->base + 1 + n,
		(bm_stack_level(stack) - n) * sizeof(*stack->base));
	stack->top -= n;
	cache->flushed += given;
}

void bm_stack_flush(struct bitmem *ctx, struct bm_cache *cache, struct bm_stack *stack, size_t n)
{
	size_t given = 0;

	for (size_t i = 1; i <= n; i++) {
		if (bm_slot_is_owned(stack->base[i].slot))
			continue;
		bm_pool_give_slot(ctx, &stack->base[i]);
		given++;
	}
	bm_stack_drop(cache, stack, n, given);
}

void bm_stack_delete(struct bitmem *ctx, struct bm_stack *stack)
{
	if (!stack->base)
		return;
	ctx->counters.meta_bytes -= bm_meta_size(stack->base);
	free(stack->base);
	bm_stack_reset(stack);
}

void bm_cache_flush(struct bitmem *ctx, struct bm_cache *cache)
{
	for (unsigned int i = 0; i < BM_NR_CLASSES; i++) {
		struct bm_stack *stack = &cache->stacks[i];

		bm_stack_flush(ctx, cache, stack, bm_stack_level(stack));
		bm_stack_delete(ctx, stack);
	}
	bm_runs_delete(ctx, cache);
	bm_records_flush(ctx, cache);
}

/* --- all of a context --- */

void bm_caches_flush(struct bitmem *ctx, const struct bm_cache *own)
{
	bm_caches_claim(ctx, own);
	for (struct bm_cache *cache = ctx->caches; cache; cache = cache->next_of_context)
		bm_cache_flush(ctx, cache);
	bm_caches_release(ctx, own);
}

/* --- how they come and go; the registry's lock is held unless said otherwise --- */

static void link_cache(struct bitmem *ctx, struct bm_cache *cache)
{
	cache->next_of_context = ctx->caches;
	cache->prev_of_context = NULL;
	if (ctx->caches)
		ctx->caches->prev_of_context = cache;
	ctx->caches = cache;
	__atomic_store_n(&ctx->nr_caches, ctx->nr_caches + 1, __ATOMIC_RELAXED);
}

static void unlink_cache(struct bitmem *ctx, struct bm_cache *cache)
{
	if (cache->prev_of_context)
		cache->prev_of_context->next_of_context = cache->next_of_context;
	else
		ctx->caches = cache->next_of_context;
	if (cache->next_of_context)
		cache->next_of_context->prev_of_context = cache->prev_of_context;
	__atomic_store_n(&ctx->nr_caches, ctx->nr_caches - 1, __ATOMIC_RELAXED);
}

/*
 * Empties a cache, adds what it counted to its context, and makes it nobody's. It is off the list
 * first: what it gives back may need a claim, and the end of that is not for this one. With the
 * context's lock held.
 */
static void cache_settle(struct bm_cache *cache)
{
	struct bitmem *ctx = cache->owner;

	__atomic_store_n(&cache->ctx, NULL, __ATOMIC_SEQ_CST);
	unlink_cache(ctx, cache);
	bm_cache_flush(ctx, cache);
	ctx->spare += cache->credit;
	ctx->gone_allocs += cache->frees + cache->filled - cache->flushed;
	ctx->gone_frees += cache->frees;
	ctx->counters.meta_bytes -= bm_meta_size(cache);
	cache->owner = NULL;
	cache->credit = 0;
	cache->frees = cache->filled = cache->flushed = 0;
}

/* The end of a thread. */
static void thread_end(void *list)
{
	struct bm_cache *cache = list, *next;

	bm_cache_last = &no_cache;
	pthread_mutex_lock(&registry);
	for (; cache; cache = next) {
		struct bitmem *ctx = cache->owner;

		next = cache->next_of_thread;
		if (ctx) {
			bm_lock(ctx);
			cache_settle(cache);
			bm_unlock(ctx);
		}
		free(cache);
	}
	pthread_mutex_unlock(&registry);
}

/* Nobody is in a cache, a heap or a registry while the process is copied. */
static void before_fork(void)
{
	pthread_mutex_lock(&registry);
	for (struct bitmem *ctx = contexts; ctx; ctx = ctx->next_context) {
		pthread_mutex_lock(&ctx->commit_lock);
		pthread_mutex_lock(&ctx->lock);
		bm_caches_claim(ctx, NULL);
		ctx->forked = true;
	}
	bm_sites_lock();
}

static void after_fork(void)
{
	bm_sites_unlock();
	for (struct bitmem *ctx = contexts; ctx; ctx = ctx->next_context) {
		bm_caches_release(ctx, NULL);
		pthread_mutex_unlock(&ctx->lock);
		pthread_mutex_unlock(&ctx->commit_lock);
	}
	pthread_mutex_unlock(&registry);
}

/* What others were about to do, which are not in this child. */
static void forget_threads(struct bitmem *ctx)
{
	for (struct bm_cache *cache = ctx->caches; cache; cache = cache->next_of_context) {
		/* One that looked at its cache just then found it claimed. */
		if (!cache->mine)
			cache->busy = 0;
	}
	for (unsigned int i = 0; i < ctx->nr_pools; i++)
		ctx->pools[i].growing = false;
	pthread_cond_init(&ctx->grown, NULL);
	ctx->nr_short = 0;
}

/*
 * In the child there is but one thread; what the others had is empty from now on. The segments that
 * nobody needs then are the parent's as well: they go when the child itself does something.
 */
static void in_child(void)
{
	struct bm_cache *mine = pthread_getspecific(key), *cache, *next;

	bm_claims_in_child();
	after_fork();
	for (cache = mine; cache; cache = cache->next_of_thread)
		cache->mine = true;
	pthread_mutex_lock(&registry);
	for (struct bitmem *ctx = contexts; ctx; ctx = ctx->next_context) {
		pthread_mutex_lock(&ctx->lock);
		forget_threads(ctx);
		bm_segments_in_child(ctx);
		for (cache = ctx->caches; cache; cache = next) {
			next = cache->next_of_context;
			if (cache->mine)
				continue;
			cache_settle(cache);
			free(cache);
		}
		ctx->heir = true;
		bm_track_in_child(ctx);
		pthread_mutex_unlock(&ctx->lock);
	}
	pthread_mutex_unlock(&registry);
	for (cache = mine; cache; cache = cache->next_of_thread)
		cache->mine = false;
}

static void set_up(void)
{
	bm_claims_set_up();
	once_error = pthread_key_create(&key, thread_end);
	if (!once_error)
		once_error = pthread_atfork(before_fork, after_fork, in_child);
	if (!once_error)
		once_error = bm_fork_set_up();
}

int bm_caches_set_up(void)
{
	pthread_once(&once, set_up);
	return -once_error;
}

int bm_caches_open(struct bitmem *ctx)
{
	int ret = bm_caches_set_up();

	if (ret)
		return ret;
	pthread_mutex_lock(&registry);
	ctx->number = ++nr_contexts;
	ctx->next_context = contexts;
	contexts = ctx;
	pthread_mutex_unlock(&registry);
	return 0;
}

void bm_caches_close(struct bitmem *ctx)
{
	pthread_mutex_lock(&registry);
	bm_lock(ctx);
	while (ctx->caches)
		cache_settle(ctx->caches);
	bm_unlock(ctx);
	pthread_mutex_unlock(&registry);
}

/* One that has no reference any more is about to go. */
static bool try_ref(struct bitmem *ctx)
{
	size_t refs = atomic_load(&ctx->refs);

	while (refs) {
		if (atomic_compare_exchange_weak(&ctx->refs, &refs, refs + 1))
			return true;
	}
	return false;
}

struct bitmem *bm_contexts_next(struct bitmem *ctx)
{
	pthread_mutex_lock(&registry);
	ctx = ctx ? ctx->next_context : contexts;
	while (ctx && !try_ref(ctx))
		ctx = ctx->next_context;
	pthread_mutex_unlock(&registry);
	return ctx;
}

/* Closed contexts stay listed while they have tensors: they may be forked, too. */
void bm_caches_forget(struct bitmem *ctx)
{
	struct bitmem **link = &contexts;

	pthread_mutex_lock(&registry);
	while (*link != ctx)
		link = &(*link)->next_context;
	*link = ctx->next_context;
	/* Who has found it before is through when he drops the lock. */
	pthread_mutex_lock(&ctx->lock);
	pthread_mutex_unlock(&ctx->lock);
	pthread_mutex_unlock(&registry);
}

struct bitmem *bm_context_lock(uint64_t number)
{
	struct bitmem *ctx;

	pthread_mutex_lock(&registry);
	for (ctx = contexts; ctx && ctx->number != number; ctx = ctx->next_context)
		;
	if (ctx)
		bm_lock(ctx);
	pthread_mutex_unlock(&registry);
	return ctx;
}

/* A new cache, the calling thread's. Without the lock. NULL if there is no memory. */
static struct bm_cache *cache_new(void)
{
	const size_t size = bm_round_up(sizeof(struct bm_cache), BM_LINE);
	struct bm_cache *cache = aligned_alloc(BM_LINE, size);

	if (!cache)
		return NULL;
	memset(cache, 0, size);
	for (unsigned int i = 0; i <= BM_NR_CLASSES; i++)
		bm_stack_reset(&cache->stacks[i]);
	cache->runs = bm_no_runs;
	cache->next_of_thread = pthread_getspecific(key);
	if (pthread_setspecific(key, cache)) {
		free(cache);
		return NULL;
	}
	return cache;
}

/* Gives a cache that is nobody's to @ctx. Without the lock. */
static void cache_adopt(struct bitmem *ctx, struct bm_cache *cache)
{
	pthread_mutex_lock(&registry);
	pthread_mutex_lock(&ctx->lock);
	cache->owner = ctx;
	cache->number = ++ctx->last_cache;
	link_cache(ctx, cache);
	ctx->counters.meta_bytes += bm_meta_size(cache);
	bm_cache_let_in(ctx, cache);
	pthread_mutex_unlock(&ctx->lock);
	pthread_mutex_unlock(&registry);
}

struct bm_cache *bm_cache_get(struct bitmem *ctx)
{
	struct bm_cache *cache, *unused = NULL;

	if (bm_cache_last->owner == ctx)
		return bm_cache_last;
	/* Where all is recorded nothing goes past the lock. */
	if (ctx->tracking == BITMEM_TRACKING_FULL ||
	    atomic_load_explicit(&ctx->closed, memory_order_acquire))
		return NULL;
	for (cache = pthread_getspecific(key); cache; cache = cache->next_of_thread) {
		struct bitmem *owner = __atomic_load_n(&cache->owner, __ATOMIC_RELAXED);

		if (owner == ctx)
			break;
		if (!owner)
			unused = cache;
	}
	if (!cache) {
		cache = unused ? unused : cache_new();
		if (!cache)
			return NULL;
		cache_adopt(ctx, cache);
	}
	bm_cache_last = cache;
	return cache;
}
