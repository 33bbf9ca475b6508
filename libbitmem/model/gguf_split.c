/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Split GGUF sets: NAME-00001-of-0000N.gguf and so on, as llama.cpp's gguf-split
 * writes them. The first file has the model's metadata; each one says which it is
 * and how many there are, and how many tensors the set has.
 *
 * A split.count of 0 or 1 is no set: gguf-split --merge leaves a 0 behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "set.h"

#define SUFFIX_MAX 32

static void suffix(char to[SUFFIX_MAX], unsigned int no, unsigned int count)
{
	snprintf(to, SUFFIX_MAX, "-%05u-of-%05u.gguf", no + 1, count);
}

/* The path of file @no of the set of @file; NULL if @file's name is not that of a set. */
static char *path_of(const struct bm_file *file, unsigned int no, int *err)
{
	char own[SUFFIX_MAX], other[SUFFIX_MAX], *path;

	suffix(own, file->gguf.split_no, file->gguf.split_count);
	suffix(other, no, file->gguf.split_count);
	*err = -EBADMSG;
	if (!bm_path_ends(file->path, own))
		return NULL;
	*err = 0;
	if (asprintf(&path, "%.*s%s", (int)(strlen(file->path) - strlen(own)), file->path,
		     other) >= 0)
		return path;
	*err = -ENOMEM;
	return NULL;
}

static int check_member(const struct bm_file *first, const struct bm_file *file, unsigned int no,
			struct bitmem_error *error)
{
	const struct bm_gguf *gguf = &file->gguf;

	if (gguf->split_count != first->gguf.split_count)
		return bm_report(error, -EBADMSG, file->path, "split.count: %u where \"%s\" has %u",
				 gguf->split_count, BM_QUOTE(bm_path_name(first->path)),
				 first->gguf.split_count);
	if (gguf->split_no != no)
		return bm_report(error, -EBADMSG, file->path, "split.no: %u where %u is due",
				 gguf->split_no, no);
	if (gguf->split_tensors != first->gguf.split_tensors)
		return bm_report(error, -EBADMSG, file->path,
				 "split.tensors.count: %d where \"%s\" has %d", gguf->split_tensors,
				 BM_QUOTE(bm_path_name(first->path)), first->gguf.split_tensors);
	return 0;
}

/* Adds file @no and counts its tensors. */
static int add_member(struct bm_set *set, const struct bm_file *first, unsigned int no,
		      struct bm_file **member)
{
	size_t index;
	int err;
	char *path = path_of(first, no, &err);

	if (err == -ENOMEM)
		return bm_report_nomem(set->error, first->path);
	if (err)
		return bm_report(set->error, err, first->path,
				 "split.count: %u, but the file's name is not that of the first of "
				 "so many", first->gguf.split_count);
	err = bm_set_add_file(set, path, &index);
	free(path);
	if (err)
		return err;
	*member = set->files[index];
	return check_member(first, *member, no, set->error);
}

static int load_members(struct bm_set *set, struct bm_file **members, unsigned int count)
{
	const struct bm_file *first = members[0];
	uint64_t tensors = 0;
	int err;

	for (unsigned int no = 0; no < count; no++) {
		err = add_member(set, first, no, &members[no]);
		if (err)
			return err;
		members[no]->gguf.in_set = true;
		tensors += members[no]->n_infos;
	}
	if (tensors != (uint64_t)first->gguf.split_tensors)
		return bm_report(set->error, -EBADMSG, first->path,
				 "split.tensors.count: %d, but the files have %llu",
				 first->gguf.split_tensors, (unsigned long long)tensors);
	return bm_gguf_layout(members, count, set->dialect, set->error);
}

int bm_gguf_add_split(struct bm_set *set, size_t first)
{
	unsigned int count = set->files[first]->gguf.split_count;
	struct bm_file **members = calloc(count, sizeof(struct bm_file *));
	int err;

	if (!members)
		return bm_report_nomem(set->error, set->files[first]->path);
	members[0] = set->files[first];
	err = load_members(set, members, count);
	free(members);
	return err;
}

int bm_gguf_not_first(const struct bm_file *file, struct bitmem_error *error)
{
	int err;
	char *path = path_of(file, 0, &err);

	if (err == -ENOMEM)
		return bm_report_nomem(error, file->path);
	err = bm_report(error, -EBADMSG, file->path,
			"split.no: file %u of %u is not the first of its set; load %s%s",
			file->gguf.split_no + 1, file->gguf.split_count,
			path ? bm_path_name(path) : "the first", path ? "" : " file");
	free(path);
	return err;
}
