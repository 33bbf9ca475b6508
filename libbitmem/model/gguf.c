/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The header of a GGUF file, versions 2 and 3, little-endian.
 *
 * As strict as libggml: keys and tensor names are unique, names are shorter than
 * 64 bytes, arrays do not nest, the alignment is a power of two. Counts are
 * checked against what is left of the file before anything is done with them, and
 * memory grows with what has been read, never with what was promised.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

#define MAGIC_LENGTH	  4
#define DEFAULT_ALIGNMENT 32
#define MAX_DIMS	  4
#define MAX_NAME	  63	/* bytes of a tensor's name */
#define MAX_KEY		  65535 /* bytes of a key */
#define MAX_STRING	  (1u << 30)
#define MAX_ARRAY	  (1u << 30)
#define MIN_KEY_BYTES	  14 /* length, one byte, type, one byte of value */
#define MIN_TENSOR_BYTES  24 /* length, no name, no dimensions, type, offset */

enum value_type {
	VALUE_U8,
	VALUE_I8,
	VALUE_U16,
	VALUE_I16,
	VALUE_U32,
	VALUE_I32,
	VALUE_F32,
	VALUE_BOOL,
	VALUE_STRING,
	VALUE_ARRAY,
	VALUE_U64,
	VALUE_I64,
	VALUE_F64,
	VALUE_TYPES,
};

static const struct {
	const char *name;
	unsigned int bytes; /* 0: not a scalar */
} value_types[VALUE_TYPES] = {
	[VALUE_U8] = {"u8", 1},	      [VALUE_I8] = {"i8", 1},	[VALUE_U16] = {"u16", 2},
	[VALUE_I16] = {"i16", 2},     [VALUE_U32] = {"u32", 4}, [VALUE_I32] = {"i32", 4},
	[VALUE_F32] = {"f32", 4},     [VALUE_BOOL] = {"bool", 1}, [VALUE_STRING] = {"string", 0},
	[VALUE_ARRAY] = {"array", 0}, [VALUE_U64] = {"u64", 8}, [VALUE_I64] = {"i64", 8},
	[VALUE_F64] = {"f64", 8},
};

/* What is known while a header is read. */
struct header {
	struct bm_reader *reader;
	struct bm_file *file;
	uint64_t n_tensors, n_keys;
	struct bm_names names; /* of the keys, then of the tensors */
	char **keys;
	size_t keys_read, max_keys;
};

static int read_version(struct header *h)
{
	struct bm_reader *reader = h->reader;
	uint32_t version;
	int err = bm_reader_skip(reader, "magic", MAGIC_LENGTH);

	if (!err)
		err = bm_reader_u32(reader, "version", &version);
	if (err || version == 2 || version == 3)
		return err;
	if (version && !(version & 0xffff))
		return bm_report(reader->error, -ENOTSUP, h->file->path,
				 "version: %#" PRIx32 " is that of a big-endian file, which is "
				 "not supported", version);
	return bm_report(reader->error, -ENOTSUP, h->file->path,
			 "version: %" PRIu32 " is not supported (2 and 3 are)", version);
}

static int read_counts(struct header *h)
{
	struct bm_reader *reader = h->reader;
	int err = bm_reader_u64(reader, "n_tensors", &h->n_tensors);
	uint64_t left;

	if (!err)
		err = bm_reader_u64(reader, "n_kv", &h->n_keys);
	if (err)
		return err;
	left = bm_reader_left(reader);
	if (h->n_tensors > left / MIN_TENSOR_BYTES)
		return bm_reader_bad(reader, "n_tensors", "%" PRId64 " do not fit in %" PRIu64
				     " bytes", (int64_t)h->n_tensors, h->file->size);
	left -= h->n_tensors * MIN_TENSOR_BYTES;
	if (h->n_keys > left / MIN_KEY_BYTES)
		return bm_reader_bad(reader, "n_kv", "%" PRId64 " do not fit in %" PRIu64 " bytes",
				     (int64_t)h->n_keys, h->file->size);
	return 0;
}

/* Reads a string of @min to @max bytes without a NUL into a new *@string. */
static int read_name(struct header *h, const char *field, uint64_t min, uint64_t max,
		     char **string)
{
	struct bm_reader *reader = h->reader;
	uint64_t length;
	int err = bm_reader_u64(reader, field, &length);

	if (err)
		return err;
	if (length < min || length > max)
		return bm_reader_bad(reader, field, "%" PRIu64 " is not the length of one (%" PRIu64
				     " to %" PRIu64 " bytes)", length, min, max);
	if (length > bm_reader_left(reader))
		return bm_reader_skip(reader, field, length);
	*string = malloc((size_t)length + 1);
	if (!*string)
		return bm_report_nomem(reader->error, h->file->path);
	err = bm_reader_get(reader, field, *string, (size_t)length);
	(*string)[length] = '\0';
	if (!err && strlen(*string) != length)
		err = bm_reader_bad(reader, field, "has a NUL byte after \"%s\"",
				    BM_QUOTE(*string));
	if (err) {
		free(*string);
		*string = NULL;
	}
	return err;
}

