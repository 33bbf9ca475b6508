/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's memory, from /proc/meminfo.
 *
 * Memory that is set aside as huge pages never becomes available, used or not: it
 * is left out of the total, or a host that set aside most of its memory would be
 * under pressure for good.
 */
#include "source.h"
#include "text.h"

#define KIB 1024

/* A figure in kB. False if it is not there, or would not fit in bytes. */
static bool figure(const char *text, const char *key, uint64_t *bytes)
{
	return bm_text_value(text, key, bytes) && !__builtin_mul_overflow(*bytes, KIB, bytes);
}

uint64_t bm_host_read(const char *proc, struct bm_usage *usage)
{
	uint64_t total, available, huge;
	char text[BM_TEXT_SIZE];

	*usage = (struct bm_usage){ 0 };
	if (!bm_text_read(proc, "meminfo", text) || !figure(text, "MemTotal:", &total) ||
	    !figure(text, "MemAvailable:", &available))
		return 0;
	if (figure(text, "Hugetlb:", &huge) && huge < total)
		total -= huge;
	usage->total = total;
	usage->used = available < total ? total - available : 0;
	return available;
}
