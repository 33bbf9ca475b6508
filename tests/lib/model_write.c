/* SPDX-License-Identifier: GPL-2.0 */
/* Writers of model files for tests, from the formats' descriptions; see model_test.h. */
#include "model_test.h"

void bytes_free(struct bytes *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

static unsigned char *grow(struct bytes *b, size_t length)
{
	if (length > b->room - b->length) {
		b->room = (b->length + length) * 2;
		b->data = realloc(b->data, b->room);
		if (!b->data)
			abort();
	}
	b->length += length;
	return b->data + b->length - length;
}

void bytes_add(struct bytes *b, const void *data, size_t length)
{
	if (length)
		memcpy(grow(b, length), data, length);
}

void bytes_zero(struct bytes *b, size_t length)
{
	if (length)
		memset(grow(b, length), 0, length);
}

void bytes_noise(struct bytes *b, uint64_t length, uint64_t seed)
{
	unsigned char *to = length ? grow(b, length) : NULL;
	uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15;

	for (uint64_t i = 0; i < length; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		to[i] = (unsigned char)(x >> 32);
	}
}

static void put(unsigned char *to, uint64_t value, unsigned int width)
{
	for (unsigned int i = 0; i < width; i++)
		to[i] = (unsigned char)(value >> 8 * i);
}

static void add_mark(struct bytes *b, const char *field, unsigned int width, unsigned int harmless)
{
	/* Files with so many fields are not damaged field by field. */
	if (!field || b->n_marks == MAX_MARKS)
		return;
	b->marks[b->n_marks++] = (struct mark){ field, b->length, width, harmless };
}

void bytes_u16(struct bytes *b, uint16_t value)
{
	put(grow(b, 2), value, 2);
}

void bytes_u32(struct bytes *b, uint32_t value, const char *field, unsigned int harmless)
{
	add_mark(b, field, 4, harmless);
	put(grow(b, 4), value, 4);
}

void bytes_u64(struct bytes *b, uint64_t value, const char *field, unsigned int harmless)
{
	add_mark(b, field, 8, harmless);
	put(grow(b, 8), value, 8);
}

bool bytes_probe(const struct bytes *b, const struct mark *mark, unsigned int i, uint64_t *value)
{
	uint64_t own = 0, all = mark->width == 8 ? UINT64_MAX : UINT32_MAX;

	for (unsigned int j = 0; j < mark->width; j++)
		own |= (uint64_t)b->data[mark->pos + j] << 8 * j;
	switch (1 << i) {
	case PROBE_0:
		*value = 0;
		break;
	case PROBE_1:
		*value = 1;
		break;
	case PROBE_MAX:
		*value = all;
		break;
	case PROBE_SIGN:
		*value = all / 2 + 1;
		break;
	case PROBE_POSITIVE:
		*value = all / 2;
		break;
	case PROBE_MORE:
		*value = (own + 1) & all;
		break;
	default:
		*value = (own - 1) & all;
	}
	return *value != own;
}

void bytes_set(struct bytes *b, const struct mark *mark, uint64_t value)
{
	put(b->data + mark->pos, value, mark->width);
}

void gguf_begin(struct bytes *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
	bytes_add(b, "GGUF", 4);
	bytes_u32(b, version, "version", PROBE_LESS);
	bytes_u64(b, n_tensors, "n_tensors", PROBE_0 | PROBE_1 | PROBE_LESS);
	bytes_u64(b, n_keys, "n_kv", 0);
}

static void add_string(struct bytes *b, const char *string, const char *field)
{
	size_t length = strlen(string);

	bytes_u64(b, length, field, 0);
	bytes_add(b, string, length);
}

void gguf_key(struct bytes *b, const char *key, uint32_t type)
{
	add_string(b, key, "name");
	bytes_u32(b, type, "type", 0);
}

void gguf_string(struct bytes *b, const char *string)
{
	add_string(b, string, "string");
}

void gguf_key_string(struct bytes *b, const char *key, const char *value)
{
	gguf_key(b, key, GGUF_STRING);
	gguf_string(b, value);
}

void gguf_key_u32(struct bytes *b, const char *key, uint32_t value)
{
	gguf_key(b, key, GGUF_U32);
	bytes_u32(b, value, NULL, 0);
}

void gguf_key_u16(struct bytes *b, const char *key, uint16_t value)
{
	gguf_key(b, key, GGUF_U16);
	bytes_u16(b, value);
}

void gguf_key_i32(struct bytes *b, const char *key, int32_t value)
{
	gguf_key(b, key, GGUF_I32);
	bytes_u32(b, (uint32_t)value, NULL, 0);
}

static uint64_t pad(uint64_t n, uint32_t alignment)
{
	return (n + alignment - 1) / alignment * alignment;
}

/* A smaller last tensor leaves bytes behind it, which is allowed. */
#define SMALLER (PROBE_0 | PROBE_1 | PROBE_LESS)

void gguf_tensors(struct bytes *b, struct gguf_tensor *tensors, size_t n, uint32_t alignment)
{
	uint64_t offset = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned int harmless = i + 1 == n ? SMALLER : 0;

		tensors[i].offset = offset;
		add_string(b, tensors[i].name, "name");
		bytes_u32(b, tensors[i].ndims, "n_dims", 0);
		for (unsigned int j = 0; j < tensors[i].ndims; j++)
			bytes_u64(b, tensors[i].ne[j], "dimensions", harmless);
		bytes_u32(b, tensors[i].type, "type", i + 1 == n ? PROBE_1 | PROBE_MORE : 0);
		bytes_u64(b, offset, "offset", 0);
		offset += pad(tensors[i].bytes, alignment);
	}
}

void gguf_data(struct bytes *b, const struct gguf_tensor *tensors, size_t n, uint32_t alignment,
	       bool padded)
{
	bytes_zero(b, pad(b->length, alignment) - b->length);
	for (size_t i = 0; i < n; i++) {
		bytes_noise(b, tensors[i].bytes, i);
		if (i + 1 < n || padded)
			bytes_zero(b, pad(tensors[i].bytes, alignment) - tensors[i].bytes);
	}
}

void gguf_file(struct bytes *b, uint32_t version, const char *architecture,
	       struct gguf_tensor *tensors, size_t n)
{
	gguf_begin(b, version, n, 1);
	gguf_key_string(b, "general.architecture", architecture);
	gguf_tensors(b, tensors, n, 32);
	gguf_data(b, tensors, n, 32, true);
}

void safetensors_file(struct bytes *b, const char *json, size_t data)
{
	bytes_u64(b, strlen(json), "header", 0);
	bytes_add(b, json, strlen(json));
	bytes_noise(b, data, 7);
}
