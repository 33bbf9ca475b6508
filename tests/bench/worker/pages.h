/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The harness's own memory. It does not come from the allocator that is measured,
 * and is resident from the start, so that it is part of the baseline.
 */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

#include <stddef.h>

/* Zeroed and resident; exits with a message if there is none. */
void *pages_new(size_t bytes);
void pages_free(void *pages, size_t bytes);

#endif /* BENCH_PAGES_H */
