/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Published buffers, found by their names.
 */
#ifndef TOOLS_NAMED_H
#define TOOLS_NAMED_H

#include <stdbool.h>

#include "device.h"

/*
 * Whether @name can be none: empty or too long. -1 after saying so of @option, else 0.
 */
int named_check(const char *option, const char *name);

/*
 * Attaches what @uid (BITMEM_UID_SELF: the caller) published under @name to @device's file, and
 * looks at it. 0, or -1 after saying on stderr what failed.
 */
int named_attach(const struct device *device, const char *name, uint32_t uid, bool readonly,
		 struct bitmem_query *buffer);

#endif /* TOOLS_NAMED_H */
