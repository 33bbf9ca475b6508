/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Text from files that nobody vouches for: names of tensors, paths, tags, comms.
 * It may hold any byte.
 */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * For a terminal: everything that could move the cursor, end the line or turn
 * the reading direction is written as \xNN (a byte) or \u{NNNN} (a character),
 * and so are bytes that are not UTF-8. Returns a new string; NULL with ENOMEM.
 */
char *text_escape(const char *s);

/*
 * For JSON: bytes that are not UTF-8 become U+FFFD, everything else stays.
 * Returns a new string; NULL with ENOMEM.
 */
char *text_repair(const char *s);

/* Characters of a UTF-8 string. */
size_t text_width(const char *s);

/* "1.5 MiB"; exact powers and small numbers without a fraction. Returns @buf. */
#define TEXT_SIZE_LEN 16
const char *text_size(uint64_t bytes, char buf[TEXT_SIZE_LEN]);

/* "250 ms", "3.2 s", "4m12s", "2h05m", "3d04h". Returns @buf. */
#define TEXT_AGE_LEN 32
const char *text_age(uint64_t ms, char buf[TEXT_AGE_LEN]);

#endif /* TOOLS_TEXT_H */
