/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of text with a header, aligned when it is printed.
 */
#ifndef TOOLS_TABLE_H
#define TOOLS_TABLE_H

#include <stddef.h>

struct table;

/* A table of @columns columns. NULL with ENOMEM. */
struct table *table_new(size_t columns);
void table_free(struct table *table);

/* Numbers: the column is aligned to the right. */
void table_align_right(struct table *table, size_t column);

/*
 * Adds the next cell, row by row; the first row is the header. Unsafe characters
 * are escaped. A failure is remembered for table_print().
 */
void table_cell(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the rows on stdout. 0, or -1 with ENOMEM if a cell could not be kept. */
int table_print(const struct table *table);

#endif /* TOOLS_TABLE_H */
