/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The allocator that is measured: bitmem at one level of tracking, or the malloc()
 * of this process.
 */
#ifndef BENCH_ALLOCATOR_H
#define BENCH_ALLOCATOR_H

#include <stdbool.h>

struct bitmem_stats;
struct replay;

struct allocator {
	/* glibc, tcmalloc, mimalloc, jemalloc, bitmem-counters, -sites, -full, null. */
	const char *name;
	/* For its blocks; and for what is measured, which may be tensors that have such. */
	const struct replay *blocks, *replay;
	/* The file of the library that it is in, without its directory. */
	const char *library;
	/* Gives back what it can, by the call that it has for that; of the calling thread too. */
	void (*trim)(void);
};

/*
 * Finds out which malloc() there is, and compares it with the name: a library that
 * could not be preloaded is no error to the dynamic linker. Exits with 3 if it is
 * another. bitmem is opened later, by allocator_open(), since that is part of what
 * it takes.
 */
void allocator_find(struct allocator *allocator, const char *name);
/* From now on tensors are what is measured. */
void allocator_use_tensors(struct allocator *allocator);
void allocator_open(const struct allocator *allocator);

/* bitmem's own figures; false if it is not bitmem. */
bool allocator_stats(const struct allocator *allocator, struct bitmem_stats *stats);
/* "memfd" or "device"; NULL if it is not bitmem. */
const char *allocator_backend(const struct allocator *allocator);
/* Whether a block that was written, freed and allocated again is all zeros. */
bool allocator_zeroes(const struct allocator *allocator);

#endif /* BENCH_ALLOCATOR_H */
