/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From figures to a level of pressure. No lock, no clock, no file. */
#ifndef BITMEM_LEVEL_H
#define BITMEM_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include <bitmem/pressure.h>

/* So much of some memory is in use. With total 0 nothing is known of it. */
struct bm_usage {
	uint64_t used, total;	/* bytes */
};

#define BM_USAGES 2

/* What was measured at one time. */
struct bm_reading {
	struct bm_usage usage[BM_USAGES];	/* the tightest counts */
	enum bitmem_pressure floor;		/* it is this at least */
	/* Hundredths of a percent of the last seconds in which somebody waited for memory. */
	unsigned int stall;
	bool stalled;				/* the kernel has just said so */
};

/* What hysteresis needs to remember. All zero to begin with. */
struct bm_level {
	enum bitmem_pressure base;	/* what the usage alone makes */
	bool stalled;
};

/* The level after @reading; @level is brought up to date. */
enum bitmem_pressure bm_level_next(struct bm_level *level, const struct bm_reading *reading);

#endif /* BITMEM_LEVEL_H */
