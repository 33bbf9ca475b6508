// SPDX-License-Identifier: GPL-2.0
/*
 * Draws a trace: what files had, stacked, over time; marks for what else happened; a bar for
 * each buffer from its birth to its end; a legend.
 */
#include "../timeline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../map.h"
#include "../text.h"
#include "page.h"

#define LEFT	     (PAGE_MARGIN + 76)
#define WIDTH	     (LEFT + TIMELINE_COLUMNS + PAGE_MARGIN)
#define AREA_HEIGHT  220.0
#define MARKS_HEIGHT 14.0
#define LANE_PITCH   15.0
#define LANE_HEIGHT  13.0
#define SMALL	     10.0
#define GRID	     0xd8d8d8u
/* Narrower bars have no name in them. */
#define NAME_WIDTH 40.0
/* Where the legend's bytes end. */
#define LEGEND_RIGHT (PAGE_MARGIN + 560)
#define TICKS	     10

/* Kinds of events that have marks. */
static const struct mark {
	enum trace_kind kind;
	unsigned int rgb;
	const char *one;
	const char *many;
} marks[] = {
	{TRACE_RECLAIM, 0xd00000, "file closed with buffers in it",
	 "files closed with buffers in them"},
	{TRACE_PRESSURE, 0xff8700, "change of a pool's level", "changes of pools' levels"},
	{TRACE_SHRINK, 0x0087ff, "time memory went back to the system",
	 "times memory went back to the system"},
	{TRACE_QUARANTINE, 0xc0a000, "change of what is quarantined",
	 "changes of what is quarantined"},
	{TRACE_COMPACT, 0x8700d7, "compaction", "compactions"},
};

#define N_MARKS (sizeof(marks) / sizeof(marks[0]))

static double x_of(const struct timeline *timeline, uint64_t ns)
{
	if (ns > timeline->ns)
		ns = timeline->ns;
	return LEFT + (double)ns / (double)timeline->ns * TIMELINE_COLUMNS;
}

/* Bytes between two lines of the grid: a power of two, so that there are few. */
static uint64_t bytes_step(uint64_t peak)
{
	uint64_t step = 4096;

	while (peak / step >= 5)
		step *= 2;
	return step;
}

/* 1, 2 or 5 times a power of ten. */
static double seconds_step(double seconds)
{
	double step = pow(10, floor(log10(seconds)) - 1);

	if (seconds / step > 5 * TICKS)
		return 10 * step;
	if (seconds / step > 2 * TICKS)
		return 5 * step;
	return seconds / step > TICKS ? 2 * step : step;
}

static void draw_line(cairo_t *cr, double x, double y, double to_x, double to_y)
{
	page_colour(cr, GRID);
	cairo_set_line_width(cr, 1);
	cairo_move_to(cr, x, y);
	cairo_line_to(cr, to_x, to_y);
	cairo_stroke(cr);
}

/* --- what files had --- */

static void draw_bytes_axis(struct page *page, uint64_t step, uint64_t top)
{
	char size[TEXT_SIZE_LEN];
	double bottom = page->y + AREA_HEIGHT;

	for (uint64_t at = 0; at <= top; at += step) {
		double y = floor(bottom - (double)at / (double)top * AREA_HEIGHT) + 0.5;
		struct page line = {.cr = page->cr, .y = y - PAGE_FONT + 4};

		draw_line(page->cr, LEFT, y, LEFT + TIMELINE_COLUMNS, y);
		text_size(at, size);
		page_text(&line, LEFT - 6 - page_text_width(page->cr, size), size, PAGE_PALE);
	}
}

static void draw_time_axis(struct page *page, const struct timeline *timeline)
{
	double seconds = (double)timeline->ns / 1e9;
	double step = seconds_step(seconds);
	char text[32];

	for (double at = 0; at <= seconds * 1.0001; at += step) {
		double x = LEFT + at / seconds * TIMELINE_COLUMNS;
		double width;

		snprintf(text, sizeof(text), "%g s", at);
		width = page_text_width(page->cr, text);
		if (x + width / 2 < WIDTH)
			page_text(page, x - width / 2, text, PAGE_PALE);
		draw_line(page->cr, floor(x) + 0.5, page->y - 4, floor(x) + 0.5, page->y);
	}
}

/* Of kinds below @kinds, in column @i, from the axis on. */
static double height_of(const struct timeline *timeline, size_t i, unsigned int kinds, uint64_t top)
{
	uint64_t bytes = 0;

	for (unsigned int kind = 0; kind < kinds; kind++)
		bytes += timeline->columns[i].bytes[kind];
	return (double)bytes / (double)top * AREA_HEIGHT;
}

