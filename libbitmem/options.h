/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structures that callers hand in, which begin with their size as the caller was compiled: members
 * are added at the end, and callers of older and newer versions stay valid.
 */
#ifndef BITMEM_OPTIONS_H
#define BITMEM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct bitmem_error;

/*
 * The size of a structure's first version, which ended with @last: the least that a caller's may
 * have. It stays what it is as members are added.
 */
#define BM_FIRST_SIZE(type, last)                                                       \
	((offsetof(type, last) + sizeof(((type *)0)->last) + _Alignof(type) - 1) /          \
	 _Alignof(type) * _Alignof(type))

/* Whether the bytes of a caller's structure that we do not know are zero. */
bool bm_tail_is_zero(const void *from, size_t known, size_t size);

/*
 * Copies the caller's structure to @to, which holds the defaults; so what the caller does not know
 * stays at them, and all does where @from is NULL. Clears the caller's error. -EINVAL if @from is
 * smaller than the @first version, or has something in members that are unknown here; in words
 * it is "@name.size".
 */
#define bm_read_options(to, from, first, name) \
	bm_read_sized(to, sizeof(*(to)), from, first, name, &(to)->error)

/* The same; @error is in @to. */
int bm_read_sized(void *to, size_t known, const void *from, size_t first, const char *name,
		  struct bitmem_error **error);

/*
 * Fills a caller's structure of @size bytes from ours of @known, no further than either goes; what
 * we do not know becomes zero.
 */
void bm_write_sized(void *to, size_t size, const void *from, size_t known);

#endif /* BITMEM_OPTIONS_H */
