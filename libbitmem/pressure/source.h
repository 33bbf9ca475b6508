/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the figures come from. Nothing here is kept from one call to the next, and
 * what cannot be read is left out. Directories are arguments for the tests.
 */
#ifndef BITMEM_SOURCE_H
#define BITMEM_SOURCE_H

#include <limits.h>

#include "level.h"

/* --- host.c --- */

/*
 * The host's memory, but for what is set aside as huge pages. Returns the bytes that are
 * available; with 0, and a total of 0, if that is not known.
 */
uint64_t bm_host_read(const char *proc, struct bm_usage *usage);

/* --- cgroup.c --- */

/* The directory of this process's control group (version 2). */
struct bm_cgroup {
	char path[PATH_MAX];
	size_t mount;	/* bytes of the path that are the mount point */
};

/* False if there is none under @mount. */
bool bm_cgroup_find(const char *proc, const char *mount, struct bm_cgroup *group);

/* The usage of the group, or of one around it, that is nearest to its limit. */
void bm_cgroup_read(const struct bm_cgroup *group, struct bm_usage *usage);

/* --- pools.c --- */

/*
 * The pools that serve requests with a device's @width, of node @node if it has any. The host
 * has @available bytes, into which the pools may grow.
 */
void bm_pools_read(int fd, int node, unsigned int width, uint64_t available,
		   struct bm_usage *usage, enum bitmem_pressure *floor);

/* Ends POLLPRI until the next change. False if the module does not answer. */
bool bm_pools_acknowledge(int fd);

/* --- stall.c --- */

/* Hundredths of a percent of the last ten seconds, as @dir/@name says; 0 if it does not. */
unsigned int bm_stall_read(const char *dir, const char *name);

/* A descriptor that polls POLLPRI when there is a stall; -1 if that cannot be had. */
int bm_stall_open(const char *dir, const char *name);

#endif /* BITMEM_SOURCE_H */
