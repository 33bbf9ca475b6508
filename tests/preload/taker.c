/* SPDX-License-Identifier: GPL-2.0 */
/*
 * usage: taker MIB [wait]
 *
 * Takes so much memory by one malloc(), says "well" if it was good for something, and waits to be
 * killed, if told so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "place.h"

int main(int argc, char **argv)
{
	const size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) * MIB : 0;
	char *block = malloc(size);

	if (!block)
		return 1;
	memset(block, 3, size);
	if (!all_are(block, 3, size))
		return 1;
	puts("well");
	fflush(stdout);
	if (argc > 2)
		pause();
	free(block);
	return 0;
}
