// SPDX-License-Identifier: GPL-2.0
#include "subject.h"

#include <string.h>

struct subject subjects[SUBJECTS] = {
	{ "bitmem-counters", SUBJECT_BITMEM, NULL, NULL, NULL },
	{ "bitmem-sites", SUBJECT_BITMEM, NULL, NULL, NULL },
	{ "bitmem-full", SUBJECT_BITMEM, NULL, NULL, NULL },
	{ "tcmalloc", SUBJECT_PEER, "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4", NULL },
	{ "mimalloc", SUBJECT_PEER, "libmimalloc.so.2", "libmimalloc2.0", NULL },
	{ "jemalloc", SUBJECT_PEER, "libjemalloc.so.2", "libjemalloc2", NULL },
	{ "glibc", SUBJECT_PEER, NULL, "libc6", NULL },
	{ "null", SUBJECT_NULL, NULL, NULL, NULL },
};

int subject_find(const char *name)
{
	int i;

	for (i = 0; i < SUBJECTS; i++) {
		if (!strcmp(subjects[i].name, name))
			return i;
	}
	return -1;
}

bool subject_is_there(size_t index)
{
	return subjects[index].about != NULL;
}
