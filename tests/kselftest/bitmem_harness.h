/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kselftest harness, with a limit for each test that suits emulated machines
 * and kernels that check every access. A test that hangs is found all the same.
 */
#ifndef BITMEM_HARNESS_H
#define BITMEM_HARNESS_H

#include <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300	/* seconds */

#endif /* BITMEM_HARNESS_H */
