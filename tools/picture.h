/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pictures in files. The drawing is done by a shared object of its own, which is loaded when it
 * is needed: it needs cairo, and the rest of the program does not.
 */
#ifndef TOOLS_PICTURE_H
#define TOOLS_PICTURE_H

#include <stdbool.h>
#include <stddef.h>

enum picture_format {
	PICTURE_SVG,
	PICTURE_PNG,
};

/* Takes the next bytes of the file. 0, or -1 with errno, and no more is wanted. */
typedef int (*picture_write_fn)(const unsigned char *data, size_t length, void *to);

/*
 * In the shared object: each draws @what, a structure of its own kind, and writes it. NULL, or
 * what went wrong.
 */
typedef const char *picture_draw_fn(const void *what, enum picture_format format,
				    picture_write_fn write, void *to);

picture_draw_fn picture_map;	  /* struct map */
picture_draw_fn picture_timeline; /* struct timeline */

/*
 * Has the function of the name draw @what, and writes @path ("-": stdout). 0, or -1 after saying
 * on stderr what failed.
 */
int picture_save(const char *function, const void *what, enum picture_format format,
		 const char *path);

/*
 * Whether a command can do with the files @svg and @png (or NULL) and, if @json, with JSON on
 * stdout: only one of them can go there. Says on stderr if it cannot.
 */
bool picture_outputs(const char *svg, const char *png, bool json);

#endif /* TOOLS_PICTURE_H */
