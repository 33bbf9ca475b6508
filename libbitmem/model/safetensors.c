/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The header of a safetensors file: its length as a little-endian u64, then JSON,
 * then the data.
 *
 * As strict as the reference: names are unique, each tensor's range is exactly as
 * long as dtype and shape say, and the ranges cover the data section without gap
 * or overlap up to the very end of the file.
 *
 * The header is parsed an entry at a time, so that it costs its text and what is
 * kept of it, whatever is in it.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define LENGTH_BYTES 8
#define MAX_HEADER   100000000u

/* Of one entry: 14 are a tensor's with all its dimensions; others may be known elsewhere. */
static const struct bm_json_limits entry_limits = {.depth = 4, .values = 64};

static const struct {
	const char *name;
	enum bitmem_dtype dtype;
} dtypes[] = {
	{"BOOL", BITMEM_BOOL},
	{"F4", BITMEM_F4},
	{"F6_E2M3", BITMEM_F6_E2M3},
	{"F6_E3M2", BITMEM_F6_E3M2},
	{"U8", BITMEM_U8},
	{"I8", BITMEM_I8},
	{"F8_E5M2", BITMEM_F8_E5M2},
	{"F8_E4M3", BITMEM_F8_E4M3},
	{"F8_E8M0", BITMEM_F8_E8M0},
	{"F8_E4M3FNUZ", BITMEM_F8_E4M3FNUZ},
	{"F8_E5M2FNUZ", BITMEM_F8_E5M2FNUZ},
	{"I16", BITMEM_I16},
	{"U16", BITMEM_U16},
	{"F16", BITMEM_F16},
	{"BF16", BITMEM_BF16},
	{"I32", BITMEM_I32},
	{"U32", BITMEM_U32},
	{"F32", BITMEM_F32},
	{"C64", BITMEM_C64},
	{"F64", BITMEM_F64},
	{"I64", BITMEM_I64},
	{"U64", BITMEM_U64},
};

/* What is known while a header is read. */
struct header {
	struct bm_file *file;
	struct bitmem_error *error;
	const char *name; /* of the tensor being read */
	struct bm_names names; /* of all so far */
	bool metadata;	/* there was one */
};

#define BAD(h, field, fmt, ...)                                                                    \
	bm_report((h)->error, -EBADMSG, (h)->file->path, "tensor \"%s\" " field ": " fmt,      \
		  BM_QUOTE((h)->name), ##__VA_ARGS__)

bool bm_safetensors_probe(const struct bm_file *file, const unsigned char *head, size_t n)
{
	uint64_t length;

	if (n <= LENGTH_BYTES)
		return false;
	memcpy(&length, head, sizeof(length));
	length = le64toh(length);
	return length <= MAX_HEADER && length <= file->size - LENGTH_BYTES &&
	       strchr("{ \t\r\n", head[LENGTH_BYTES]) && head[LENGTH_BYTES];
}

static int read_dtype(struct header *h, json_t *value, struct bm_info *info)
{
	const char *name = json_string_value(value);

	if (!name)
		return BAD(h, "dtype", "%s where a string is due", BM_JSON_QUOTE(value));
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
		if (!strcmp(name, dtypes[i].name)) {
			info->dtype = dtypes[i].dtype;
			info->dtype_name = dtypes[i].name;
			return 0;
		}
	}
	return bm_report(h->error, -ENOTSUP, h->file->path,
			 "tensor \"%s\" dtype: \"%s\" is not supported",
			 BM_QUOTE(h->name), BM_QUOTE(name));
}

/* A non-negative integer of the JSON array @field. */
static int read_count(struct header *h, json_t *value, const char *field, uint64_t *count)
{
	if (!json_is_integer(value))
		return bm_report(h->error, -EBADMSG, h->file->path,
				 "tensor \"%s\" %s: %s where an integer is due",
				 BM_QUOTE(h->name), field, BM_JSON_QUOTE(value));
	if (json_integer_value(value) < 0)
		return bm_report(h->error, -EBADMSG, h->file->path,
				 "tensor \"%s\" %s: %lld is negative", BM_QUOTE(h->name), field,
				 (long long)json_integer_value(value));
	*count = (uint64_t)json_integer_value(value);
	return 0;
}

