// SPDX-License-Identifier: GPL-2.0
/*
 * Reading the index of a model that somebody holds.
 */
#include "held.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_INDEX ((uint64_t)64 << 20)

const char *held_part(const char *name, size_t i, char buf[BITMEM_NAME_LEN])
{
	snprintf(buf, BITMEM_NAME_LEN, "%s/%zu", name, i);
	return buf;
}

bool held_is_index(const struct bitmem_query *buffer)
{
	return !strncmp((const char *)buffer->out_tag, HELD_TAG, sizeof(buffer->out_tag));
}

int held_export(int fd, const struct bitmem_query *buffer)
{
	struct bitmem_export arg = {
		.size = sizeof(arg),
		.flags = buffer->out_flags & BITMEM_BUFFER_READONLY ? BITMEM_EXPORT_READONLY : 0,
		.id = buffer->out_id,
	};

	return ioctl(fd, BITMEM_EXPORT, &arg) ? -1 : arg.out_fd;
}

/*
 * A copy of the buffer's text. What may change meanwhile is copied first and looked at then, and
 * the dma-buf keeps its memory there.
 */
static char *copy_text(int fd, const struct bitmem_query *buffer, const char **why)
{
	size_t length = (size_t)buffer->out_length;
	char *text = NULL;
	char *map;
	int dmabuf;

	if (buffer->out_length > MAX_INDEX) {
		*why = "longer than 64 MiB";
		return NULL;
	}
	dmabuf = held_export(fd, buffer);
	map = dmabuf < 0 ? MAP_FAILED : mmap(NULL, length, PROT_READ, MAP_SHARED, dmabuf, 0);
	if (map == MAP_FAILED) {
		*why = strerror(errno);
	} else {
		text = malloc(length + 1);
		*why = strerror(ENOMEM);
		if (text) {
			memcpy(text, map, length);
			text[length] = '\0';
		}
		munmap(map, length);
	}
	if (dmabuf >= 0)
		close(dmabuf);
	return text;
}

static bool is_size(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static uint64_t size_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* Whether @object has a string or a size under each of these keys; NULL ends each list. */
static bool has(const json_t *object, const char *const *strings, const char *const *sizes)
{
	for (; *strings; strings++) {
		if (!json_is_string(json_object_get(object, *strings)))
			return false;
	}
	for (; *sizes; sizes++) {
		if (!is_size(json_object_get(object, *sizes)))
			return false;
	}
	return true;
}

static bool is_tensor(const json_t *tensor, const json_t *buffers)
{
	static const char *const strings[] = {"name", "dtype", NULL};
	static const char *const sizes[] = {"buffer", "offset", "bytes", NULL};
	const json_t *shape = json_object_get(tensor, "shape");
	const json_t *buffer;
	uint64_t length;
	json_t *value;
	size_t i;

	if (!has(tensor, strings, sizes) || !json_is_array(shape))
		return false;
	json_array_foreach(shape, i, value) {
		if (!is_size(value))
			return false;
	}
	buffer = json_array_get(buffers, size_of(tensor, "buffer"));
	length = size_of(buffer, "length");
	return buffer && size_of(tensor, "offset") <= length &&
	       size_of(tensor, "bytes") <= length - size_of(tensor, "offset");
}

static const char *check(const json_t *index)
{
	static const char *const strings[] = {"format", NULL};
	static const char *const sizes[] = {"version", "bytes", NULL};
	static const char *const paths[] = {"path", NULL};
	static const char *const file_sizes[] = {"size", "mtime_ns", "inode", NULL};
	static const char *const none[] = {NULL};
	static const char *const lengths[] = {"id", "length", NULL};
	const json_t *files = json_object_get(index, "files");
	const json_t *buffers = json_object_get(index, "buffers");
	const json_t *tensors = json_object_get(index, "tensors");
	json_t *value;
	size_t i;

	if (!has(index, strings, sizes) || !json_is_object(json_object_get(index, "asked")))
		return "a member is missing, or of another type";
	if (size_of(index, "version") != HELD_VERSION)
		return "of another version";
	if (!json_is_array(files) || !json_is_array(buffers) || !json_is_array(tensors) ||
	    json_array_size(buffers) > HELD_MAX_BUFFERS)
		return "a list is missing, or too long";
	json_array_foreach(files, i, value) {
		if (!has(value, paths, file_sizes))
			return "files: one is not described";
	}
	json_array_foreach(buffers, i, value) {
		if (!has(value, none, lengths))
			return "buffers: one is not described";
	}
	json_array_foreach(tensors, i, value) {
		if (!is_tensor(value, buffers))
			return "tensors: one is not described, or lies outside of its buffer";
	}
	return NULL;
}

json_t *held_read(int fd, const struct bitmem_query *buffer, const char **why)
{
	char *text = copy_text(fd, buffer, why);
	json_t *index;

	if (!text)
		return NULL;
	index = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	*why = index ? check(index) : "no JSON";
	if (!*why)
		return index;
	json_decref(index);
	return NULL;
}
