// SPDX-License-Identifier: GPL-2.0
/*
 * strtoull() takes signs, white space and other bases; a size on the command line
 * is digits and a unit, and nothing else.
 */
#include "number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define MAX_SECONDS 31536000.0

static int unit_shift(const char *suffix)
{
	static const char units[] = "KMG";
	const char *unit;

	if (!*suffix)
		return 0;
	unit = strchr(units, *suffix);
	return unit && !suffix[1] ? 10 * (int)(unit - units + 1) : -1;
}

int number_parse(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *p = text;
	uint64_t number = 0;
	int bad = *p < '0' || *p > '9';
	int shift;

	for (; *p >= '0' && *p <= '9'; p++) {
		bad |= __builtin_mul_overflow(number, 10, &number);
		bad |= __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number);
	}
	shift = unit_shift(p);
	if (bad || shift < 0 || number > UINT64_MAX >> shift) {
		output_error("%s: not a number: %s", option, text);
		return -1;
	}
	number <<= shift;
	if (number < min || number > max) {
		output_error("%s: not between %" PRIu64 " and %" PRIu64 ": %s", option, min, max,
			     text);
		return -1;
	}
	*value = number;
	return 0;
}

int number_seconds(const char *option, const char *text, double min, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(text, &end);
	if (errno || end == text || *end || !(*seconds >= 0)) {
		output_error("%s: not a number of seconds: %s", option, text);
		return -1;
	}
	if (*seconds < min || *seconds > MAX_SECONDS) {
		output_error("%s: not between %g and %.0f seconds: %s", option, min, MAX_SECONDS,
			     text);
		return -1;
	}
	return 0;
}
