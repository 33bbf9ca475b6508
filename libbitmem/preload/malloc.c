/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * malloc() and its like, as programs find them. They keep what C, POSIX and the GNU C library
 * promise of each: what is refused leaves everything as it was, free() keeps errno.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../context.h"
#include "../util.h"
#include "preload.h"

#define EXPORT __attribute__((visibility("default")))

static inline bool is_small(size_t size)
{
	return likely(size < __atomic_load_n(&preload_settings.min_bytes, __ATOMIC_RELAXED));
}

EXPORT void *malloc(size_t size)
{
	void *ptr;

	if (is_small(size) || !preload_take(size, 0, false, &ptr))
		return preload_libc_malloc(size);
	return ptr;
}

EXPORT void free(void *ptr)
{
	struct preload_pool *pool = preload_pool_of(ptr);

	if (likely(!pool))
		preload_libc_free(ptr);
	else
		preload_give(pool, ptr);
}

EXPORT void *calloc(size_t n, size_t size)
{
	size_t bytes;
	void *ptr;

	if (__builtin_mul_overflow(n, size, &bytes) || is_small(bytes) ||
	    !preload_take(bytes, 0, true, &ptr))
		return preload_libc_calloc(n, size);
	return ptr;
}

/* Moves what is at @ptr, of which @bytes are to stay. */
static void *move(void *ptr, size_t bytes, size_t size)
{
	void *to = malloc(size);

	if (!to)
		return NULL;
	memcpy(to, ptr, bytes < size ? bytes : size);
	free(ptr);
	return to;
}

/* Out of the pool, within it, or not at all where little would be saved. */
static void *resize(struct preload_pool *pool, void *ptr, size_t size)
{
	const size_t bytes = preload_size(pool, ptr);

	if (!size) {
		preload_give(pool, ptr);
		return NULL;
	}
	if (size <= bytes && size >= bytes / 2 && !is_small(size))
		return ptr;
	return move(ptr, bytes, size);
}

EXPORT void *realloc(void *ptr, size_t size)
{
	struct preload_pool *pool = preload_pool_of(ptr);
	size_t bytes;
	void *to;

	if (!ptr)
		return malloc(size);
	if (unlikely(pool))
		return resize(pool, ptr, size);
	if (is_small(size) || !preload_take(size, 0, false, &to))
		return preload_libc_realloc(ptr, size);
	if (!to)
		return NULL;
	bytes = preload_libc_size(ptr);
	memcpy(to, ptr, bytes < size ? bytes : size);
	preload_libc_free(ptr);
	return to;
}

/* An alignment that the pool does not have, or that is none, is the C library's affair. */
static void *aligned(size_t align, size_t size)
{
	void *ptr;

	if (is_small(size) || !align || align & (align - 1) || align > BM_ALIGN_DIRECT ||
	    !preload_take(size, align, false, &ptr))
		return preload_libc_memalign(align, size);
	return ptr;
}

EXPORT void *memalign(size_t align, size_t size)
{
	return aligned(align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return aligned(align, size);
}

EXPORT int posix_memalign(void **ptr, size_t align, size_t size)
{
	const int before = errno;
	void *at;
	int err;

	if (!align || align % sizeof(void *) || align & (align - 1))
		return EINVAL;
	at = aligned(align, size);
	err = errno;
	errno = before;
	if (!at)
		return err;
	*ptr = at;
	return 0;
}

EXPORT void *valloc(size_t size)
{
	return aligned((size_t)sysconf(_SC_PAGESIZE), size);
}

EXPORT void *pvalloc(size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size > SIZE_MAX - page) {
		errno = ENOMEM;
		return NULL;
	}
	return aligned(page, bm_round_up(size ? size : 1, page));
}

EXPORT size_t malloc_usable_size(void *ptr)
{
	struct preload_pool *pool = preload_pool_of(ptr);

	return pool ? preload_size(pool, ptr) : preload_libc_size(ptr);
}