static int read_shape(struct header *h, json_t *shape, struct bm_info *info)
{
	size_t n = json_array_size(shape);
	int err = 0;

	if (!json_is_array(shape))
		return BAD(h, "shape", "%s where an array is due", BM_JSON_QUOTE(shape));
	if (n > BITMEM_MAX_DIMS)
		return bm_report(h->error, -ENOTSUP, h->file->path,
				 "tensor \"%s\" shape: %zu dimensions, more than %d",
				 BM_QUOTE(h->name), n, BITMEM_MAX_DIMS);
	info->ndims = (unsigned int)n;
	for (size_t i = 0; !err && i < n; i++)
		err = read_count(h, json_array_get(shape, i), "shape", &info->shape[i]);
	return err;
}

/* Exact size in bytes: product of the shape times the bits of an element. */
static int read_size(struct header *h, struct bm_info *info)
{
	uint64_t bits = bitmem_dtype_info(info->dtype)->block_bits;
	unsigned int fastest = info->ndims ? info->ndims - 1 : 0;

	for (unsigned int i = 0; i < info->ndims; i++)
		if (__builtin_mul_overflow(bits, info->shape[i], &bits))
			return BAD(h, "shape", "more bits than can be counted at %" PRIu64,
				   info->shape[i]);
	if (bits % 8)
		return BAD(h, "shape", "%" PRIu64 " bits of %s are no whole bytes", bits,
			   info->dtype_name);
	if (bitmem_dtype_bytes(info->dtype, info->ndims, info->shape, fastest, &info->bytes))
		return BAD(h, "shape", "has no size as %s", info->dtype_name);
	return 0;
}

static int read_range(struct header *h, json_t *offsets, struct bm_info *info)
{
	uint64_t data = h->file->size - h->file->data_start, end = 0;
	int err;

	if (json_array_size(offsets) != 2)
		return BAD(h, "data_offsets", "%s where an array of two is due",
			   BM_JSON_QUOTE(offsets));
	err = read_count(h, json_array_get(offsets, 0), "data_offsets", &info->offset);
	if (!err)
		err = read_count(h, json_array_get(offsets, 1), "data_offsets", &end);
	if (err)
		return err;
	if (end < info->offset)
		return BAD(h, "data_offsets", "%" PRIu64 " is before %" PRIu64, end, info->offset);
	if (end > data)
		return BAD(h, "data_offsets", "%" PRIu64 " is beyond the data's %" PRIu64 " bytes",
			   end, data);
	if (end - info->offset != info->bytes)
		return BAD(h, "data_offsets", "%" PRIu64 " bytes; dtype and shape make %" PRIu64,
			   end - info->offset, info->bytes);
	return 0;
}

static int read_tensor(struct header *h, json_t *value)
{
	struct bm_info *info;
	int err;

	if (!json_is_object(value))
		return BAD(h, "description", "%s where an object is due", BM_JSON_QUOTE(value));
	info = bm_file_info(h->file);
	if (info)
		info->name = strdup(h->name);
	if (!info || !info->name)
		return bm_report_nomem(h->error, h->file->path);
	err = read_dtype(h, json_object_get(value, "dtype"), info);
	if (!err)
		err = read_shape(h, json_object_get(value, "shape"), info);
	if (!err)
		err = read_size(h, info);
	if (!err)
		err = read_range(h, json_object_get(value, "data_offsets"), info);
	return err;
}

/* Nothing is kept of it. */
static int check_metadata(struct header *h, struct bm_json *text)
{
	struct bm_json part;
	json_t *key, *value;
	int ret;

	text->field = "__metadata__";
	if (h->metadata)
		return bm_report(h->error, -EBADMSG, h->file->path,
				 "header: \"__metadata__\" is there twice");
	h->metadata = true;
	ret = bm_json_enter(text);
	if (ret)
		return ret;
	while ((ret = bm_json_member(text, &key, &part)) > 0) {
		value = NULL;
		ret = bm_json_parse(&part, &entry_limits, &value);
		if (!ret && !json_is_string(value))
			ret = bm_report(h->error, -EBADMSG, h->file->path,
					"__metadata__ \"%s\": %s where a string is due",
					BM_QUOTE(json_string_value(key)), BM_JSON_QUOTE(value));
		json_decref(value);
		json_decref(key);
		if (ret)
			return ret;
	}
	return ret;
}

