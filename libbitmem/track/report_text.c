/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "report.h"

#define SECOND 1000000000.0

static void print_sum(FILE *out, const struct bitmem_sum *sum)
{
	fprintf(out, "%" PRIu64 " live, %" PRIu64 " bytes", sum->count, sum->bytes);
	if (sum->views)
		fprintf(out, ", %" PRIu64 " views", sum->views);
}

static void print_group(FILE *out, const struct bitmem_group *group)
{
	const struct bitmem_live *live = group->example;
	char place[512];

	bitmem_place_text(live->place, place, sizeof(place));
	fprintf(out, "  ");
	print_sum(out, &group->sum);
	fprintf(out, ", oldest %.1f to %.1f s: %s (%s%s%s)\n",
		(double)group->sum.min_oldest_ns / SECOND,
		(double)group->sum.max_oldest_ns / SECOND, place, bm_report_what(live),
		live->dtype ? ", " : "", live->dtype ? bitmem_dtype_info(live->dtype)->name : "");
	for (unsigned int i = 0; i < live->place->depth; i++) {
		bitmem_symbol(live->place->stack[i], place, sizeof(place));
		fprintf(out, "      #%u %p %s\n", i, live->place->stack[i], place);
	}
}

char *bm_report_text(const struct bitmem_snapshot *snapshot, const char *when, size_t *length)
{
	struct bitmem_group *groups;
	struct bitmem_sum all;
	char *text = NULL;
	bool failed;
	FILE *out;
	size_t n;

	if (bm_report_groups(snapshot, &groups, &n, &all))
		return NULL;
	out = open_memstream(&text, length);
	if (!out) {
		free(groups);
		return NULL;
	}
	fprintf(out, "bitmem: process %d, %s: still held: ", (int)getpid(), when);
	print_sum(out, &all);
	fputs("\n", out);
	for (size_t i = 0; i < n; i++)
		print_group(out, &groups[i]);
	free(groups);
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return NULL;
	}
	return text;
}
