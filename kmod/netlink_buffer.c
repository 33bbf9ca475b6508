// SPDX-License-Identifier: GPL-2.0
/*
 * The dump of buffers: one message each, of all that are alive, whoever keeps them.
 *
 * Buffers are visited by their offset, which never changes and is nobody else's
 * while they live. A dump goes on above the last one that it visited,
 * so it shows every buffer once that lives all the while, whatever comes and goes.
 * It ends at the last one there was when it began: offsets rise, and a dump that
 * followed those made meanwhile could be kept going for ever. One reference is held,
 * on the buffer at hand. Its figures are glances, taken without its mutex: a dump
 * waits for nobody.
 */
#include <linux/ktime.h>
#include <linux/nodemask.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <net/sock.h>
#include <uapi/linux/bitmem_netlink.h>

#include "netlink.h"

/**
 * struct bm_buffer_dump - a dump under way
 * @viewer: for whom
 * @offset: of the last buffer visited
 * @last: the highest offset when the dump began
 */
struct bm_buffer_dump {
	struct bm_viewer viewer;
	u64 offset;
	u64 last;
};

int bm_nl_buffer_start(struct netlink_callback *cb)
{
	struct bm_buffer_dump *dump = (struct bm_buffer_dump *)cb->ctx;

	BUILD_BUG_ON(sizeof(*dump) > sizeof(cb->ctx));
	dump->last = bm_offset_last();
	return bm_viewer_init(&dump->viewer, cb);
}

static int bm_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, BITMEM_A_BUFFER_PAD);
}

static int bm_put_flag(struct sk_buff *skb, int attr, bool value)
{
	return value ? nla_put_flag(skb, attr) : 0;
}

/* The process that opened the file, as the reader's PID namespace knows it. */
static int bm_put_owner(struct sk_buff *skb, const struct bm_file *file)
{
	pid_t pid = pid_vnr(file->owner);
	char comm[TASK_COMM_LEN];
	struct task_struct *task;
	int err;

	if (!pid)
		return 0;
	err = nla_put_u32(skb, BITMEM_A_BUFFER_PID, pid);
	task = get_pid_task(file->owner, PIDTYPE_TGID);
	if (!task)
		return err;
	get_task_comm(comm, task);
	put_task_struct(task);
	return err ?: nla_put_string(skb, BITMEM_A_BUFFER_COMM, comm);
}

/* How many ids lead to the buffer, and one of them in the file that is charged. */
static int bm_put_ids(struct sk_buff *skb, struct bm_buffer *buf)
{
	struct bm_handle *handle;
	u32 n = 0, id = 0;

	spin_lock(&buf->handles_lock);
	list_for_each_entry(handle, &buf->handles, link) {
		n++;
		if (!id && handle->file == buf->file)
			id = handle->id;
	}
	spin_unlock(&buf->handles_lock);
	return nla_put_u32(skb, BITMEM_A_BUFFER_HANDLES, n) ?:
	       (id ? nla_put_u32(skb, BITMEM_A_BUFFER_ID, id) : 0);
}

static int bm_put_node(struct sk_buff *skb, int node, u64 bytes)
{
	struct nlattr *nest = nla_nest_start(skb, BITMEM_A_BUFFER_SPREAD);
	int err;

	if (!nest)
		return -EMSGSIZE;
	err = nla_put_u32(skb, BITMEM_A_SPREAD_NODE, node) ?:
	      nla_put_u64_64bit(skb, BITMEM_A_SPREAD_BYTES, bytes, BITMEM_A_SPREAD_PAD);
	if (!err)
		nla_nest_end(skb, nest);
	return err;
}

static int bm_put_spread(struct sk_buff *skb, const struct bm_buffer *buf)
{
	unsigned int i;
	int node, err = 0;

	for_each_node_state(node, N_MEMORY) {
		u64 bytes = 0;

		for (i = 0; i < bm_nr_pools; i++) {
			if (bm_pools[i].node == node)
				bytes += (u64)READ_ONCE(buf->share[i]) << PAGE_SHIFT;
		}
		if (bytes)
			err = bm_put_node(skb, node, bytes);
		if (err)
			break;
	}
	return err;
}

