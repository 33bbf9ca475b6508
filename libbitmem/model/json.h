/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON as model files have it. */
#ifndef BITMEM_MODEL_JSON_H
#define BITMEM_MODEL_JSON_H

#include <jansson.h>

#include "set.h"

/*
 * Parses all of @text, in which no object may have a key twice, into a new *@root.
 * Errors are about @field of @path.
 */
int bm_json_parse(const char *path, const char *field, const char *text, size_t length,
		  json_t **root, struct bitmem_error *error);

#endif /* BITMEM_MODEL_JSON_H */
