/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mappings as /proc/self/smaps has them: a line with the addresses, and some with figures that
 * belong to it. Segments are mapped as a whole, but locking cuts mappings into pieces, and what
 * lies beside each other may be one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend_view.h"

/* A mapping, and how much of it lies in segments. */
struct mapping {
	uintptr_t start, end;
	uint64_t part;
	uint64_t resident, huge;	/* of all of it */
	bool locked;
};

/* Adds what lies in the extents; @covered gets what there is of each. */
static uint64_t part_of(const struct mapping *m, const struct bm_extent *extents, size_t n,
			size_t *covered)
{
	size_t low = 0, high = n;
	uint64_t part = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (extents[middle].addr + extents[middle].length <= m->start)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < n && extents[low].addr < m->end; low++) {
		uintptr_t from = extents[low].addr, to = from + extents[low].length;

		from = from > m->start ? from : m->start;
		to = to < m->end ? to : m->end;
		covered[low] += to - from;
		part += to - from;
	}
	return part;
}

/* Adds a mapping that was read. What it has besides the segments does not count as memory. */
static void add(const struct mapping *m, struct bm_backend_view *view)
{
	const uint64_t resident = m->resident + m->huge;

	if (!m->part)
		return;
	view->bytes += m->part;
	view->resident += resident < m->part ? resident : m->part;
	/* Huge pages cannot be paged out, locked or not. */
	if (m->locked || m->huge)
		view->pinned += m->part;
}

/* Reads one of the lines with figures. */
static void read_figure(const char *line, struct mapping *m)
{
	uint64_t kib;

	if (sscanf(line, "Rss: %" SCNu64, &kib) == 1)
		m->resident = kib * 1024;
	else if (sscanf(line, "Shared_Hugetlb: %" SCNu64, &kib) == 1 ||
		 sscanf(line, "Private_Hugetlb: %" SCNu64, &kib) == 1)
		m->huge += kib * 1024;
	else if (!strncmp(line, "VmFlags:", 8))
		m->locked = strstr(line, " lo") != NULL;
}

static void read_all(FILE *file, const struct bm_extent *extents, size_t n, size_t *covered,
		     struct bm_backend_view *view)
{
	struct mapping m = { 0 };
	size_t size = 0;
	char *line = NULL;

	while (getline(&line, &size, file) > 0) {
		uintptr_t start, end;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) != 2) {
			read_figure(line, &m);
			continue;
		}
		add(&m, view);
		m = (struct mapping) { .start = start, .end = end };
		m.part = part_of(&m, extents, n, covered);
		/* Addresses that the arena keeps free of memory are mapped, too. */
		if (!strstr(line, "/memfd:"))
			m.part = 0;
	}
	add(&m, view);
	free(line);
}

int bm_memfd_view(const struct bm_extent *extents, size_t n, struct bm_backend_view *view)
{
	size_t *covered = calloc(n + 1, sizeof(*covered));
	FILE *file = fopen("/proc/self/smaps", "re");
	int ret = 0;

	*view = (struct bm_backend_view) { 0 };
	if (!covered || !file) {
		ret = covered ? -errno : -ENOMEM;
		if (file)
			fclose(file);
		free(covered);
		return ret;
	}
	read_all(file, extents, n, covered, view);
	if (!feof(file))
		ret = errno ? -errno : -EIO;
	for (size_t i = 0; i < n; i++)
		view->segments += covered[i] == extents[i].length;
	fclose(file);
	free(covered);
	return ret;
}
