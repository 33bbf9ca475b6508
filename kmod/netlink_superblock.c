// SPDX-License-Identifier: GPL-2.0
/*
 * The dump of superblocks: what state each is in and whose it is.
 *
 * They are visited by their number (number.c), with the pool's lock held for a few whole ones
 * or for one split one at a time; whose they are is looked up afterwards, through the
 * offsets of buffers. In between anything may have changed, so a message is right
 * for a moment and a dump is no snapshot: but one that is there all the while is in it
 * once, and when nothing changes all adds up to the pool's counters. A dump of a pool
 * ends at the number that the pool had come to when the dump came to the pool.
 *
 * Neighbours that are alike are one message: pools have hundreds of thousands, and most are
 * free, or in one large buffer.
 *
 * It is for CAP_SYS_ADMIN alone. What others are to know of their own memory BUFFER_GET
 * tells; where strangers' memory begins and ends is not among it.
 */
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/bitmem_netlink.h>

#include "compat.h"
#include "netlink.h"

/* Whole superblocks looked at under one hold of the lock. */
#define BM_VIEW_HOLD	64

/* After how many of them a message ends anyway. */
#define BM_VIEW_MAX	8192

/**
 * struct bm_superblock_dump - a dump under way
 * @pool: index of the pool at hand
 * @pools: it ends before this one
 * @started: @end is set
 * @number: in that pool, where to go on
 * @end: it ends before this number
 */
struct bm_superblock_dump {
	unsigned int pool;
	unsigned int pools;
	bool started;
	u64 number;
	u64 end;
};

/**
 * struct bm_view - some superblocks that are alike
 * @number: of the first
 * @count: how many
 * @pages: of each, in each state
 * @busy: of the free ones, those off the lists
 * @split: they are split, and only one
 * @gathered: put together from single pages
 * @offset: of the buffer that has them, or 0; of whole ones
 * @places: of a split one: where in the offset space it is used, in superblocks, or 0 where
 *	that is not known
 * @nr_places: how many
 */
struct bm_view {
	u64 number;
	u64 count;
	unsigned int pages[BM_NR_STATES];
	unsigned int busy;
	bool split;
	bool gathered;
	u64 offset;
	u64 *places;
	unsigned int nr_places;
};

const struct nla_policy bm_superblock_policy[BITMEM_A_SUPERBLOCK_POOL + 1] = {
	[BITMEM_A_SUPERBLOCK_POOL]	= { .type = NLA_U32 },
};

int bm_nl_superblock_start(struct netlink_callback *cb)
{
	struct bm_superblock_dump *dump = (struct bm_superblock_dump *)cb->ctx;
	struct nlattr *attr = bm_dump_attrs(cb)[BITMEM_A_SUPERBLOCK_POOL];
	int ret = bm_nl_admin(cb->skb, cb->extack);

	BUILD_BUG_ON(sizeof(*dump) > sizeof(cb->ctx));
	if (ret)
		return ret;
	dump->pools = bm_nr_pools;
	if (!attr)
		return 0;
	dump->pool = nla_get_u32(attr);
	if (dump->pool >= bm_nr_pools) {
		bm_refuse(cb->extack, attr, "pool: no such pool", dump->pool);
		return -ENOENT;
	}
	dump->pool = array_index_nospec(dump->pool, bm_nr_pools);
	dump->pools = dump->pool + 1;
	return 0;
}

/* --- looking, with the pool's lock held --- */

/* Where the pages of a split superblock are used; the same place several times over is one. */
static void bm_view_places(struct bm_view *view, const struct bm_split *split)
{
	unsigned long i;

	view->nr_places = 0;
	if (!split->base.pages[BM_ALLOCATED])
		return;
	for (i = 0; i < BM_SB_PAGES; i++) {
		struct page *page = split->pages[i];
		u64 place;

		if (!page || !bm_page_allocated(page))
			continue;
		place = READ_ONCE(page_folio(page)->index) >> BM_SB_ORDER;
		if (!view->nr_places || view->places[view->nr_places - 1] != place)
			view->places[view->nr_places++] = place;
	}
}

