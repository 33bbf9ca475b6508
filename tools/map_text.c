// SPDX-License-Identifier: GPL-2.0
/*
 * Rows of cells under a line for each node, and a legend.
 */
#include "map_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "output.h"
#include "text.h"

#define MAX_ROWS 16
#define MARGIN	 2
/* Rows are as long as a multiple of this, so that they can be counted by eye. */
#define STEP 8

static const char *glyph(struct map_cell cell)
{
	switch (cell.kind) {
	case MAP_QUARANTINED:
		return "▓";
	case MAP_RETIRED:
		return "×";
	case MAP_DIRTY:
		return cell.split ? "░" : "▒";
	case MAP_ZEROED:
		return cell.split ? "▫" : "□";
	case MAP_MISSING:
		return "·";
	default:
		return cell.split ? "▄" : "■";
	}
}

static void print_cells(const struct map_style *style, struct map_cell cell, size_t n)
{
	if (style->colour)
		printf("\033[38;5;%um", map_kind_colour(cell.kind));
	for (size_t i = 0; i < n; i++) {
		if (style->blocks)
			fputs(glyph(cell), stdout);
		else
			putchar(map_cell_letter(cell));
	}
	if (style->colour)
		fputs("\033[0m", stdout);
}

static bool same_cell(struct map_cell a, struct map_cell b)
{
	return a.kind == b.kind && a.split == b.split;
}

static void print_node_line(const struct map_node *node)
{
	char capacity[TEXT_SIZE_LEN];
	char free[TEXT_SIZE_LEN];
	char whole[TEXT_SIZE_LEN];
	char split[TEXT_SIZE_LEN];

	printf("node %u, %s: %s, %s free", node->node, node->pools,
	       text_size(node->capacity, capacity), text_size(node->free, free));
	if (node->free)
		printf(" (%s in whole superblocks)", text_size(node->whole, whole));
	if (node->split)
		printf(", %s split", text_size(node->split, split));
	putchar('\n');
}

static void print_rows(const struct map *map, const struct map_node *node,
		       const struct map_style *style, uint64_t unit, size_t row)
{
	struct map_walk walk;
	size_t total = map_walk_begin(&walk, map, node, unit);
	struct map_cell cell = total ? map_walk_next(&walk) : (struct map_cell){0};
	size_t at = 0;

	while (at < total) {
		struct map_cell next = cell;
		size_t n = 0;

		if (at % row == 0)
			printf("%*s", MARGIN, "");
		/* Cells that are alike want one change of colours. */
		do {
			n++;
			at++;
			if (at < total)
				next = map_walk_next(&walk);
		} while (at < total && at % row && same_cell(next, cell));
		print_cells(style, cell, n);
		cell = next;
		if (at % row == 0 || at == total)
			putchar('\n');
	}
}

static void print_legend(const struct map *map, const struct map_style *style)
{
	char size[TEXT_SIZE_LEN];
	size_t widest = 0;

	for (unsigned int i = 0; i < MAP_KINDS; i++) {
		if (map->legend[i].shown && text_width(map->legend[i].text) > widest)
			widest = text_width(map->legend[i].text);
	}
	for (unsigned int i = 0; i < MAP_KINDS; i++) {
		const struct map_legend *legend = &map->legend[i];

		if (!legend->shown)
			continue;
		printf("%*s", MARGIN, "");
		print_cells(style, (struct map_cell){.kind = i, .split = i == MAP_MIXED}, 1);
		printf(" %s%*s  %10s\n", legend->text, (int)(widest - text_width(legend->text)), "",
		       text_size(legend->bytes, size));
	}
}

static void print_scale(const struct map *map, const struct map_style *style, uint64_t unit)
{
	char size[TEXT_SIZE_LEN];
	uint64_t superblocks = unit / map->superblock;

	printf("A cell is %s", text_size(unit, size));
	if (superblocks > 1)
		printf(", %llu superblocks", (unsigned long long)superblocks);
	else
		fputs(", a superblock", stdout);
	if (map->places)
		puts("; cells show shares, not places.");
	else
		printf("; %s are split into single pages.\n",
		       style->blocks ? "low and small ones"
				     : "small letters, commas and semicolons");
	if (map->places == -EPERM)
		puts("Whose each superblock is is told to root (CAP_SYS_ADMIN) only.");
	if (map->places == -EOPNOTSUPP)
		puts("The module is older than this program, and does not tell of superblocks.");
	if (map->owners_error)
		printf("Nothing is told of owners: %s.\n", map->why);
}

int map_print(const struct map *map, const struct map_style *style)
{
	size_t row = style->columns > MARGIN + STEP ? style->columns - MARGIN : STEP;
	uint64_t unit;

	row -= row % STEP;
	unit = map_unit(map, row * MAX_ROWS);
	for (size_t i = 0; i < map->n_nodes; i++) {
		print_node_line(&map->nodes[i]);
		print_rows(map, &map->nodes[i], style, unit, row);
		putchar('\n');
	}
	print_legend(map, style);
	putchar('\n');
	print_scale(map, style, unit);
	return output_flush();
}
