// SPDX-License-Identifier: GPL-2.0
/*
 * Draws the map: squares, a line above each node's, a legend.
 */
#include "../map.h"

#include <stdio.h>

#include "../text.h"
#include "page.h"

#define COLUMNS	 64
#define MAX_ROWS 32
#define PITCH	 14.0
#define SIDE	 12.0
#define WIDTH	 (2 * PAGE_MARGIN + COLUMNS * PITCH)
/* Where the legend's bytes end. */
#define LEGEND_RIGHT (PAGE_MARGIN + 560)

/* --- cells --- */

static void draw_cross(cairo_t *cr, double x, double y)
{
	cairo_set_source_rgb(cr, 1, 1, 1);
	cairo_set_line_width(cr, 2);
	cairo_move_to(cr, x + 3, y + 3);
	cairo_line_to(cr, x + SIDE - 3, y + SIDE - 3);
	cairo_move_to(cr, x + SIDE - 3, y + 3);
	cairo_line_to(cr, x + 3, y + SIDE - 3);
	cairo_stroke(cr);
}

/*
 * What is free or missing is hollow, so that what is used stands out. What is split is its
 * lower half, under a line that closes the square.
 */
static void draw_cell(cairo_t *cr, double x, double y, struct map_cell cell)
{
	double top = cell.split ? SIDE / 2 : 0;
	unsigned int rgb = map_kind_rgb(cell.kind);

	cairo_rectangle(cr, x + 0.5, y + 0.5, SIDE - 1, SIDE - 1);
	page_colour(cr, rgb);
	cairo_set_line_width(cr, 1);
	if (cell.kind == MAP_MISSING) {
		cairo_set_dash(cr, (const double[]){2}, 1, 0);
		cairo_stroke(cr);
		cairo_set_dash(cr, NULL, 0, 0);
		return;
	}
	cairo_stroke(cr);
	if (cell.kind == MAP_ZEROED) {
		cairo_move_to(cr, x, y + top + 0.5);
		cairo_line_to(cr, x + SIDE, y + top + 0.5);
		cairo_stroke(cr);
		return;
	}
	if (cell.kind == MAP_DIRTY)
		cairo_rectangle(cr, x + 3, y + top + (cell.split ? 2 : 3), SIDE - 6,
				SIDE - top - (cell.split ? 4 : 6));
	else
		cairo_rectangle(cr, x, y + top, SIDE, SIDE - top);
	cairo_fill(cr);
	if (cell.kind == MAP_QUARANTINED) {
		cairo_rectangle(cr, x + 0.5, y + 0.5, SIDE - 1, SIDE - 1);
		page_colour(cr, PAGE_PALE);
		cairo_stroke(cr);
	}
	if (cell.kind == MAP_RETIRED)
		draw_cross(cr, x, y);
}

static void draw_cells(struct page *page, const struct map *map, const struct map_node *node,
		       uint64_t unit)
{
	struct map_walk walk;
	size_t total = map_walk_begin(&walk, map, node, unit);

	for (size_t at = 0; page->cr && at < total; at++)
		draw_cell(page->cr, PAGE_MARGIN + (double)(at % COLUMNS) * PITCH,
			  page->y + (double)(at / COLUMNS) * PITCH, map_walk_next(&walk));
	page->y += (double)((total + COLUMNS - 1) / COLUMNS) * PITCH;
}

/* --- parts --- */

static void draw_node(struct page *page, const struct map *map, const struct map_node *node,
		      uint64_t unit)
{
	char capacity[TEXT_SIZE_LEN];
	char free[TEXT_SIZE_LEN];
	char whole[TEXT_SIZE_LEN];
	char split[TEXT_SIZE_LEN];
	char line[256];

	snprintf(line, sizeof(line),
		 "Node %u, %s: %s, %s free, %s of it in whole superblocks; %s split", node->node,
		 node->pools, text_size(node->capacity, capacity), text_size(node->free, free),
		 text_size(node->whole, whole), text_size(node->split, split));
	page_text(page, PAGE_MARGIN, line, PAGE_INK);
	page->y += PAGE_LINE + 2;
	draw_cells(page, map, node, unit);
	page->y += PAGE_LINE;
}

static void draw_entry(struct page *page, const struct map *map, unsigned int kind)
{
	const struct map_legend *legend = &map->legend[kind];
	char bytes[TEXT_SIZE_LEN];
	char text[512];

	if (page->cr) {
		snprintf(text, sizeof(text) - sizeof("..."), "%s", legend->text);
		text_size(legend->bytes, bytes);
		draw_cell(page->cr, PAGE_MARGIN, page->y + 1.5,
			  (struct map_cell){.kind = kind, .split = kind == MAP_MIXED});
		page_fit(page->cr, text, LEGEND_RIGHT - PAGE_MARGIN - 110);
		page_text(page, PAGE_MARGIN + 22, text, PAGE_INK);
		page_text(page, LEGEND_RIGHT - page_text_width(page->cr, bytes), bytes, PAGE_INK);
	}
	page->y += PAGE_LINE;
}

static void draw_scale(struct page *page, const struct map *map, uint64_t unit)
{
	char size[TEXT_SIZE_LEN];
	char line[256];

	snprintf(line, sizeof(line), "A square is %s, %llu %s. %s%s%s", text_size(unit, size),
		 (unsigned long long)(unit / map->superblock),
		 unit == map->superblock ? "superblock" : "superblocks",
		 map->places ? "Squares show shares, not places."
			     : "Half-filled: split into single pages.",
		 map->owners_error ? " Nothing is told of owners: " : "", map->why);
	page->y += PAGE_LINE / 2;
	page_text(page, PAGE_MARGIN, line, PAGE_PALE);
	page->y += PAGE_LINE;
}

static void draw_map(struct page *page, const void *what)
{
	const struct map *map = what;
	uint64_t unit = map_unit(map, (size_t)COLUMNS * MAX_ROWS);

	for (size_t i = 0; i < map->n_nodes; i++)
		draw_node(page, map, &map->nodes[i], unit);
	for (unsigned int i = 0; i < MAP_KINDS; i++) {
		if (map->legend[i].shown)
			draw_entry(page, map, i);
	}
	draw_scale(page, map, unit);
}

const char *picture_map(const void *map, enum picture_format format, picture_write_fn write,
			void *to)
{
	return page_save(draw_map, map, "bitmem: the pools' memory by state and owner", WIDTH,
			 format, write, to);
}
