/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "report.h"

static int compare_groups(const void *a, const void *b)
{
	const struct bitmem_group *x = a, *y = b;

	if (x->sum.bytes != y->sum.bytes)
		return x->sum.bytes < y->sum.bytes ? 1 : -1;
	if (x->sum.count != y->sum.count)
		return x->sum.count < y->sum.count ? 1 : -1;
	return bm_place_compare(x->example->place, y->example->place);
}

int bm_report_groups(const struct bitmem_snapshot *snapshot, struct bitmem_group **groups,
		     size_t *n, struct bitmem_sum *all)
{
	int ret = bitmem_snapshot_group(snapshot, bitmem_by_place, NULL, groups, n);

	if (ret)
		return ret;
	*all = (struct bitmem_sum) { 0 };
	for (size_t i = 0; i < *n; i++) {
		all->count += (*groups)[i].sum.count;
		all->bytes += (*groups)[i].sum.bytes;
		all->views += (*groups)[i].sum.views;
	}
	qsort(*groups, *n, sizeof(**groups), compare_groups);
	return 0;
}

const char *bm_report_what(const struct bitmem_live *live)
{
	if (live->kind != BITMEM_LIVE_TENSOR)
		return live->kind == BITMEM_LIVE_BLOCK ? "block" : "view";
	return live->flags & BITMEM_LIVE_SHARED ? "shared tensor" : "tensor";
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

int bm_tell(const struct bitmem_snapshot *snapshot, int fd, enum bitmem_report_format format,
	      const char *when)
{
	size_t length = 0;
	char *text;
	int ret;

	if (format == BITMEM_REPORT_JSON)
		text = bm_report_json(snapshot, when, &length);
	else
		text = bm_report_text(snapshot, when, &length);
	if (!text)
		return -ENOMEM;
	ret = write_all(fd, text, length);
	free(text);
	return ret;
}
