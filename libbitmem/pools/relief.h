/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Short of memory: what all contexts of the process keep for later goes back. */
#ifndef BITMEM_POOLS_RELIEF_H
#define BITMEM_POOLS_RELIEF_H

#include <stddef.h>

struct bitmem;

/*
 * Gives back what is free in all pools of all contexts, threads' caches included. What the
 * others give is counted with them, as given under pressure. No lock may be held. Returns
 * @ctx's bytes.
 */
size_t bm_relieve(struct bitmem *ctx);

/* The same for all contexts but @ctx. No lock may be held, @ctx's gate neither. */
void bm_relieve_others(const struct bitmem *ctx);

/* Nobody is in the middle of that, with a reference on another context, while this is held. */
void bm_relief_lock(void);
void bm_relief_unlock(void);

#endif /* BITMEM_POOLS_RELIEF_H */
