/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JSON parsing, strict and bounded: see json.h.
 *
 * Looking for the ends of members, only strings and brackets are understood; what is
 * between is jansson's to judge, and all of it comes before jansson in the end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static const struct bm_json_limits one_string = {.depth = 0, .values = 1};

static int bad(const struct bm_json *json, const char *due)
{
	char found[2] = "";

	if (json->at < json->end)
		found[0] = json->text[json->at];
	return bm_report(json->error, -EBADMSG, json->path,
			 "%s: bad JSON at byte %zu: %s is due, not \"%s\"", json->field, json->at,
			 due, BM_QUOTE(found));
}

/* Behind the string that starts at @at; the end if it does not end. */
static size_t string_end(const struct bm_json *json, size_t at)
{
	for (at++; at < json->end; at++) {
		if (json->text[at] == '\\')
			at++;
		else if (json->text[at] == '"')
			return at + 1;
	}
	return json->end;
}

/* No value comes without a comma or an opening bracket before it, but the first. */
static int check_limits(const struct bm_json *json, const struct bm_json_limits *limits)
{
	size_t depth = 0, values = 1, at = json->at;

	while (at < json->end) {
		char c = json->text[at];

		if (c == '[' || c == '{') {
			depth++;
			values++;
		} else if ((c == ']' || c == '}') && depth) {
			depth--;
		} else if (c == ',') {
			values++;
		}
		if (depth > limits->depth)
			return bm_report(json->error, -EBADMSG, json->path,
					 "%s: nested deeper than %zu at byte %zu", json->field,
					 limits->depth, at);
		if (values > limits->values)
			return bm_report(json->error, -EBADMSG, json->path,
					 "%s: more than %zu values in one at byte %zu", json->field,
					 limits->values, at);
		at = c == '"' ? string_end(json, at) : at + 1;
	}
	return 0;
}

int bm_json_parse(const struct bm_json *json, const struct bm_json_limits *limits, json_t **root)
{
	json_error_t why = {0};
	int err = check_limits(json, limits);

	if (err)
		return err;
	/* Without memory for a token, jansson calls the token bad: malloc() knows better. */
	errno = 0;
	*root = json_loadb(json->text + json->at, json->end - json->at,
			   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (*root)
		return 0;
	if (errno == ENOMEM || !why.text[0])
		return bm_report_nomem(json->error, json->path);
	return bm_report(json->error, -EBADMSG, json->path, "%s: bad JSON at byte %zu: %s",
			 json->field, json->at + (size_t)why.position, why.text);
}

/* The first byte that is not blank; 0 if there is none. */
static char peek(struct bm_json *json)
{
	while (json->at < json->end && memchr(" \t\r\n", json->text[json->at], 4))
		json->at++;
	return json->at < json->end ? json->text[json->at] : '\0';
}

/*
 * Goes to the end of a value: behind its last bracket, or to the comma or the bracket
 * of what is around it.
 */
static void skip_value(struct bm_json *json)
{
	size_t depth = 0;

	while (json->at < json->end) {
		char c = json->text[json->at];

		if (!depth && (c == ',' || c == '}' || c == ']'))
			return;
		json->at = c == '"' ? string_end(json, json->at) : json->at + 1;
		if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && !--depth)
			return;
	}
}

int bm_json_enter(struct bm_json *json)
{
	struct bm_json rest;

	if (peek(json) != '{')
		return bad(json, "an object");
	rest = *json;
	skip_value(&rest);
	(void)peek(&rest);
	if (rest.at < rest.end)
		return bad(&rest, "the end");
	json->at++;
	return 0;
}

int bm_json_member(struct bm_json *json, json_t **key, struct bm_json *value)
{
	struct bm_json name;
	char c = peek(json);
	int err;

	if (c == '}')
		return 0;
	if (c != '"')
		return bad(json, "a key");
	name = *json;
	json->at = name.end = string_end(json, json->at);
	if (peek(json) != ':')
		return bad(json, "a colon");
	json->at++;
	(void)peek(json);
	*value = *json;
	skip_value(json);
	value->end = json->at;
	c = peek(json);
	if (c != ',' && c != '}')
		return bad(json, "a comma or the object's end");
	if (c == ',') {
		json->at++;
		if (peek(json) != '"')
			return bad(json, "a key");
	}
	err = bm_json_parse(&name, &one_string, key);
	return err ? err : 1;
}

char *bm_json_quote(char to[BM_QUOTE_MAX], const json_t *value)
{
	char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	bm_quote(to, text ? text : value ? "(no memory to show it)" : "missing");
	free(text);
	return to;
}
