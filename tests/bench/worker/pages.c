// SPDX-License-Identifier: GPL-2.0
#include "pages.h"

#include <err.h>
#include <string.h>
#include <sys/mman.h>

void *pages_new(size_t bytes)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		err(1, "%zu bytes for the harness", bytes);
	memset(pages, 0, bytes);
	return pages;
}

void pages_free(void *pages, size_t bytes)
{
	munmap(pages, bytes);
}
