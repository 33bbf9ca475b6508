/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kselftest harness, with a limit for each test that suits emulated machines
 * and kernels that check every access. A test that hangs is found all the same.
 */
#ifndef BITMEM_HARNESS_H
#define BITMEM_HARNESS_H

#ifdef BITMEM_COVERAGE
#include <unistd.h>

/* Tests are processes that end by _exit(), which would take what they counted with them. */
void __gcov_dump(void);
#define _exit(code) (__gcov_dump(), _exit(code))
#endif

#include <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300	/* seconds */

#endif /* BITMEM_HARNESS_H */
