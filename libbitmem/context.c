/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contexts: what everything else hangs on.
 *
 * References: one for bitmem_open()'s caller, and one for each segment and open scope. Tensors hold
 * none, which would cost each of them an atomic operation or two; instead bitmem_close()
 * leaves one for each that is alive. The allocator's segments hold the context and
 * the context holds the allocator; bitmem_close() breaks that circle, as from
 * then on the allocator keeps no empty segment.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "count.h"
#include "options.h"
#include "runs.h"

#define DEFAULT_SEGMENT_SIZE ((size_t)64 << 20)
/* How often one looks for the lock before one sleeps, and how long in between: 10 us in all. */
#define LOOKS	64
#define BETWEEN	8
#define NEAR_MAX (BM_ALIGN_MIN << 32)

/* The first version's sizes: callers compiled against it stay valid as members are added. */
#define OPTIONS_SIZE_1 BM_FIRST_SIZE(struct bitmem_options, tracking)
#define STATS_SIZE_1 BM_FIRST_SIZE(struct bitmem_stats, meta_bytes)

const char *bitmem_version(void)
{
	return BM_VERSION;
}

void bitmem_options_init_sized(struct bitmem_options *options, size_t size)
{
	const struct bitmem_options defaults = {
		.size = size,
		.backend = BITMEM_BACKEND_AUTO,
		.node = BITMEM_NODE_ANY,
	};

	bm_write_sized(options, size, &defaults, sizeof(defaults));
}

/* Copies the caller's options; what it does not know stays at the default. */
static int read_options(const struct bitmem_options *from, struct bitmem_options *options)
{
	int ret;

	bitmem_options_init(options);
	ret = bm_read_options(options, from, OPTIONS_SIZE_1, "options");
	if (ret)
		return ret;
	if (!bitmem_backend_name(options->backend))
		return bm_error(options->error, -EINVAL, "options.backend: %d is no backend",
				(int)options->backend);
	if ((unsigned int)options->tracking > BITMEM_TRACKING_FULL)
		return bm_error(options->error, -EINVAL, "options.tracking: %d is no level",
				(int)options->tracking);
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

/* Which level of tracking is asked for; -EINVAL if the environment asks for none that there is. */
static int read_tracking(struct bitmem *ctx, const struct bitmem_options *options)
{
	static const char *const names[] = {
		[BITMEM_TRACKING_AUTO] = "", [BITMEM_TRACKING_COUNTERS] = "counters",
		[BITMEM_TRACKING_SITES] = "sites", [BITMEM_TRACKING_FULL] = "full",
	};
	const char *value = secure_getenv("BITMEM_TRACKING");
	size_t level = options->tracking;

	if (!level && value) {
		while (level <= BITMEM_TRACKING_FULL && strcmp(names[level], value))
			level++;
		if (level > BITMEM_TRACKING_FULL)
			return bm_error(options->error, -EINVAL,
					"BITMEM_TRACKING: \"%s\" is not counters, sites or full",
					value);
	}
	ctx->tracking = level ? (enum bitmem_tracking)level : BITMEM_TRACKING_SITES;
	if (ctx->tracking == BITMEM_TRACKING_COUNTERS)
		ctx->stamp = BM_SLOT_SITE;
	return 0;
}

static void set_bins(struct bitmem *ctx)
{
	ctx->bins[0] = bm_bin(BM_NO_STACK);
	for (size_t i = 1; i <= BM_SLAB_MAX / BM_ALIGN_MIN; i++)
		ctx->bins[i] = bm_bin(bm_class_of(i * BM_ALIGN_MIN));
	for (uint32_t n = 0; n <= BM_CACHED_UNITS; n++)
		ctx->run_bins[n] = bm_run_bin(bm_run_class_of(n));
}

static void set_pool(struct bitmem *ctx)
{
	bm_pool_init(&ctx->pools[0], &ctx->arena, 0, &ctx->backend->where);
	ctx->nr_pools = 1;
	bitmem_set_policy(ctx, BITMEM_ALL_POOLS, NULL);
}

/* Everything of a context but its backend. 0 or -errno, and what there is by then is undone. */
static int set_up(struct bitmem *ctx, const struct bitmem_options *options)
{
	int ret;

	ctx->segment_size = segment_size(ctx, options);
	set_bins(ctx);
	ret = bm_arena_init(&ctx->arena, ctx->backend->superblock_size);
	if (ret)
		return ret;
	ctx->near_size = ctx->arena.size < NEAR_MAX ? ctx->arena.size : NEAR_MAX;
	ctx->records = bm_records_new();
	if (!ctx->records) {
		bm_arena_destroy(&ctx->arena);
		return -ENOMEM;
	}
	pthread_mutex_init(&ctx->lock, NULL);
	pthread_mutex_init(&ctx->commit_lock, NULL);
	pthread_cond_init(&ctx->grown, NULL);
	set_pool(ctx);
	bm_keeper_init(&ctx->keeper);
	atomic_init(&ctx->refs, 1);
	ctx->counters.meta_bytes = bm_meta_size(ctx) + bm_meta_size(ctx->backend) +
				   bm_meta_size(ctx->records);
	ret = bm_track_open(ctx);
	if (ret)
		goto no_track;
	ret = bm_caches_open(ctx);
	if (ret)
		goto no_caches;
	bm_fork_enter(ctx);
	return 0;

no_caches:
	bm_track_destroy(ctx);
no_track:
	pthread_cond_destroy(&ctx->grown);
	pthread_mutex_destroy(&ctx->commit_lock);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx->records);
	bm_arena_destroy(&ctx->arena);
	return ret;
}

