// SPDX-License-Identifier: GPL-2.0
/*
 * top on a terminal.
 */
#include <curses.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "counters.h"
#include "output.h"
#include "progress.h"
#include "stop.h"
#include "terminal.h"
#include "text.h"
#include "top_view.h"

#define LINE_LEN  1024
#define MIN_DELAY 0.1
#define MAX_DELAY 60.0
/* Reads of an empty input in a row that mean that nobody is there any more. */
#define GONE 3

enum colour {
	COLOUR_USED = 1,
	COLOUR_QUARANTINED,
	COLOUR_DIRTY,
	COLOUR_LOW,
	COLOUR_EMERGENCY,
};

struct view {
	struct top *top;
	double seconds;
	/* The first holder shown. */
	size_t first;
	/* Rows for holders, as of the last drawing. */
	size_t rows;
	bool help;
	bool quit;
	int gone;
};

static void start_colours(void)
{
	if (!has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	init_pair(COLOUR_USED, COLOR_GREEN, -1);
	init_pair(COLOUR_QUARANTINED, COLOR_YELLOW, -1);
	init_pair(COLOUR_DIRTY, COLOR_BLUE, -1);
	init_pair(COLOUR_LOW, COLOR_YELLOW, -1);
	init_pair(COLOUR_EMERGENCY, COLOR_RED, -1);
}

/* A line, cut at the screen's edge, with nothing left of what was there. */
static void put_line(int y, attr_t attributes, const char *text)
{
	if (y >= LINES)
		return;
	attrset(attributes);
	mvaddnstr(y, 0, text, COLS);
	if (attributes & A_REVERSE) {
		for (int x = getcurx(stdscr); getcury(stdscr) == y && x < COLS; x++)
			mvaddch(y, x, ' ');
	}
	attrset(A_NORMAL);
}

/* --- pools --- */

static int bar_part(uint64_t bytes, uint64_t capacity, int width)
{
	int n = capacity ? (int)((double)bytes / (double)capacity * width + 0.5) : 0;

	return bytes && !n ? 1 : n;
}

static int put_part(int y, int x, int end, int n, chtype sign, int colour)
{
	attrset(COLOR_PAIR(colour) | A_BOLD);
	for (; n > 0 && x < end; n--, x++)
		mvaddch(y, x, sign);
	attrset(A_NORMAL);
	return x;
}

/* What is in buffers, in quarantine, and to be zeroed; what is empty is free. */
static void put_bar(int y, int x, int width, const struct bitmem_pool_info *pool)
{
	uint64_t capacity = pool->out_capacity;
	int end = x + width - 1;

	mvaddch(y, x++, '[');
	mvaddch(y, end, ']');
	width -= 2;
	x = put_part(y, x, end, bar_part(pool->out_allocated, capacity, width), '|', COLOUR_USED);
	x = put_part(y, x, end, bar_part(pool->out_quarantined, capacity, width), '%',
		     COLOUR_QUARANTINED);
	put_part(y, x, end, bar_part(pool->out_dirty, capacity, width), ':', COLOUR_DIRTY);
}

static attr_t level_attributes(unsigned int level)
{
	switch (level) {
	case BITMEM_LEVEL_NONE:
		return A_NORMAL;
	case BITMEM_LEVEL_LOW:
		return COLOR_PAIR(COLOUR_LOW) | A_BOLD;
	default:
		return COLOR_PAIR(COLOUR_EMERGENCY) | A_BOLD;
	}
}

/* What stands behind the bar, and the name of each figure above it. */
#define POOL_FIGURES "%10s %10s %7s %8s %6s %13s"
#define POOL_WIDTH   60
#define POOL_BAR     20

static void put_pool_header(int y)
{
	char line[LINE_LEN];
	int bar = COLS - POOL_BAR - POOL_WIDTH;

	snprintf(line, sizeof(line), "%4s %4s %-9s %-*s" POOL_FIGURES, "POOL", "NODE", "LEVEL",
		 bar > 0 ? bar : 0, "", "ALLOCATED", "CAPACITY", "QUARANT", "ALLOCS/S", "FAIL/S",
		 "CHANGE");
	put_line(y, A_REVERSE, line);
}

static void put_pool(const struct top *top, int y, uint32_t i)
{
	const struct bitmem_pool_info *pool = &top->now.pools[i];
	struct top_rates rates = top_pool_rates(top, i);
	char allocated[TEXT_SIZE_LEN];
	char capacity[TEXT_SIZE_LEN];
	char quarantined[TEXT_SIZE_LEN];
	char allocs[TOP_CHANGE_LEN];
	char failures[TOP_CHANGE_LEN];
	char change[TOP_CHANGE_LEN];
	char line[LINE_LEN];
	int bar = COLS - POOL_BAR - POOL_WIDTH;

	snprintf(line, sizeof(line), "%4u %4d", pool->index, pool->out_node);
	put_line(y, A_NORMAL, line);
	attrset(level_attributes(pool->out_level));
	mvaddnstr(y, 10, counters_filling(pool) ? "filling" : counters_level(pool->out_level),
		  COLS > 10 ? COLS - 10 : 0);
	attrset(A_NORMAL);
	if (bar > 8)
		put_bar(y, POOL_BAR, bar, pool);
	snprintf(line, sizeof(line), POOL_FIGURES, text_size(pool->out_allocated, allocated),
		 text_size(pool->out_capacity, capacity),
		 text_size(pool->out_quarantined, quarantined), top_rate(top, rates.allocs, allocs),
		 top_rate(top, rates.failures, failures), top_change(top, rates.change, change));
	if (COLS > POOL_BAR)
		mvaddnstr(y, POOL_BAR + (bar > 0 ? bar : 0), line,
			  COLS - POOL_BAR - (bar > 0 ? bar : 0));
}

/* Returns the next free line. The holders get half of the screen at least. */
static int put_pools(const struct view *view, int y)
{
	uint32_t n = view->top->device->info.out_pools;
	uint32_t room = LINES / 2 - y - 1 > 1 ? (uint32_t)(LINES / 2 - y - 1) : 1;
	char line[LINE_LEN];

	put_pool_header(y++);
	for (uint32_t i = 0; i < n; i++) {
		if (i + 1 == room && n > room) {
			snprintf(line, sizeof(line), "     ... and %u more pools", n - i);
			put_line(y++, A_DIM, line);
			break;
		}
		put_pool(view->top, y++, i);
	}
	return y + 1;
}

/* --- holders --- */

#define HOLDER_COMM    15
#define HOLDER_FIGURES "%5s %7s %s%*s %7s %10s %13s %7s %3s %3s %s"
#define HOLDER_WIDTH   82

static void put_holder_header(const struct view *view, int y)
{
	char line[LINE_LEN];

	snprintf(line, sizeof(line), HOLDER_FIGURES, "FILE", "PID", "COMM", HOLDER_COMM - 4, "",
		 "BUFFERS", "BYTES", "CHANGE", "AGE", "EXP", "PUB", "TAG");
	put_line(y, A_REVERSE, line);
	snprintf(line, sizeof(line), " by %s%s ", top_key_name(view->top->key),
		 view->top->reverse ? ", rev." : "");
	if (COLS >= (int)strlen(line) + HOLDER_WIDTH) {
		attrset(A_REVERSE | A_BOLD);
		mvaddstr(y, COLS - (int)strlen(line), line);
		attrset(A_NORMAL);
	}
}

/* Cuts @text to so many columns of the screen at most. Returns how many it has. */
static int fit_columns(char *text, int columns)
{
	mbstate_t state = {0};
	int used = 0;

	while (*text) {
		wchar_t wide;
		size_t n = mbrtowc(&wide, text, MB_CUR_MAX, &state);
		int width = 1;

		/* Where the locale does not know it, a byte is a column, as ncurses has it. */
		if (n == 0 || n > MB_CUR_MAX) {
			state = (mbstate_t){0};
			n = 1;
		} else if (wcwidth(wide) >= 0) {
			width = wcwidth(wide);
		}
		if (used + width > columns)
			break;
		used += width;
		text += n;
	}
	*text = '\0';
	return used;
}

static void put_holder(const struct top *top, int y, const struct top_holder *holder)
{
	const struct owner *owner = holder->owner;
	char *comm = text_escape(owner->comm);
	char *tag = text_escape(owner->tag);
	char numbers[5][24];
	char change[TOP_CHANGE_LEN];
	char size[TEXT_SIZE_LEN];
	char age[TEXT_AGE_LEN];
	char line[LINE_LEN];
	int padding;

	padding = HOLDER_COMM - (comm && *comm ? fit_columns(comm, HOLDER_COMM) : 1);
	snprintf(numbers[0], sizeof(numbers[0]), "%" PRIu64, owner->file);
	snprintf(numbers[1], sizeof(numbers[1]), owner->pid ? "%u" : "-", owner->pid);
	snprintf(numbers[2], sizeof(numbers[2]), "%" PRIu64, owner->buffers);
	snprintf(numbers[3], sizeof(numbers[3]), "%" PRIu64, owner->exported);
	snprintf(numbers[4], sizeof(numbers[4]), "%" PRIu64, owner->published);
	snprintf(line, sizeof(line), HOLDER_FIGURES, numbers[0], numbers[1],
		 comm && *comm ? comm : "-", padding, "", numbers[2], text_size(owner->bytes, size),
		 top_change(top, holder->change, change), text_age(owner->age_ms, age), numbers[3],
		 numbers[4], tag ? tag : "");
	put_line(y, owner->closed ? A_DIM : A_NORMAL, line);
	free(comm);
	free(tag);
}

static void put_holders(struct view *view, int y)
{
	const struct top *top = view->top;
	char why[OWNERS_WHY_LEN];
	char line[LINE_LEN];
	size_t last;

	put_holder_header(view, y++);
	view->rows = LINES - 1 > y ? (size_t)(LINES - 1 - y) : 0;
	last = top->n_holders > view->rows ? top->n_holders - view->rows : 0;
	if (view->first > last)
		view->first = last;
	for (size_t i = view->first; i < top->n_holders && i < view->first + view->rows; i++)
		put_holder(top, y++, &top->holders[i]);
	if (top->n_holders || !view->rows)
		return;
	snprintf(line, sizeof(line), "  %s",
		 top->now.owners_error ? owners_why(top->now.owners_error, why)
				       : "nobody that may be told of here");
	put_line(y, A_DIM, line);
}

/* --- the screen --- */

static void put_summary(const struct view *view)
{
	char a[TEXT_SIZE_LEN];
	char b[TEXT_SIZE_LEN];
	char c[TEXT_SIZE_LEN];
	char line[LINE_LEN];
	char clock[16];
	uint64_t capacity;
	uint64_t allocated;
	uint64_t unseen;
	time_t now = time(NULL);
	struct tm tm;
	int n;

	top_totals(view->top, &capacity, &allocated, &unseen);
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &tm));
	n = snprintf(line, sizeof(line), "bitmem top  %s  every %g s  %s of %s allocated (%.0f%%)",
		     clock, view->seconds, text_size(allocated, a), text_size(capacity, b),
		     capacity ? 100.0 * (double)allocated / (double)capacity : 0.0);
	if (unseen)
		snprintf(line + n, sizeof(line) - (size_t)n, ", %s by files not told of here",
			 text_size(unseen, c));
	put_line(0, A_BOLD, line);
}

