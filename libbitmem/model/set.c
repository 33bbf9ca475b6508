/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of a model: each is opened, recognised and read once, however many
 * paths and sets lead to it. A file is known by device and inode.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "set.h"

#define HEAD_BYTES 16 /* what it takes to recognise a format */

enum kind {
	KIND_GGUF,
	KIND_SAFETENSORS,
	KIND_INDEX,
	KIND_NONE,
};

void bm_set_fini(struct bm_set *set)
{
	for (size_t i = 0; i < set->n_files; i++)
		bm_file_free(set->files[i]);
	free(set->files);
	set->files = NULL;
	set->n_files = set->max_files = 0;
}

/* The index of the file that is the same as @file; n_files if there is none. */
static size_t find(const struct bm_set *set, const struct bm_file *file)
{
	size_t i = 0;

	while (i < set->n_files &&
	       (set->files[i]->dev != file->dev || set->files[i]->ino != file->ino))
		i++;
	return i;
}

static int append(struct bm_set *set, struct bm_file *file)
{
	if (set->n_files == set->max_files) {
		size_t n = set->max_files ? set->max_files * 2 : 8;
		struct bm_file **files = reallocarray(set->files, n, sizeof(struct bm_file *));

		if (!files)
			return bm_report_nomem(set->error, file->path);
		set->files = files;
		set->max_files = n;
	}
	set->files[set->n_files++] = file;
	return 0;
}

static bool blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* By the first bytes; where they leave a choice, by the name. */
static enum kind recognise(const struct bm_file *file, const unsigned char *head, size_t n)
{
	size_t i = 0;

	if (n >= 4 && (!memcmp(head, "GGUF", 4) || !memcmp(head, "FUGG", 4)))
		return KIND_GGUF;
	if (bm_path_ends(file->path, ".gguf") && n < 4 && !memcmp(head, "GGUF", n))
		return KIND_GGUF;
	if (bm_path_ends(file->path, ".index.json"))
		return KIND_INDEX;
	if (bm_path_ends(file->path, ".safetensors") || bm_safetensors_probe(file, head, n))
		return KIND_SAFETENSORS;
	while (i < n && blank(head[i]))
		i++;
	return bm_path_ends(file->path, ".json") && i < n && head[i] == '{' ? KIND_INDEX :
									      KIND_NONE;
}

/* The first bytes as they are, for people. */
static int report_unknown(const struct bm_file *file, const unsigned char *head, size_t n,
			  struct bitmem_error *error)
{
	char shown[4 * HEAD_BYTES + 1] = "";
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		at += (size_t)sprintf(shown + at, head[i] >= ' ' && head[i] < 0x7f ? "%c" :
				      "\\x%02x", head[i]);
	return bm_report(error, -EMEDIUMTYPE, file->path,
			 "format: neither GGUF nor safetensors: begins with \"%s\"", shown);
}

static int read_head(const struct bm_file *file, int fd, enum kind *kind,
		     struct bitmem_error *error)
{
	unsigned char head[HEAD_BYTES];
	size_t n = file->size < HEAD_BYTES ? (size_t)file->size : HEAD_BYTES;
	int err = bm_file_read(file, fd, head, n, 0, error);

	if (err)
		return err;
	*kind = recognise(file, head, n);
	if (*kind == KIND_GGUF && n && head[0] == 'F')
		return bm_report(error, -ENOTSUP, file->path,
				 "magic: GGUF backwards: byte-swapped files are not supported");
	if (*kind == KIND_NONE)
		return report_unknown(file, head, n, error);
	return 0;
}

/* Reads the header of the model file that is open as @fd, and takes @file into the set. */
static int take(struct bm_set *set, struct bm_file *file, int fd, enum kind kind)
{
	int err;

	bm_file_probe(file, fd, set->buffered);
	err = kind == KIND_GGUF ? bm_gguf_read(file, fd, set->error) :
				  bm_safetensors_read(file, fd, set->error);
	if (!err && set->n_files && set->files[0]->format != file->format)
		err = bm_report(set->error, -EBADMSG, file->path,
				"format: %s, but \"%s\" is %s",
				kind == KIND_GGUF ? "GGUF" : "safetensors",
				BM_QUOTE(bm_path_name(set->files[0]->path)),
				kind == KIND_GGUF ? "safetensors" : "GGUF");
	return err ? err : append(set, file);
}

/*
 * Opens @path and adds it. *@index is its place; SIZE_MAX if it was an index,
 * whose files have been added: allowed only with @may_index.
 */
static int add(struct bm_set *set, const char *path, bool may_index, size_t *index)
{
	struct bm_file *file = bm_file_new(path);
	enum kind kind;
	int fd, err;

	if (!file)
		return bm_report_nomem(set->error, path);
	fd = bm_file_open(file, set->error);
	if (fd < 0) {
		bm_file_free(file);
		return fd;
	}
	*index = find(set, file);
	err = *index < set->n_files ? 0 : read_head(file, fd, &kind, set->error);
	if (err || *index < set->n_files) {
		bm_file_free(file);
	} else if (kind == KIND_INDEX && !may_index) {
		err = bm_report(set->error, -EBADMSG, path, "format: no model file");
		bm_file_free(file);
	} else if (kind == KIND_INDEX) {
		*index = SIZE_MAX;
		err = bm_index_read(set, file, fd);
		bm_file_free(file);
	} else {
		err = take(set, file, fd, kind);
		if (err)
			bm_file_free(file);
	}
	close(fd);
	return err;
}

int bm_set_add_file(struct bm_set *set, const char *path, size_t *index)
{
	return add(set, path, false, index);
}

int bm_set_add(struct bm_set *set, const char *path)
{
	size_t index;
	int err = add(set, path, true, &index);

	if (err || index == SIZE_MAX)
		return err;
	if (set->files[index]->format == BITMEM_FORMAT_GGUF && !set->files[index]->gguf.in_set &&
	    set->files[index]->gguf.split_count > 1 && !set->files[index]->gguf.split_no)
		return bm_gguf_add_split(set, index);
	return 0;
}

int bm_set_seal(struct bm_set *set)
{
	int err = 0;

	for (size_t i = 0; !err && i < set->n_files; i++) {
		struct bm_file *file = set->files[i];

		if (file->format != BITMEM_FORMAT_GGUF || file->gguf.laid_out)
			continue;
		if (file->gguf.split_count > 1)
			err = bm_gguf_not_first(file, set->error);
		else
			err = bm_gguf_layout(&file, 1, set->dialect, set->error);
	}
	return err;
}
