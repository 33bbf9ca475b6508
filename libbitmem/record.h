/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records: what tensors are kept in.
 *
 * A record is 8 bytes and a number of words: a shape, and for a tensor whose memory is not a
 * block of its own, where that is. Records of one size lie in pages of their own that stay
 * what they are until the context ends, so that a stale handle is found to be one: its
 * references are 0.
 *
 * Free records are linked through their first word; a thread's are its own, the context's
 * are under the lock.
 */
#ifndef BITMEM_RECORD_H
#define BITMEM_RECORD_H

#include <stddef.h>
#include <stdint.h>

struct bitmem;
struct bm_cache;
struct bm_records;

/* Records of a size that a thread may keep. */
#define BM_RECORDS_MAX	256u

/* Words that a record may have: BITMEM_MAX_DIMS, and two for where the memory is. */
#define BM_RECORD_WORDS	10u
#define BM_NR_RECORD_SIZES (BM_RECORD_WORDS + 1)

struct bm_record {
	uint32_t state;		/* references and kind; 0 references: free (tensor.c) */
	uint32_t place;		/* tensor.c */
	union {
		uint64_t words[1];	/* as many as its page says, but room for one */
		struct bm_record *next;	/* while it is free */
	};
};

/* A page of records begins with this. */
struct bm_record_page {
	struct bitmem *ctx;
	char *base;		/* the context's arena's, for tensors' places */
	struct bm_record_page *next;
	uint16_t words;		/* of a record */
	uint16_t size;		/* of a record, in bytes */
	uint32_t n;
};

#define BM_RECORD_PAGE	((size_t)4096)

static inline struct bm_record_page *bm_record_page(const void *record)
{
	return (struct bm_record_page *)((uintptr_t)record & ~(BM_RECORD_PAGE - 1));
}

struct bm_records *bm_records_new(void);
void bm_records_delete(struct bm_records *records);

/* --- with the context's lock held --- */

/* A free record of @words words for the caller, whose @cache (or NULL) gets some more. */
struct bm_record *bm_record_take(struct bitmem *ctx, struct bm_cache *cache, unsigned int words);
/* A record whose references are 0 goes back. */
void bm_record_give(struct bitmem *ctx, struct bm_record *record);
/* A thread's free records go back to the context. */
void bm_records_flush(struct bitmem *ctx, struct bm_cache *cache);
/* And those that are too many for it. */
void bm_records_bound(struct bitmem *ctx, struct bm_cache *cache);
/* Calls @each for all records that were ever in use. All caches are claimed. */
void bm_records_each(struct bitmem *ctx, void (*each)(struct bitmem *ctx, struct bm_record *record,
						      void *arg), void *arg);

#endif /* BITMEM_RECORD_H */
