// SPDX-License-Identifier: GPL-2.0
/*
 * Pictures are drawn in memory and written when they are complete, so that a file is not
 * touched for nothing.
 */
#include "picture.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "installed.h"
#include "output.h"
#include "replace.h"

struct bytes {
	unsigned char *data;
	size_t length;
	size_t room;
};

static int keep(const unsigned char *data, size_t length, void *to)
{
	struct bytes *bytes = to;
	unsigned char *larger;
	size_t room = bytes->room ? bytes->room : 64 << 10;

	while (room - bytes->length < length)
		room *= 2;
	if (room > bytes->room) {
		larger = realloc(bytes->data, room);
		if (!larger)
			return -1;
		bytes->data = larger;
		bytes->room = room;
	}
	memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
	return 0;
}

static int draw(const char *name, const void *what, enum picture_format format, void *drawer,
		struct bytes *bytes)
{
	void *symbol = dlsym(drawer, name);
	const char *wrong = "this is another version of it";
	picture_draw_fn *function;

	memcpy(&function, &symbol, sizeof(function));
	if (function)
		wrong = function(what, format, keep, bytes);
	if (!wrong)
		return 0;
	output_error("picture: %s", wrong);
	return -1;
}

/* NULL after saying on stderr what failed. */
static void *load_drawer(void)
{
	char path[INSTALLED_LEN];
	void *drawer;

	if (installed("picture.so", path)) {
		output_error("pictures cannot be drawn: /proc/self/exe does not tell where this is");
		return NULL;
	}
	drawer = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!drawer)
		output_error("pictures cannot be drawn: %s (is libcairo2 installed?)", dlerror());
	return drawer;
}

bool picture_outputs(const char *svg, const char *png, bool json)
{
	bool svg_out = svg && !strcmp(svg, "-");
	bool png_out = png && !strcmp(png, "-");

	if (svg_out + png_out + json <= 1)
		return true;
	output_error("%s: -: standard output is taken by %s", png_out ? "--png" : "--svg",
		     json ? "--json" : "--svg");
	return false;
}

int picture_save(const char *function, const void *what, enum picture_format format,
		 const char *path)
{
	struct bytes bytes = {0};
	void *drawer = load_drawer();
	int err;

	if (!drawer)
		return -1;
	err = draw(function, what, format, drawer, &bytes);
	if (!err)
		err = replace_file(path, bytes.data, bytes.length, REPLACE_DEFAULT_MODE);
	/* The drawer stays: what it uses keeps caches, for the next picture too. */
	free(bytes.data);
	return err;
}
