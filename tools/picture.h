/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The map as a picture in a file. The drawing is done by a shared object of its own, which is
 * loaded when it is needed: it needs cairo, and the rest of the program does not.
 */
#ifndef TOOLS_PICTURE_H
#define TOOLS_PICTURE_H

#include "map.h"

enum picture_format {
	PICTURE_SVG,
	PICTURE_PNG,
};

/* Takes the next bytes of the file. 0, or -1 with errno, and no more is wanted. */
typedef int (*picture_write_fn)(const unsigned char *data, size_t length, void *to);

/*
 * In the shared object: draws and writes. NULL, or what went wrong.
 */
const char *picture_draw(const struct map *map, enum picture_format format, picture_write_fn write,
			 void *to);

/* Writes @path. 0, or -1 after saying on stderr what failed. */
int picture_save(const struct map *map, enum picture_format format, const char *path);

#endif /* TOOLS_PICTURE_H */
