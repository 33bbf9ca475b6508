/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names and tags of tensors, for those who report. All with the context's lock held, and what
 * is returned lasts as long as it is.
 */
#ifndef BITMEM_LABEL_H
#define BITMEM_LABEL_H

#include "side.h"

/* A tensor's tag and name; NULL if it has none. */
const char *bm_label_tag(const struct bitmem *ctx, const struct bitmem_tensor *tensor);
const char *bm_label_name(const struct bitmem *ctx, const struct bitmem_tensor *tensor);

/*
 * The tensors that have a tag, one after the other in no order: the first (NULL), or the next
 * after one. NULL: no more. Views are among them, which own no memory. One that is just being
 * dropped may be among them, whose memory is counted as alive as long.
 */
const struct bitmem_tensor *bm_label_next(const struct bitmem *ctx,
					  const struct bitmem_tensor *after, const char **tag);

/* An entry's name and tag go. */
void bm_label_drop(struct bitmem *ctx, struct bm_side *side);

#endif /* BITMEM_LABEL_H */
