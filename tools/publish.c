// SPDX-License-Identifier: GPL-2.0
/*
 * From a model to buffers with names, and back.
 */
#include "publish.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <bitmem/share.h>
#include <linux/bitmem.h>

#include "held.h"
#include "output.h"

/* --- describing --- */

static json_t *file_json(const char *path)
{
	json_t *object;
	struct stat st;

	if (stat(path, &st))
		return NULL;
	object = json_object();
	output_json_set(&object, "path", output_json_text(path));
	output_json_set(&object, "size", json_integer(st.st_size));
	output_json_set(&object, "mtime_ns", json_integer((json_int_t)st.st_mtim.tv_sec * 1000000000 +
							  st.st_mtim.tv_nsec));
	output_json_set(&object, "inode", output_json_u64(st.st_ino & INT64_MAX));
	return object;
}

/* The index in @buffers of buffer @id, which is added if it is new. -1 on failure. */
static int buffer_index(int fd, json_t **buffers, uint32_t id)
{
	struct bitmem_query query = {.size = sizeof(query), .id = id};
	json_t *object;
	size_t i;

	json_array_foreach(*buffers, i, object) {
		if (json_integer_value(json_object_get(object, "id")) == id)
			return (int)i;
	}
	if (ioctl(fd, BITMEM_QUERY, &query))
		return -1;
	object = json_object();
	output_json_set(&object, "id", json_integer(id));
	output_json_set(&object, "length", output_json_u64(query.out_length));
	output_json_append(buffers, object);
	return *buffers ? (int)json_array_size(*buffers) - 1 : -1;
}

static json_t *tensor_json(int fd, const struct bitmem_model_entry *entry, json_t **buffers)
{
	json_t *object = json_object();
	json_t *shape = json_array();
	uint64_t offset;
	int index = -1;
	uint32_t id;

	if (!bitmem_tensor_buffer(entry->tensor, &id, &offset))
		index = buffer_index(fd, buffers, id);
	for (unsigned int i = 0; i < entry->ndims; i++)
		output_json_append(&shape, output_json_u64(entry->shape[i]));
	output_json_set(&object, "name", output_json_text(entry->name));
	output_json_set(&object, "dtype", output_json_text(entry->dtype_name));
	output_json_set(&object, "shape", shape);
	output_json_set(&object, "buffer", index < 0 ? NULL : json_integer(index));
	output_json_set(&object, "offset", output_json_u64(offset));
	output_json_set(&object, "bytes", output_json_u64(entry->bytes));
	return object;
}

json_t *publish_describe(struct bitmem *ctx, const struct bitmem_model *model, json_t *asked)
{
	struct bitmem_model_info info = {.size = sizeof(info)};
	const struct bitmem_model_entry *entry;
	json_t *index = json_object();
	json_t *buffers = json_array();
	json_t *tensors = json_array();
	json_t *files = json_array();
	int fd = bitmem_device_fd(ctx);
	const char *path;

	bitmem_model_info(model, &info);
	for (size_t i = 0; (entry = bitmem_model_entry(model, i)); i++)
		output_json_append(&tensors, tensor_json(fd, entry, &buffers));
	for (size_t i = 0; (path = bitmem_model_file(model, i)); i++)
		output_json_append(&files, file_json(path));
	output_json_set(&index, "version", json_integer(HELD_VERSION));
	output_json_set(&index, "asked", json_incref(asked));
	output_json_set(&index, "format", json_string(info.format_name));
	output_json_set(&index, "bytes", output_json_u64(info.bytes));
	output_json_set(&index, "files", files);
	output_json_set(&index, "buffers", buffers);
	output_json_set(&index, "tensors", tensors);
	if (!index)
		output_error("%s: cannot be described", bitmem_model_file(model, 0));
	return index;
}

/* --- publishing --- */

static int publish_one(int fd, uint32_t id, const char *name, unsigned int mode)
{
	struct bitmem_publish arg = {.size = sizeof(arg), .id = id, .mode = mode};

	memcpy(arg.name, name, strnlen(name, sizeof(arg.name) - 1));
	if (!ioctl(fd, BITMEM_PUBLISH, &arg))
		return 0;
	output_error("%s: %s", name, errno == EEXIST ? "is published already" : strerror(errno));
	return -1;
}

