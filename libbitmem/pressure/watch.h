/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Those who want to be told of a level of pressure. */
#ifndef BITMEM_WATCH_H
#define BITMEM_WATCH_H

#include <pthread.h>
#include <sys/types.h>

#include <bitmem/pressure.h>

struct bm_watch;

/* All under keeper.lock; @done is signalled when @running ends. */
struct bm_watches {
	struct bm_watch *first;	/* in order of their ids */
	uint64_t last_id;
	uint64_t running;	/* the id whose callback runs, 0 if none does */
	pthread_cond_t done;
};

void bm_watches_init(struct bm_watches *watches);
/* Ends all watches, with nobody being told any more. */
void bm_watches_destroy(struct bitmem *ctx);

/*
 * Tells those whom it concerns that the level is @level now. By the keeper only, without
 * any lock. False if @ctx is not to be touched any more: this is a child that a
 * callback has forked.
 */
bool bm_watches_tell(struct bitmem *ctx, enum bitmem_pressure level);

/* In a child, with keeper.lock held: the keeper that ran a callback is not here. */
void bm_watches_forked(struct bm_watches *watches);

#endif /* BITMEM_WATCH_H */