/* What says whose a buffer is: the file that it is charged to. */
int bm_nl_put_file(struct sk_buff *skb, struct netlink_callback *cb, const struct bm_file *file)
{
	struct user_namespace *ns = sk_user_ns(NETLINK_CB(cb->skb).sk);

	return bm_put_u64(skb, BITMEM_A_BUFFER_FILE, file->serial) ?:
	       nla_put_u32(skb, BITMEM_A_BUFFER_UID, from_kuid_munged(ns, file->user->uid)) ?:
	       bm_put_owner(skb, file) ?:
	       bm_put_flag(skb, BITMEM_A_BUFFER_CLOSED, READ_ONCE(file->closed));
}

/* What says which one it is: its offset, and its tag. */
int bm_nl_put_which(struct sk_buff *skb, const struct bm_buffer *buf)
{
	return bm_put_u64(skb, BITMEM_A_BUFFER_OFFSET, buf->offset) ?:
	       (buf->tag[0] ? nla_put_string(skb, BITMEM_A_BUFFER_TAG, buf->tag) : 0);
}

static int bm_put_name(struct sk_buff *skb, struct bm_buffer *buf)
{
	char name[BITMEM_NAME_LEN];

	return bm_name_copy(buf, name) ? nla_put_string(skb, BITMEM_A_BUFFER_NAME, name) : 0;
}

static int bm_put_buffer(struct sk_buff *skb, struct netlink_callback *cb, struct bm_buffer *buf)
{
	u64 resident = (u64)READ_ONCE(buf->resident) << PAGE_SHIFT;

	return bm_nl_put_file(skb, cb, buf->file) ?:
	       bm_nl_put_which(skb, buf) ?:
	       bm_put_ids(skb, buf) ?:
	       nla_put_u32(skb, BITMEM_A_BUFFER_MAPPINGS, atomic_read(&buf->mappings)) ?:
	       nla_put_u32(skb, BITMEM_A_BUFFER_EXPORTS, atomic_read(&buf->exports)) ?:
	       bm_put_u64(skb, BITMEM_A_BUFFER_LENGTH, (u64)buf->npages << PAGE_SHIFT) ?:
	       bm_put_u64(skb, BITMEM_A_BUFFER_RESIDENT, resident) ?:
	       bm_put_u64(skb, BITMEM_A_BUFFER_AGE_NS,
			  ktime_to_ns(ktime_sub(ktime_get(), buf->created))) ?:
	       bm_put_spread(skb, buf) ?:
	       bm_put_name(skb, buf) ?:
	       bm_put_flag(skb, BITMEM_A_BUFFER_ANON, buf->anon) ?:
	       bm_put_flag(skb, BITMEM_A_BUFFER_FIXED, READ_ONCE(buf->fixed));
}

/* One message, or -EMSGSIZE and nothing. */
static int bm_dump_buffer(struct sk_buff *skb, struct netlink_callback *cb, struct bm_buffer *buf)
{
	void *hdr = bm_dump_put(skb, cb, BITMEM_NL_CMD_BUFFER_GET);
	int err = hdr ? bm_put_buffer(skb, cb, buf) : -EMSGSIZE;

	if (err)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return err;
}

int bm_nl_buffer_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct bm_buffer_dump *dump = (struct bm_buffer_dump *)cb->ctx;
	struct bm_buffer *buf;
	int err = 0;

	while (!err && (buf = bm_offset_next(dump->offset, dump->last))) {
		if (bm_viewer_sees(&dump->viewer, buf->file->user->uid))
			err = bm_dump_buffer(skb, cb, buf);
		if (!err)
			dump->offset = buf->offset;
		bm_buffer_put(buf);
		cond_resched();
	}
	return err && !skb->len ? err : skb->len;
}
