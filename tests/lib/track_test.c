/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of tracking share; see track_test.h. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bitmem/track.h>

struct bitmem *test_open(size_t segment_size);
bool test_leaks(void);

struct track_child {
	int status;
	char *text;
};

struct bitmem *track_open(enum bitmem_tracking level);
struct bitmem_sum track_sum(const struct bitmem_snapshot *snapshot);
bool track_agrees(const struct bitmem_snapshot *snapshot);
const struct bitmem_live *track_find(const struct bitmem_snapshot *snapshot, const void *ptr);
bool track_is_at(const struct bitmem_place *place, const char *file, unsigned int line);
struct track_child track_run(const char *leaks, int (*run)(void *arg), void *arg);

/* A child that leaks on purpose, or leaves a context open, is no business of the sanitizer's. */
static int in_child;

int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return in_child;
}

struct bitmem *track_open(enum bitmem_tracking level)
{
	struct bitmem_options options;

	bitmem_options_init(&options);
	options.segment_size = (size_t)2 << 20;
	options.tracking = level;
	return bitmem_open(&options);
}

struct bitmem_sum track_sum(const struct bitmem_snapshot *snapshot)
{
	struct bitmem_sum sum = { 0 };
	const struct bitmem_live *live;

	for (size_t i = 0; (live = bitmem_snapshot_get(snapshot, i)); i++) {
		if (live->kind == BITMEM_LIVE_VIEW) {
			sum.views++;
			continue;
		}
		sum.count++;
		sum.bytes += live->bytes;
	}
	return sum;
}

bool track_agrees(const struct bitmem_snapshot *snapshot)
{
	struct bitmem_stats stats = { .size = sizeof(stats) };
	struct bitmem_sum sum = track_sum(snapshot);

	return !bitmem_snapshot_stats(snapshot, &stats) && sum.count == stats.live &&
	       sum.bytes == stats.live_bytes && sum.views == stats.views &&
	       sum.count + sum.views == bitmem_snapshot_count(snapshot);
}

const struct bitmem_live *track_find(const struct bitmem_snapshot *snapshot, const void *ptr)
{
	const struct bitmem_live *live;

	for (size_t i = 0; (live = bitmem_snapshot_get(snapshot, i)); i++) {
		if (live->ptr == ptr && live->kind != BITMEM_LIVE_VIEW)
			return live;
	}
	return NULL;
}

bool track_is_at(const struct bitmem_place *place, const char *file, unsigned int line)
{
	const char *slash;

	if (!place || !place->file)
		return false;
	slash = strrchr(place->file, '/');
	return !strcmp(slash ? slash + 1 : place->file, file) && place->line == line;
}

/* All that comes out of a pipe, as a string. */
static char *read_all(int fd)
{
	size_t length = 0, room = 4096;
	char *text = malloc(room);
	ssize_t n;

	while (text && (n = read(fd, text + length, room - length - 1)) > 0) {
		length += (size_t)n;
		if (room - length < 1024)
			text = realloc(text, room *= 2);
	}
	if (text)
		text[length] = 0;
	return text;
}

struct track_child track_run(const char *leaks, int (*run)(void *arg), void *arg)
{
	struct track_child child = { .status = -1 };
	int pipes[2];
	pid_t pid;

	if (pipe(pipes))
		return child;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		in_child = 1;
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		if (leaks)
			setenv("BITMEM_LEAKS", leaks, 1);
		else
			unsetenv("BITMEM_LEAKS");
		exit(run(arg));
	}
	close(pipes[1]);
	child.text = read_all(pipes[0]);
	close(pipes[0]);
	if (waitpid(pid, &child.status, 0) != pid)
		child.status = -1;
	return child;
}
