/* SPDX-License-Identifier: GPL-2.0 */
/* What the library asks of the C library and the kernel, and does not get; see inject.h. */
#include "inject.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

struct inject inject = { .countdown = -1 };

static bool fails(void)
{
	if (!inject.always && (inject.countdown < 0 || inject.countdown--))
		return false;
	inject.failed = true;
	errno = ENOMEM;
	return true;
}

/* Weak, as there is no such function without its --wrap. Then nobody calls the other either. */
#define WRAP(type, none, name, params, args)                                                       \
	type __real_##name params __attribute__((weak));                                           \
	type __wrap_##name params;                                                                 \
	type __wrap_##name params                                                                  \
	{                                                                                          \
		return fails() ? (none) : __real_##name args;                                      \
	}

WRAP(void *, NULL, malloc, (size_t size), (size))
WRAP(void *, NULL, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, NULL, realloc, (void *ptr, size_t size), (ptr, size))
WRAP(void *, NULL, reallocarray, (void *ptr, size_t n, size_t size), (ptr, n, size))
WRAP(void *, NULL, aligned_alloc, (size_t align, size_t size), (align, size))
WRAP(char *, NULL, strdup, (const char *text), (text))
WRAP(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
WRAP(void *, MAP_FAILED, mmap,
     (void *addr, size_t length, int prot, int flags, int fd, off_t offset),
     (addr, length, prot, flags, fd, offset))
WRAP(int, -1, madvise, (void *addr, size_t length, int advice), (addr, length, advice))
WRAP(int, -1, memfd_create, (const char *name, unsigned int flags), (name, flags))
WRAP(int, -1, ftruncate, (int fd, off_t length), (fd, length))