static int by_offset(const void *a, const void *b)
{
	const struct bm_info *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The ranges, sorted, must cover the data section: no gap, no overlap, nothing left. */
static int check_cover(struct header *h)
{
	struct bm_file *file = h->file;
	uint64_t at = 0, data = file->size - file->data_start;

	if (file->n_infos)
		qsort(file->infos, file->n_infos, sizeof(*file->infos), by_offset);
	for (size_t i = 0; i < file->n_infos; i++) {
		const struct bm_info *info = &file->infos[i];

		h->name = info->name;
		if (info->offset != at)
			return BAD(h, "data_offsets", "%" PRIu64 " where %" PRIu64 " is due",
				   info->offset, at);
		at += info->bytes;
	}
	if (at != data)
		return bm_report(h->error, -EBADMSG, file->path,
				 "data section: %" PRIu64 " bytes, but the tensors have %" PRIu64,
				 data, at);
	return 0;
}

static int read_entry(struct header *h, struct bm_json *text)
{
	json_t *value;
	int err;

	if (!strcmp(h->name, "__metadata__"))
		return check_metadata(h, text);
	if (bm_names_find(&h->names, h->name) != SIZE_MAX)
		return bm_report(h->error, -EBADMSG, h->file->path,
				 "header: \"%s\" is there twice", BM_QUOTE(h->name));
	err = bm_json_parse(text, &entry_limits, &value);
	if (err)
		return err;
	err = read_tensor(h, value);
	json_decref(value);
	if (!err && bm_names_add(&h->names, h->file->infos[h->file->n_infos - 1].name, 0))
		err = bm_report_nomem(h->error, h->file->path);
	return err;
}

static int read_json(struct header *h, struct bm_json *text)
{
	struct bm_json part;
	json_t *key;
	int ret = bm_json_enter(text);

	if (ret)
		return ret;
	while ((ret = bm_json_member(text, &key, &part)) > 0) {
		h->name = json_string_value(key);
		ret = read_entry(h, &part);
		json_decref(key);
		if (ret)
			return ret;
	}
	return ret ? ret : check_cover(h);
}

static int read_length(struct header *h, int fd, size_t *length)
{
	struct bm_file *file = h->file;
	uint64_t n;
	int err;

	if (file->size < LENGTH_BYTES)
		return bm_report(h->error, -EBADMSG, file->path,
				 "header length: 8 bytes do not fit in a file of %" PRIu64,
				 file->size);
	err = bm_file_read(file, fd, &n, sizeof(n), 0, h->error);
	if (err)
		return err;
	n = le64toh(n);
	if (n > MAX_HEADER)
		return bm_report(h->error, -EBADMSG, file->path,
				 "header length: %" PRIu64 " is above %u", n, MAX_HEADER);
	if (n > file->size - LENGTH_BYTES)
		return bm_report(h->error, -EBADMSG, file->path,
				 "header length: %" PRIu64 " does not fit in a file of %" PRIu64,
				 n, file->size);
	*length = (size_t)n;
	file->data_start = LENGTH_BYTES + n;
	file->data_end = file->size;
	return 0;
}

static int parse(struct header *h, int fd, char *text, size_t length)
{
	struct bm_json json = {.path = h->file->path, .field = "header", .error = h->error,
			       .text = text, .end = length};
	int err = bm_file_read(h->file, fd, text, length, LENGTH_BYTES, h->error);

	if (err)
		return err;
	if (bm_names_init(&h->names))
		return bm_report_nomem(h->error, h->file->path);
	err = read_json(h, &json);
	bm_names_fini(&h->names);
	return err;
}

int bm_safetensors_read(struct bm_file *file, int fd, struct bitmem_error *error)
{
	struct header h = {.file = file, .error = error};
	size_t length = 0;
	char *text;
	int err;

	file->format = BITMEM_FORMAT_SAFETENSORS;
	err = read_length(&h, fd, &length);
	if (err)
		return err;
	text = malloc(length + 1);
	if (!text)
		return bm_report_nomem(error, file->path);
	err = parse(&h, fd, text, length);
	free(text);
	return err;
}
