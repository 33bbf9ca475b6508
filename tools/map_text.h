/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The map on a terminal, or as plain text.
 */
#ifndef TOOLS_MAP_TEXT_H
#define TOOLS_MAP_TEXT_H

#include <stdbool.h>

#include "map.h"

struct map_style {
	/* In 256 colours; else each kind has a letter. */
	bool colour;
	/* Characters beyond ASCII may be used; only with colours. */
	bool blocks;
	unsigned int columns;
};

/* Prints it on stdout. 0, or -1 after saying on stderr what failed. */
int map_print(const struct map *map, const struct map_style *style);

#endif /* TOOLS_MAP_TEXT_H */
