// SPDX-License-Identifier: GPL-2.0
/*
 * The bar: "loading [####----]  42%  1.2 GiB of 2.8 GiB  3.1 GiB/s  0:01 left".
 * It is one line, redrawn in place, as wide as the terminal lets it be.
 */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define INTERVAL	0.1 /* seconds between two drawings */
#define DEFAULT_COLUMNS 80
#define TEXT_COLUMNS	64 /* what stands beside the bar, at its longest */
#define MIN_BAR		8
#define MAX_BAR		50

double progress_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool is_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && (!term || strcmp(term, "dumb") != 0);
}

void progress_start(struct progress *progress, const char *label)
{
	*progress = (struct progress){
		.label = label,
		.enabled = is_terminal(),
		.started = progress_clock(),
	};
}

static int bar_width(void)
{
	struct winsize size;
	int columns = DEFAULT_COLUMNS;
	int width;

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		columns = size.ws_col;
	width = columns - TEXT_COLUMNS;
	if (width < MIN_BAR)
		return MIN_BAR;
	return width > MAX_BAR ? MAX_BAR : width;
}

static void draw_bar(double share)
{
	int width = bar_width();
	int filled = (int)(share * width);

	fputs(" [", stderr);
	for (int i = 0; i < width; i++)
		fputc(i < filled ? '#' : '-', stderr);
	fprintf(stderr, "] %3d%%", (int)(share * 100));
}

void progress_draw(struct progress *progress, uint64_t done, uint64_t total)
{
	double now;
	double rate;
	double share = total ? (double)done / (double)total : 1;
	char size[TEXT_SIZE_LEN];
	unsigned int left;

	if (!progress->enabled)
		return;
	now = progress_clock();
	if (progress->drawn && done < total && now - progress->last < INTERVAL)
		return;
	progress->last = now;
	progress->drawn = true;

	fprintf(stderr, "\r%s", progress->label);
	draw_bar(share);
	fprintf(stderr, "  %s", text_size(done, size));
	fprintf(stderr, " of %s", text_size(total, size));
	rate = now > progress->started ? (double)done / (now - progress->started) : 0;
	if (rate >= 1) {
		left = (unsigned int)((double)(total - done) / rate);
		fprintf(stderr, "  %s/s  %u:%02u left", text_size((uint64_t)rate, size), left / 60,
			left % 60);
	}
	fputs("\033[K", stderr);
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (!progress->drawn)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->drawn = false;
}
