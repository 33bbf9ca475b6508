/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Places: what numbers of sites and of the depot stand for, as copies that depend on no context.
 *
 * A set of them has each place once, in an order that all sets share. Several numbers may be one
 * place: a macro of the header that is expanded twice in a line, or in two files.
 */
#ifndef BITMEM_TRACK_PLACE_H
#define BITMEM_TRACK_PLACE_H

#include <bitmem/track.h>

#include "../context.h"

#define BM_NR_NUMBERS	0x4000u

struct bm_places {
	struct bitmem_place *places;
	uint32_t n;
	uint32_t *index;	/* by number, BM_NR_NUMBERS of them; until bm_places_settle() */
};

/* 0 or -ENOMEM. */
int bm_places_init(struct bm_places *places);
void bm_places_destroy(struct bm_places *places);

/* Says that a number is needed. */
void bm_places_want(struct bm_places *places, unsigned int number);
/* Makes those that are. The context is alive; without its lock. 0 or -ENOMEM. */
int bm_places_make(struct bm_places *places, const struct bitmem *ctx);
/* The place that a wanted number stands for. */
static inline uint32_t bm_places_of(const struct bm_places *places, unsigned int number)
{
	return places->index[number];
}
/* No numbers are asked for any more. */
void bm_places_settle(struct bm_places *places);

/* The order of places: less than, equal to or more than 0. */
int bm_place_compare(const struct bitmem_place *a, const struct bitmem_place *b);

#endif /* BITMEM_TRACK_PLACE_H */
