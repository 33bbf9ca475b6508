/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The C library's allocator: what the pool does not serve, and all that the library inside
 * needs. Its functions have a second name each, which nothing needs to look up: they may be
 * called before anything else has been.
 */
#include <dlfcn.h>
#include <string.h>

#include "../track/leaks.h"
#include "preload.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *ptr);

static __typeof__(preload_libc_size) *usable_size;

void *preload_libc_malloc(size_t size)
{
	return __libc_malloc(size);
}

void *preload_libc_calloc(size_t n, size_t size)
{
	return __libc_calloc(n, size);
}

void *preload_libc_realloc(void *ptr, size_t size)
{
	return __libc_realloc(ptr, size);
}

void *preload_libc_memalign(size_t align, size_t size)
{
	return __libc_memalign(align, size);
}

void preload_libc_free(void *ptr)
{
	__libc_free(ptr);
}

/* It has no second name. */
void preload_libc_start(void)
{
	void *symbol = dlsym(RTLD_NEXT, "malloc_usable_size");

	memcpy(&usable_size, &symbol, sizeof(usable_size));
}

size_t preload_libc_size(void *ptr)
{
	if (!usable_size)
		preload_libc_start();
	return usable_size(ptr);
}

/* What the library inside calls (--wrap): it holds locks meanwhile, and has threads. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __wrap_free(void *ptr);

void *__wrap_malloc(size_t size)
{
	return __libc_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return __libc_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
	return __libc_realloc(ptr, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return __libc_memalign(align, size);
}

void __wrap_free(void *ptr)
{
	__libc_free(ptr);
}

/*
 * Whoever calls malloc() may hold locks of the C library's. Two of them the library inside would
 * want: that of setlocale() to translate an error, and that of atexit() to tell of leaks, which
 * a program that knows nothing of the pool has no use for.
 */
char *__wrap_strerror(int err);
int __wrap_bm_leaks_read(struct bm_leaks *leaks, struct bitmem_error *error);

char *__wrap_strerror(int err)
{
	const char *text = strerrordesc_np(err);

	return (char *)(text ? text : "unknown error");
}

int __wrap_bm_leaks_read(struct bm_leaks *leaks, struct bitmem_error *error)
{
	(void)leaks;
	(void)error;
	return 0;
}