static void bm_view_take(struct bm_view *view, const struct bm_superblock *sb)
{
	view->number = sb->number;
	view->count = 1;
	memcpy(view->pages, sb->pages, sizeof(view->pages));
	view->busy = bm_superblock_busy(sb);
	view->split = sb->split;
	view->gathered = false;
	view->offset = READ_ONCE(sb->offset);
	if (sb->split) {
		const struct bm_split *split = container_of(sb, struct bm_split, base);

		view->gathered = split->gathered;
		bm_view_places(view, split);
	}
}

/* --- looking, without --- */

/* Could @next go on where @view ends? */
static bool bm_view_alike(const struct bm_view *view, const struct bm_view *next)
{
	return !view->split && !next->split && next->number == view->number + view->count &&
	       next->busy == view->busy && next->offset == view->offset &&
	       !memcmp(next->pages, view->pages, sizeof(view->pages));
}

/*
 * Looks at the superblock at or above @number, and at its neighbours as long as they are
 * like it; those from @end on do not count. False if there is none.
 */
static bool bm_view_read(struct bm_pool *pool, u64 number, u64 end, struct bm_view *view)
{
	struct bm_view next = { .places = view->places };
	struct bm_superblock *sb;
	unsigned int i;

	view->count = 0;
	bm_pool_lock(pool);
	sb = bm_superblock_next(pool, number);
	for (i = 0; i < BM_VIEW_HOLD && sb && sb->number < end; i++) {
		if (!view->count) {
			bm_view_take(view, sb);
		} else {
			if (sb->split)
				break;
			bm_view_take(&next, sb);
			if (!bm_view_alike(view, &next))
				break;
			view->count++;
		}
		sb = rb_entry_safe(rb_next(&sb->link), struct bm_superblock, link);
	}
	bm_pool_unlock(pool);
	return view->count;
}

/* The same, however many are alike, within reason. */
static bool bm_view_read_all(struct bm_pool *pool, u64 number, u64 end, struct bm_view *view)
{
	struct bm_view next = { .places = view->places };

	if (!bm_view_read(pool, number, end, view))
		return false;
	while (!view->split && view->count < BM_VIEW_MAX &&
	       bm_view_read(pool, view->number + view->count, end, &next) &&
	       bm_view_alike(view, &next)) {
		view->count += next.count;
		cond_resched();
	}
	return true;
}

static bool bm_buffer_covers(const struct bm_buffer *buf, u64 place)
{
	u64 first = buf->offset >> (BM_SB_ORDER + PAGE_SHIFT);

	return place >= first && place - first < bm_buffer_slots(buf);
}

/*
 * A buffer of the only file that has a part of the superblocks, with a reference; NULL if there
 * is no such file, or it is not known. *@only tells whether they have no other buffer.
 */
static struct bm_buffer *bm_view_owner(const struct bm_view *view, bool *only)
{
	struct bm_buffer *buf = NULL, *next;
	unsigned int i;

	*only = true;
	if (!view->split)
		return view->offset ? bm_offset_find(view->offset) : NULL;
	for (i = 0; i < view->nr_places; i++) {
		if (buf && bm_buffer_covers(buf, view->places[i]))
			continue;
		next = bm_offset_find(view->places[i] << (BM_SB_ORDER + PAGE_SHIFT));
		if (buf && next && next->file == buf->file) {
			*only = false;
			bm_buffer_put(buf);
			buf = next;
			continue;
		}
		if (buf)
			bm_buffer_put(buf);
		if (buf || !next) {
			if (next)
				bm_buffer_put(next);
			return NULL;
		}
		buf = next;
	}
	return buf;
}

/* --- telling --- */

static int bm_put_pages(struct sk_buff *skb, int attr, unsigned int npages)
{
	return nla_put_u64_64bit(skb, attr, (u64)npages << PAGE_SHIFT, BITMEM_A_SUPERBLOCK_PAD);
}

