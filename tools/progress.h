/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A progress bar on stderr, if that is a terminal; nothing otherwise.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *label;
	bool enabled;
	bool drawn;
	double started;
	double last;
};

/* Seconds on a clock that only goes forward. */
double progress_clock(void);

/* Starts a bar. @label is borrowed. */
void progress_start(struct progress *progress, const char *label);

/* Draws how far it is, but not more often than the eye can follow. */
void progress_draw(struct progress *progress, uint64_t done, uint64_t total);

/* Takes the bar off the screen. */
void progress_end(struct progress *progress);

#endif /* TOOLS_PROGRESS_H */
