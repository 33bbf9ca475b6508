/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims: how others than its owner get at a cache.
 *
 * With the context's lock held, ctx is set to NULL, membarrier(2) makes every thread see that,
 * and busy is waited for. The owner sets busy before it looks at ctx. So either the owner sees
 * the claim and goes for the lock, or the claimer sees that it is busy and waits; neither can
 * miss the other:
 *
 *	owner			claimer (lock held)
 *	busy = 1		ctx = NULL
 *	(compiler barrier)	membarrier
 *	ctx is mine? then use	wait until busy is 0
 *	busy = 0		use; ctx = as it was
 *
 * Where the kernel has no membarrier(2), ctx stays NULL, and everything is done with the lock.
 *
 * Whoever only wants the owners to come by the lock *calls* them: ctx is set to NULL, and nothing
 * more. They see that soon, if they do anything, and no one has to be stopped for it.
 *
 * All with the context's lock held, which is not dropped while there is a claim.
 */
#ifndef BITMEM_CLAIM_H
#define BITMEM_CLAIM_H

struct bitmem;
struct bm_cache;

/*
 * Keeps the owners of all caches of @ctx out, and lets them in again. @own is the caller's,
 * which is in the lock and needs no keeping out, or NULL. Claims nest.
 */
void bm_caches_claim(struct bitmem *ctx, const struct bm_cache *own);
void bm_caches_release(struct bitmem *ctx, const struct bm_cache *own);

/*
 * Calls the owners of all caches but @own, until they are dismissed. The lock may be dropped
 * meanwhile, and a claim by another then ends the call.
 */
void bm_caches_call(struct bitmem *ctx, const struct bm_cache *own);
void bm_caches_dismiss(struct bitmem *ctx);

/* Lets the owner of a new cache in for the first time. */
void bm_cache_let_in(struct bitmem *ctx, struct bm_cache *cache);

/* Before the first claim of the process, and of a child. Without the lock. */
void bm_claims_set_up(void);
void bm_claims_in_child(void);

#endif /* BITMEM_CLAIM_H */
