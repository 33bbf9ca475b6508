/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pools and users as Prometheus reads them: its text exposition format, 0.0.4.
 */
#ifndef TOOLS_METRICS_H
#define TOOLS_METRICS_H

#include <stdio.h>

#include "device.h"

/*
 * Looks, and writes what there is to @out, whose errors are the caller's to look for. 0, or -1
 * after saying on stderr what failed.
 */
int metrics_write(const struct device *device, FILE *out);

#endif /* TOOLS_METRICS_H */
