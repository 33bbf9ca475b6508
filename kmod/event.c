// SPDX-License-Identifier: GPL-2.0
/*
 * Events, multicast to whoever listens.
 *
 * They are told from the paths they are about: a close(), a refused allocation,
 * the shrinker. So none of this sleeps or fails. Memory is taken with GFP_NOWAIT;
 * a listener that an event cannot be brought to, for want of that or of room in its
 * socket, reads ENOBUFS once and knows that it missed something. When nobody
 * listens an event costs a look at the group.
 *
 * Everybody may listen to the group "events": it tells of pools no more than
 * BITMEM_NL_CMD_POOL_GET does, and of other people's buffers their number. Whose
 * they were is told to "owners", for which one needs CAP_SYS_ADMIN. The messages go
 * to the initial network namespace; PIDs and UIDs are the initial namespaces'.
 *
 * Pools are at work before the family is registered and after it is gone: bm_telling
 * says whether it is there. It is looked at, and the family used, under
 * rcu_read_lock(); bm_event_stop() waits for who did before.
 */
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <uapi/linux/bitmem_netlink.h>

#include "netlink.h"

#define BM_EVENT_GFP	(GFP_NOWAIT | __GFP_NOWARN)

/* No event has more: a header and each attribute once. */
#define BM_EVENT_ROOM	(BITMEM_A_EVENT_MAX * nla_total_size_64bit(sizeof(u64)) + \
			 nla_total_size(TASK_COMM_LEN))

/**
 * struct bm_refusals - refused requests of a pool, so that a storm of them is one event a second
 * @lock: guards what follows
 * @next: no event before this (jiffies)
 * @count: refused since the last event
 */
struct bm_refusals {
	spinlock_t lock;	/* the rest */
	unsigned long next;
	u64 count;
};

static struct bm_refusals *bm_refusals;
static bool bm_telling;

/* --- one message --- */

static bool bm_event_wanted(enum bm_group group)
{
	bool wanted;

	rcu_read_lock();
	/* Pairs with the release in bm_event_start(): the family is complete. */
	wanted = smp_load_acquire(&bm_telling) &&
		 genl_has_listeners(&bm_family, &init_net, group);
	rcu_read_unlock();
	return wanted;
}

/* Sends @skb, or if there is none tells the listeners that they missed something. */
static void bm_event_send(enum bm_group group, struct sk_buff *skb)
{
	rcu_read_lock();
	if (!READ_ONCE(bm_telling)) {
		nlmsg_free(skb);
	} else if (skb) {
		nlmsg_end(skb, nlmsg_hdr(skb));
		genlmsg_multicast(&bm_family, skb, 0, group, BM_EVENT_GFP);
	} else {
		genl_set_err(&bm_family, &init_net, 0, group, -ENOBUFS);
	}
	rcu_read_unlock();
}

/* A message to fill; NULL if nobody listens or, of which they are told, there is no memory. */
static struct sk_buff *bm_event_begin(enum bm_group group, u8 cmd)
{
	struct sk_buff *skb;

	if (!bm_event_wanted(group))
		return NULL;
	skb = genlmsg_new(BM_EVENT_ROOM, BM_EVENT_GFP);
	if (skb && !genlmsg_put(skb, 0, 0, &bm_family, 0, cmd)) {
		nlmsg_free(skb);
		skb = NULL;
	}
	if (!skb)
		bm_event_send(group, NULL);
	return skb;
}

/* The end of every event: @err says whether all of it went in. */
static void bm_event_end(enum bm_group group, struct sk_buff *skb, int err)
{
	if (err) {
		nlmsg_free(skb);
		skb = NULL;
	}
	bm_event_send(group, skb);
}

static int bm_event_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, BITMEM_A_EVENT_PAD);
}

static int bm_event_pool(struct sk_buff *skb, const struct bm_pool *pool)
{
	return nla_put_u32(skb, BITMEM_A_EVENT_POOL, pool->index) ?:
	       nla_put_u32(skb, BITMEM_A_EVENT_NODE, pool->node);
}

/* --- pools --- */

/* An event that is a pool and a number of bytes. */
static void bm_event_bytes(u8 cmd, const struct bm_pool *pool, u64 bytes)
{
	struct sk_buff *skb = bm_event_begin(BM_GROUP_EVENTS, cmd);
	int err;

	if (!skb)
		return;
	err = bm_event_pool(skb, pool) ?: bm_event_u64(skb, BITMEM_A_EVENT_BYTES, bytes);
	bm_event_end(BM_GROUP_EVENTS, skb, err);
}

void bm_event_quarantine(struct bm_pool *pool, u64 bytes)
{
	bm_event_bytes(BITMEM_NL_CMD_QUARANTINE, pool, bytes);
}

void bm_event_retired(struct bm_pool *pool, u64 bytes)
{
	bm_event_bytes(BITMEM_NL_CMD_RETIRED, pool, bytes);
}

void bm_event_shrunk(struct bm_pool *pool, u64 bytes)
{
	bm_event_bytes(BITMEM_NL_CMD_SHRUNK, pool, bytes);
}