/* Along one edge of a kind's area: to the right above it, to the left below it. */
static void draw_edge(cairo_t *cr, const struct timeline *timeline, unsigned int kinds,
		      uint64_t top, double bottom, bool back)
{
	double before = -1;

	for (size_t n = 0; n < TIMELINE_COLUMNS; n++) {
		size_t i = back ? TIMELINE_COLUMNS - 1 - n : n;
		double x = LEFT + (double)i + back;
		double height = height_of(timeline, i, kinds, top);

		if (height == before)
			continue;
		if (before >= 0)
			cairo_line_to(cr, x, bottom - before);
		cairo_line_to(cr, x, bottom - height);
		before = height;
	}
	cairo_line_to(cr, back ? LEFT : LEFT + TIMELINE_COLUMNS, bottom - before);
}

static void draw_area(struct page *page, const struct timeline *timeline)
{
	uint64_t step = bytes_step(timeline->peak);
	uint64_t top = (timeline->peak / step + 1) * step;
	double bottom = page->y + AREA_HEIGHT;

	if (page->cr) {
		draw_bytes_axis(page, step, top);
		for (unsigned int kind = 0; kind < TIMELINE_KINDS; kind++) {
			/* Text leaves a point behind. */
			cairo_new_path(page->cr);
			draw_edge(page->cr, timeline, kind + 1, top, bottom, false);
			draw_edge(page->cr, timeline, kind, top, bottom, true);
			page_colour(page->cr, map_kind_rgb(kind));
			cairo_fill(page->cr);
		}
	}
	page->y = bottom + 2;
}

/* --- marks --- */

static void draw_mark(cairo_t *cr, double x, double y, unsigned int rgb)
{
	cairo_move_to(cr, x, y);
	cairo_line_to(cr, x + 4, y + MARKS_HEIGHT - 4);
	cairo_line_to(cr, x - 4, y + MARKS_HEIGHT - 4);
	cairo_close_path(cr);
	page_colour(cr, rgb);
	cairo_fill(cr);
}

/* One that would be on the one before it is left out. */
static void draw_marks(struct page *page, const struct timeline *timeline)
{
	for (size_t m = 0; page->cr && m < N_MARKS; m++) {
		double before = -1;

		for (size_t i = 0; i < timeline->n_events; i++) {
			double x = x_of(timeline, timeline->events[i].ns);

			if (timeline->events[i].kind != marks[m].kind || x < before + 1)
				continue;
			draw_mark(page->cr, x, page->y, marks[m].rgb);
			before = x;
		}
	}
	page->y += MARKS_HEIGHT;
	if (page->cr)
		draw_time_axis(page, timeline);
	page->y += PAGE_LINE + 6;
}

/* --- buffers --- */

static void draw_name(cairo_t *cr, double x, double y, double width, const char *tag)
{
	char *name = *tag ? text_escape(tag) : NULL;
	char text[sizeof(((struct timeline_buffer *)0)->tag) * 4 + sizeof("...")];

	if (!name)
		return;
	snprintf(text, sizeof(text) - sizeof("..."), "%s", name);
	free(name);
	cairo_set_font_size(cr, SMALL);
	page_fit(cr, text, width - 6);
	page_colour(cr, PAGE_INK);
	cairo_move_to(cr, x + 3, y + SMALL);
	cairo_show_text(cr, text);
	cairo_set_font_size(cr, PAGE_FONT);
}

static void draw_buffer(struct page *page, const struct timeline *timeline,
			const struct timeline_buffer *buffer, double *drawn_to)
{
	const struct timeline_file *file = timeline_file(timeline, buffer->file);
	double x = x_of(timeline, buffer->born);
	double end = x_of(timeline, buffer->died);
	double y = page->y + buffer->lane * LANE_PITCH;

	if (end < x + 1)
		end = x + 1;
	/* What is no wider than what is under it already. */
	if (end <= *drawn_to)
		return;
	*drawn_to = end;
	cairo_rectangle(page->cr, x, y, end - x, LANE_HEIGHT);
	page_colour(page->cr, map_kind_rgb(file->kind));
	cairo_fill(page->cr);
	/* So that neighbours can be told apart. */
	if (end > x + 3) {
		page_colour(page->cr, 0xffffff);
		cairo_rectangle(page->cr, end - 1, y, 1, LANE_HEIGHT);
		cairo_fill(page->cr);
	}
	if (end - x >= NAME_WIDTH)
		draw_name(page->cr, x, y, end - x, buffer->tag);
}

