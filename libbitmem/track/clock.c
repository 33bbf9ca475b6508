/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../context.h"
#include "../walk.h"

/* Epochs from which on old ones are put together, at first and at most. */
#define LIMIT		1024u
#define LIMIT_MAX	65536u
#define FEW		16u
/* What is put together is as long as this part of its age at most. */
#define AGE_PART	8u

struct bm_pin *bm_pin_new(void)
{
	struct bm_pin *pin = malloc(sizeof(*pin));

	if (pin)
		atomic_init(&pin->refs, 1);
	return pin;
}

void bm_pin_unref(struct bm_pin *pin)
{
	if (pin && atomic_fetch_sub(&pin->refs, 1) == 1)
		free(pin);
}

static uint64_t meta_of(const struct bm_clock *clock)
{
	return clock->epochs ? bm_meta_size(clock->epochs) : 0;
}

static int make_room(struct bitmem *ctx, uint32_t room)
{
	struct bm_clock *clock = &ctx->track.clock;
	const uint64_t before = meta_of(clock);
	struct bm_epoch *epochs = reallocarray(clock->epochs, room, sizeof(*epochs));

	if (!epochs)
		return -ENOMEM;
	clock->epochs = epochs;
	clock->room = room;
	ctx->counters.meta_bytes += meta_of(clock) - before;
	return 0;
}

/* The stamp is read by others meanwhile. */
static void set_stamp(struct bitmem *ctx)
{
	const uint32_t low = ctx->stamp & 0xffff;

	__atomic_store_n(&ctx->stamp, (ctx->track.clock.n - 1) << 16 | low, __ATOMIC_RELAXED);
}

static void append(struct bitmem *ctx, uint64_t now, struct bm_pin *pin)
{
	struct bm_clock *clock = &ctx->track.clock;

	if (pin) {
		atomic_fetch_add(&pin->refs, 1);
		ctx->counters.meta_bytes += bm_meta_size(pin);
	}
	clock->epochs[clock->n++] = (struct bm_epoch) {
		.start = now, .serial = ++clock->serial, .pin = pin,
	};
	set_stamp(ctx);
}

int bm_clock_init(struct bitmem *ctx)
{
	ctx->track.clock = (struct bm_clock) { .limit = LIMIT };
	if (make_room(ctx, FEW))
		return -ENOMEM;
	append(ctx, bm_clock_now(), NULL);
	return 0;
}

void bm_clock_destroy(struct bitmem *ctx)
{
	struct bm_clock *clock = &ctx->track.clock;

	for (uint32_t i = 0; i < clock->n; i++)
		bm_pin_unref(clock->epochs[i].pin);
	free(clock->epochs);
}

/* --- putting epochs together, with all caches claimed --- */

static void renumber_block(struct bitmem *ctx, const struct bm_live *live, void *arg)
{
	const uint16_t *map = arg;

	(void)ctx;
	live->slot->time = map[live->slot->time];
}

static void renumber_record(struct bitmem *ctx, struct bm_record *record, void *arg)
{
	const uint16_t *map = arg;
	struct bm_tensor_look look;

	(void)ctx;
	if (bm_tensor_look(record, &look) && look.foreign)
		*look.stamp = (uint32_t)map[*look.stamp >> 16] << 16 | (*look.stamp & 0xffff);
}

/* A mark that is gone needs no epoch of its own. */
static void drop_pin(struct bitmem *ctx, struct bm_epoch *epoch)
{
	if (epoch->pin && atomic_load(&epoch->pin->refs) == 1) {
		ctx->counters.meta_bytes -= bm_meta_size(epoch->pin);
		bm_pin_unref(epoch->pin);
		epoch->pin = NULL;
	}
}

/* Whether what began at @start may go on until @end. */
static bool is_old(uint64_t start, uint64_t end, uint64_t now)
{
	return end - start <= (now - end) / AGE_PART;
}

/* The last one stays as it is: it is the stamp. */
static void merge(struct bitmem *ctx, uint64_t now)
{
	struct bm_clock *clock = &ctx->track.clock;
	struct bm_epoch *epochs = clock->epochs;
	uint16_t *map = calloc(clock->n, sizeof(*map));
	uint32_t to = 0;

	if (!map)
		return;
	drop_pin(ctx, &epochs[0]);
	for (uint32_t i = 1; i < clock->n; i++) {
		drop_pin(ctx, &epochs[i]);
		if (epochs[i].pin || i == clock->n - 1 ||
		    !is_old(epochs[to].start, epochs[i + 1].start, now))
			epochs[++to] = epochs[i];
		map[i] = (uint16_t)to;
	}
	/* All have the numbers they had: nobody needs to be told. */
	if (to + 1 == clock->n)
		goto out;
	clock->n = to + 1;
	bm_walk(ctx, renumber_block, map);
	bm_records_each(ctx, renumber_record, map);
	set_stamp(ctx);
out:
	free(map);
	/* Where that was not much it would be tried again soon. */
	while (clock->n > clock->limit / 2 && clock->limit < LIMIT_MAX)
		clock->limit *= 2;
}

int bm_clock_begin(struct bitmem *ctx, struct bm_pin *pin)
{
	struct bm_clock *clock = &ctx->track.clock;
	const uint64_t now = bm_clock_now();

	if (clock->n >= clock->limit)
		merge(ctx, now);
	if (clock->n >= LIMIT_MAX)
		return -ENOSPC;
	if (clock->n == clock->room && make_room(ctx, clock->room * 2))
		return -ENOMEM;
	append(ctx, now, pin);
	return 0;
}

void bm_clock_tick(struct bitmem *ctx)
{
	struct bm_clock *clock = &ctx->track.clock;
	const uint64_t now = bm_clock_now();

	if (likely(now - clock->epochs[clock->n - 1].start < BM_TICK_NS))
		return;
	/* Only to put some together is anybody to be kept out. Without one it gets coarser. */
	if (clock->n < clock->limit) {
		bm_clock_begin(ctx, NULL);
		return;
	}
	/* Where marks keep them all apart, there is no use in trying each time. */
	if (now - clock->tried < BM_TICK_NS)
		return;
	bm_caches_claim(ctx, NULL);
	if (bm_clock_begin(ctx, NULL))
		clock->tried = now;
	bm_caches_release(ctx, NULL);
}

void bm_clock_age(const struct bm_clock *clock, uint16_t number, uint64_t now, uint64_t *min,
		  uint64_t *max)
{
	*min = number + 1u < clock->n ? now - clock->epochs[number + 1].start : 0;
	*max = now - clock->epochs[number].start;
}
