/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sharded safetensors index: JSON whose weight_map says for each tensor in
 * which file of the same directory it is. Files and map must agree exactly.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/*
 * The map is parsed as a whole and kept while the shards are read. A mixture of
 * experts with 200,000 tensors has an index of some 20 MB: there is room for that,
 * and what a stranger can make of it stays below 200 MB.
 */
#define MAX_INDEX (32u << 20)

static const struct bm_json_limits limits = {.depth = 8, .values = 1 << 19};

/* What is known while an index is read. */
struct index {
	struct bm_set *set;
	const struct bm_file *file; /* the index itself */
	json_t *map;
	const char **shards; /* borrowed from the map; sorted, each once */
	size_t n_shards;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A shard is a file beside the index and nowhere else. */
static bool plain_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

static int list_shards(struct index *index)
{
	struct bitmem_error *error = index->set->error;
	const char *path = index->file->path, *key;
	size_t n = json_object_size(index->map), kept = 0;
	json_t *value;

	if (!n)
		return bm_report(error, -EBADMSG, path, "weight_map: empty");
	index->shards = calloc(n, sizeof(*index->shards));
	if (!index->shards)
		return bm_report_nomem(error, path);
	n = 0;
	json_object_foreach(index->map, key, value) {
		const char *shard = json_string_value(value);

		if (!shard)
			return bm_report(error, -EBADMSG, path,
					 "weight_map \"%s\": %s where a string is due",
					 BM_QUOTE(key), BM_JSON_QUOTE(value));
		if (!plain_name(shard))
			return bm_report(error, -EBADMSG, path,
					 "weight_map \"%s\": \"%s\" is not a plain file name",
					 BM_QUOTE(key), BM_QUOTE(shard));
		index->shards[n++] = shard;
	}
	qsort(index->shards, n, sizeof(*index->shards), by_name);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(index->shards[i], index->shards[kept - 1]))
			index->shards[kept++] = index->shards[i];
	index->n_shards = kept;
	return 0;
}

/* Each tensor of the shard must be mapped to it. */
static int check_shard(const struct index *index, const struct bm_file *file, const char *shard,
		       struct bm_names *names)
{
	struct bitmem_error *error = index->set->error;

	if (file->format != BITMEM_FORMAT_SAFETENSORS)
		return bm_report(error, -EBADMSG, file->path, "format: not safetensors");
	for (size_t i = 0; i < file->n_infos; i++) {
		const char *name = file->infos[i].name;
		const char *mapped = json_string_value(json_object_get(index->map, name));

		if (!mapped)
			return bm_report(error, -EBADMSG, index->file->path,
					 "weight_map: \"%s\", which is in \"%s\", is missing",
					 BM_QUOTE(name), BM_QUOTE(shard));
		if (strcmp(mapped, shard))
			return bm_report(error, -EBADMSG, index->file->path,
					 "weight_map \"%s\": says \"%s\", but it is in \"%s\"",
					 BM_QUOTE(name), BM_QUOTE(mapped), BM_QUOTE(shard));
		/* No other shard can have had it: it would not be mapped to both. */
		if (bm_names_add(names, name, i))
			return bm_report_nomem(error, file->path);
	}
	return 0;
}

static int add_shard(const struct index *index, const char *shard, struct bm_names *names)
{
	char *path = bm_path_sibling(index->file->path, shard);
	size_t at;
	int err;

	if (!path)
		return bm_report_nomem(index->set->error, index->file->path);
	err = bm_set_add_file(index->set, path, &at);
	free(path);
	return err ? err : check_shard(index, index->set->files[at], shard, names);
}

/* Each mapped tensor must be in some shard; that it is in the right one has been checked. */
static int check_map(const struct index *index, const struct bm_names *names)
{
	const char *key;
	json_t *value;

	json_object_foreach(index->map, key, value) {
		if (bm_names_find(names, key) == SIZE_MAX)
			return bm_report(index->set->error, -EBADMSG, index->file->path,
					 "weight_map \"%s\": not in \"%s\"", BM_QUOTE(key),
					 BM_QUOTE(json_string_value(value)));
	}
	return 0;
}

static int add_shards(struct index *index)
{
	struct bm_names names;
	int err = list_shards(index);

	if (err)
		return err;
	err = bm_names_init(&names);
	if (err)
		return bm_report_nomem(index->set->error, index->file->path);
	for (size_t i = 0; !err && i < index->n_shards; i++)
		err = add_shard(index, index->shards[i], &names);
	if (!err)
		err = check_map(index, &names);
	bm_names_fini(&names);
	return err;
}

static int read_json(struct bm_set *set, const struct bm_file *file, json_t *root)
{
	struct index index = {.set = set, .file = file, .map = json_object_get(root, "weight_map")};
	int err;

	if (!index.map && !bm_path_ends(file->path, ".index.json"))
		return bm_report(set->error, -EMEDIUMTYPE, file->path,
				 "format: JSON, but not the index of a sharded model");
	if (!json_is_object(index.map))
		return bm_report(set->error, -EBADMSG, file->path,
				 "weight_map: %s where an object is due",
				 BM_JSON_QUOTE(index.map));
	err = add_shards(&index);
	free(index.shards);
	return err;
}

static int parse(struct bm_set *set, const struct bm_file *file, int fd, char *text)
{
	struct bm_json json = {.path = file->path, .field = "index", .error = set->error,
			       .text = text, .end = (size_t)file->size};
	json_t *root;
	int err = bm_file_read(file, fd, text, json.end, 0, set->error);

	if (!err)
		err = bm_json_parse(&json, &limits, &root);
	if (err)
		return err;
	err = read_json(set, file, root);
	json_decref(root);
	return err;
}

int bm_index_read(struct bm_set *set, const struct bm_file *index, int fd)
{
	char *text;
	int err;

	if (index->size > MAX_INDEX)
		return bm_report(set->error, -EBADMSG, index->path,
				 "size: %llu bytes are too many for an index (%u)",
				 (unsigned long long)index->size, MAX_INDEX);
	text = malloc((size_t)index->size + 1);
	if (!text)
		return bm_report_nomem(set->error, index->path);
	err = parse(set, index, fd, text);
	free(text);
	return err;
}
