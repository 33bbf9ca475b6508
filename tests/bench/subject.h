/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is compared: bitmem at each level of tracking, and its peers as Debian
 * has them, with their default settings.
 */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum subject_kind { SUBJECT_BITMEM, SUBJECT_PEER, SUBJECT_NULL };

struct subject {
	const char *name;
	enum subject_kind kind;
	/* For a peer: the library that is preloaded, and what it is in. */
	const char *preload, *package;
	/* What a first run told: its library, whether blocks are zeroed. NULL: not there. */
	json_t *about;
};

#define SUBJECTS 8

extern struct subject subjects[SUBJECTS];

/* The index of that name, or -1. */
int subject_find(const char *name);
/* Whether it was chosen and is there. */
bool subject_is_there(size_t index);

#endif /* BENCH_SUBJECT_H */
