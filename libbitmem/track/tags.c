/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../context.h"
#include "../label.h"
#include "tags.h"

size_t bm_tags_needed(const struct bitmem *ctx)
{
	return ctx->sides.tags.n ? ctx->sides.tensors.n : 0;
}

int bm_tags_room(struct bm_tags *tags, size_t n)
{
	free(tags->tagged);
	*tags = (struct bm_tags) { .room = n };
	if (n)
		tags->tagged = calloc(n, sizeof(*tags->tagged));
	return n && !tags->tagged ? -1 : 0;
}

void bm_tags_take(const struct bitmem *ctx, struct bm_tags *tags)
{
	const struct bitmem_tensor *tensor = NULL;
	const char *text;

	if (!bm_tags_needed(ctx))
		return;
	while ((tensor = bm_label_next(ctx, tensor, &text))) {
		struct bm_tagged *tagged = &tags->tagged[tags->n++];

		tagged->tensor = tensor;
		memcpy(tagged->text, text, strlen(text) + 1);
	}
}

static int compare(const void *a, const void *b)
{
	const uintptr_t x = (uintptr_t)((const struct bm_tagged *)a)->tensor;
	const uintptr_t y = (uintptr_t)((const struct bm_tagged *)b)->tensor;

	return (x > y) - (x < y);
}

void bm_tags_settle(struct bm_tags *tags)
{
	if (tags->n)
		qsort(tags->tagged, tags->n, sizeof(*tags->tagged), compare);
}

const char *bm_tags_of(const struct bm_tags *tags, const struct bitmem_tensor *tensor)
{
	const struct bm_tagged key = { .tensor = tensor };
	const struct bm_tagged *found = NULL;

	if (tags->n && tensor)
		found = bsearch(&key, tags->tagged, tags->n, sizeof(key), compare);
	return found ? found->text : NULL;
}
