/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Holes: stretches of units in segments whose memory the backend has back.
 *
 * Where they are not locked any more, but what is around them is, each costs the process two
 * mappings, of which the kernel grants it but so many (vm.max_map_count), for everything. So there
 * is a limit for all contexts together, at which holes cost a quarter of those; and as trims begin
 * with the smallest ones, one half is left for large ones.
 *
 * All with the context's lock held.
 */
#ifndef BITMEM_HOLES_H
#define BITMEM_HOLES_H

#include "context.h"

/* For bm_backend.max_holes. */
size_t bm_holes_max(void);

/* Whether @n units from @first on, which have their memory, may lose it. */
bool bm_holes_may_grow(const struct bitmem *ctx, size_t first, size_t n);

/* They have lost it, or got it again. */
void bm_holes_lost(struct bitmem *ctx, size_t first, size_t n);
void bm_holes_got(struct bitmem *ctx, size_t first, size_t n);
/* A segment goes. */
void bm_holes_forget(struct bm_segment *segment);

#endif /* BITMEM_HOLES_H */
