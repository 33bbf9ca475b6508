/* SPDX-License-Identifier: GPL-2.0 */
/* Where memory is, as the kernel tells. */
#ifndef PRELOAD_PLACE_H
#define PRELOAD_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
/* What the tests are run with, --min-bytes. */
#define LARGE (128 * KIB)

/* Whether the address is in memory that is shared: of the device, or of a memfd. */
bool in_pool(const void *ptr);

/* Whether all of @length bytes at @ptr are @value. */
bool all_are(const void *ptr, unsigned char value, size_t length);

/* Waits for a child; its exit status, or 128 + the signal that ended it. */
int status_of(int child);

#endif /* PRELOAD_PLACE_H */
