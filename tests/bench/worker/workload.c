// SPDX-License-Identifier: GPL-2.0
#include "workload.h"

#include <string.h>

static const struct workload workloads[] = {
	{ "W1", decode_trace, 16 }, { "W2", churn_trace, 16 },	  { "W3", cache_trace, 4 },
	{ "W4", models_trace, 4 },  { "W5", adversary_trace, 4 }, { "T", drops_trace, 16 },
};

const struct workload *workload_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(workloads) / sizeof(*workloads); i++) {
		if (!strcmp(workloads[i].name, name))
			return &workloads[i];
	}
	return NULL;
}
