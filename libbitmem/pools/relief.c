/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nothing that is in use goes. A context that is being closed meanwhile lives until it has
 * been looked at. One from before a fork() is left alone until this process takes memory from
 * its pools again: it may be the other that goes on with it, and knows better what is free.
 *
 * One thread at a time looks at others, and fork() waits for it: a child, which has not got that
 * thread, would never lose the reference. The lock is the first of all, as the reference may
 * turn out to be the last, and who goes about the others' locks must hold none.
 */
#include <pthread.h>

#include "../context.h"
#include "relief.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void bm_relief_lock(void)
{
	pthread_mutex_lock(&lock);
}

void bm_relief_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static bool is_ours(struct bitmem *ctx)
{
	bool ours;

	bm_lock(ctx);
	ours = !ctx->forked && !atomic_load(&ctx->closed);
	bm_unlock(ctx);
	return ours;
}

void bm_relieve_others(const struct bitmem *ctx)
{
	struct bitmem *other, *next;

	bm_relief_lock();
	for (other = bm_contexts_next(NULL); other; other = next) {
		if (other != ctx && is_ours(other))
			bm_strategy_count(other, BM_ON_PRESSURE, bm_trim(other));
		next = bm_contexts_next(other);
		bm_context_unref(other);
	}
	bm_relief_unlock();
}

size_t bm_relieve(struct bitmem *ctx)
{
	size_t bytes = bm_trim(ctx);

	bm_relieve_others(ctx);
	return bytes;
}
