/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON as model files have it. Text costs little until it is parsed: jansson makes
 * hundreds of bytes of two of them. So what is to be parsed is measured first, and a
 * large object is gone through member by member.
 */
#ifndef BITMEM_MODEL_JSON_H
#define BITMEM_MODEL_JSON_H

#include <jansson.h>

#include "set.h"

/* A text in a file. A part of it keeps its place: errors name bytes of the whole. */
struct bm_json {
	const char *path, *field; /* what errors are about */
	struct bitmem_error *error;
	const char *text;
	size_t at, end;		/* what of the text is meant, or what is left of it */
};

/* What a value may be made of. */
struct bm_json_limits {
	size_t depth;		/* arrays and objects in each other */
	size_t values;		/* in all */
};

/* Parses all of it, in which no object may have a key twice, into a new *@root. */
int bm_json_parse(const struct bm_json *json, const struct bm_json_limits *limits, json_t **root);

/* Goes into an object, for bm_json_member(). */
int bm_json_enter(struct bm_json *json);
/*
 * The next member of the object that was entered: 1 with its key in *@key, to be
 * dropped, and the text of its value in *@value; 0 if that was all; -errno. That no
 * key comes twice is for the caller to check.
 */
int bm_json_member(struct bm_json *json, json_t **key, struct bm_json *value);

/* A value as an error shows it, "missing" if it is NULL; see BM_QUOTE(). */
#define BM_JSON_QUOTE(value) bm_json_quote((char[BM_QUOTE_MAX]){0}, (value))
char *bm_json_quote(char to[BM_QUOTE_MAX], const json_t *value);

#endif /* BITMEM_MODEL_JSON_H */
