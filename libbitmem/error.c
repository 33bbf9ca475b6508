/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors, in words and in errno.
 *
 * The text may quote names from files and from the environment, so control
 * characters are masked: it is always one line.
 */
#include <errno.h>
#include <stdio.h>

#include "internal.h"

int bm_error(struct bitmem_error *error, int code, const char *fmt, ...)
{
	if (error) {
		va_list args;

		va_start(args, fmt);
		vsnprintf(error->text, sizeof(error->text), fmt, args);
		va_end(args);
		for (char *c = error->text; *c; c++) {
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				*c = '?';
		}
		error->code = code;
	}
	errno = -code;
	return code;
}
