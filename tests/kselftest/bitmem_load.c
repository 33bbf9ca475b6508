// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers of bitmem_load.h.
 */
#include "bitmem_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SYSFS	"/sys/module/bitmem"

/* The result of a test program that failed, as in kselftest.h. */
#define FAIL	1

const char *bl_obstacle;

int bl_insmod(const char *parameters)
{
	int fd = open(getenv("BITMEM_KO"), O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return err;
}

int bl_rmmod(void)
{
	return syscall(SYS_delete_module, "bitmem", O_NONBLOCK) ? -errno : 0;
}

int bl_rmmod_soon(void)
{
	int i, err = 0;

	for (i = 0; i < 100; i++) {
		err = bl_rmmod();
		if (err != -EWOULDBLOCK)
			break;
		bt_sleep_ms(10);
	}
	return err;
}

bool bl_loaded(void)
{
	return !access(SYSFS, F_OK);
}

/* The node appears by devtmpfs, at once, but perhaps udev has yet to have its way. */
int bl_open(void)
{
	int i, fd = -1;

	for (i = 0; i < 200 && fd < 0; i++) {
		fd = bt_open();
		if (fd < 0)
			bt_sleep_ms(5);
	}
	return fd;
}

const char *bl_begin(struct bt *t, const char *parameters)
{
	int err = bl_insmod(parameters);

	if (err)
		return strerror(-err);
	close(bl_open());
	return bt_begin(t);
}

int64_t bl_figure(const char *path, const char *key)
{
	const size_t length = strlen(key);
	FILE *file = fopen(path, "re");
	char line[256];
	int64_t sum = 0;

	while (file && fgets(line, sizeof(line), file)) {
		const char *at = line + strspn(line, " ");

		if (!strncmp(at, key, length))
			sum += strtoll(at + length, NULL, 10);
	}
	if (file)
		fclose(file);
	return sum;
}

void bl_pfns(const void *address, uint64_t *pfns, size_t n)
{
	const uintptr_t first = (uintptr_t)address / sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;
	size_t i;

	if (fd >= 0) {
		got = pread(fd, pfns, n * sizeof(*pfns), first * sizeof(*pfns));
		close(fd);
	}
	/* The highest bit says that there is a page, the lowest 55 which one. */
	for (i = 0; i < n; i++) {
		if (got < (ssize_t)((i + 1) * sizeof(*pfns)) || !(pfns[i] >> 63))
			pfns[i] = 0;
		pfns[i] &= (1ull << 55) - 1;
	}
}

uint64_t bl_pfn(const void *address)
{
	uint64_t pfn;

	bl_pfns(address, &pfn, 1);
	return pfn;
}

/* One file's first line, without its end; false if there is none. */
static bool read_line(const char *path, char *line, int room)
{
	FILE *file = fopen(path, "re");
	bool got;

	if (!file)
		return false;
	got = fgets(line, room, file);
	fclose(file);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return got;
}

/* With what parameters the module is loaded; false if they cannot be read. */
static bool read_parameters(char *parameters, size_t room)
{
	static const char *const names[] = {
		"pool_mb", "max_mb", "reserve_mb", "dma32_mb", "user_quota_mb",
	};
	char path[128], value[256];
	size_t i, used = 0;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), SYSFS "/parameters/%s", names[i]);
		if (!read_line(path, value, sizeof(value)))
			return false;
		used += snprintf(parameters + used, room - used, "%s%s=%s", i ? " " : "",
				 names[i], value);
		if (used >= room)
			return false;
	}
	return true;
}

/* Unloads the module, and notes with what parameters it was loaded: "" if it was not. */
static const char *make_room(char *parameters, size_t room)
{
	const char *ko = getenv("BITMEM_KO");

	parameters[0] = '\0';
	if (geteuid())
		return "needs root";
	if (!ko)
		return "BITMEM_KO does not say where the module is";
	if (access(ko, R_OK))
		return "the module of BITMEM_KO cannot be read";
	if (!bl_loaded())
		return NULL;
	if (!read_parameters(parameters, room)) {
		parameters[0] = '\0';
		return "the module's parameters cannot be read";
	}
	if (bl_rmmod()) {
		parameters[0] = '\0';
		return "somebody uses the module";
	}
	return NULL;
}

/* Loads the module as it was, and waits for its pools. */
static int restore(const char *parameters)
{
	struct bt t;
	const char *why = bl_begin(&t, parameters);

	if (why)
		printf("Bail out! %s: %s\n", parameters, why);
	return why ? -EIO : 0;
}

int bl_run(int (*tests)(int argc, char **argv), int argc, char **argv)
{
	char parameters[512];
	int status;
	pid_t child;

	bl_obstacle = make_room(parameters, sizeof(parameters));
	child = fork();
	if (!child)
		exit(tests(argc, argv));
	status = child < 0 ? FAIL : bt_reap(child);
	if (parameters[0] && restore(parameters))
		status = FAIL;
	return status >= 0 && status < 256 ? status : FAIL;
}
