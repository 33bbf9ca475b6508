// SPDX-License-Identifier: GPL-2.0
/*
 * What a program finds that "bitmem attach" runs:
 *
 *   inherit NAMES		whether the descriptors have these names
 *   inherit read NAME		the file of that name on stdout
 *   inherit map NAME OFFSET N	N bytes from OFFSET on of the memory of that name on stdout
 *   inherit write NAME		whether the memory can be mapped to be written to
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The number of a descriptor, by the rules of sd_listen_fds_with_names(3). */
static int find(const char *name)
{
	const char *pid = getenv("LISTEN_PID");
	const char *names = getenv("LISTEN_FDNAMES");
	const char *count = getenv("LISTEN_FDS");

	if (!pid || atoi(pid) != getpid() || !names || !count)
		return -1;
	for (int i = 0; i < atoi(count); i++) {
		size_t length = strcspn(names, ":");

		if (length == strlen(name) && !strncmp(names, name, length))
			return 3 + i;
		names += length + (names[length] == ':');
	}
	return -1;
}

static int copy_file(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	return n < 0;
}

static int copy_memory(int fd, size_t offset, size_t n)
{
	char *map = mmap(NULL, offset + n, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return 1;
	return fwrite(map + offset, 1, n, stdout) != n;
}

int main(int argc, char **argv)
{
	int fd = argc > 2 ? find(argv[2]) : -1;
	struct stat st;

	if (argc == 2) {
		const char *names = getenv("LISTEN_FDNAMES");
		const char *count = getenv("LISTEN_FDS");
		/* Nothing else is inherited. */
		int beyond = count ? 3 + atoi(count) : 0;

		return !names || strcmp(names, argv[1]) || fstat(beyond - 1, &st) ||
		       !fstat(beyond, &st);
	}
	if (argc == 3 && !strcmp(argv[1], "read"))
		return copy_file(fd);
	if (argc == 5 && !strcmp(argv[1], "map"))
		return copy_memory(fd, strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	if (argc == 3 && !strcmp(argv[1], "write"))
		return mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED;
	fputs("usage: inherit NAMES|read NAME|map NAME OFFSET N|write NAME\n", stderr);
	return 2;
}
