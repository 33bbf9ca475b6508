/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "context.h"

#define BARRIER_TRIES	100
/*
 * How often a claimer looks whether a thread is out of its cache before it sleeps in between: that
 * has a few instructions to go there, unless it does not run, and then has to be let run.
 */
#define LOOKS		1000
#define SLEEP_US	50

static bool have_membarrier;

static int membarrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

static void sleep_us(long us)
{
	const struct timespec time = { .tv_nsec = us * 1000 };

	nanosleep(&time, NULL);
}

/*
 * Makes what this thread has written known to all threads before they read on. If the kernel
 * does not do that any more (a filter that came later), caches are not used from now on, and
 * a pause is long enough for what threads have in their store buffers.
 */
static void barrier(void)
{
	for (int i = 0; i < BARRIER_TRIES; i++) {
		if (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
			return;
		if (errno != ENOMEM && errno != EINTR)
			break;
		sleep_us(1000);
	}
	have_membarrier = false;
	sleep_us(10000);
}

/* Whether there is nobody to keep out. */
static bool is_alone(const struct bitmem *ctx, const struct bm_cache *own)
{
	return !ctx->caches || (ctx->caches == own && !own->next_of_context);
}

void bm_caches_claim(struct bitmem *ctx, const struct bm_cache *own)
{
	struct bm_cache *cache;

	if (ctx->claims++ || is_alone(ctx, own))
		return;
	for (cache = ctx->caches; cache; cache = cache->next_of_context)
		__atomic_store_n(&cache->ctx, NULL, __ATOMIC_SEQ_CST);
	if (have_membarrier)
		barrier();
	for (cache = ctx->caches; cache; cache = cache->next_of_context) {
		for (int i = 0; __atomic_load_n(&cache->busy, __ATOMIC_SEQ_CST); i++) {
			if (i >= LOOKS)
				sleep_us(SLEEP_US);
		}
	}
}

void bm_caches_release(struct bitmem *ctx, const struct bm_cache *own)
{
	if (!--ctx->claims && !is_alone(ctx, own))
		bm_caches_dismiss(ctx);
}

void bm_caches_call(struct bitmem *ctx, const struct bm_cache *own)
{
	for (struct bm_cache *cache = ctx->caches; cache; cache = cache->next_of_context) {
		if (cache != own)
			__atomic_store_n(&cache->ctx, NULL, __ATOMIC_SEQ_CST);
	}
}

void bm_caches_dismiss(struct bitmem *ctx)
{
	for (struct bm_cache *cache = ctx->caches; cache; cache = cache->next_of_context)
		bm_cache_let_in(ctx, cache);
}

void bm_cache_let_in(struct bitmem *ctx, struct bm_cache *cache)
{
	if (have_membarrier)
		__atomic_store_n(&cache->ctx, ctx, __ATOMIC_SEQ_CST);
}

void bm_claims_set_up(void)
{
	have_membarrier = !membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

void bm_claims_in_child(void)
{
	if (have_membarrier)
		bm_claims_set_up();
}
