/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The depot: each stack once, by a number that fits into a slot.
 *
 * An entry is a site and the stack of a call from there. When there is no number left for stacks,
 * the rest is for sites without one. An entry stays as it is until the context ends: whoever
 * learned its number under the context's lock may read it without.
 */
#ifndef BITMEM_TRACK_DEPOT_H
#define BITMEM_TRACK_DEPOT_H

#include <stdint.h>

/* Return addresses that are kept of a stack at most. */
#define BM_DEPTH	32u

#define BM_DEPOT_SIZE	0x3fffu		/* as many as sites, and 0 is none */
#define BM_DEPOT_STACKS	0x3000u		/* numbers below are for stacks */
#define BM_DEPOT_HASH	32768u

struct bm_frames {
	unsigned int n;
	const void *address[BM_DEPTH + 1];
};

struct bm_stack_entry {
	uint16_t site;
	uint16_t n;
	const void *address[];
};

struct bm_depot {
	struct bm_stack_entry *entries[BM_DEPOT_SIZE];
	uint16_t by_hash[BM_DEPOT_HASH];	/* numbers */
	uint32_t nr_stacks, nr_sites;		/* the next of either kind */
	uint64_t lost;				/* stacks that there was no number or memory for */
	uint64_t *meta_bytes;
};

/* A depot that is all zero; @meta_bytes grows with it. */
void bm_depot_init(struct bm_depot *depot, uint64_t *meta_bytes);
void bm_depot_destroy(struct bm_depot *depot);

/* The number for a call from @site, 1 to BM_SITE_OTHER. With the context's lock held. */
unsigned int bm_depot_number(struct bm_depot *depot, unsigned int site,
			     const struct bm_frames *frames);

#endif /* BITMEM_TRACK_DEPOT_H */
