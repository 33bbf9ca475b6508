/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A buffered reader that knows where the file ends. Invariant: the bytes
 * buffer[start … end) are the file's bytes from pos on, and pos <= size.
 */
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

struct bm_reader *bm_reader_new(const struct bm_file *file, int fd, struct bitmem_error *error)
{
	struct bm_reader *reader = malloc(sizeof(*reader));

	if (!reader)
		return NULL;
	reader->file = file;
	reader->fd = fd;
	reader->error = error;
	reader->pos = 0;
	reader->start = reader->end = 0;
	reader->scope[0] = '\0';
	return reader;
}

void bm_reader_scope(struct bm_reader *reader, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(reader->scope, sizeof(reader->scope), fmt, args);
	va_end(args);
}

int bm_reader_bad(struct bm_reader *reader, const char *field, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return bm_report(reader->error, -EBADMSG, reader->file->path, "%s%s%s: %s", reader->scope,
			 reader->scope[0] ? " " : "", field, text);
}

/* Refuses what does not fit in the rest of the file. */
static int check_left(struct bm_reader *reader, const char *field, uint64_t length)
{
	if (length <= bm_reader_left(reader))
		return 0;
	return bm_reader_bad(reader, field, "%llu bytes at byte %llu do not fit in a file of %llu",
			     (unsigned long long)length, (unsigned long long)reader->pos,
			     (unsigned long long)reader->file->size);
}

static int fill(struct bm_reader *reader)
{
	uint64_t left = bm_reader_left(reader);
	size_t n = left < BM_READER_BUFFER ? (size_t)left : BM_READER_BUFFER;

	reader->start = 0;
	reader->end = n;
	return bm_file_read(reader->file, reader->fd, reader->buffer, n, reader->pos,
			    reader->error);
}

int bm_reader_get(struct bm_reader *reader, const char *field, void *to, size_t length)
{
	int err = check_left(reader, field, length);

	while (!err && length) {
		size_t n = reader->end - reader->start;

		if (!n) {
			err = fill(reader);
			continue;
		}
		if (n > length)
			n = length;
		memcpy(to, reader->buffer + reader->start, n);
		reader->start += n;
		reader->pos += n;
		to = (char *)to + n;
		length -= n;
	}
	return err;
}

int bm_reader_skip(struct bm_reader *reader, const char *field, uint64_t length)
{
	int err = check_left(reader, field, length);

	if (err)
		return err;
	if (length <= reader->end - reader->start)
		reader->start += (size_t)length;
	else
		reader->start = reader->end = 0;
	reader->pos += length;
	return 0;
}

int bm_reader_u16(struct bm_reader *reader, const char *field, uint16_t *value)
{
	int err = bm_reader_get(reader, field, value, sizeof(*value));

	*value = err ? 0 : le16toh(*value);
	return err;
}

int bm_reader_u32(struct bm_reader *reader, const char *field, uint32_t *value)
{
	int err = bm_reader_get(reader, field, value, sizeof(*value));

	*value = err ? 0 : le32toh(*value);
	return err;
}

int bm_reader_u64(struct bm_reader *reader, const char *field, uint64_t *value)
{
	int err = bm_reader_get(reader, field, value, sizeof(*value));

	*value = err ? 0 : le64toh(*value);
	return err;
}
