// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's list of buffers, added up by file. Files are kept sorted by number, so that
 * thousands of them with one buffer each are found quickly.
 */
#include "owners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/events.h>

/* Where @file is or would be. */
static size_t place_of(const struct owners *owners, uint64_t file)
{
	size_t low = 0;
	size_t high = owners->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (owners->list[middle].file < file)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct owner *owners_find(const struct owners *owners, uint64_t file)
{
	size_t i = place_of(owners, file);

	return i < owners->n && owners->list[i].file == file ? &owners->list[i] : NULL;
}

static struct owner *insert(struct owners *owners, const struct bitmem_nl_buffer *buffer)
{
	size_t i = place_of(owners, buffer->file);
	struct owner *list = reallocarray(owners->list, owners->n + 1, sizeof(*list));
	uint64_t *nodes = calloc((size_t)owners->n_nodes + 1, sizeof(*nodes));

	if (list)
		owners->list = list;
	if (!list || !nodes) {
		free(nodes);
		return NULL;
	}
	memmove(&list[i + 1], &list[i], (owners->n - i) * sizeof(*list));
	owners->n++;
	list[i] = (struct owner){
		.file = buffer->file,
		.pid = buffer->pid,
		.uid = buffer->uid,
		.closed = buffer->closed,
		.nodes = nodes,
	};
	memcpy(list[i].comm, buffer->comm, sizeof(list[i].comm));
	return &list[i];
}

static void add_up(struct owner *owner, const struct bitmem_nl_buffer *buffer, uint32_t n_nodes)
{
	owner->buffers++;
	owner->bytes += buffer->resident;
	owner->exported += buffer->exports > 0;
	owner->published += *buffer->name != '\0';
	owner->fixed += buffer->fixed;
	if (owner->age_ms < buffer->age_ns / 1000000)
		owner->age_ms = buffer->age_ns / 1000000;
	if (owner->largest <= buffer->length) {
		owner->largest = buffer->length;
		memcpy(owner->tag, buffer->tag, sizeof(owner->tag));
	}
	for (size_t i = 0; i < buffer->n_spread; i++) {
		if (buffer->spread[i].node < n_nodes)
			owner->nodes[buffer->spread[i].node] += buffer->spread[i].bytes;
	}
}

static int take_buffer(const struct bitmem_nl_buffer *buffer, void *data)
{
	struct owners *owners = data;
	struct owner *owner = owners_find(owners, buffer->file);

	if (!owner)
		owner = insert(owners, buffer);
	if (!owner)
		return -ENOMEM;
	add_up(owner, buffer, owners->n_nodes);
	return 0;
}

int owners_read(struct owners *owners, uint32_t n_nodes)
{
	int err;

	*owners = (struct owners){.n_nodes = n_nodes};
	err = bitmem_nl_buffers(take_buffer, owners);
	if (err)
		owners_free(owners);
	return err;
}

const char *owners_why(int err, char buf[OWNERS_WHY_LEN])
{
	if (err == -ENOENT)
		snprintf(buf, OWNERS_WHY_LEN, "netlink does not reach here");
	else
		snprintf(buf, OWNERS_WHY_LEN, "netlink: %s", strerror(-err));
	return buf;
}

void owners_free(struct owners *owners)
{
	for (size_t i = 0; i < owners->n; i++)
		free(owners->list[i].nodes);
	free(owners->list);
	*owners = (struct owners){0};
}