struct bitmem *bitmem_open(const struct bitmem_options *options)
{
	struct bitmem_options opt;
	struct bitmem *ctx;
	int code;

	if (read_options(options, &opt))
		return NULL;
	ctx = aligned_alloc(_Alignof(struct bitmem), sizeof(*ctx));
	if (!ctx) {
		bm_error(opt.error, -ENOMEM, "out of memory");
		return NULL;
	}
	memset(ctx, 0, sizeof(*ctx));
	code = read_tracking(ctx, &opt);
	if (!code)
		code = bm_leaks_read(&ctx->track.leaks, opt.error);
	if (code)
		goto no_backend;
	ctx->backend = bm_backend_open(&opt);
	code = ctx->backend ? 0 : -errno;
	if (code)
		goto no_backend;
	code = set_up(ctx, &opt);
	if (code) {
		ctx->backend->ops->close(ctx->backend);
		bm_error(opt.error, code, "a context: %s", strerror(-code));
		goto no_backend;
	}
	return ctx;

no_backend:
	bm_leaks_destroy(&ctx->track.leaks);
	free(ctx);
	errno = -code;
	return NULL;
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
	bm_keeper_destroy(ctx);
	bm_caches_forget(ctx);
	bm_scopes_delete(&ctx->scopes);
	bm_track_destroy(ctx);
	bm_leaks_destroy(&ctx->track.leaks);
	bm_records_delete(ctx->records);
	bm_arena_destroy(&ctx->arena);
	ctx->backend->ops->close(ctx->backend);
	pthread_cond_destroy(&ctx->grown);
	pthread_mutex_destroy(&ctx->commit_lock);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx);
}

void bm_lock(struct bitmem *ctx)
{
	for (unsigned int i = 0; i < LOOKS; i++) {
		if (!pthread_mutex_trylock(&ctx->lock))
			return;
		for (unsigned int j = 0; j < BETWEEN; j++)
			bm_relax();
	}
	pthread_mutex_lock(&ctx->lock);
}

void bm_unlock(struct bitmem *ctx)
{
	struct bm_segment *doomed = NULL;

	if (!ctx->heir) {
		doomed = ctx->doomed;
		ctx->doomed = NULL;
	}
	pthread_mutex_unlock(&ctx->lock);
	bm_segments_unref(doomed);
}

size_t bitmem_close(struct bitmem *ctx)
{
	struct bm_totals totals;
	size_t live;

	if (!ctx)
		return 0;
	bm_keeper_stop(ctx);
	bm_leaks_at_close(ctx);
	bm_caches_close(ctx);
	bm_lock(ctx);
	atomic_store(&ctx->closed, true);
	ctx->heir = false;
	totals = bm_count_totals(ctx);
	live = totals.allocs - totals.frees;
	bm_blocks_release(ctx);
	for (unsigned int i = 0; i < ctx->nr_pools; i++)
		bm_pool_drop_empty(ctx, &ctx->pools[i]);
	totals = bm_count_totals(ctx);
	atomic_fetch_add(&ctx->refs, totals.allocs - totals.frees);
	bm_unlock(ctx);
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

/* What the tables over the arena cost: the entries in use, without the rest of their pages. */
static uint64_t tables_meta(const struct bitmem *ctx)
{
	uint64_t bytes = (uint64_t)ctx->arena.used_runs *
			 (sizeof(struct bm_run) + 2 * sizeof(*ctx->arena.units));

	for (unsigned int i = 0; i < ctx->nr_pools; i++)
		bytes += ctx->pools[i].slabs.meta_bytes;
	return bytes;
}

struct bitmem_stats bm_stats_now(const struct bitmem *ctx)
{
	const struct bm_totals totals = bm_count_totals(ctx);

	return (struct bitmem_stats) {
		.size = sizeof(struct bitmem_stats),
		.live = totals.allocs - totals.frees,
		.live_bytes = totals.live_bytes,
		.views = ctx->counters.views,
		.peak_bytes = totals.peak_bytes,
		.allocs = totals.allocs,
		.frees = totals.frees,
		.committed_bytes = ctx->counters.committed_bytes,
		.segments = ctx->counters.segments,
		.pinned_bytes = ctx->counters.pinned_bytes,
		.meta_bytes = ctx->counters.meta_bytes + tables_meta(ctx),
	};
}

int bm_stats_copy(const struct bitmem_stats *now, struct bitmem_stats *stats)
{
	const size_t size = stats->size;

	if (size < STATS_SIZE_1)
		return -EINVAL;
	bm_write_sized(stats, size, now, sizeof(*now));
	stats->size = size;
	return 0;
}

int bitmem_stats(struct bitmem *ctx, struct bitmem_stats *stats)
{
	struct bitmem_stats now;

	if (stats->size < STATS_SIZE_1)
		return -EINVAL;
	bm_lock(ctx);
	bm_caches_claim(ctx, NULL);
	now = bm_stats_now(ctx);
	bm_caches_release(ctx, NULL);
	bm_unlock(ctx);
	return bm_stats_copy(&now, stats);
}
