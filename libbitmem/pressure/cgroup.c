/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control group (version 2) of this process, and the limits of it and of those
 * around it.
 *
 * A group's inactive page cache is taken off what it uses, as it goes by itself
 * before anything else: a group that has read large files is not short of memory.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "source.h"
#include "text.h"

/* What every group of version 2 has, and no other directory. */
#define CONTROLLERS "/cgroup.controllers"

/* Whether the path leads out of what is mounted, or to a group that is gone. */
static bool is_outside(const char *path)
{
	size_t length = strlen(path);
	static const char gone[] = " (deleted)";

	return *path != '/' || strstr(path, "/../") ||
	       (length >= 3 && !strcmp(path + length - 3, "/..")) ||
	       (length >= sizeof(gone) - 1 && !strcmp(path + length - (sizeof(gone) - 1), gone));
}

bool bm_cgroup_find(const char *proc, const char *mount, struct bm_cgroup *group)
{
	char text[BM_TEXT_SIZE], *end;
	const char *path;
	int n;

	if (!bm_text_read(proc, "self/cgroup", text))
		return false;
	path = bm_text_line(text, "0::");
	end = path ? strchr(path, '\n') : NULL;
	if (!end)
		return false;
	/* A root directory is its mount point. */
	*end = 0;
	if (is_outside(path))
		return false;
	if (!path[1])
		path = "";
	n = snprintf(group->path, sizeof(group->path), "%s%s" CONTROLLERS, mount, path);
	if (n < 0 || (size_t)n >= sizeof(group->path) || access(group->path, R_OK))
		return false;
	group->path[(size_t)n - strlen(CONTROLLERS)] = 0;
	group->mount = strlen(mount);
	return true;
}

/* What the group in @dir uses of its limit. False if it has none. */
static bool read_limit(const char *dir, struct bm_usage *usage)
{
	char text[BM_TEXT_SIZE];
	uint64_t cache;

	if (!bm_text_read(dir, "memory.max", text) || !bm_text_number(text, &usage->total) ||
	    !bm_text_read(dir, "memory.current", text) || !bm_text_number(text, &usage->used))
		return false;
	if (bm_text_read(dir, "memory.stat", text) &&
	    bm_text_value(text, "inactive_file", &cache))
		usage->used -= cache < usage->used ? cache : usage->used;
	return true;
}

/* Whether more of @a is in use than of @b, as fractions; of nothing that is all. */
static bool is_tighter(const struct bm_usage *a, const struct bm_usage *b)
{
	double used_a = a->total ? (double)a->used / (double)a->total : 1;
	double used_b = b->total ? (double)b->used / (double)b->total : 1;

	return used_a > used_b;
}

void bm_cgroup_read(const struct bm_cgroup *group, struct bm_usage *usage)
{
	struct bm_usage now;
	bool found = false;
	char path[PATH_MAX];

	*usage = (struct bm_usage){ 0 };
	memcpy(path, group->path, sizeof(path));
	for (;;) {
		if (read_limit(path, &now) && (!found || is_tighter(&now, usage))) {
			*usage = now;
			found = true;
		}
		if (strlen(path) <= group->mount)
			break;
		*strrchr(path, '/') = 0;
	}
	/* A limit of 0 is one that is reached. */
	if (found && !usage->total)
		*usage = (struct bm_usage){ 1, 1 };
}
