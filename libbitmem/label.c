/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names are each tensor's own, tags are shared. Both are made outside the lock, and given
 * up there if they are not needed.
 */
#include <stdlib.h>
#include <string.h>

#include <bitmem/lifetime.h>

#include "label.h"
#include "tensor.h"

static struct bm_name *name_of(struct bm_hash_node *node)
{
	return (struct bm_name *)((char *)node - offsetof(struct bm_name, node));
}

static struct bm_tag *tag_of(struct bm_hash_node *node)
{
	return (struct bm_tag *)((char *)node - offsetof(struct bm_tag, node));
}

/* Whether it is one line of at most @max bytes. 0 or -errno. */
static int check_text(const char *text, size_t max)
{
	const size_t length = strnlen(text, max + 1);

	if (length > max)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return -EINVAL;
	}
	return 0;
}

/* As snprintf() does, but for none there is nothing. */
static int copy_text(const char *text, char *buffer, size_t size)
{
	const size_t length = text ? strlen(text) : 0;
	const size_t n = length < size ? length : size - 1;

	if (size) {
		if (n)
			memcpy(buffer, text, n);
		buffer[n] = '\0';
	}
	return (int)length;
}

/* A tensor's entry, which is made only if something is to be @put there. 0 or -errno. */
static int get_side(struct bitmem *ctx, struct bitmem_tensor *tensor, bool put,
		    struct bm_side **side)
{
	if (put)
		return bm_side_get(ctx, tensor, side);
	*side = bm_side_find(ctx, tensor);
	return is_live(tensor) ? 0 : -ESTALE;
}

/* --- names; with the lock held --- */

static void drop_name(struct bitmem *ctx, struct bm_side *side)
{
	if (!side->name)
		return;
	bm_hash_remove(&ctx->sides.names, &side->name->node, &ctx->counters.meta_bytes);
	ctx->counters.meta_bytes -= bm_meta_size(side->name);
	free(side->name);
	side->name = NULL;
}

/* @name becomes the tensor's, whose it is on success only; NULL: it has none then. */
static int set_name(struct bitmem *ctx, struct bitmem_tensor *tensor, struct bm_name *name)
{
	struct bm_side *side;
	int ret = get_side(ctx, tensor, name, &side);

	if (ret || !side)
		return ret;
	if (name && !bm_hash_add(&ctx->sides.names, &name->node, bm_hash_of_text(name->text),
				 &ctx->counters.meta_bytes)) {
		ret = -ENOMEM;
	} else {
		drop_name(ctx, side);
		side->name = name;
	}
	if (!ret && name) {
		name->side = side;
		ctx->counters.meta_bytes += bm_meta_size(name);
	}
	bm_side_tidy(ctx, side);
	return ret;
}

int bitmem_tensor_set_name(struct bitmem_tensor *tensor, const char *text)
{
	struct bitmem *ctx = context_of(tensor);
	struct bm_name *name = NULL;
	int ret;

	if (text && *text) {
		ret = check_text(text, BITMEM_NAME_MAX);
		if (ret)
			return ret;
		name = malloc(sizeof(*name) + strlen(text) + 1);
		if (!name)
			return -ENOMEM;
		strcpy(name->text, text);
	}
	bm_lock(ctx);
	ret = set_name(ctx, tensor, name);
	bm_unlock(ctx);
	if (ret)
		free(name);
	return ret;
}

const char *bm_label_name(const struct bitmem *ctx, const struct bitmem_tensor *tensor)
{
	const struct bm_side *side = bm_side_find(ctx, tensor);

	return side && side->name ? side->name->text : NULL;
}

/* The one of its labels that @label finds. */
static int copy_label(const struct bitmem_tensor *tensor,
		      const char *(*label)(const struct bitmem *ctx,
					   const struct bitmem_tensor *tensor),
		      char *buffer, size_t size)
{
	struct bitmem *ctx = context_of(tensor);
	int ret = -ESTALE;

	bm_lock(ctx);
	if (is_live(tensor))
		ret = copy_text(label(ctx, tensor), buffer, size);
	bm_unlock(ctx);
	return ret;
}

int bitmem_tensor_name(const struct bitmem_tensor *tensor, char *buffer, size_t size)
{
	return copy_label(tensor, bm_label_name, buffer, size);
}