static void put_help(void)
{
	static const char *const lines[] = {
		"Keys",
		"",
		"  q            quit",
		"  b c n a p    sort by bytes, change, number of buffers, age, PID",
		"  r            reverse the order",
		"  + -          less and more often",
		"  space        look now",
		"  arrows, PgUp, PgDn, Home, End   move through the holders",
		"  h ?          this help, and back",
		"",
		"The bar of a pool shows what is | allocated, % in quarantine and : to be zeroed.",
		"EXP, PUB: buffers that dma-bufs refer to, and that have a name.",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		put_line((int)i + 2, A_NORMAL, lines[i]);
}

static void draw(struct view *view)
{
	erase();
	put_summary(view);
	if (view->help)
		put_help();
	else
		put_holders(view, put_pools(view, 2));
	put_line(LINES - 1, A_DIM,
		 view->help ? "h back  q quit"
			    : "q quit  h help  sort: b bytes c change n buffers a age p pid, "
			      "r reverse");
	refresh();
}

/* --- keys --- */

static void scroll_by(struct view *view, long by)
{
	if (by < 0 && view->first < (size_t)-by)
		view->first = 0;
	else
		view->first += (size_t)by;
	/* The drawing stops it at the end. */
}

static void sort_by(struct view *view, enum top_key key)
{
	view->top->key = key;
	top_sort(view->top);
}

/* What --delay made longer than keys do is not made shorter by the key for longer. */
static void change_delay(struct view *view, double factor)
{
	double most = view->seconds > MAX_DELAY ? view->seconds : MAX_DELAY;

	view->seconds *= factor;
	if (view->seconds < MIN_DELAY)
		view->seconds = MIN_DELAY;
	if (view->seconds > most)
		view->seconds = most;
}

static void take_move(struct view *view, int key)
{
	switch (key) {
	case KEY_UP:
		scroll_by(view, -1);
		return;
	case KEY_DOWN:
		scroll_by(view, 1);
		return;
	case KEY_PPAGE:
		scroll_by(view, -(long)view->rows);
		return;
	case KEY_NPAGE:
		scroll_by(view, (long)view->rows);
		return;
	case KEY_HOME:
		view->first = 0;
		return;
	case KEY_END:
		view->first = view->top->n_holders;
		return;
	}
}

/* Returns whether to look anew. */
static bool take_key(struct view *view, int key)
{
	static const char sorts[] = "bcnap";
	const char *sort = key > 0 && key < 128 ? strchr(sorts, key) : NULL;

	if (sort)
		sort_by(view, (enum top_key)(sort - sorts));
	else if (key == 'q' || key == 'Q')
		view->quit = true;
	else if (key == 'r') {
		view->top->reverse = !view->top->reverse;
		top_sort(view->top);
	} else if (key == 'h' || key == '?')
		view->help = !view->help;
	else if (key == '+')
		change_delay(view, 2);
	else if (key == '-')
		change_delay(view, 0.5);
	else
		take_move(view, key);
	return key == ' ';
}

/* Returns whether to look anew. */
static bool take_keys(struct view *view, bool readable)
{
	bool again = false;
	int key = getch();

	/* Something to read, and nothing comes: the terminal is gone. */
	view->gone = readable && key == ERR ? view->gone + 1 : 0;
	for (; key != ERR; key = getch())
		again |= take_key(view, key);
	return again;
}

/* Until it is time to look anew. 0, or -1 after saying on stderr what failed. */
static int wait_for_keys(struct view *view)
{
	double until = progress_clock() + view->seconds;

	while (!view->quit && !stop_signal()) {
		double left = until - progress_clock();
		int n;

		draw(view);
		if (left <= 0)
			return 0;
		n = stop_poll(STDIN_FILENO, left);
		if (n < 0 || view->gone >= GONE)
			return -1;
		if (take_keys(view, n > 0))
			return 0;
	}
	return 0;
}

static int show(struct view *view, uint64_t count)
{
	for (uint64_t i = 0; !view->quit && !stop_signal() && (!count || i < count); i++) {
		if (top_read(view->top))
			return -1;
		if (wait_for_keys(view)) {
			output_error("the terminal is gone");
			return -1;
		}
	}
	return 0;
}

int top_screen(struct top *top, double seconds, uint64_t count)
{
	struct view view = {.top = top, .seconds = seconds};
	int err;

	if (terminal_open())
		return -1;
	start_colours();
	err = show(&view, count);
	terminal_close();
	return err;
}
