// SPDX-License-Identifier: GPL-2.0
/*
 * Tables. Cells are kept in one array, row after row. A cell wider than
 * MAX_WIDTH sticks out and does not widen its column: one name of 60 KiB must
 * not pad all the others.
 */
#include "table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "text.h"

#define MAX_WIDTH 80
#define GAP	  2

struct table {
	size_t columns;
	bool *right;
	char **cells;
	size_t n_cells;
	size_t room;
	bool failed;
};

struct table *table_new(size_t columns)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = columns;
	table->right = calloc(columns, sizeof(*table->right));
	if (!table->right) {
		free(table);
		return NULL;
	}
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table->right);
	free(table);
}

void table_align_right(struct table *table, size_t column)
{
	table->right[column] = true;
}

static int make_room(struct table *table)
{
	size_t room = table->room ? 2 * table->room : 64;
	char **cells;

	if (table->n_cells < table->room)
		return 0;
	cells = reallocarray(table->cells, room, sizeof(*cells));
	if (!cells)
		return -1;
	table->cells = cells;
	table->room = room;
	return 0;
}

void table_cell(struct table *table, const char *fmt, ...)
{
	va_list args;
	char *text;
	char *safe;
	int length;

	va_start(args, fmt);
	length = vasprintf(&text, fmt, args);
	va_end(args);
	if (length < 0) {
		table->failed = true;
		return;
	}
	safe = text_escape(text);
	free(text);
	if (!safe || make_room(table)) {
		free(safe);
		table->failed = true;
		return;
	}
	table->cells[table->n_cells++] = safe;
}

static size_t *measure(const struct table *table)
{
	size_t *widths = calloc(table->columns, sizeof(*widths));

	if (!widths)
		return NULL;
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t *width = &widths[i % table->columns];
		size_t cell = text_width(table->cells[i]);

		if (cell > *width && cell <= MAX_WIDTH)
			*width = cell;
	}
	return widths;
}

static void print_padding(size_t width, size_t used)
{
	if (used < width)
		printf("%*s", (int)(width - used), "");
}

static void print_row(const struct table *table, char **row, const size_t *widths)
{
	for (size_t i = 0; i < table->columns; i++) {
		size_t used = text_width(row[i]);

		if (i)
			print_padding(GAP, 0);
		if (table->right[i])
			print_padding(widths[i], used);
		fputs(row[i], stdout);
		if (!table->right[i] && i + 1 < table->columns)
			print_padding(widths[i], used);
	}
	putchar('\n');
}

int table_print(const struct table *table)
{
	size_t *widths = table->failed ? NULL : measure(table);

	if (!widths) {
		errno = ENOMEM;
		return -1;
	}
	for (size_t i = 0; i + table->columns <= table->n_cells; i += table->columns)
		print_row(table, &table->cells[i], widths);
	free(widths);
	return 0;
}
