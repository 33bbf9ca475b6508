/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A context's clock: epochs, one after the other, by number.
 *
 * A slot has room for a number of 16 bits, which the fast path copies from the context's stamp.
 * Nobody is woken to move that on: whoever holds the lock anyway, because he needs more
 * slots or takes a snapshot, begins a new epoch if the last one is old enough. So of
 * a block it is known between which two instants it was allocated, however long an epoch took.
 *
 * An epoch that a mark begins with is told from the one before for ever: what was allocated after
 * the mark is what has its number or a higher one. A mark begins one with all caches claimed, so no
 * block gets the old number any more.
 *
 * When there are many epochs, old ones are put together, and all live slots get new numbers; but
 * not across the beginning of one that a mark still has a pin on. Serials stay what they are.
 */
#ifndef BITMEM_TRACK_CLOCK_H
#define BITMEM_TRACK_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct bitmem;

/* The shortest epoch, but for those of marks. */
#define BM_TICK_NS	UINT64_C(1000000000)

/*
 * Whoever has one of the two references keeps it; a mark, and the epoch that it began. For as long
 * as an epoch has it it counts as the context's, which a mark may outlive.
 */
struct bm_pin {
	atomic_uint refs;
};

struct bm_epoch {
	uint64_t start;		/* CLOCK_MONOTONIC, in nanoseconds */
	uint64_t serial;	/* higher than all before */
	struct bm_pin *pin;	/* or NULL */
};

struct bm_clock {
	struct bm_epoch *epochs;
	uint32_t n, room;	/* the last one is now */
	uint32_t limit;		/* more are put together */
	uint64_t tried;		/* when a tick last found no room for one, as start */
	uint64_t serial;	/* of the last */
};

int bm_clock_init(struct bitmem *ctx);
void bm_clock_destroy(struct bitmem *ctx);

/* The time, as epochs have it. */
uint64_t bm_clock_now(void);

/* With the lock held, outside of the caller's cache: begins an epoch if it is time. */
void bm_clock_tick(struct bitmem *ctx);

/*
 * With the lock held and all caches claimed: begins one now, with a reference on @pin if that is
 * not NULL. 0; -ENOSPC or -ENOMEM, and no change.
 */
int bm_clock_begin(struct bitmem *ctx, struct bm_pin *pin);

/* The shortest and the longest time since something in epoch @number. */
void bm_clock_age(const struct bm_clock *clock, uint16_t number, uint64_t now, uint64_t *min,
		  uint64_t *max);

/* A pin with one reference, the caller's. NULL if there is no memory. */
struct bm_pin *bm_pin_new(void);
/* Drops a reference; the last one frees it. */
void bm_pin_unref(struct bm_pin *pin);

#endif /* BITMEM_TRACK_CLOCK_H */
