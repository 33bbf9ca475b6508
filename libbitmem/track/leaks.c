/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whoever has no memory left for a report at the end gets one line that says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mark.h"
#include "report.h"
#include "snapshot.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

int bm_leaks_read(struct bm_leaks *leaks, struct bitmem_error *error)
{
	const char *value = secure_getenv("BITMEM_LEAKS"), *path;
	size_t length;

	*leaks = (struct bm_leaks) { .wanted = false };
	if (!value || !*value || !strcmp(value, "0"))
		return 0;
	path = strchr(value, ':');
	length = path ? (size_t)(path - value) : strlen(value);
	if (length == 4 && !memcmp(value, "json", length))
		leaks->format = BITMEM_REPORT_JSON;
	else if (!(length == 4 && !memcmp(value, "text", length)) &&
		 !(length == 1 && *value == '1' && !path))
		return bm_error(error, -EINVAL,
				"BITMEM_LEAKS: \"%s\" is not 0, 1, text, json, text:PATH or "
				"json:PATH",
				value);
	if (path && !path[1])
		return bm_error(error, -EINVAL, "BITMEM_LEAKS: \"%s\" names no file", value);
	if (path) {
		leaks->path = strdup(path + 1);
		if (!leaks->path)
			return bm_error(error, -ENOMEM, "out of memory");
	}
	leaks->wanted = true;
	return 0;
}

void bm_leaks_destroy(struct bm_leaks *leaks)
{
	free(leaks->path);
	leaks->path = NULL;
}

static void complain(const struct bitmem *ctx, const char *what, int code)
{
	const char *path = ctx->track.leaks.path;

	dprintf(STDERR_FILENO, "bitmem: no report of what is still held: %s%s%s: %s\n", what,
		path ? " " : "", path ? path : "", strerror(-code));
}

static int write_to_file(const struct bitmem *ctx, const struct bitmem_snapshot *snapshot,
			 const char *when)
{
	const struct bm_leaks *leaks = &ctx->track.leaks;
	int fd = open(leaks->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int ret;

	if (fd < 0)
		return -errno;
	ret = bm_tell(snapshot, fd, leaks->format, when);
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

static void report(struct bitmem *ctx, const char *when, uint64_t since)
{
	const struct bm_leaks *leaks = &ctx->track.leaks;
	struct bitmem_snapshot *snapshot = bm_capture(ctx, &(struct bm_capture) { .since = since });
	int ret;

	if (!snapshot) {
		complain(ctx, "snapshot", -errno);
		return;
	}
	if (!snapshot->n)
		ret = 0;
	else if (leaks->path)
		ret = write_to_file(ctx, snapshot, when);
	else
		ret = bm_tell(snapshot, STDERR_FILENO, leaks->format, when);
	if (ret)
		complain(ctx, "write", ret);
	bitmem_snapshot_free(snapshot);
}

void bm_leaks_at_close(struct bitmem *ctx)
{
	if (ctx->track.leaks.wanted)
		report(ctx, "close", 0);
}

/* A context that was closed has been told of. */
static void report_open(struct bitmem *ctx)
{
	if (ctx->track.leaks.wanted && !atomic_load(&ctx->closed))
		report(ctx, "exit", ctx->track.own_serial);
}

static void at_exit(void)
{
	struct bitmem *ctx = bm_contexts_next(NULL), *next;

	for (; ctx; ctx = next) {
		report_open(ctx);
		next = bm_contexts_next(ctx);
		bm_context_unref(ctx);
	}
}

static void enlist(void)
{
	atexit(at_exit);
}

void bm_leaks_at_exit(void)
{
	pthread_once(&once, enlist);
}

/* --- on call --- */

struct bitmem_snapshot *bitmem_leaks(struct bitmem *ctx, const struct bitmem_mark *since)
{
	uint64_t serial = 0;

	if (since) {
		if (since->context != ctx->number) {
			errno = EINVAL;
			return NULL;
		}
		serial = since->serial;
	}
	return bm_capture(ctx, &(struct bm_capture) { .since = serial });
}

int bitmem_snapshot_report(const struct bitmem_snapshot *snapshot, int fd,
			   enum bitmem_report_format format)
{
	if (format != BITMEM_REPORT_TEXT && format != BITMEM_REPORT_JSON)
		return -EINVAL;
	return snapshot->n ? bm_tell(snapshot, fd, format, "call") : 0;
}

int bitmem_leaks_report(struct bitmem *ctx, int fd, enum bitmem_report_format format)
{
	struct bitmem_snapshot *snapshot;
	int ret;

	if (format != BITMEM_REPORT_TEXT && format != BITMEM_REPORT_JSON)
		return -EINVAL;
	snapshot = bitmem_leaks(ctx, NULL);
	if (!snapshot)
		return -errno;
	ret = bitmem_snapshot_report(snapshot, fd, format);
	bitmem_snapshot_free(snapshot);
	return ret;
}