/* Remembers a name and refuses one that was there before. */
static int add_name(struct header *h, const char *field, const char *name, size_t index)
{
	int err = bm_names_add(&h->names, name, index);

	if (err == -ENOMEM)
		return bm_report_nomem(h->reader->error, h->file->path);
	if (err)
		return bm_reader_bad(h->reader, field, "\"%s\" is there twice", BM_QUOTE(name));
	return 0;
}

/* Takes a key into @h, which frees it. */
static int read_key(struct header *h, const char **key)
{
	char *name = NULL;
	int err = read_name(h, "name", 1, MAX_KEY, &name);

	if (err)
		return err;
	if (h->keys_read == h->max_keys) {
		size_t n = h->max_keys ? h->max_keys * 2 : 32;
		char **keys = reallocarray(h->keys, n, sizeof(*keys));

		if (!keys) {
			free(name);
			return bm_report_nomem(h->reader->error, h->file->path);
		}
		h->keys = keys;
		h->max_keys = n;
	}
	h->keys[h->keys_read++] = name;
	*key = name;
	return add_name(h, "name", name, h->keys_read);
}

static int skip_string(struct bm_reader *reader)
{
	uint64_t length;
	int err = bm_reader_u64(reader, "string length", &length);

	if (err)
		return err;
	if (length > MAX_STRING)
		return bm_reader_bad(reader, "string length", "%" PRIu64 " is above %u", length,
				     MAX_STRING);
	return bm_reader_skip(reader, "string", length);
}

static int skip_array(struct bm_reader *reader)
{
	uint32_t type;
	uint64_t n;
	int err = bm_reader_u32(reader, "array type", &type);

	if (!err && (type >= VALUE_TYPES || type == VALUE_ARRAY))
		return bm_reader_bad(reader, "array type", "%" PRIu32 " cannot be in an array",
				     type);
	if (!err)
		err = bm_reader_u64(reader, "array length", &n);
	if (err)
		return err;
	if (n > MAX_ARRAY)
		return bm_reader_bad(reader, "array length", "%" PRIu64 " is above %u", n,
				     MAX_ARRAY);
	if (type != VALUE_STRING)
		return bm_reader_skip(reader, "array", n * value_types[type].bytes);
	if (n > bm_reader_left(reader) / sizeof(uint64_t))
		return bm_reader_bad(reader, "array length", "%" PRIu64
				     " strings do not fit in the file", n);
	for (uint64_t i = 0; !err && i < n; i++)
		err = skip_string(reader);
	return err;
}

static int skip_value(struct bm_reader *reader, uint32_t type)
{
	if (type == VALUE_STRING)
		return skip_string(reader);
	if (type == VALUE_ARRAY)
		return skip_array(reader);
	return bm_reader_skip(reader, "value", value_types[type].bytes);
}

static int read_architecture(struct header *h)
{
	static const char bitnet[] = "bitnet";
	char start[sizeof(bitnet) - 1];
	uint64_t length;
	int err = bm_reader_u64(h->reader, "string length", &length);

	if (!err && length > MAX_STRING)
		return bm_reader_bad(h->reader, "string length", "%" PRIu64 " is above %u", length,
				     MAX_STRING);
	if (err || length < sizeof(start))
		return err ? err : bm_reader_skip(h->reader, "string", length);
	err = bm_reader_get(h->reader, "string", start, sizeof(start));
	h->file->gguf.bitnet = !err && !memcmp(start, bitnet, sizeof(start));
	return err ? err : bm_reader_skip(h->reader, "string", length - sizeof(start));
}

static int read_alignment(struct header *h)
{
	uint32_t *alignment = &h->file->gguf.alignment;
	int err = bm_reader_u32(h->reader, "value", alignment);

	if (!err && (!*alignment || (*alignment & (*alignment - 1))))
		return bm_reader_bad(h->reader, "value", "%" PRIu32 " is not a power of two",
				     *alignment);
	return err;
}

static int read_split_no(struct header *h)
{
	return bm_reader_u16(h->reader, "value", &h->file->gguf.split_no);
}

static int read_split_count(struct header *h)
{
	return bm_reader_u16(h->reader, "value", &h->file->gguf.split_count);
}

static int read_split_tensors(struct header *h)
{
	uint32_t value;
	int err = bm_reader_u32(h->reader, "value", &value);

	h->file->gguf.split_tensors = (int32_t)value;
	if (!err && value > INT32_MAX)
		return bm_reader_bad(h->reader, "value", "%" PRId32 " is negative", (int32_t)value);
	return err;
}

/* The keys that matter here, the type each must have, and who reads its value. */
static const struct {
	const char *key;
	enum value_type type;
	int (*read)(struct header *h);
} known_keys[] = {
	{"general.architecture", VALUE_STRING, read_architecture},
	{"general.alignment", VALUE_U32, read_alignment},
	{"split.no", VALUE_U16, read_split_no},
	{"split.count", VALUE_U16, read_split_count},
	{"split.tensors.count", VALUE_I32, read_split_tensors},
};

