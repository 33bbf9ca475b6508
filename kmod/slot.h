/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What those who change a buffer's table of pages share. All of it with
 * buf->change held.
 */
#ifndef BITMEM_SLOT_H
#define BITMEM_SLOT_H

#include <linux/nodemask.h>

#include "bitmem.h"

/* Each node has two pools at most, one of any address and one of 32 bits. */
#define BM_MAX_POOLS	(2 * MAX_NUMNODES)

/**
 * struct bm_source - where fresh pages come from
 * @req: what was asked for
 * @left: pages that each pool still owes, reserved for us
 * @taken: pages taken from each pool
 * @index: the first pool that owes any
 * @need: which pages of the slot at hand are wanted, a bit each
 */
struct bm_source {
	const struct bm_request *req;
	unsigned long *left;
	unsigned long *taken;
	unsigned int index;
	unsigned long *need;
};

int bm_source_open(struct bm_source *src, const struct bm_request *req);
void bm_source_close(struct bm_source *src);

int bm_slot_take(const struct bm_buffer *buf, unsigned long i, struct bm_source *src,
		 struct bm_slot *fresh);
void bm_slot_merge(struct bm_buffer *buf, unsigned long i, struct bm_slot *fresh);
void bm_slot_release(const struct bm_buffer *buf, unsigned long i, struct bm_slot *slot,
		     struct bm_batch *batch);
void bm_slot_range(const struct bm_buffer *buf, unsigned long i, unsigned long first,
		   unsigned long end, unsigned long *from, unsigned long *to);
unsigned long bm_slot_resident(const struct bm_buffer *buf, unsigned long i, unsigned long from,
			       unsigned long to);
void bm_share_add(struct bm_buffer *buf, struct page *page, int sign);
void bm_shares_note(const struct bm_buffer *buf, unsigned long *had);
void bm_shares_count(const struct bm_buffer *buf, const unsigned long *had);
void bm_page_place(const struct bm_buffer *buf, struct page *page, unsigned long index);

/* How long to wait for what refers to a page only for a moment, a fault or a GUP under way. */
#define BM_RELOCATE_WAIT	msecs_to_jiffies(20)

/* relocate.c */
int bm_slot_replace(struct bm_buffer *buf, unsigned long i, struct bm_slot *fresh,
		    unsigned long until);
bool bm_relocate_pause(unsigned long until);
int bm_demote(struct bm_buffer *buf, unsigned long i, unsigned long from, unsigned long to,
	      unsigned long until);
int bm_promote(struct bm_buffer *buf, unsigned long i, unsigned long until);
int bm_relocate_page(struct bm_buffer *buf, unsigned long index, struct page *page);

#endif /* BITMEM_SLOT_H */
