/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbers on the command line, and the limits that the library sets to them.
 */
#ifndef TOOLS_NUMBER_H
#define TOOLS_NUMBER_H

#include <limits.h>
#include <stdint.h>

#define NUMBER_MAX_NODE	       ((uint64_t)INT_MAX)
#define NUMBER_MAX_QUEUE_DEPTH ((uint64_t)1024)
#define NUMBER_MAX_WINDOW      ((uint64_t)64 << 20)

/*
 * Reads a decimal number, with K, M or G behind it for 1024s. 0, or -1 after
 * saying on stderr what is wrong with the value of @option.
 */
int number_parse(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value);

/*
 * Reads a number of seconds, which may have a fraction; @min at least, a year at most. 0, or
 * -1 after saying on stderr what is wrong with the value of @option.
 */
int number_seconds(const char *option, const char *text, double min, double *seconds);

#endif /* TOOLS_NUMBER_H */
