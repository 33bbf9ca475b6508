/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a file from front to back through a small buffer, and never past the
 * size it had when it was opened: what does not fit in the rest of the file is an
 * error that names the scope and the field.
 */
#ifndef BITMEM_MODEL_READER_H
#define BITMEM_MODEL_READER_H

#include "set.h"

#define BM_READER_BUFFER 65536

struct bm_reader {
	const struct bm_file *file;
	int fd;
	struct bitmem_error *error;
	uint64_t pos;		/* of the next byte to hand out */
	size_t start, end;	/* what of the buffer is to be handed out */
	char scope[BM_QUOTE_MAX + 16]; /* what is being read: "key 3", "tensor \"output.weight\"" */
	unsigned char buffer[BM_READER_BUFFER];
};

/* NULL for want of memory; free() it. */
struct bm_reader *bm_reader_new(const struct bm_file *file, int fd, struct bitmem_error *error);
void bm_reader_scope(struct bm_reader *reader, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Reports -EBADMSG about @field of the scope. */
int bm_reader_bad(struct bm_reader *reader, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static inline uint64_t bm_reader_left(const struct bm_reader *reader)
{
	return reader->file->size - reader->pos;
}
int bm_reader_get(struct bm_reader *reader, const char *field, void *to, size_t length);
int bm_reader_skip(struct bm_reader *reader, const char *field, uint64_t length);
/* Little-endian integers. */
int bm_reader_u16(struct bm_reader *reader, const char *field, uint16_t *value);
int bm_reader_u32(struct bm_reader *reader, const char *field, uint32_t *value);
int bm_reader_u64(struct bm_reader *reader, const char *field, uint64_t *value);

#endif /* BITMEM_MODEL_READER_H */
