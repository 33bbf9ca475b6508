/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What gcc 12 leaves in an object compiled with -fprofile-arcs: its counters, and what
 * the compiler's own tools must find beside them in a .gcda file.
 */
#ifndef BITMEM_COVERAGE_GCOV_H
#define BITMEM_COVERAGE_GCOV_H

#include <linux/types.h>

#if __GNUC__ != 12
#error "other compilers lay this out differently"
#endif

/* Kinds of counters; the first is that of the arcs between basic blocks. */
#define GCOV_COUNTERS	8

struct gcov_counters {
	unsigned int num;
	s64 *values;
};

/* @key tells whether the function is this object's or has been taken from another one. */
struct gcov_function {
	const struct gcov_object *key;
	unsigned int ident;
	unsigned int lines_checksum;
	unsigned int graph_checksum;
	struct gcov_counters counters[];
};

/* A kind has counters if @merge has a function for it. */
struct gcov_object {
	unsigned int version;
	struct gcov_object *next;
	unsigned int stamp;
	unsigned int checksum;
	const char *filename;
	void (*merge[GCOV_COUNTERS])(s64 *values, unsigned int num);
	unsigned int nr_functions;
	const struct gcov_function *const *functions;
};

void bitmem_gcov_take(struct gcov_object *const *begin, struct gcov_object *const *end);
void __gcov_merge_add(s64 *values, unsigned int num);

#endif /* BITMEM_COVERAGE_GCOV_H */
