/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What pictures have in common: a white page that is drawn from the top down with cairo. It is
 * laid out twice, first without a surface to learn the height.
 */
#ifndef TOOLS_PICTURE_PAGE_H
#define TOOLS_PICTURE_PAGE_H

#include <cairo.h>

#include "../picture.h"

#define PAGE_MARGIN 24.0
#define PAGE_LINE   20.0
#define PAGE_FONT   13.0
#define PAGE_INK    0x202020u
#define PAGE_PALE   0x606060u

struct page {
	/* NULL while only the height is looked for. */
	cairo_t *cr;
	double y;
};

/* Draws all of @what below page->y, and leaves its end there. */
typedef void (*page_draw_fn)(struct page *page, const void *what);

/* Draws and writes it with @title. NULL, or what went wrong. */
const char *page_save(page_draw_fn draw, const void *what, const char *title, double width,
		      enum picture_format format, picture_write_fn write, void *to);

void page_colour(cairo_t *cr, unsigned int rgb);
double page_text_width(cairo_t *cr, const char *text);

/* Cuts @text, valid UTF-8, until it is no wider than @width with dots behind it. */
void page_fit(cairo_t *cr, char *text, double width);

/* A line of text at page->y. */
void page_text(struct page *page, double x, const char *text, unsigned int rgb);

#endif /* TOOLS_PICTURE_PAGE_H */
