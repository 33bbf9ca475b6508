// SPDX-License-Identifier: GPL-2.0
/*
 * Kills a process with SIGKILL and measures how long its memory takes to come back.
 *
 *   reclaim PID ALLOCATED
 *
 * ALLOCATED is what the pools had allocated, in bytes, before the process came. Prints
 * the time from the signal until no more than that is allocated, and until all free
 * memory is zeroed again. It asks the kernel itself, so that no start of a program is
 * in the figures. Exit status 1 if the memory does not come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include <linux/bitmem.h>

#define LIMIT_MS 60000

struct sums {
	uint64_t allocated;
	/* Free, but not ready yet: dirty or quarantined. */
	uint64_t pending;
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int read_sums(int fd, struct sums *sums)
{
	struct bitmem_info info = {.size = sizeof(info)};

	*sums = (struct sums){0};
	if (ioctl(fd, BITMEM_INFO, &info))
		return -1;
	for (uint32_t i = 0; i < info.out_pools; i++) {
		struct bitmem_pool_info pool = {.size = sizeof(pool), .index = i};

		if (ioctl(fd, BITMEM_POOL_INFO, &pool))
			return -1;
		sums->allocated += pool.out_allocated;
		sums->pending += pool.out_dirty + pool.out_quarantined;
	}
	return 0;
}

/* Milliseconds since @start, or -1 after saying why not. */
static double wait_until(int fd, double start, uint64_t allocated, bool ready)
{
	const struct timespec pause = {.tv_nsec = 50000};
	struct sums sums;

	for (;;) {
		if (read_sums(fd, &sums)) {
			perror("reclaim: POOL_INFO");
			return -1;
		}
		if (sums.allocated <= allocated && (!ready || !sums.pending))
			return now_ms() - start;
		if (now_ms() - start > LIMIT_MS)
			break;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "reclaim: after %d s still %llu bytes allocated, %llu not zeroed\n",
		LIMIT_MS / 1000, (unsigned long long)sums.allocated,
		(unsigned long long)sums.pending);
	return -1;
}

static int reclaim(int fd, pid_t pid, uint64_t allocated)
{
	double start = now_ms();
	double freed;
	double zeroed;

	if (kill(pid, SIGKILL)) {
		perror("reclaim: kill");
		return EXIT_FAILURE;
	}
	freed = wait_until(fd, start, allocated, false);
	if (freed < 0)
		return EXIT_FAILURE;
	zeroed = wait_until(fd, start, allocated, true);
	if (zeroed < 0)
		return EXIT_FAILURE;
	printf("memory back in the pool after %.1f ms, all of it zeroed again after %.1f ms\n",
	       freed, zeroed);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const char *path = getenv("BITMEM_DEVICE");
	int pid;
	int fd;

	if (argc != 3 || (pid = atoi(argv[1])) <= 1) {
		fputs("usage: reclaim PID ALLOCATED\n", stderr);
		return 2;
	}
	fd = open(path ? path : "/dev/bitmem", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "reclaim: device: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return reclaim(fd, pid, strtoull(argv[2], NULL, 10));
}
