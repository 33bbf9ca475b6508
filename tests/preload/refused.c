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

/*
 * realloc(), or calloc() of twice as much if @zero, while no memfd can be made, which takes a
 * descriptor; the device has an end of its own.
 */
static void *take(void *ptr, size_t size, bool zero)
{
	struct rlimit before, none;
	void *block;

	if (getrlimit(RLIMIT_NOFILE, &before))
		abort();
	none = (struct rlimit) { 3, before.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &none))
		abort();
	errno = 0;
	block = zero ? calloc(size, 2) : realloc(ptr, size);
	if (setrlimit(RLIMIT_NOFILE, &before))
		abort();
	return block;
}

/* Takes blocks of @size until one is not the pool's. Returns it. */
static void *exhaust(size_t size)
{
	while (n < MOST) {
		void *block = take(NULL, size, false);

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

int main(int argc, char **argv)
{
	const int falls = argc == 2 && !strcmp(argv[1], "fall");
	const size_t size = 16 * MIB;
	char *first, *block;

	first = malloc(MIB);
	if (!in_pool(first))
		return fail("there is no pool");
	memset(first, 5, MIB);
	block = exhaust(size);
	if (n == MOST)
		return fail("it has no end");
	if (!block != !falls || (!falls && errno != ENOMEM))
		return fail(falls ? "no memory" : "memory from elsewhere");
	if (block)
		memset(block, 2, size);
	/* What is in the pool and cannot grow there. */
	block = take(first, 2 * size, false);
	if (!block != !falls || !all_are(falls ? block : first, 5, MIB))
		return fail("realloc");
	block = take(NULL, size, true);
	if (!block != !falls || (block && !all_are(block, 0, 2 * size)))
		return fail("calloc");
	block = malloc(1000);
	if (!block)
		return fail("small memory is malloc()'s affair");
	while (n)
		free(blocks[--n]);
	return 0;
}
