/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory of this process as the kernel counts it.
 */
#ifndef BENCH_FOOTPRINT_H
#define BENCH_FOOTPRINT_H

#include <stdint.h>

struct footprint {
	/* Resident, without the pages of files on disk, and without lazily freed ones. */
	uint64_t resident;
	/* The part of it that is private and anonymous: no memfd's and no device's. */
	uint64_t anonymous;
};

/* Takes nothing from the allocator. Exits with a message on failure. */
void footprint_read(struct footprint *footprint);

#endif /* BENCH_FOOTPRINT_H */
