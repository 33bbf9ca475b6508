/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many buffers of the device at once. */
#ifndef BITMEM_BATCH_H
#define BITMEM_BATCH_H

#include <liburing.h>
#include <linux/bitmem.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "internal.h"

/*
 * A ring for batches, made when the first one needs it and kept: making one costs more
 * than a batch gains. @lock is held while a batch uses it. It is for the process
 * @owner alone: a child has a copy of the state, but no ring of its own.
 */
struct bm_ring {
	pthread_mutex_t lock;
	struct io_uring ring;
	pid_t owner;
	bool made;
	bool broken;
};

void bm_ring_init(struct bm_ring *ring);
void bm_ring_destroy(struct bm_ring *ring);

/* A buffer to be made: @arg is filled in by the caller, and answered by the kernel. */
struct bm_batch_item {
	struct bitmem_alloc arg;
	int result;
};

/*
 * Makes all of the @n buffers, through @ring if that is not NULL and the kernel gives
 * us one. All or none: if one cannot be had, -errno,
 * and *@failed is the first of those.
 */
int bm_batch_alloc(int fd, struct bm_ring *ring, struct bm_batch_item *items, size_t n,
		   size_t *failed);

/* Gives the ids back. One that is not there is passed over. */
void bm_batch_free(int fd, const uint32_t *ids, size_t n);

#endif /* BITMEM_BATCH_H */
