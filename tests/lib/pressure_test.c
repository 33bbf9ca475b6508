/* SPDX-License-Identifier: GPL-2.0 */
/* A pressure that the test makes up; see pressure_test.h. */
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../../libbitmem/pressure/level.h"
#include "pressure_test.h"

void __wrap_bm_pressure_read(const struct bitmem *ctx, struct bm_reading *reading);

int __wrap_bm_pressure_stall_fd(const struct bitmem *ctx);

static atomic_uint usage, readings;
static atomic_int stall_fd = -1;

void __wrap_bm_pressure_read(const struct bitmem *ctx, struct bm_reading *reading)
{
	(void)ctx;
	memset(reading, 0, sizeof(*reading));
	reading->usage[0] = (struct bm_usage){ .used = usage, .total = 100 };
	readings++;
}

/* This host's stalls are none of the test's. */
int __wrap_bm_pressure_stall_fd(const struct bitmem *ctx)
{
	(void)ctx;
	return atomic_exchange(&stall_fd, -1);
}

void test_set_stall_fd(int fd)
{
	stall_fd = fd;
}

void test_set_usage(unsigned int percent)
{
	usage = percent;
}

unsigned int test_readings(void)
{
	return readings;
}

bool test_wait_readings(unsigned int n)
{
	unsigned int start = readings;

	for (int i = 0; readings - start < n && i < 20000; i++)
		usleep(5000);
	return readings - start >= n;
}

void test_keeper_status(const char *name, char value[64])
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	char path[300], line[256], found[64];
	size_t length = strlen(name);

	*value = 0;
	while (dir && (entry = readdir(dir))) {
		bool keeper = false;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = fopen(path, "re");
		while (file && fgets(line, sizeof(line), file)) {
			keeper |= !strcmp(line, "Name:\tbitmem-keeper\n");
			if (strncmp(line, name, length) || line[length] != ':')
				continue;
			if (keeper && sscanf(line + length + 1, " %63s", found) == 1)
				strcpy(value, found);
		}
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
}

bool test_has_keeper(void)
{
	char value[64];

	test_keeper_status("Name", value);
	return *value;
}

struct bitmem_strategy test_strategy(unsigned int flags)
{
	struct bitmem_strategy strategy;

	bitmem_strategy_init(&strategy);
	strategy.flags = flags;
	strategy.pressure_ms = 10;
	strategy.idle_ms = 10;
	strategy.period_ms = 10;
	strategy.sample_ms = 10;
	return strategy;
}

struct bitmem_strategy_stats test_returns(struct bitmem *ctx)
{
	struct bitmem_strategy_stats stats = { .size = sizeof(stats) };

	if (bitmem_strategy_stats(ctx, &stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

void test_note(struct bitmem *ctx, enum bitmem_pressure level, void *arg)
{
	struct calls *calls = arg;

	(void)ctx;
	pthread_mutex_lock(&calls->lock);
	if (calls->n < MOST_CALLS)
		calls->levels[calls->n++] = level;
	pthread_mutex_unlock(&calls->lock);
}

unsigned int test_calls(struct calls *calls)
{
	unsigned int n;

	pthread_mutex_lock(&calls->lock);
	n = calls->n;
	pthread_mutex_unlock(&calls->lock);
	return n;
}
