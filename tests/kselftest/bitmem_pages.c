// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers of bitmem_pages.h.
 */
#include "bitmem_pages.h"

#include <errno.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define SEED	0xc0ffee

int bp_new_on(struct bp *b, const struct bt *t, int fd, size_t length, int node, uint32_t flags)
{
	int err = bt_alloc_on(fd, length, node, flags, &b->alloc);

	if (err)
		return err;
	b->fd = fd;
	b->page = t->page;
	b->length = b->alloc.out_length;
	b->memory = bt_map(fd, b->length, b->alloc.out_offset);
	if (!b->memory) {
		err = -errno;
		bt_free(fd, b->alloc.out_id);
		return err;
	}
	bp_fill(b, 0, b->length);
	return 0;
}

int bp_new(struct bp *b, const struct bt *t, int fd, size_t length)
{
	return bp_new_on(b, t, fd, length, BITMEM_NODE_ANY, 0);
}

int bp_drop(struct bp *b)
{
	return munmap(b->memory, b->length) ? -errno : bt_free(b->fd, b->alloc.out_id);
}

void bp_fill(struct bp *b, size_t offset, size_t length)
{
	size_t at;

	for (at = offset; at < offset + length; at += b->page)
		bt_fill(b->memory + at, b->page, SEED + at / b->page);
}

bool bp_is(const struct bp *b, const void *at, size_t index, enum bp_state state)
{
	int sig = bt_probe(at);

	switch (state) {
	case BP_GONE:
		return sig == SIGBUS;
	case BP_ZERO:
		return !sig && bt_nonzero(at, b->page) == -1;
	case BP_INTACT:
		break;
	}
	return !sig && bt_wrong(at, b->page, SEED + index) == -1;
}

size_t bp_state(const struct bp *b, size_t offset, size_t length, enum bp_state state)
{
	size_t at;

	for (at = offset; at < offset + length; at += b->page) {
		if (!bp_is(b, b->memory + at, at / b->page, state))
			return 1 + at / b->page;
	}
	return 0;
}

int bp_decommit(const struct bp *b, size_t offset, size_t length, struct bitmem_range *range)
{
	return bt_range(b->fd, BITMEM_DECOMMIT, b->alloc.out_id, offset, length, range);
}

int bp_commit(const struct bp *b, size_t offset, size_t length, struct bitmem_range *range)
{
	return bt_range(b->fd, BITMEM_COMMIT, b->alloc.out_id, offset, length, range);
}

uint64_t bt_fdinfo(int fd, const char *key)
{
	unsigned long long value, found = UINT64_MAX;
	char path[40], text[160], name[80];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return UINT64_MAX;
	while (fgets(text, sizeof(text), file)) {
		if (sscanf(text, "%79[^:]: %llu", name, &value) == 2 && !strcmp(name, key))
			found = value;
	}
	fclose(file);
	return found;
}

static uint64_t *writer_word(const struct bp *b, size_t index)
{
	return (uint64_t *)(b->memory + index * b->page + BP_WRITER_AT);
}

/* One round over all pages: what is to be there now differs with page and round. */
static void writer_round(struct bp_writer *writer)
{
	const struct bp *b = writer->b;
	size_t i;

	for (i = 0; i < b->length / b->page; i++) {
		volatile uint64_t *word = writer_word(b, i);

		if (writer->skip && writer->skip(i))
			continue;
		writer->wrong += *word != (writer->rounds << 32) + i;
		*word = ((writer->rounds + 1) << 32) + i;
	}
	writer->rounds++;
}

static void *write_always(void *arg)
{
	struct bp_writer *writer = arg;

	while (!__atomic_load_n(&writer->stop, __ATOMIC_RELAXED))
		writer_round(writer);
	return NULL;
}

int bp_writer_start(struct bp_writer *writer, const struct bp *b, bool (*skip)(size_t index))
{
	size_t i;

	memset(writer, 0, sizeof(*writer));
	writer->b = b;
	writer->skip = skip;
	for (i = 0; i < b->length / b->page; i++) {
		if (!skip || !skip(i))
			*writer_word(b, i) = i;
	}
	return -pthread_create(&writer->thread, NULL, write_always, writer);
}

void bp_writer_stop(struct bp_writer *writer)
{
	const struct bp *b = writer->b;
	uint64_t words[BP_WRITER_AT / sizeof(uint64_t) + 1];
	size_t i;

	__atomic_store_n(&writer->stop, true, __ATOMIC_RELAXED);
	pthread_join(writer->thread, NULL);
	for (i = 0; i < b->length / b->page; i++) {
		if (writer->skip && writer->skip(i))
			continue;
		writer->wrong += *writer_word(b, i) != (writer->rounds << 32) + i;
		bt_fill(words, sizeof(words), SEED + i);
		*writer_word(b, i) = words[BP_WRITER_AT / sizeof(uint64_t)];
	}
}
