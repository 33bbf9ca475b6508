// SPDX-License-Identifier: GPL-2.0
/*
 * Pages, and the files they are written to.
 */
#include "page.h"

#include <cairo-svg.h>
#include <string.h>

#define TITLE 18.0

void page_colour(cairo_t *cr, unsigned int rgb)
{
	cairo_set_source_rgb(cr, (rgb >> 16 & 0xff) / 255.0, (rgb >> 8 & 0xff) / 255.0,
			     (rgb & 0xff) / 255.0);
}

double page_text_width(cairo_t *cr, const char *text)
{
	cairo_text_extents_t extents;

	cairo_text_extents(cr, text, &extents);
	return extents.x_advance;
}

void page_fit(cairo_t *cr, char *text, double width)
{
	char *end = text + strlen(text);

	if (page_text_width(cr, text) <= width)
		return;
	do {
		while (end > text && (*--end & 0xC0) == 0x80)
			;
		strcpy(end, "...");
	} while (end > text && page_text_width(cr, text) > width);
}

void page_text(struct page *page, double x, const char *text, unsigned int rgb)
{
	if (!page->cr)
		return;
	page_colour(page->cr, rgb);
	cairo_move_to(page->cr, x, page->y + PAGE_FONT);
	cairo_show_text(page->cr, text);
}

/* All of it. Returns the height. */
static double draw_page(cairo_t *cr, page_draw_fn draw, const void *what, const char *title)
{
	struct page page = {.cr = cr, .y = PAGE_MARGIN};

	if (cr) {
		cairo_set_source_rgb(cr, 1, 1, 1);
		cairo_paint(cr);
		cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
				       CAIRO_FONT_WEIGHT_NORMAL);
		cairo_set_font_size(cr, TITLE);
	}
	page_text(&page, PAGE_MARGIN, title, PAGE_INK);
	page.y += 2 * PAGE_LINE;
	if (cr)
		cairo_set_font_size(cr, PAGE_FONT);
	draw(&page, what);
	return page.y + PAGE_MARGIN;
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

const char *page_save(page_draw_fn draw, const void *what, const char *title, double width,
		      enum picture_format format, picture_write_fn write, void *to)
{
	struct output output = {.write = write, .to = to};
	double height = draw_page(NULL, draw, what, title);
	cairo_surface_t *surface;
	cairo_status_t status;
	cairo_t *cr;

	if (format == PICTURE_SVG)
		surface = cairo_svg_surface_create_for_stream(write_out, &output, width, height);
	else
		surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
	cr = cairo_create(surface);
	draw_page(cr, draw, what, title);
	status = cairo_status(cr);
	cairo_destroy(cr);
	if (!status && format == PICTURE_PNG)
		status = cairo_surface_write_to_png_stream(surface, write_out, &output);
	cairo_surface_finish(surface);
	if (!status)
		status = cairo_surface_status(surface);
	cairo_surface_destroy(surface);
	return status ? cairo_status_to_string(status) : NULL;
}
