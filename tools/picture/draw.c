// SPDX-License-Identifier: GPL-2.0
/*
 * Draws the map with cairo: squares, a line above each node's, a legend. Laid out twice, first
 * without a surface to learn the height.
 */
#include "../picture.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <stdio.h>
#include <string.h>

#include "../text.h"

#define COLUMNS	 64
#define MAX_ROWS 32
#define PITCH	 14.0
#define SIDE	 12.0
#define MARGIN	 24.0
#define LINE	 20.0
#define FONT	 13.0
#define TITLE	 18.0
#define WIDTH	 (2 * MARGIN + COLUMNS * PITCH)
/* Where the legend's bytes end. */
#define LEGEND_RIGHT (MARGIN + 560)
#define INK	     0x202020u
#define PALE	     0x606060u

struct page {
	/* NULL while only the height is looked for. */
	cairo_t *cr;
	const struct map *map;
	double y;
};

static void set_colour(cairo_t *cr, unsigned int rgb)
{
	cairo_set_source_rgb(cr, (rgb >> 16 & 0xff) / 255.0, (rgb >> 8 & 0xff) / 255.0,
			     (rgb & 0xff) / 255.0);
}

static double width_of(cairo_t *cr, const char *text)
{
	cairo_text_extents_t extents;

	cairo_text_extents(cr, text, &extents);
	return extents.x_advance;
}

/* Cuts @text, valid UTF-8, until it is no wider than @width with dots behind it. */
static void fit(cairo_t *cr, char *text, double width)
{
	char *end = text + strlen(text);

	if (width_of(cr, text) <= width)
		return;
	do {
		while (end > text && (*--end & 0xC0) == 0x80)
			;
		strcpy(end, "...");
	} while (end > text && width_of(cr, text) > width);
}

static void draw_text(struct page *page, double x, const char *text, unsigned int rgb)
{
	if (!page->cr)
		return;
	set_colour(page->cr, rgb);
	cairo_move_to(page->cr, x, page->y + FONT);
	cairo_show_text(page->cr, text);
}

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
	set_colour(cr, rgb);
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
		set_colour(cr, PALE);
		cairo_stroke(cr);
	}
	if (cell.kind == MAP_RETIRED)
		draw_cross(cr, x, y);
}

static void draw_cells(struct page *page, const struct map_node *node, uint64_t unit)
{
	struct map_walk walk;
	size_t total = map_walk_begin(&walk, page->map, node, unit);

	for (size_t at = 0; page->cr && at < total; at++)
		draw_cell(page->cr, MARGIN + (double)(at % COLUMNS) * PITCH,
			  page->y + (double)(at / COLUMNS) * PITCH, map_walk_next(&walk));
	page->y += (double)((total + COLUMNS - 1) / COLUMNS) * PITCH;
}

/* --- parts --- */

static void draw_node(struct page *page, const struct map_node *node, uint64_t unit)
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
	draw_text(page, MARGIN, line, INK);
	page->y += LINE + 2;
	draw_cells(page, node, unit);
	page->y += LINE;
}

static void draw_entry(struct page *page, unsigned int kind)
{
	const struct map_legend *legend = &page->map->legend[kind];
	char bytes[TEXT_SIZE_LEN];
	char text[512];

	if (page->cr) {
		snprintf(text, sizeof(text) - sizeof("..."), "%s", legend->text);
		text_size(legend->bytes, bytes);
		draw_cell(page->cr, MARGIN, page->y + 1.5,
			  (struct map_cell){.kind = kind, .split = kind == MAP_MIXED});
		fit(page->cr, text, LEGEND_RIGHT - MARGIN - 110);
		draw_text(page, MARGIN + 22, text, INK);
		draw_text(page, LEGEND_RIGHT - width_of(page->cr, bytes), bytes, INK);
	}
	page->y += LINE;
}

static void draw_scale(struct page *page, uint64_t unit)
{
	char size[TEXT_SIZE_LEN];
	char line[256];

	snprintf(line, sizeof(line), "A square is %s, %llu %s. %s%s", text_size(unit, size),
		 (unsigned long long)(unit / page->map->superblock),
		 unit == page->map->superblock ? "superblock" : "superblocks",
		 page->map->places ? "Squares show shares, not places."
				   : "Half-filled: split into single pages.",
		 page->map->owners ? "" : " Nothing is told of owners here.");
	page->y += LINE / 2;
	draw_text(page, MARGIN, line, PALE);
	page->y += LINE;
}

/* All of it. Returns the height. */
static double draw_page(cairo_t *cr, const struct map *map)
{
	struct page page = {.cr = cr, .map = map, .y = MARGIN};
	uint64_t unit = map_unit(map, (size_t)COLUMNS * MAX_ROWS);

	if (cr) {
		cairo_set_source_rgb(cr, 1, 1, 1);
		cairo_paint(cr);
		cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
				       CAIRO_FONT_WEIGHT_NORMAL);
		cairo_set_font_size(cr, TITLE);
	}
	draw_text(&page, MARGIN, "bitmem: the pools' memory by state and owner", INK);
	page.y += 2 * LINE;
	if (cr)
		cairo_set_font_size(cr, FONT);
	for (size_t i = 0; i < map->n_nodes; i++)
		draw_node(&page, &map->nodes[i], unit);
	for (unsigned int i = 0; i < MAP_KINDS; i++) {
		if (map->legend[i].shown)
			draw_entry(&page, i);
	}
	draw_scale(&page, unit);
	return page.y + MARGIN;
}

/* --- files --- */

struct output {
	picture_write_fn write;
	void *to;
};

static cairo_status_t write_out(void *closure, const unsigned char *data, unsigned int length)
{
	const struct output *output = closure;

	return output->write(data, length, output->to) ? CAIRO_STATUS_WRITE_ERROR
						       : CAIRO_STATUS_SUCCESS;
}

static cairo_status_t draw_on(cairo_surface_t *surface, const struct map *map)
{
	cairo_t *cr = cairo_create(surface);
	cairo_status_t status;

	draw_page(cr, map);
	status = cairo_status(cr);
	cairo_destroy(cr);
	return status;
}

const char *picture_draw(const struct map *map, enum picture_format format, picture_write_fn write,
			 void *to)
{
	struct output output = {.write = write, .to = to};
	double height = draw_page(NULL, map);
	cairo_surface_t *surface;
	cairo_status_t status;

	if (format == PICTURE_SVG)
		surface = cairo_svg_surface_create_for_stream(write_out, &output, WIDTH, height);
	else
		surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)WIDTH, (int)height);
	status = draw_on(surface, map);
	if (!status && format == PICTURE_PNG)
		status = cairo_surface_write_to_png_stream(surface, write_out, &output);
	cairo_surface_finish(surface);
	if (!status)
		status = cairo_surface_status(surface);
	cairo_surface_destroy(surface);
	return status ? cairo_status_to_string(status) : NULL;
}
