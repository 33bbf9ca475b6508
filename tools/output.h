/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What goes to stdout and stderr. Nothing printed counts as printed before
 * output_flush(), output_bytes() or output_json() said so.
 */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* One line on stderr: "bitmem: ...". Control characters are escaped. */
void output_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes out what stdout holds. 0, or -1 after saying on stderr what failed. */
int output_flush(void);

/* Writes @length bytes to stdout, all there is. 0, or -1 after saying on stderr what failed. */
int output_bytes(const void *data, size_t length);

/*
 * Prints @object on a line of its own and drops the reference to it. NULL stands
 * for an object that could not be built. 0, or -1 after saying on stderr what
 * failed.
 */
int output_json(json_t *object);

/*
 * Building objects and arrays: both take over @value, which may be NULL if making it
 * failed. A failure drops *@object and leaves NULL there, and what comes after does
 * nothing: so only the end has to look.
 */
void output_json_set(json_t **object, const char *key, json_t *value);
void output_json_append(json_t **array, json_t *value);

/* A JSON string of any bytes, see text_repair(). NULL with ENOMEM. */
json_t *output_json_text(const char *s);

/* A JSON integer. NULL if JSON (as read by most) cannot hold it, or with ENOMEM. */
json_t *output_json_u64(uint64_t value);

#endif /* TOOLS_OUTPUT_H */