static int bm_put_view(struct sk_buff *skb, const struct bm_pool *pool, const struct bm_view *view)
{
	return nla_put_u32(skb, BITMEM_A_SUPERBLOCK_POOL, pool->index) ?:
	       nla_put_u32(skb, BITMEM_A_SUPERBLOCK_NODE, pool->node) ?:
	       nla_put_u64_64bit(skb, BITMEM_A_SUPERBLOCK_INDEX, view->number,
				 BITMEM_A_SUPERBLOCK_PAD) ?:
	       nla_put_u64_64bit(skb, BITMEM_A_SUPERBLOCK_COUNT, view->count,
				 BITMEM_A_SUPERBLOCK_PAD) ?:
	       bm_put_pages(skb, BITMEM_A_SUPERBLOCK_ZEROED, view->pages[BM_ZEROED]) ?:
	       bm_put_pages(skb, BITMEM_A_SUPERBLOCK_DIRTY, view->pages[BM_DIRTY]) ?:
	       bm_put_pages(skb, BITMEM_A_SUPERBLOCK_ALLOCATED, view->pages[BM_ALLOCATED]) ?:
	       bm_put_pages(skb, BITMEM_A_SUPERBLOCK_QUARANTINED, view->pages[BM_QUARANTINED]) ?:
	       bm_put_pages(skb, BITMEM_A_SUPERBLOCK_RETIRED, view->pages[BM_RETIRED]) ?:
	       bm_put_pages(skb, BITMEM_A_SUPERBLOCK_BUSY, view->busy) ?:
	       (view->split ? nla_put_flag(skb, BITMEM_A_SUPERBLOCK_SPLIT) : 0) ?:
	       (view->gathered ? nla_put_flag(skb, BITMEM_A_SUPERBLOCK_GATHERED) : 0);
}

static int bm_put_view_owner(struct sk_buff *skb, struct netlink_callback *cb,
			     const struct bm_view *view)
{
	struct nlattr *nest;
	struct bm_buffer *buf;
	int err = -EMSGSIZE;
	bool only;

	buf = bm_view_owner(view, &only);
	if (!buf)
		return 0;
	nest = nla_nest_start(skb, BITMEM_A_SUPERBLOCK_OWNER);
	if (nest)
		err = bm_nl_put_file(skb, cb, buf->file) ?:
		      (only ? bm_nl_put_which(skb, buf) : 0);
	if (!err)
		nla_nest_end(skb, nest);
	bm_buffer_put(buf);
	return err;
}

/* One message, or -EMSGSIZE and nothing. */
static int bm_dump_view(struct sk_buff *skb, struct netlink_callback *cb,
			const struct bm_pool *pool, const struct bm_view *view)
{
	void *hdr = bm_dump_put(skb, cb, BITMEM_NL_CMD_SUPERBLOCK_GET);
	int err = -EMSGSIZE;

	if (hdr)
		err = bm_put_view(skb, pool, view) ?: bm_put_view_owner(skb, cb, view);
	if (err)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return err;
}

/* The rest of the pool at hand, or as much of it as there is room for. */
static int bm_dump_pool(struct sk_buff *skb, struct netlink_callback *cb,
			struct bm_superblock_dump *dump, struct bm_view *view)
{
	struct bm_pool *pool = &bm_pools[dump->pool];
	int err = 0;

	if (!dump->started) {
		bm_pool_lock(pool);
		dump->end = pool->next_number;
		bm_pool_unlock(pool);
		dump->number = 0;
		dump->started = true;
	}
	while (!err && bm_view_read_all(pool, dump->number, dump->end, view)) {
		err = bm_dump_view(skb, cb, pool, view);
		if (!err)
			dump->number = view->number + view->count;
		if (fatal_signal_pending(current))
			err = err ?: -EINTR;
		cond_resched();
	}
	return err;
}

int bm_nl_superblock_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct bm_superblock_dump *dump = (struct bm_superblock_dump *)cb->ctx;
	struct bm_view view = { .count = 0 };
	int err = 0;

	view.places = kmalloc_array(BM_SB_PAGES, sizeof(*view.places), GFP_KERNEL);
	if (!view.places)
		return -ENOMEM;
	while (!err && dump->pool < dump->pools) {
		err = bm_dump_pool(skb, cb, dump, &view);
		if (!err) {
			dump->pool++;
			dump->started = false;
		}
	}
	kfree(view.places);
	return err && !skb->len ? err : skb->len;
}
