/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A pool that gives nothing more: run with "fall" what is large is ordinary memory then, with
 * "fail", which --require is for, it is none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "place.h"

#define MOST 4096

static void *blocks[MOST];
static int n;

/* Takes blocks of @size until one is not the pool's. Returns it. */
static void *exhaust(size_t size)
{
	while (n < MOST) {
		void *block = malloc(size);

		if (!block || !in_pool(block))
			return block;
		memset(block, 1, 4096);
		blocks[n++] = block;
	}
	return NULL;
}

static int fail(const char *what)
{
	fprintf(stderr, "refused: %s\n", what);
	return 1;
}

/* The device has a size; a memfd needs a descriptor while it is made. */
static int make_it_refuse(size_t *size)
{
	struct rlimit none = { 3, 3 };

	*size = 16 * MIB;
	if (!access("/dev/bitmem", F_OK))
		return 0;
	return setrlimit(RLIMIT_NOFILE, &none);
}

int main(int argc, char **argv)
{
	const int falls = argc == 2 && !strcmp(argv[1], "fall");
	char *first, *block;
	size_t size;

	first = malloc(MIB);
	if (!in_pool(first))
		return fail("there is no pool");
	memset(first, 5, MIB);
	if (make_it_refuse(&size))
		return fail("no limit");
	errno = 0;
	block = exhaust(size);
	if (n == MOST)
		return fail("it has no end");
	if (!block != !falls || (!falls && errno != ENOMEM))
		return fail(falls ? "no memory" : "memory from elsewhere");
	if (block)
		memset(block, 2, size);
	errno = 0;
	/* What is in the pool and cannot grow there. */
	block = realloc(first, 2 * size);
	if (!block != !falls || !all_are(falls ? block : first, 5, MIB))
		return fail("realloc");
	block = calloc(size, 2);
	if (!block != !falls || (block && !all_are(block, 0, 2 * size)))
		return fail("calloc");
	block = malloc(1000);
	if (!block)
		return fail("small memory is malloc()'s affair");
	while (n)
		free(blocks[--n]);
	return 0;
}
