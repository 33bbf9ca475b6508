// SPDX-License-Identifier: GPL-2.0
/* Where the table of the module's counted objects begins. */
#include "gcov.h"

struct gcov_object *const bitmem_gcov_begin[0] __section(".bitmem_gcov");
