/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of tracking share: contexts of a level, sums, and children that report. */
#ifndef BITMEM_TRACK_TEST_H
#define BITMEM_TRACK_TEST_H

#include <bitmem/track.h>

#include "lib_test.h"

/* A context of that level of tracking. */
struct bitmem *track_open(enum bitmem_tracking level);

/* All that is in a snapshot. */
struct bitmem_sum track_sum(const struct bitmem_snapshot *snapshot);

/* Whether a snapshot's sums are what its counters say. */
bool track_agrees(const struct bitmem_snapshot *snapshot);

/* The entry at @ptr that is no view; NULL if there is none. */
const struct bitmem_live *track_find(const struct bitmem_snapshot *snapshot, const void *ptr);

/* Whether a place is line @line of @file, by its last part. */
bool track_is_at(const struct bitmem_place *place, const char *file, unsigned int line);

/* What became of a child, and what it wrote on stderr. */
struct track_child {
	int status;	/* as of waitpid(2) */
	char *text;	/* to be freed */
};

/*
 * Runs @run in a child with BITMEM_LEAKS set to @leaks (NULL: not set), which then exits with what
 * it returned, as a program does that returns from main().
 */
struct track_child track_run(const char *leaks, int (*run)(void *arg), void *arg);

#endif /* BITMEM_TRACK_TEST_H */