/* A buffer with the text. Its id, or 0 after saying what failed. */
static uint32_t write_index(int fd, const char *text)
{
	struct bitmem_alloc arg = {
		.size = sizeof(arg),
		.length = strlen(text) + 1,
		.node = BITMEM_NODE_ANY,
		.tag = HELD_TAG,
	};
	char *map = MAP_FAILED;

	if (!ioctl(fd, BITMEM_ALLOC, &arg))
		map = mmap(NULL, arg.out_length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   (off_t)arg.out_offset);
	if (map == MAP_FAILED) {
		output_error("index: %s", strerror(errno));
		return 0;
	}
	strcpy(map, text);
	munmap(map, arg.out_length);
	return arg.out_id;
}

int publish(int fd, const json_t *index, const char *name, unsigned int mode)
{
	char *text = json_dumps(index, JSON_COMPACT | JSON_ENSURE_ASCII);
	char part[BITMEM_NAME_LEN];
	json_t *buffer;
	uint32_t id;
	size_t i;

	if (!text) {
		output_error("%s", strerror(ENOMEM));
		return -1;
	}
	id = write_index(fd, text);
	free(text);
	if (!id)
		return -1;
	json_array_foreach(json_object_get(index, "buffers"), i, buffer) {
		if (publish_one(fd, (uint32_t)json_integer_value(json_object_get(buffer, "id")),
				held_part(name, i, part), mode))
			return -1;
	}
	return publish_one(fd, id, name, mode);
}

/* --- finding it again --- */

static json_t *not_found(const char *why)
{
	output_error("what was kept is not taken over: %s", why);
	return NULL;
}

/* The next buffer of the file after @id. */
static bool next_buffer(int fd, struct bitmem_query *query, uint32_t id)
{
	*query = (struct bitmem_query){
		.size = sizeof(*query),
		.flags = BITMEM_QUERY_NEXT,
		.id = id,
	};
	return !ioctl(fd, BITMEM_QUERY, query);
}

static bool is_there(int fd, const json_t *buffer)
{
	struct bitmem_query query = {
		.size = sizeof(query),
		.id = (uint32_t)json_integer_value(json_object_get(buffer, "id")),
	};
	uint64_t length = (uint64_t)json_integer_value(json_object_get(buffer, "length"));

	return !ioctl(fd, BITMEM_QUERY, &query) && query.out_length == length &&
	       query.out_resident == length && query.out_flags & BITMEM_BUFFER_NAMED;
}

static bool is_unchanged(const json_t *file)
{
	const char *path = json_string_value(json_object_get(file, "path"));
	struct stat st;
	json_t *now;
	bool same;

	/* One that is gone is no reason to give up what is there of it. */
	if (stat(path, &st) && errno == ENOENT)
		return true;
	now = file_json(path);
	same = now && json_equal(now, file);
	json_decref(now);
	return same;
}

static const char *why_not(int fd, const json_t *index, const json_t *asked)
{
	json_t *value;
	size_t i;

	if (!json_equal(json_object_get(index, "asked"), asked))
		return "something else was asked for";
	json_array_foreach(json_object_get(index, "files"), i, value) {
		if (!is_unchanged(value))
			return "a file has changed";
	}
	json_array_foreach(json_object_get(index, "buffers"), i, value) {
		if (!is_there(fd, value))
			return "some of the memory is gone";
	}
	return NULL;
}

json_t *publish_find(int fd, const json_t *asked)
{
	struct bitmem_query query = {0};
	const char *why;
	json_t *index;

	do {
		if (!next_buffer(fd, &query, query.out_id))
			return not_found("there is no index in it");
	} while (!held_is_index(&query) || !(query.out_flags & BITMEM_BUFFER_NAMED));
	index = held_read(fd, &query, &why);
	if (index)
		why = why_not(fd, index, asked);
	if (!why)
		return index;
	json_decref(index);
	return not_found(why);
}

void publish_remove(int fd)
{
	struct bitmem_publish arg = {.size = sizeof(arg), .flags = BITMEM_PUBLISH_REMOVE};
	struct bitmem_query query = {0};

	while (next_buffer(fd, &query, query.out_id)) {
		arg.id = query.out_id;
		ioctl(fd, BITMEM_PUBLISH, &arg);
	}
}
