/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "crew.h"

/* Prints what was found on stdout, as one line of JSON. Returns 0 or -1. */
int report_print(const struct job *job, bool zeroes);

#endif /* BENCH_REPORT_H */
