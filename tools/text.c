// SPDX-License-Identifier: GPL-2.0
/*
 * UTF-8, escapes and units. The escape and the repair walk a string the same
 * way, one character or one bad byte at a time, and differ in what they write.
 */
#include "text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* The longest that one byte of input becomes: \xNN. */
#define MAX_EXPANSION 4

/*
 * Decodes the character at @s. Returns its length, or 0 if the bytes there are
 * not UTF-8 as RFC 3629 has it (overlong forms, surrogates and what lies beyond
 * U+10FFFF are not).
 */
static size_t decode(const unsigned char *s, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length;

	if (s[0] < 0x80) {
		*code = s[0];
		return 1;
	}
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		length = 2;
	else if (s[0] >= 0xE0 && s[0] <= 0xEF)
		length = 3;
	else if (s[0] >= 0xF0 && s[0] <= 0xF4)
		length = 4;
	else
		return 0;
	*code = s[0] & (0x7F >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3F);
	}
	if (*code < least[length] || *code > 0x10FFFF || (*code >= 0xD800 && *code <= 0xDFFF))
		return 0;
	return length;
}

/* Control characters, line and paragraph separators, and the bidirectional controls. */
static bool is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || code == 0x200E ||
	       code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

char *text_escape(const char *s)
{
	const unsigned char *in = (const unsigned char *)s;
	char *text = malloc(strlen(s) * MAX_EXPANSION + 1);
	char *out = text;
	size_t length;
	uint32_t code;

	if (!text)
		return NULL;
	while (*in) {
		length = decode(in, &code);
		if (!length || (length == 1 && is_unsafe(code))) {
			out += sprintf(out, "\\x%02x", *in++);
			continue;
		}
		if (is_unsafe(code)) {
			out += sprintf(out, "\\u{%" PRIX32 "}", code);
		} else {
			memcpy(out, in, length);
			out += length;
		}
		in += length;
	}
	*out = '\0';
	return text;
}

char *text_repair(const char *s)
{
	const unsigned char *in = (const unsigned char *)s;
	char *text = malloc(strlen(s) * MAX_EXPANSION + 1);
	char *out = text;
	size_t length;
	uint32_t code;

	if (!text)
		return NULL;
	while (*in) {
		length = decode(in, &code);
		if (length) {
			memcpy(out, in, length);
			out += length;
			in += length;
		} else {
			memcpy(out, REPLACEMENT, strlen(REPLACEMENT));
			out += strlen(REPLACEMENT);
			in++;
		}
	}
	*out = '\0';
	return text;
}

size_t text_width(const char *s)
{
	size_t width = 0;

	for (; *s; s++)
		width += ((unsigned char)*s & 0xC0) != 0x80;
	return width;
}

const char *text_size(uint64_t bytes, char buf[TEXT_SIZE_LEN])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;

	while (unit < 6 && bytes >> (10 * (unit + 1)))
		unit++;
	if (bytes & ((UINT64_C(1) << (10 * unit)) - 1))
		snprintf(buf, TEXT_SIZE_LEN, "%.1f %s",
			 (double)bytes / (double)(UINT64_C(1) << (10 * unit)), units[unit]);
	else
		snprintf(buf, TEXT_SIZE_LEN, "%" PRIu64 " %s", bytes >> (10 * unit), units[unit]);
	return buf;
}

const char *text_age(uint64_t ms, char buf[TEXT_AGE_LEN])
{
	uint64_t s = ms / 1000;

	if (ms < 1000)
		snprintf(buf, TEXT_AGE_LEN, "%" PRIu64 " ms", ms);
	else if (s < 60)
		snprintf(buf, TEXT_AGE_LEN, "%.1f s", (double)ms / 1000);
	else if (s < 3600)
		snprintf(buf, TEXT_AGE_LEN, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, TEXT_AGE_LEN, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(buf, TEXT_AGE_LEN, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
	return buf;
}
