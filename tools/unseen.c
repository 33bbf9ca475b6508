// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc does not show, put together from the kernel's list of buffers.
 */
#include "unseen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/events.h>

/* Buffers of a file that are listed: as many as fdinfo would. */
#define LISTED 64

struct search {
	struct holders *holders;
	/* Files from here on are not /proc's. */
	size_t seen;
};

static struct held_file *find_file(const struct search *search, uint64_t file)
{
	for (size_t i = 0; i < search->holders->n_files; i++) {
		if (search->holders->files[i].file == file)
			return &search->holders->files[i];
	}
	return NULL;
}

static struct held_file *new_file(struct holders *holders, const struct bitmem_nl_buffer *buffer)
{
	struct held_file *files;

	files = reallocarray(holders->files, holders->n_files + 1, sizeof(*files));
	if (!files)
		return NULL;
	holders->files = files;
	files[holders->n_files] = (struct held_file){.file = buffer->file, .owner = buffer->pid};
	return &files[holders->n_files++];
}

/* As the kernel escapes a tag in fdinfo: what may upset a terminal or a reader, in octal. */
static void escape_tag(const char *tag, char *out, size_t size)
{
	size_t used = 0;

	for (; *tag && used + sizeof("\\ooo") <= size; tag++) {
		if (*tag >= ' ' && *tag <= '~' && *tag != '\\')
			out[used++] = *tag;
		else
			used += (size_t)snprintf(out + used, size - used, "\\%03o",
						 (unsigned char)*tag);
	}
	out[used] = '\0';
}

static int list_buffer(struct held_file *file, const struct bitmem_nl_buffer *buffer)
{
	struct held_buffer *list;

	if (file->n_list == LISTED)
		return 0;
	list = reallocarray(file->list, file->n_list + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	file->list = list;
	list[file->n_list] = (struct held_buffer){
		.id = buffer->id,
		.bytes = buffer->length,
		.age_ms = buffer->age_ns / 1000000,
		.mappings = buffer->mappings,
		.exports = buffer->exports,
		.told = true,
	};
	escape_tag(buffer->tag, list[file->n_list].tag, sizeof(list->tag));
	escape_tag(buffer->name, list[file->n_list].name, sizeof(list->name));
	file->n_list++;
	return 0;
}

/* What fdinfo does not tell of a buffer. */
static void add_rest(struct held_file *file, const struct bitmem_nl_buffer *buffer)
{
	for (size_t i = 0; i < file->n_list; i++) {
		if (file->list[i].id != buffer->id)
			continue;
		file->list[i].exports = buffer->exports;
		file->list[i].told = true;
		escape_tag(buffer->name, file->list[i].name, sizeof(file->list[i].name));
		return;
	}
}

static int add_unseen(struct held_file *file, const struct bitmem_nl_buffer *buffer)
{
	file->buffers++;
	file->bytes += buffer->resident;
	/* What is not known of the file is at least so much. */
	file->peak_bytes = file->bytes;
	if (file->age_ms < buffer->age_ns / 1000000)
		file->age_ms = buffer->age_ns / 1000000;
	return list_buffer(file, buffer);
}

static int take_buffer(const struct bitmem_nl_buffer *buffer, void *data)
{
	struct search *search = data;
	struct held_file *file = find_file(search, buffer->file);

	if (!file)
		file = new_file(search->holders, buffer);
	if (!file)
		return -ENOMEM;
	file->told = true;
	file->exported += buffer->exports > 0;
	file->published += *buffer->name != '\0';
	if ((size_t)(file - search->holders->files) >= search->seen)
		return add_unseen(file, buffer);
	add_rest(file, buffer);
	return 0;
}

int unseen_add(struct holders *holders)
{
	struct search search = {.holders = holders, .seen = holders->n_files};

	holders->owners_error = bitmem_nl_buffers(take_buffer, &search);
	if (holders->owners_error != -ENOMEM)
		return 0;
	errno = ENOMEM;
	return -1;
}
