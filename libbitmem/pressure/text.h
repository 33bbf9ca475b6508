/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small text files of the kernel's. Nothing is taken for granted of what they say. */
#ifndef BITMEM_TEXT_H
#define BITMEM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any file that is read here; what is beyond is not read. */
#define BM_TEXT_SIZE 8192

/* Reads the file @name in @dir. @text ends with a NUL; empty, and false, if it cannot be read. */
bool bm_text_read(const char *dir, const char *name, char text[BM_TEXT_SIZE]);

/* A decimal number that ends with a blank, a newline or the text. False if it is none. */
bool bm_text_number(const char *text, uint64_t *value);

/* The number in the line of @text that starts with @key and blanks. False if there is none. */
bool bm_text_value(const char *text, const char *key, uint64_t *value);

/* What follows @key in the line that starts with it; NULL if there is none. */
const char *bm_text_line(const char *text, const char *key);

#endif /* BITMEM_TEXT_H */
