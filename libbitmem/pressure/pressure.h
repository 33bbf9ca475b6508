/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How tight memory is for a context. */
#ifndef BITMEM_CONTEXT_PRESSURE_H
#define BITMEM_CONTEXT_PRESSURE_H

#include <pthread.h>
#include <time.h>

#include "level.h"

/*
 * @lock is held while the figures are read and @level follows them, so that each
 * reading is compared with the one before it. keeper.h says where it is among the
 * other locks.
 */
struct bm_pressure {
	pthread_mutex_t lock;
	struct bm_level level;
	uint64_t stalled_until;	/* ms: the kernel told of a stall */
};

void bm_pressure_init(struct bm_pressure *pressure);
void bm_pressure_destroy(struct bm_pressure *pressure);

/* Measures; takes the lock. */
enum bitmem_pressure bm_pressure_measure(struct bitmem *ctx);

/* The kernel told of a stall: it counts for some seconds. */
void bm_pressure_stalled(struct bitmem *ctx);

/* Milliseconds of a clock that never goes back. */
static inline uint64_t bm_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- reading.c --- */

/* Reads all figures for @ctx. No lock is needed. */
void bm_pressure_read(const struct bitmem *ctx, struct bm_reading *reading);

/* A descriptor that polls POLLPRI on a stall that concerns @ctx; -1 if there is none. */
int bm_pressure_stall_fd(const struct bitmem *ctx);

#endif /* BITMEM_CONTEXT_PRESSURE_H */