/* A pool's level is now @level. */
void bm_event_level(struct bm_pool *pool, enum bitmem_level level)
{
	struct sk_buff *skb = bm_event_begin(BM_GROUP_EVENTS, BITMEM_NL_CMD_PRESSURE);
	u64 free, capacity;
	int err;

	if (!skb)
		return;
	spin_lock(&pool->lock);
	free = (u64)bm_pool_free(pool) << PAGE_SHIFT;
	capacity = (u64)bm_pool_capacity(pool) << PAGE_SHIFT;
	spin_unlock(&pool->lock);
	err = bm_event_pool(skb, pool) ?:
	      nla_put_u32(skb, BITMEM_A_EVENT_LEVEL, level) ?:
	      bm_event_u64(skb, BITMEM_A_EVENT_FREE, free) ?:
	      bm_event_u64(skb, BITMEM_A_EVENT_CAPACITY, capacity);
	bm_event_end(BM_GROUP_EVENTS, skb, err);
}

void bm_event_compacted(struct bm_pool *pool, const struct bitmem_compact *done)
{
	struct sk_buff *skb = bm_event_begin(BM_GROUP_EVENTS, BITMEM_NL_CMD_COMPACTED);
	int err;

	if (!skb)
		return;
	err = bm_event_pool(skb, pool) ?:
	      bm_event_u64(skb, BITMEM_A_EVENT_MOVED, done->out_moved) ?:
	      bm_event_u64(skb, BITMEM_A_EVENT_FREED, done->out_freed) ?:
	      bm_event_u64(skb, BITMEM_A_EVENT_SKIPPED, done->out_skipped);
	bm_event_end(BM_GROUP_EVENTS, skb, err);
}

/* Counts a refusal. Returns how many the event that is due now stands for, or 0. */
static u64 bm_refusals_add(struct bm_pool *pool)
{
	struct bm_refusals *r = &bm_refusals[pool->index];
	u64 count = 0;

	spin_lock(&r->lock);
	r->count++;
	if (time_after_eq(jiffies, r->next)) {
		r->next = jiffies + HZ;
		swap(count, r->count);
	}
	spin_unlock(&r->lock);
	return count;
}

/* @pool refused @bytes, to a file or dma-buf: bm_event_exit() has none beside it. */
void bm_event_exhausted(struct bm_pool *pool, u64 bytes)
{
	struct sk_buff *skb;
	u64 count;
	int err;

	if (!bm_event_wanted(BM_GROUP_EVENTS))
		return;
	count = bm_refusals_add(pool);
	if (!count)
		return;
	skb = bm_event_begin(BM_GROUP_EVENTS, BITMEM_NL_CMD_EXHAUSTED);
	if (!skb)
		return;
	err = bm_event_pool(skb, pool) ?:
	      bm_event_u64(skb, BITMEM_A_EVENT_BYTES, bytes) ?:
	      bm_event_u64(skb, BITMEM_A_EVENT_COUNT, count);
	bm_event_end(BM_GROUP_EVENTS, skb, err);
}

/* --- files --- */

static int bm_event_file(struct sk_buff *skb, const struct bm_file *file, unsigned long buffers,
			 u64 bytes)
{
	return bm_event_u64(skb, BITMEM_A_EVENT_FILE, file->serial) ?:
	       bm_event_u64(skb, BITMEM_A_EVENT_BUFFERS, buffers) ?:
	       bm_event_u64(skb, BITMEM_A_EVENT_BYTES, bytes);
}

static int bm_event_owner(struct sk_buff *skb, const struct bm_file *file)
{
	struct task_struct *task = get_pid_task(file->owner, PIDTYPE_TGID);
	char comm[TASK_COMM_LEN];
	int err;

	err = nla_put_u32(skb, BITMEM_A_EVENT_PID, pid_nr(file->owner)) ?:
	      nla_put_u32(skb, BITMEM_A_EVENT_UID, from_kuid(&init_user_ns, file->user->uid));
	if (!task)
		return err;
	get_task_comm(comm, task);
	put_task_struct(task);
	return err ?: nla_put_string(skb, BITMEM_A_EVENT_COMM, comm);
}

/* @file was closed although it had ids for @buffers, which have @bytes. */
void bm_event_reclaimed(const struct bm_file *file, unsigned long buffers, u64 bytes)
{
	struct sk_buff *skb;
	int err;

	skb = bm_event_begin(BM_GROUP_EVENTS, BITMEM_NL_CMD_RECLAIMED);
	if (skb) {
		err = bm_event_file(skb, file, buffers, bytes);
		bm_event_end(BM_GROUP_EVENTS, skb, err);
	}
	skb = bm_event_begin(BM_GROUP_OWNERS, BITMEM_NL_CMD_RECLAIMED);
	if (skb) {
		err = bm_event_file(skb, file, buffers, bytes) ?: bm_event_owner(skb, file);
		bm_event_end(BM_GROUP_OWNERS, skb, err);
	}
}

/* --- life --- */

int bm_event_init(void)
{
	unsigned int i;

	bm_refusals = kcalloc(bm_nr_pools, sizeof(*bm_refusals), GFP_KERNEL);
	if (!bm_refusals)
		return -ENOMEM;
	for (i = 0; i < bm_nr_pools; i++) {
		spin_lock_init(&bm_refusals[i].lock);
		bm_refusals[i].next = jiffies;
	}
	return 0;
}

/* The family is registered. */
void bm_event_start(void)
{
	/* Pairs with the acquire in bm_event_wanted(). */
	smp_store_release(&bm_telling, true);
}

/* The family is about to go; nobody uses it when this returns. */
void bm_event_stop(void)
{
	WRITE_ONCE(bm_telling, false);
	synchronize_rcu();
}

void bm_event_exit(void)
{
	kfree(bm_refusals);
	bm_refusals = NULL;
}
