/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports of snapshots: lines for people, or a line of JSON. */
#ifndef BITMEM_TRACK_REPORT_H
#define BITMEM_TRACK_REPORT_H

#include "snapshot.h"

/* @when is "close", "exit" or "call". It is written at once. 0 or -errno. */
int bm_tell(const struct bitmem_snapshot *snapshot, int fd, enum bitmem_report_format format,
	      const char *when);

/* Sums by place, most bytes first; to be freed. 0 or -errno. */
int bm_report_groups(const struct bitmem_snapshot *snapshot, struct bitmem_group **groups,
		     size_t *n, struct bitmem_sum *all);

/* The text, to be freed; NULL if there is no memory. */
char *bm_report_text(const struct bitmem_snapshot *snapshot, const char *when, size_t *length);
char *bm_report_json(const struct bitmem_snapshot *snapshot, const char *when, size_t *length);

/* A word or two for what something alive is, for both. */
const char *bm_report_what(const struct bitmem_live *live);

#endif /* BITMEM_TRACK_REPORT_H */
