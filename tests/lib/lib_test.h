/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the library's tests share: a context of the backend under test, and
 * checks on what lies around it.
 *
 * The backend is what BITMEM_BACKEND says; a test is skipped where that is the
 * device and the device is not there.
 */
#ifndef BITMEM_LIB_TEST_H
#define BITMEM_LIB_TEST_H

#include "../kselftest/bitmem_harness.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/bitmem.h>

#define MIB ((size_t)1 << 20)

/* Opens a context whose shared segments have @segment_size bytes. NULL with errno. */
struct bitmem *test_open(size_t segment_size);

/* Whether the last test_open() failed because there is no device. */
bool test_no_device(void);

/* The counters; all 0xff if they cannot be had. */
struct bitmem_stats test_stats(struct bitmem *ctx);

/* Bytes held from the backend. */
uint64_t test_committed(struct bitmem *ctx);

/* Allocates and frees, so that what a thread needs once is there; which counts. */
void test_warm_up(struct bitmem *ctx);

/* Whether both are the same, the members that only ever grow included. */
bool test_stats_equal(const struct bitmem_stats *a, const struct bitmem_stats *b);

/* Whether @length bytes from @ptr all are @value. */
bool test_all_are(const void *ptr, unsigned char value, size_t length);

/* Whether there is memory at @ptr that this process can read. */
bool test_is_mapped(const void *ptr);

/* The number of open file descriptors. */
int test_fds(void);

/* A number of "NAME: N kB" in /proc/self/status, in bytes; SIZE_MAX if there is none. */
size_t test_status(const char *name);

/* What this thread has computed so far, in ms: no other process makes that longer. */
double test_cpu_ms(void);

/* Whether the sanitizers are built in, whose own memory is not ours. */
bool test_sanitized(void);
/* Whether it is ThreadSanitizer that is. */
bool test_thread_sanitized(void);

/* Whether valgrind runs this (tests/valgrind). */
bool test_valgrind(void);

/* Whether the leak checker (SAN=1) found something. Without it: false. */
bool test_leaks(void);

/* A context for tests that take one as they find it. */
FIXTURE(lib)
{
	struct bitmem *ctx;
};

FIXTURE_SETUP(lib)
{
	self->ctx = test_open(2 * MIB);
	if (!self->ctx && test_no_device())
		SKIP(return, "no bitmem device");
	ASSERT_NE(NULL, self->ctx);
}

/* A test that closes the context itself sets it to NULL. */
FIXTURE_TEARDOWN(lib)
{
	EXPECT_EQ(0, bitmem_close(self->ctx));
	EXPECT_FALSE(test_leaks());
}

#endif /* BITMEM_LIB_TEST_H */
