// SPDX-License-Identifier: GPL-2.0
/*
 * The threads of movestorm that own chunks of buffers, and know at any time what is in
 * them: nobody else may change that, whatever is done to the pages.
 */
#include "movestorm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * What a chunk holds. ITS: what was written last. NOTHING: it was decommitted; since then
 * somebody may have committed it, and it is zero. EITHER: some pages were pinned when it was
 * decommitted, and have kept what they had.
 */
enum holds { NOTHING, ITS, EITHER };

struct chunk {
	struct buffer *buffer;
	size_t offset;
	size_t length;
	enum holds holds;
	uint64_t mark;
};

struct notes {
	size_t count;
	char *page;		/* as it is, and */
	char *pattern;		/* as it should be */
	struct chunk chunks[];
};

/* Chunks go round among the owners. */
static size_t list_chunks(struct fighter *me, struct chunk *chunks)
{
	struct storm *storm = me->storm;
	size_t i, at, n = 0;

	for (i = 0; i < WILD; i++) {
		struct buffer *buffer = &storm->buffers[i];

		for (at = 0; at < buffer->length; at += buffer->chunk) {
			const size_t left = buffer->length - at;

			if (at / buffer->chunk % OWNERS != me->number)
				continue;
			if (chunks)
				chunks[n] = (struct chunk){
					.buffer = buffer,
					.offset = at,
					.length = left < buffer->chunk ? left : buffer->chunk,
				};
			n++;
		}
	}
	return n;
}

int own_begin(struct fighter *me)
{
	const size_t n = list_chunks(me, NULL);
	struct notes *notes = calloc(1, sizeof(*notes) + n * sizeof(notes->chunks[0]));

	if (!notes)
		return -ENOMEM;
	me->own = notes;
	notes->count = list_chunks(me, notes->chunks);
	notes->page = malloc(me->storm->t->page);
	notes->pattern = malloc(me->storm->t->superblock);
	return notes->page && notes->pattern ? 0 : -ENOMEM;
}

void own_end(struct fighter *me)
{
	struct notes *notes = me->own;

	if (!notes)
		return;
	free(notes->pattern);
	free(notes->page);
	free(notes);
}

static bool page_is_right(const struct chunk *chunk, bool there, const char *page,
			  const char *pattern, size_t length)
{
	const bool its = there && !memcmp(page, pattern, length);
	const bool nothing = !there || bt_nonzero(page, length) == -1;

	switch (chunk->holds) {
	case ITS:
		return its;
	case NOTHING:
		return nothing;
	default:
		return its || nothing;
	}
}

static void verify(struct fighter *me, const struct chunk *chunk)
{
	struct notes *notes = me->own;
	const size_t page = me->storm->t->page;
	size_t at;

	bt_fill(notes->pattern, chunk->length, chunk->mark);
	for (at = 0; at < chunk->length; at += page) {
		const char *from = chunk->buffer->memory + chunk->offset + at;
		const bool there = wild_copy(notes->page, from, page);

		if (!page_is_right(chunk, there, notes->page, notes->pattern + at, page))
			count(&me->storm->content);
	}
}

static int range(struct fighter *me, unsigned long cmd, const struct chunk *chunk,
		 struct bitmem_range *range)
{
	int err = bt_range(me->storm->fd, cmd, chunk->buffer->alloc.out_id, chunk->offset,
			   chunk->length, range);

	if (err && err != -ENOMEM)
		count(&me->storm->refused);
	return err;
}

static void write_all(struct fighter *me, struct chunk *chunk)
{
	struct notes *notes = me->own;
	struct bitmem_range out;

	if (chunk->holds != ITS && range(me, BITMEM_COMMIT, chunk, &out))
		return;
	chunk->mark = rand_r(&me->seed);
	bt_fill(notes->pattern, chunk->length, chunk->mark);
	chunk->holds = ITS;
	if (!wild_copy(chunk->buffer->memory + chunk->offset, notes->pattern, chunk->length))
		count(&me->storm->content);
}

static void decommit(struct fighter *me, struct chunk *chunk)
{
	struct bitmem_range out;
	int err = range(me, BITMEM_DECOMMIT, chunk, &out);

	if (chunk->holds == NOTHING)
		return;
	if (err || out.out_skipped)
		chunk->holds = EITHER;
	else
		chunk->holds = NOTHING;
}

/* Gives memory to all that has none, whoever's it is: superblocks become whole again. */
static void commit_buffer(struct fighter *me, struct buffer *buffer)
{
	const struct chunk all = { .buffer = buffer, .length = buffer->length };
	struct bitmem_range out;

	range(me, BITMEM_COMMIT, &all, &out);
}

void own_act(struct fighter *me)
{
	struct notes *notes = me->own;
	struct chunk *chunk = &notes->chunks[roll(me, notes->count)];

	switch (roll(me, 8)) {
	case 0:
	case 1:
	case 2:
		write_all(me, chunk);
		break;
	case 3:
	case 4:
		decommit(me, chunk);
		break;
	case 5:
		commit_buffer(me, chunk->buffer);
		break;
	}
	verify(me, chunk);
}
