/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contexts: what everything else hangs on.
 *
 * References: one for bitmem_open()'s caller, one for each segment, one for
 * each tensor that owns a block. The allocator's segments hold the context and
 * the context holds the allocator; bitmem_close() breaks that circle, as from
 * then on the allocator keeps no empty segment.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "context.h"

#define DEFAULT_SEGMENT_SIZE ((size_t)64 << 20)

/* The first version's sizes: callers compiled against it stay valid as members are added. */
#define OPTIONS_SIZE_1 sizeof(struct bitmem_options)
#define STATS_SIZE_1 sizeof(struct bitmem_stats)

const char *bitmem_version(void)
{
	return BM_VERSION;
}

void bitmem_options_init(struct bitmem_options *options)
{
	memset(options, 0, sizeof(*options));
	options->size = sizeof(*options);
	options->backend = BITMEM_BACKEND_AUTO;
	options->node = BITMEM_NODE_ANY;
}

/* Whether the bytes of a caller's structure that we do not know are zero. */
static bool tail_is_zero(const void *from, size_t known, size_t size)
{
	const unsigned char *bytes = from;

	while (known < size) {
		if (bytes[known++])
			return false;
	}
	return true;
}

/* Copies the caller's options; what it does not know stays at the default. */
static int read_options(const struct bitmem_options *from, struct bitmem_options *options)
{
	size_t size;

	bitmem_options_init(options);
	if (!from)
		return 0;
	size = from->size;
	if (size < OPTIONS_SIZE_1)
		return bm_error(NULL, -EINVAL, "options.size: %zu", size);
	memcpy(options, from, size < sizeof(*options) ? size : sizeof(*options));
	if (options->error)
		memset(options->error, 0, sizeof(*options->error));
	if (!tail_is_zero(from, sizeof(*options), size))
		return bm_error(options->error, -EINVAL,
				"options.size: %zu, and the members unknown here are not zero",
				size);
	if (!bitmem_backend_name(options->backend))
		return bm_error(options->error, -EINVAL, "options.backend: %d is no backend",
				(int)options->backend);
	if (options->node < BITMEM_NODE_ANY)
		return bm_error(options->error, -EINVAL, "options.node: %d is no node",
				options->node);
	if (options->segment_size > PTRDIFF_MAX / 2)
		return bm_error(options->error, -EINVAL, "options.segment_size: %zu is too large",
				options->segment_size);
	return 0;
}

static size_t segment_size(const struct bitmem *ctx, const struct bitmem_options *options)
{
	size_t size = options->segment_size ? options->segment_size : DEFAULT_SEGMENT_SIZE;

	return bm_round_up(size, ctx->backend->superblock_size);
}

/* Everything of a context but its backend. */
static int set_up(struct bitmem *ctx, const struct bitmem_options *options)
{
	ctx->blocks = bm_blocks_new(segment_size(ctx, options));
	if (!ctx->blocks)
		return -ENOMEM;
	if (pthread_mutex_init(&ctx->lock, NULL)) {
		bm_blocks_delete(ctx->blocks);
		return -ENOMEM;
	}
	atomic_init(&ctx->refs, 1);
	ctx->counters.meta_bytes = bm_meta_size(ctx) + bm_meta_size(ctx->backend) +
				   bm_blocks_meta(ctx->blocks);
	return 0;
}

struct bitmem *bitmem_open(const struct bitmem_options *options)
{
	struct bitmem_options opt;
	struct bitmem *ctx;

	if (read_options(options, &opt))
		return NULL;
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx) {
		bm_error(opt.error, -ENOMEM, "out of memory");
		return NULL;
	}
	ctx->backend = bm_backend_open(&opt);
	if (!ctx->backend) {
		int code = errno;

		free(ctx);
		errno = code;
		return NULL;
	}
	if (set_up(ctx, &opt)) {
		ctx->backend->ops->close(ctx->backend);
		free(ctx);
		bm_error(opt.error, -ENOMEM, "out of memory");
		return NULL;
	}
	return ctx;
}

struct bitmem *bm_context_ref(struct bitmem *ctx)
{
	atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
	return ctx;
}

void bm_context_unref(struct bitmem *ctx)
{
	if (atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1)
		return;
	bm_blocks_delete(ctx->blocks);
	ctx->backend->ops->close(ctx->backend);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx);
}

size_t bitmem_close(struct bitmem *ctx)
{
	size_t live;

	if (!ctx)
		return 0;
	pthread_mutex_lock(&ctx->lock);
	live = ctx->counters.live;
	pthread_mutex_unlock(&ctx->lock);
	bm_blocks_close(ctx);
	bm_context_unref(ctx);
	return live;
}

size_t bm_page_size(const struct bitmem *ctx)
{
	return ctx->backend->page_size;
}

enum bitmem_backend bitmem_backend(const struct bitmem *ctx)
{
	return ctx->backend->ops->kind;
}

void *bitmem_alloc(struct bitmem *ctx, size_t size, size_t align)
{
	if (!align)
		align = BM_ALIGN_MIN;
	if (!size || align & (align - 1) || align > BM_ALIGN_MAX) {
		errno = EINVAL;
		return NULL;
	}
	if (align < BM_ALIGN_MIN)
		align = BM_ALIGN_MIN;
	return bm_block_alloc(ctx, size, align, BM_OWNER_USER, 0);
}

int bitmem_free(struct bitmem *ctx, void *ptr)
{
	return ptr ? bm_block_free(ctx, ptr, BM_OWNER_USER, 0) : 0;
}

size_t bitmem_usable_size(struct bitmem *ctx, const void *ptr)
{
	return bm_block_usable(ctx, ptr, BM_OWNER_USER);
}

size_t bitmem_trim(struct bitmem *ctx)
{
	return bm_blocks_trim(ctx);
}

int bitmem_stats(struct bitmem *ctx, struct bitmem_stats *stats)
{
	size_t size = stats->size;
	struct bitmem_stats now = { .size = size };
	struct bm_counters c;

	if (size < STATS_SIZE_1)
		return -EINVAL;
	pthread_mutex_lock(&ctx->lock);
	c = ctx->counters;
	pthread_mutex_unlock(&ctx->lock);
	now.live = c.live;
	now.live_bytes = c.live_bytes;
	now.views = c.views;
	now.peak_bytes = c.peak_bytes;
	now.allocs = c.allocs;
	now.frees = c.frees;
	now.committed_bytes = c.committed_bytes;
	now.segments = c.segments;
	now.pinned_bytes = c.pinned_bytes;
	now.meta_bytes = c.meta_bytes;
	memset(stats, 0, size);
	memcpy(stats, &now, size < sizeof(now) ? size : sizeof(now));
	return 0;
}