static void draw_buffers(struct page *page, const struct timeline *timeline)
{
	double drawn_to[TIMELINE_LANES] = {0};
	char line[128];
	int n;

	n = snprintf(line, sizeof(line), "%zu %s", timeline->n_buffers,
		     timeline->n_buffers == 1 ? "buffer" : "buffers");
	if (timeline->no_lane)
		snprintf(line + n, sizeof(line) - (size_t)n, "; no room here for %zu of them",
			 timeline->no_lane);
	page_text(page, LEFT, line, PAGE_INK);
	page->y += PAGE_LINE + 2;
	for (size_t i = 0; page->cr && i < timeline->n_buffers; i++) {
		const struct timeline_buffer *buffer = &timeline->buffers[i];

		if (buffer->lane != TIMELINE_NO_LANE)
			draw_buffer(page, timeline, buffer, &drawn_to[buffer->lane]);
	}
	page->y += timeline->lanes * LANE_PITCH + PAGE_LINE;
}

/* --- legend --- */

static void draw_entry(struct page *page, unsigned int kind, char *text, uint64_t peak)
{
	char bytes[TEXT_SIZE_LEN];

	if (page->cr) {
		cairo_rectangle(page->cr, PAGE_MARGIN, page->y + 2, 12, 12);
		page_colour(page->cr, map_kind_rgb(kind));
		cairo_fill(page->cr);
		page_fit(page->cr, text, LEGEND_RIGHT - PAGE_MARGIN - 110);
		page_text(page, PAGE_MARGIN + 22, text, PAGE_INK);
		text_size(peak, bytes);
		page_text(page, LEGEND_RIGHT - page_text_width(page->cr, bytes), bytes, PAGE_INK);
	}
	page->y += PAGE_LINE;
}

static void draw_file(struct page *page, const struct timeline_file *file)
{
	char *comm = text_escape(file->comm);
	char text[256];

	snprintf(text, sizeof(text) - sizeof("..."), "%s%spid %d, file %llu", comm ? comm : "",
		 comm && *comm ? ", " : "", file->pid, (unsigned long long)file->file);
	free(comm);
	draw_entry(page, file->kind, text, file->peak);
}

static void draw_files(struct page *page, const struct timeline *timeline)
{
	uint64_t others = 0;
	char text[64];

	for (unsigned int kind = 0; kind < TIMELINE_FILES; kind++) {
		for (size_t i = 0; i < timeline->n_files; i++) {
			if (timeline->files[i].kind == kind)
				draw_file(page, &timeline->files[i]);
		}
	}
	for (size_t i = 0; i < TIMELINE_COLUMNS; i++) {
		if (others < timeline->columns[i].bytes[TIMELINE_OTHERS])
			others = timeline->columns[i].bytes[TIMELINE_OTHERS];
	}
	if (timeline->n_files <= TIMELINE_FILES)
		return;
	snprintf(text, sizeof(text) - sizeof("..."), "%zu other files, together",
		 timeline->n_files - TIMELINE_FILES);
	draw_entry(page, MAP_OTHERS, text, others);
}

static void draw_counts(struct page *page, const struct timeline *timeline)
{
	char line[160];

	for (size_t i = 0; i < N_MARKS; i++) {
		uint64_t n = timeline->counts[marks[i].kind];

		if (!n)
			continue;
		snprintf(line, sizeof(line), "%llu %s", (unsigned long long)n,
			 n == 1 ? marks[i].one : marks[i].many);
		if (page->cr)
			draw_mark(page->cr, PAGE_MARGIN + 6, page->y + 2, marks[i].rgb);
		page_text(page, PAGE_MARGIN + 22, line, PAGE_INK);
		page->y += PAGE_LINE;
	}
	page->y += PAGE_LINE / 2;
	snprintf(line, sizeof(line),
		 "Bytes of files are the most each had. %llu allocated, %llu freed, %llu there "
		 "before.",
		 (unsigned long long)timeline->counts[TRACE_ALLOC],
		 (unsigned long long)timeline->counts[TRACE_FREE],
		 (unsigned long long)timeline->counts[TRACE_HELD]);
	page_text(page, PAGE_MARGIN, line, PAGE_PALE);
	page->y += PAGE_LINE;
	if (!timeline->lost)
		return;
	snprintf(line, sizeof(line), "%llu events were lost: this is not all of it.",
		 (unsigned long long)timeline->lost);
	page_text(page, PAGE_MARGIN, line, marks[0].rgb);
	page->y += PAGE_LINE;
}

static void draw_timeline(struct page *page, const void *what)
{
	const struct timeline *timeline = what;

	draw_area(page, timeline);
	draw_marks(page, timeline);
	draw_buffers(page, timeline);
	draw_files(page, timeline);
	draw_counts(page, timeline);
}

const char *picture_timeline(const void *timeline, enum picture_format format,
			     picture_write_fn write, void *to)
{
	return page_save(draw_timeline, timeline, "bitmem: allocations over time", WIDTH, format,
			 write, to);
}
