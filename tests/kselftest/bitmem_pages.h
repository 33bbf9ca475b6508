/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A mapped buffer whose pages each have a pattern of their own, for tests that take
 * some of them away, give them back, and move them.
 */
#ifndef BITMEM_PAGES_H
#define BITMEM_PAGES_H

#include "bitmem_test.h"

/**
 * struct bp - the buffer
 * @fd: whose it is
 * @alloc: as handed out
 * @memory: all of it, mapped
 */
struct bp {
	int fd;
	size_t page;
	size_t length;
	struct bitmem_alloc alloc;
	char *memory;
};

/* What a page may be like. */
enum bp_state {
	BP_INTACT,	/* has its pattern */
	BP_ZERO,
	BP_GONE,	/* SIGBUS */
};

/** bp_new() - a buffer of @fd's, mapped and filled; 0 or -errno. */
int bp_new(struct bp *b, const struct bt *t, int fd, size_t length);

/** bp_new_on() - the same with its memory preferably on @node, and flags of BITMEM_ALLOC. */
int bp_new_on(struct bp *b, const struct bt *t, int fd, size_t length, int node,
	      uint32_t flags);

/** bp_drop() - unmap and free it. */
int bp_drop(struct bp *b);

/** bp_fill() - write the pages' patterns. */
void bp_fill(struct bp *b, size_t offset, size_t length);

/** bp_state() - 0, or 1 + the index of the first page that is not in @state. */
size_t bp_state(const struct bp *b, size_t offset, size_t length, enum bp_state state);

/** bp_is() - whether the page at @at looks as page @index of @b should. */
bool bp_is(const struct bp *b, const void *at, size_t index, enum bp_state state);

int bp_decommit(const struct bp *b, size_t offset, size_t length, struct bitmem_range *range);
int bp_commit(const struct bp *b, size_t offset, size_t length, struct bitmem_range *range);

/** bt_fdinfo() - the number after @key in a descriptor's fdinfo, or UINT64_MAX. */
uint64_t bt_fdinfo(int fd, const char *key);

/**
 * struct bp_writer - a thread that goes over the words of @b's pages all the time: each
 * is to be as it was left, and is counted up. Pages that @skip says are left alone.
 * @rounds: how often it went over all
 * @wrong: words that were not as they had been left
 */
struct bp_writer {
	pthread_t thread;
	const struct bp *b;
	bool (*skip)(size_t index);
	bool stop;
	unsigned long rounds;
	unsigned long wrong;
};

/* Its words lie at this byte of each page. bp_writer_stop() puts back what was there. */
#define BP_WRITER_AT	64

int bp_writer_start(struct bp_writer *writer, const struct bp *b, bool (*skip)(size_t index));
void bp_writer_stop(struct bp_writer *writer);

#endif /* BITMEM_PAGES_H */
