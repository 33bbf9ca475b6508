/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sites: places in code that allocate, by number.
 *
 * A site is known to the whole process, as the code is. What is written to it when it is used
 * first stays; so it is read without a lock.
 */
#ifndef BITMEM_SITE_H
#define BITMEM_SITE_H

#include "internal.h"

/* What is not told apart: sites beyond the table's end, and all where none are kept. */
#define BM_SITE_OTHER 0x3fffu

/* The number of a site that may not have been used yet, 1 to BM_SITE_OTHER. */
unsigned int bm_site_number(struct bitmem_site *site);
/* The same for a place that called without one. */
unsigned int bm_site_of_caller(const void *address);

/* Keeps others from adding sites while the process is copied. */
void bm_sites_lock(void);
void bm_sites_unlock(void);

/* What is known of a number. */
struct bm_site_info {
	const char *file, *function;	/* NULL if unknown */
	unsigned int line;
	const void *address;		/* of the call, if that is all there is */
};

struct bm_site_info bm_site_info(unsigned int number);

#endif /* BITMEM_SITE_H */
