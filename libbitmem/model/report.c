/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Error texts about files: "PATH: FIELD: what is wrong with VALUE".
 *
 * Names in files are written by strangers and end up on terminals and in logs:
 * what could move a cursor, break a line or turn the reading direction is shown
 * as \xNN, and so is what is not UTF-8.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "set.h"

#define PATH_SHOWN 200	/* bytes of a path, as it is shown, from its end */

/* Code point at @s, with its length in *@length; -1 if there is no valid UTF-8. */
static long utf8_get(const unsigned char *s, size_t *length)
{
	static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 :
		   s[0] < 0xf5 ? 4 : 0;
	long c;

	if (!n)
		return -1;
	c = n == 1 ? s[0] : s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return -1;
	*length = n;
	return c;
}

static bool printable(long c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	/* Zero width, line and paragraph separators, bidirectional controls. */
	return !(c >= 0x200b && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) &&
	       !(c >= 0x2060 && c <= 0x206f) && c != 0xfeff;
}

/*
 * Writes @from to @to with what is not printable escaped, cut at a whole character.
 * Returns whether all of it fitted.
 */
static bool escape(char *to, size_t size, const char *from)
{
	const unsigned char *s = (const unsigned char *)from;
	size_t at = 0;

	while (*s) {
		size_t n = 1;
		long c = utf8_get(s, &n);

		if (at + (printable(c) ? n : 4) >= size)
			break;
		if (printable(c)) {
			memcpy(to + at, s, n);
			at += n;
			s += n;
		} else {
			at += (size_t)snprintf(to + at, size - at, "\\x%02x", *s++);
		}
	}
	to[at] = '\0';
	return !*s;
}

char *bm_quote(char to[BM_QUOTE_MAX], const char *name)
{
	if (!escape(to, BM_QUOTE_MAX - 3, name))
		strcat(to, "...");
	return to;
}

/* Writes the end of @path, escaped. */
static void show_path(char to[PATH_SHOWN + 4], const char *path)
{
	char text[4 * PATH_SHOWN + 1];
	size_t n = strlen(path), shown;

	escape(text, sizeof(text), n > PATH_SHOWN ? path + n - PATH_SHOWN : path);
	shown = strlen(text);
	if (n <= PATH_SHOWN && shown <= PATH_SHOWN)
		strcpy(to, text);
	else
		snprintf(to, PATH_SHOWN + 4, "...%s",
			 shown > PATH_SHOWN ? text + shown - PATH_SHOWN : text);
}

int bm_report(struct bitmem_error *error, int code, const char *path, const char *fmt, ...)
{
	char shown[PATH_SHOWN + 4], raw[1024], text[sizeof(error->text)];
	int used;
	va_list args;

	show_path(shown, path);
	used = snprintf(raw, sizeof(raw), "%s: ", shown);
	va_start(args, fmt);
	vsnprintf(raw + used, sizeof(raw) - (size_t)used, fmt, args);
	va_end(args);
	escape(text, sizeof(text), raw);
	return bm_error(error, code, "%s", text);
}

int bm_report_nomem(struct bitmem_error *error, const char *path)
{
	return bm_report(error, -ENOMEM, path, "memory: not enough to describe the file");
}