struct bitmem_tensor *bitmem_tensor_find(struct bitmem *ctx, const char *text)
{
	struct bitmem_tensor *found = NULL;
	struct bm_hash_node *node;

	bm_lock(ctx);
	node = bm_hash_first(&ctx->sides.names, bm_hash_of_text(text));
	for (; node && !found; node = bm_hash_next(node)) {
		struct bm_name *name = name_of(node);

		/* One that is just being dropped is not there any more. */
		if (!strcmp(name->text, text) && bm_tensor_try_ref(name->side->tensor))
			found = name->side->tensor;
	}
	bm_unlock(ctx);
	if (!found)
		errno = ENOENT;
	return found;
}

/* --- tags; with the lock held --- */

static struct bm_tag *find_tag(const struct bitmem *ctx, const char *text)
{
	struct bm_hash_node *node = bm_hash_first(&ctx->sides.tags, bm_hash_of_text(text));

	while (node && strcmp(tag_of(node)->text, text))
		node = bm_hash_next(node);
	return node ? tag_of(node) : NULL;
}

static void put_tag(struct bitmem *ctx, struct bm_tag *tag)
{
	if (!tag || --tag->refs)
		return;
	bm_hash_remove(&ctx->sides.tags, &tag->node, &ctx->counters.meta_bytes);
	ctx->counters.meta_bytes -= bm_meta_size(tag);
	free(tag);
}

/* The tag that is there, or *@new, which is NULL then; with a reference. NULL: no memory. */
static struct bm_tag *get_tag(struct bitmem *ctx, struct bm_tag **new)
{
	struct bm_tag *tag = find_tag(ctx, (*new)->text);

	if (!tag) {
		tag = *new;
		if (!bm_hash_add(&ctx->sides.tags, &tag->node, bm_hash_of_text(tag->text),
				 &ctx->counters.meta_bytes))
			return NULL;
		ctx->counters.meta_bytes += bm_meta_size(tag);
		*new = NULL;
	}
	tag->refs++;
	return tag;
}

static int set_tag(struct bitmem *ctx, struct bitmem_tensor *tensor, struct bm_tag **new)
{
	struct bm_tag *tag = NULL, *old;
	struct bm_side *side;
	int ret = get_side(ctx, tensor, *new, &side);

	if (ret || !side)
		return ret;
	if (*new) {
		tag = get_tag(ctx, new);
		ret = tag ? 0 : -ENOMEM;
	}
	if (!ret) {
		old = side->tag;
		side->tag = tag;
		put_tag(ctx, old);
	}
	bm_side_tidy(ctx, side);
	return ret;
}

int bitmem_tensor_set_tag(struct bitmem_tensor *tensor, const char *text)
{
	struct bitmem *ctx = context_of(tensor);
	struct bm_tag *new = NULL;
	int ret;

	if (text && *text) {
		ret = check_text(text, BITMEM_TAG_MAX);
		if (ret)
			return ret;
		new = malloc(sizeof(*new) + strlen(text) + 1);
		if (!new)
			return -ENOMEM;
		new->refs = 0;
		strcpy(new->text, text);
	}
	bm_lock(ctx);
	ret = set_tag(ctx, tensor, &new);
	bm_unlock(ctx);
	free(new);
	return ret;
}

const char *bm_label_tag(const struct bitmem *ctx, const struct bitmem_tensor *tensor)
{
	const struct bm_side *side = bm_side_find(ctx, tensor);

	return side && side->tag ? side->tag->text : NULL;
}

int bitmem_tensor_tag(const struct bitmem_tensor *tensor, char *buffer, size_t size)
{
	return copy_label(tensor, bm_label_tag, buffer, size);
}

const struct bitmem_tensor *bm_label_next(const struct bitmem *ctx,
					  const struct bitmem_tensor *after, const char **tag)
{
	const struct bm_side *side = after ? bm_side_find(ctx, after) : NULL;
	const struct bm_hash_node *node = side ? &side->node : NULL;

	while ((node = bm_hash_each(&ctx->sides.tensors, node))) {
		side = bm_side_of(node);
		if (side->tag) {
			*tag = side->tag->text;
			return side->tensor;
		}
	}
	return NULL;
}

void bm_label_drop(struct bitmem *ctx, struct bm_side *side)
{
	struct bm_tag *tag = side->tag;

	drop_name(ctx, side);
	side->tag = NULL;
	put_tag(ctx, tag);
}
