/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel tells in small files of /proc and /sys.
 */
#ifndef TOOLS_SYSFILE_H
#define TOOLS_SYSFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads a file's first line, or as much as there is room for, without its end. False if it
 * cannot be read; @text is empty then.
 */
bool sysfile_line(const char *path, char *text, size_t size);

/* The number that a file starts with, or @otherwise. */
uint64_t sysfile_number(const char *path, uint64_t otherwise);

/* The word in brackets: "always [madvise] never". False if there is none. */
bool sysfile_choice(const char *path, char *word, size_t size);

/* A line "KEY:  N kB" of /proc/meminfo, in bytes; without a unit, N. 0 if there is none. */
uint64_t sysfile_meminfo(const char *key);

#endif /* TOOLS_SYSFILE_H */
