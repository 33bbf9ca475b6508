/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * {"bitmem": "leaks", "when", "pid", "live", "bytes", "views", "places": [{"file", "line",
 * "function", "address", "symbol", "what", "dtype", "live", "bytes", "views", "oldest_ns": [from,
 * to], "stack": [{"address", "symbol"}]}]}, without what is not known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "report.h"

/* Names in programs need not be UTF-8. Takes the place of json_string(). */
static json_t *text_of(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_string("?");
}

static json_t *address_of(const void *address)
{
	char text[32];

	snprintf(text, sizeof(text), "%#" PRIxPTR, (uintptr_t)address);
	return json_string(text);
}

static json_t *symbol_of(const void *address)
{
	char text[512];

	bitmem_symbol(address, text, sizeof(text));
	return text_of(text);
}

/* 0; -1 if there is no memory. */
static int set_sum(json_t *object, const struct bitmem_sum *sum)
{
	return json_object_set_new(object, "live", json_integer((json_int_t)sum->count)) |
	       json_object_set_new(object, "bytes", json_integer((json_int_t)sum->bytes)) |
	       json_object_set_new(object, "views", json_integer((json_int_t)sum->views));
}

static int set_place(json_t *object, const struct bitmem_place *place)
{
	json_t *stack;
	int ret = 0;

	if (place->file) {
		ret |= json_object_set_new(object, "file", text_of(place->file));
		ret |= json_object_set_new(object, "line", json_integer(place->line));
		ret |= json_object_set_new(object, "function", text_of(place->function));
	}
	if (place->address) {
		ret |= json_object_set_new(object, "address", address_of(place->address));
		ret |= json_object_set_new(object, "symbol", symbol_of(place->address));
	}
	if (!place->depth)
		return ret;
	stack = json_array();
	for (unsigned int i = 0; i < place->depth; i++)
		ret |= json_array_append_new(stack, json_pack("{s:o, s:o}", "address",
							      address_of(place->stack[i]), "symbol",
							      symbol_of(place->stack[i])));
	return ret | json_object_set_new(object, "stack", stack);
}

static json_t *group_of(const struct bitmem_group *group)
{
	const struct bitmem_live *live = group->example;
	json_t *object = json_object();
	int ret = set_place(object, live->place);

	ret |= json_object_set_new(object, "what", json_string(bm_report_what(live)));
	if (live->dtype)
		ret |= json_object_set_new(object, "dtype",
					   json_string(bitmem_dtype_info(live->dtype)->name));
	ret |= set_sum(object, &group->sum);
	ret |= json_object_set_new(object, "oldest_ns",
				   json_pack("[I, I]", (json_int_t)group->sum.min_oldest_ns,
					     (json_int_t)group->sum.max_oldest_ns));
	if (!ret)
		return object;
	json_decref(object);
	return NULL;
}

/* What jansson allocated is to be freed as it is; a line ends it. */
static char *line_of(json_t *object, size_t *length)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII), *line = NULL;

	if (text) {
		*length = strlen(text) + 1;
		line = realloc(text, *length + 1);
		if (!line)
			free(text);
		else
			memcpy(line + *length - 1, "\n", 2);
	}
	return line;
}

char *bm_report_json(const struct bitmem_snapshot *snapshot, const char *when, size_t *length)
{
	json_t *object, *places;
	struct bitmem_group *groups;
	struct bitmem_sum all;
	char *line = NULL;
	size_t n;
	int ret;

	if (bm_report_groups(snapshot, &groups, &n, &all))
		return NULL;
	object = json_pack("{s:s, s:s, s:i}", "bitmem", "leaks", "when", when, "pid",
			   (int)getpid());
	places = json_array();
	ret = set_sum(object, &all);
	for (size_t i = 0; !ret && i < n; i++)
		ret = json_array_append_new(places, group_of(&groups[i]));
	ret |= json_object_set_new(object, "places", places);
	if (!ret)
		line = line_of(object, length);
	json_decref(object);
	free(groups);
	return line;
}
