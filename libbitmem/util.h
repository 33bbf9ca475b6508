/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small helpers that depend on nothing. */
#ifndef BITMEM_UTIL_H
#define BITMEM_UTIL_H

#include <malloc.h>
#include <stddef.h>

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* What a record of our own costs: what malloc() set aside and its header. */
static inline size_t bm_meta_size(const void *record)
{
	return malloc_usable_size((void *)record) + sizeof(size_t);
}

/* In a loop that waits for another processor. */
static inline void bm_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* @value rounded up to a multiple of @unit, a power of two. The caller knows that it fits. */
static inline size_t bm_round_up(size_t value, size_t unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

#endif /* BITMEM_UTIL_H */
