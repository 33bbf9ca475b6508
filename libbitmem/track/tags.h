/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tags that tensors had when a snapshot was taken. */
#ifndef BITMEM_TRACK_TAGS_H
#define BITMEM_TRACK_TAGS_H

#include <bitmem/lifetime.h>

struct bm_tagged {
	const struct bitmem_tensor *tensor;
	char text[BITMEM_TAG_MAX + 1];
};

struct bm_tags {
	struct bm_tagged *tagged;	/* to be freed; in order once it is settled */
	size_t n, room;
};

/* With the context's lock held: how many there may be; copies them, for which there is room. */
size_t bm_tags_needed(const struct bitmem *ctx);
void bm_tags_take(const struct bitmem *ctx, struct bm_tags *tags);

/* Makes room for @n. 0; -1 if there is no memory. */
int bm_tags_room(struct bm_tags *tags, size_t n);
void bm_tags_settle(struct bm_tags *tags);
/* A tensor's tag, or NULL. */
const char *bm_tags_of(const struct bm_tags *tags, const struct bitmem_tensor *tensor);

#endif /* BITMEM_TRACK_TAGS_H */
