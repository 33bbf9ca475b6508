/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two ways in which top is shown.
 */
#ifndef TOOLS_TOP_VIEW_H
#define TOOLS_TOP_VIEW_H

#include "top.h"

/* Prints tables on stdout. 0, or -1 after saying on stderr what failed. */
int top_print(const struct top *top);

/*
 * Shows @top on the terminal, anew every @seconds, @count times (0: no end), until the user
 * quits or a signal comes. The terminal is as before when it returns, or the program dies. 0,
 * or -1 after saying on stderr what failed.
 */
int top_screen(struct top *top, double seconds, uint64_t count);

#endif /* TOOLS_TOP_VIEW_H */
