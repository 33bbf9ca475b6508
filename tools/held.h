/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model that is held: its data is published as NAME/0, NAME/1 ..., and what is where in it as
 * NAME, a buffer with a text, the index:
 *
 *   {"version":1, "asked":{...}, "format":"gguf", "bytes":N,
 *    "files":[{"path":"...","size":N,"mtime_ns":N,"inode":N}, ...],
 *    "buffers":[{"id":N,"length":N}, ...],
 *    "tensors":[{"name":"...","dtype":"...","shape":[N,...],"buffer":I,"offset":N,"bytes":N}, ...]}
 *
 * "asked" and "id" are for who holds it, the rest for everybody.
 */
#ifndef TOOLS_HELD_H
#define TOOLS_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <linux/bitmem.h>

#define HELD_VERSION 1

/* The index's tag. */
#define HELD_TAG "bitmem hold index"

/* Buffers that a model may have, one for each file, and so the length of a name. */
#define HELD_MAX_BUFFERS 4096
#define HELD_NAME_MAX	 (BITMEM_NAME_LEN - sizeof("/4095"))

/* The name of a model's buffer. Returns @buf. */
const char *held_part(const char *name, size_t i, char buf[BITMEM_NAME_LEN]);

/* Whether a buffer calls itself an index. */
bool held_is_index(const struct bitmem_query *buffer);

/*
 * A dma-buf of the buffer, close-on-exec; while it is open no memory is taken out of the
 * buffer. -1 with errno.
 */
int held_export(int fd, const struct bitmem_query *buffer);

/*
 * Reads the index in a buffer of the device file @fd. Nothing in it is believed: what is
 * returned has all members, of their types, and tensors lie in their buffers. NULL, and *@why
 * says what is wrong, at most a line.
 */
json_t *held_read(int fd, const struct bitmem_query *buffer, const char **why);

#endif /* TOOLS_HELD_H */
