/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages come from chunks of addresses, of which only those pages exist that were begun. A
 * page's records are linked up as they are needed. No page goes back before the context
 * ends: a handle must stay readable.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "context.h"

#define CHUNK_PAGES	16u
/* Records that a thread gets at once. */
#define BATCH		16u

struct chunk {
	struct chunk *next;
	char *pages;
	unsigned int used;
};

struct bm_records {
	struct chunk *chunks;
	struct bm_record *free[BM_NR_RECORD_SIZES];
	struct bm_record_page *pages[BM_NR_RECORD_SIZES]; /* the first is the one being used up */
};

struct bm_records *bm_records_new(void)
{
	return calloc(1, sizeof(struct bm_records));
}

void bm_records_delete(struct bm_records *records)
{
	struct chunk *chunk, *next;

	for (chunk = records->chunks; chunk; chunk = next) {
		next = chunk->next;
		munmap(chunk->pages, CHUNK_PAGES * BM_RECORD_PAGE);
		free(chunk);
	}
	free(records);
}

static struct chunk *chunk_new(struct bm_records *records)
{
	struct chunk *chunk = malloc(sizeof(*chunk));

	if (!chunk)
		return NULL;
	chunk->pages = mmap(NULL, CHUNK_PAGES * BM_RECORD_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (chunk->pages == MAP_FAILED) {
		free(chunk);
		return NULL;
	}
	/* They are wanted one by one. */
	madvise(chunk->pages, CHUNK_PAGES * BM_RECORD_PAGE, MADV_NOHUGEPAGE);
	chunk->used = 0;
	chunk->next = records->chunks;
	records->chunks = chunk;
	return chunk;
}

static unsigned int size_of(unsigned int words)
{
	return (unsigned int)(offsetof(struct bm_record, words) +
			      (words + !words) * sizeof(uint64_t));
}

static struct bm_record_page *page_new(struct bitmem *ctx, unsigned int words)
{
	struct bm_records *records = ctx->records;
	struct chunk *chunk = records->chunks;
	struct bm_record_page *page;

	if (!chunk || chunk->used == CHUNK_PAGES) {
		chunk = chunk_new(records);
		if (!chunk)
			return NULL;
		ctx->counters.meta_bytes += bm_meta_size(chunk);
	}
	page = (struct bm_record_page *)(chunk->pages + chunk->used++ * BM_RECORD_PAGE);
	*page = (struct bm_record_page) {
		.ctx = ctx, .base = ctx->arena.base, .next = records->pages[words],
		.words = (uint16_t)words, .size = (uint16_t)size_of(words),
	};
	records->pages[words] = page;
	ctx->counters.meta_bytes += sizeof(*page);
	return page;
}

/* One that was never used, from the page being used up. */
static struct bm_record *fresh(struct bitmem *ctx, unsigned int words)
{
	struct bm_record_page *page = ctx->records->pages[words];
	size_t offset = page ? sizeof(*page) + (size_t)page->n * page->size : BM_RECORD_PAGE;

	if (offset + size_of(words) > BM_RECORD_PAGE) {
		page = page_new(ctx, words);
		if (!page)
			return NULL;
		offset = sizeof(*page);
	}
	page->n++;
	ctx->counters.meta_bytes += page->size;
	return (struct bm_record *)((char *)page + offset);
}

static struct bm_record *take(struct bitmem *ctx, unsigned int words)
{
	struct bm_record *record = ctx->records->free[words];

	if (!record)
		return fresh(ctx, words);
	ctx->records->free[words] = record->next;
	return record;
}

struct bm_record *bm_record_take(struct bitmem *ctx, struct bm_cache *cache, unsigned int words)
{
	struct bm_record *record = cache ? cache->records[words] : NULL;

	if (record) {
		cache->records[words] = record->next;
		cache->nr_records[words]--;
		return record;
	}
	record = take(ctx, words);
	/* Only what is there already: what was never used costs nothing yet. */
	while (cache && cache->nr_records[words] < BATCH && ctx->records->free[words]) {
		struct bm_record *more = take(ctx, words);

		more->next = cache->records[words];
		cache->records[words] = more;
		cache->nr_records[words]++;
	}
	return record;
}

void bm_record_give(struct bitmem *ctx, struct bm_record *record)
{
	const unsigned int words = bm_record_page(record)->words;

	record->next = ctx->records->free[words];
	ctx->records->free[words] = record;
}

void bm_records_flush(struct bitmem *ctx, struct bm_cache *cache)
{
	for (unsigned int words = 0; words < BM_NR_RECORD_SIZES; words++) {
		struct bm_record *record, *next;

		for (record = cache->records[words]; record; record = next) {
			next = record->next;
			bm_record_give(ctx, record);
		}
		cache->records[words] = NULL;
		cache->nr_records[words] = 0;
	}
}

void bm_records_bound(struct bitmem *ctx, struct bm_cache *cache)
{
	for (unsigned int words = 0; words < BM_NR_RECORD_SIZES; words++) {
		while (cache->nr_records[words] > BM_RECORDS_MAX) {
			struct bm_record *record = cache->records[words];

			cache->records[words] = record->next;
			cache->nr_records[words]--;
			bm_record_give(ctx, record);
		}
	}
}

void bm_records_each(struct bitmem *ctx, void (*each)(struct bitmem *ctx, struct bm_record *record,
						      void *arg), void *arg)
{
	for (unsigned int words = 0; words < BM_NR_RECORD_SIZES; words++) {
		struct bm_record_page *page = ctx->records->pages[words];

		for (; page; page = page->next) {
			char *at = (char *)(page + 1);

			for (uint32_t i = 0; i < page->n; i++, at += page->size)
				each(ctx, (struct bm_record *)at, arg);
		}
	}
}