static int read_pair(struct header *h, uint64_t index)
{
	struct bm_reader *reader = h->reader;
	const char *key = NULL;
	uint32_t type;
	int err;

	bm_reader_scope(reader, "key %" PRIu64, index);
	err = read_key(h, &key);
	if (err)
		return err;
	bm_reader_scope(reader, "key \"%s\"", BM_QUOTE(key));
	err = bm_reader_u32(reader, "type", &type);
	if (!err && type >= VALUE_TYPES)
		return bm_reader_bad(reader, "type", "%" PRIu32 " is not one", type);
	if (err)
		return err;
	for (size_t i = 0; i < sizeof(known_keys) / sizeof(known_keys[0]); i++) {
		if (strcmp(key, known_keys[i].key))
			continue;
		if (type != known_keys[i].type)
			return bm_reader_bad(reader, "type", "%s where %s is demanded",
					     value_types[type].name,
					     value_types[known_keys[i].type].name);
		return known_keys[i].read(h);
	}
	return skip_value(reader, type);
}

/* The number of elements must be below 2^63, unless it is 0. */
static int check_elements(struct bm_reader *reader, const struct bm_info *info)
{
	uint64_t n = 1;

	for (unsigned int i = 0; i < info->ndims; i++)
		if (!info->shape[i])
			return 0;
	for (unsigned int i = 0; i < info->ndims; i++)
		if (__builtin_mul_overflow(n, info->shape[i], &n) || n >= INT64_MAX)
			return bm_reader_bad(reader, "dimensions", "too many elements at %" PRIu64,
					     info->shape[i]);
	return 0;
}

static int read_shape(struct bm_reader *reader, struct bm_info *info)
{
	uint32_t ndims;
	int err = bm_reader_u32(reader, "n_dims", &ndims);

	if (!err && ndims > MAX_DIMS)
		return bm_reader_bad(reader, "n_dims", "%" PRIu32 " is above %d", ndims, MAX_DIMS);
	if (err)
		return err;
	info->ndims = ndims;
	for (unsigned int i = 0; i < ndims; i++) {
		err = bm_reader_u64(reader, "dimensions", &info->shape[i]);
		if (!err && info->shape[i] > INT64_MAX)
			return bm_reader_bad(reader, "dimensions", "%" PRId64 " is negative",
					     (int64_t)info->shape[i]);
		if (err)
			return err;
	}
	return check_elements(reader, info);
}

static int read_tensor(struct header *h, uint64_t index)
{
	struct bm_reader *reader = h->reader;
	struct bm_info *info = bm_file_info(h->file);
	int err;

	if (!info)
		return bm_report_nomem(reader->error, h->file->path);
	bm_reader_scope(reader, "tensor %" PRIu64, index);
	err = read_name(h, "name", 0, MAX_NAME, &info->name);
	if (!err)
		err = add_name(h, "name", info->name, (size_t)index);
	if (err)
		return err;
	bm_reader_scope(reader, "tensor \"%s\"", BM_QUOTE(info->name));
	err = read_shape(reader, info);
	if (!err)
		err = bm_reader_u32(reader, "type", &info->type);
	if (!err)
		err = bm_reader_u64(reader, "offset", &info->offset);
	return err;
}

/* The data section starts at the next multiple of the alignment. */
static int find_data(struct header *h)
{
	struct bm_reader *reader = h->reader;
	uint64_t mask = (uint64_t)h->file->gguf.alignment - 1;
	int err = 0;

	bm_reader_scope(reader, "%s", "");
	if (h->n_tensors)
		err = bm_reader_skip(reader, "data section", -reader->pos & mask);
	h->file->data_start = h->file->data_end = reader->pos;
	return err;
}

static int read_header(struct header *h)
{
	int err = read_version(h);

	if (!err)
		err = read_counts(h);
	for (uint64_t i = 0; !err && i < h->n_keys; i++)
		err = read_pair(h, i);
	if (err)
		return err;
	bm_names_fini(&h->names);
	err = bm_names_init(&h->names);
	if (err)
		return bm_report_nomem(h->reader->error, h->file->path);
	for (uint64_t i = 0; !err && i < h->n_tensors; i++)
		err = read_tensor(h, i);
	return err ? err : find_data(h);
}

int bm_gguf_read(struct bm_file *file, int fd, struct bitmem_error *error)
{
	struct header h = {.file = file, .reader = bm_reader_new(file, fd, error)};
	int err = h.reader ? bm_names_init(&h.names) : -ENOMEM;

	file->format = BITMEM_FORMAT_GGUF;
	file->gguf.alignment = DEFAULT_ALIGNMENT;
	if (err)
		bm_report_nomem(error, file->path);
	else
		err = read_header(&h);
	for (size_t i = 0; i < h.keys_read; i++)
		free(h.keys[i]);
	free(h.keys);
	bm_names_fini(&h.names);
	free(h.reader);
	return err;
}
