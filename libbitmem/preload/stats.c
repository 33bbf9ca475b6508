/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The line that --stats wants when the program ends. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload.h"

/* Where programs do not look for their files. */
#define DESCRIPTOR 512

/* Many a program closes its standard error before it ends. */
static int out = -1;
static struct stat what;

void preload_stats_start(void)
{
	if (!preload_settings.stats)
		return;
	out = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, DESCRIPTOR);
	if (out < 0)
		out = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (out >= 0 && fstat(out, &what))
		out = -1;
}

/* Whether nobody has closed it, and got the number for something else. */
static bool is_ours(void)
{
	struct stat now;

	return out >= 0 && !fstat(out, &now) && now.st_dev == what.st_dev &&
	       now.st_ino == what.st_ino;
}

/* The program's name, as far as a line can have it. */
static void name_of(char *name, size_t length)
{
	const char *from = program_invocation_short_name;
	size_t i;

	for (i = 0; i < length - 1 && from[i]; i++) {
		const bool plain = from[i] >= ' ' && from[i] <= '~' && from[i] != '"' &&
				   from[i] != '\\';

		name[i] = plain ? from[i] : '?';
	}
	name[i] = '\0';
}

void preload_stats_print(void)
{
	const struct preload_pool *pool = preload_own();
	struct bitmem_stats stats = { .size = sizeof(stats) };
	const char *backend = "none";
	char name[64], line[512];
	int length;

	if (!preload_settings.stats || (!pool && !preload_refused()) || !is_ours())
		return;
	if (pool) {
		bitmem_stats(pool->ctx, &stats);
		backend = bitmem_backend_name(bitmem_backend(pool->ctx));
	}
	name_of(name, sizeof(name));
	length = snprintf(line, sizeof(line), preload_settings.stats == PRELOAD_STATS_JSON ?
			  "{\"program\":\"%s\",\"pid\":%d,\"backend\":\"%s\",\"allocations\":%llu,"
			  "\"peak_bytes\":%llu,\"live_bytes\":%llu,\"refused\":%llu}\n" :
			  "bitmem: %s[%d]: backend %s, %llu allocations, %llu bytes at most, "
			  "%llu at the end, %llu refused\n",
			  name, (int)getpid(), backend, (unsigned long long)stats.allocs,
			  (unsigned long long)stats.peak_bytes,
			  (unsigned long long)stats.live_bytes,
			  (unsigned long long)preload_refused());
	if (write(out, line, (size_t)length) < 0)
		return;
}
