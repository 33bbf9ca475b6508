// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctls about one buffer: ALLOC, FREE, QUERY.
 */
#include <linux/ktime.h>
#include <linux/nodemask.h>
#include <linux/overflow.h>
#include <linux/uaccess.h>

#include "ioctl.h"

#define BM_ALLOC_FLAGS	(BITMEM_ALLOC_BIND | BITMEM_ALLOC_CONTIG | BITMEM_ALLOC_NOWAIT)

static int bm_check_node(const struct bitmem_alloc *arg)
{
	if (arg->node == BITMEM_NODE_ANY)
		return arg->flags & BITMEM_ALLOC_BIND ? -EINVAL : 0;
	if (arg->node < 0 || arg->node >= nr_node_ids || !node_state(arg->node, N_MEMORY))
		return -EINVAL;
	return 0;
}

/* The pools' width that serves @width address bits, or -errno. */
static int bm_check_width(u32 width)
{
	if (width > 64)
		return -EINVAL;
	if (!width || width == 64)
		return 64;
	if (width < 32 || !bm_pools_have_width(32))
		return -EOPNOTSUPP;
	return 32;
}

/* Checks an allocation's arguments, and puts them the way bm_buffer_create() wants them. */
static int bm_alloc_request(const struct bitmem_alloc *arg, struct bm_request *req)
{
	u64 length;
	int ret;

	if ((arg->flags & ~BM_ALLOC_FLAGS) || arg->__reserved)
		return -EOPNOTSUPP;
	if (!arg->length)
		return -EINVAL;
	if (check_add_overflow(arg->length, (__u64)PAGE_SIZE - 1, &length) ||
	    length > MAX_LFS_FILESIZE)
		return -EOVERFLOW;
	ret = bm_check_width(arg->width);
	if (ret < 0)
		return ret;
	req->width = ret;
	ret = bm_check_node(arg);
	if (ret)
		return ret;
	if (arg->tag[BITMEM_TAG_LEN - 1])
		return -EINVAL;
	req->npages = length >> PAGE_SHIFT;
	if (arg->flags & BITMEM_ALLOC_CONTIG) {
		if (req->npages > BM_SB_PAGES)
			return -EINVAL;
		req->npages = BM_SB_PAGES;
		req->contig = true;
	}
	req->node = arg->node;
	req->bind = arg->flags & BITMEM_ALLOC_BIND;
	req->nowait = arg->flags & BITMEM_ALLOC_NOWAIT;
	req->tag = (const char *)arg->tag;
	return 0;
}

/**
 * bm_alloc_one() - all of an ALLOC but making the buffer known
 * @file: on whose behalf
 * @arg: the arguments; the outputs are filled in
 * @nowait: as if BITMEM_ALLOC_NOWAIT were among the flags
 *
 * Return: a handle to publish once the outputs are with the caller, or to abort; or
 * an ERR_PTR.
 */
struct bm_handle *bm_alloc_one(struct bm_file *file, struct bitmem_alloc *arg, bool nowait)
{
	struct bm_request req = { 0 };
	struct bm_handle *handle;
	struct bm_buffer *buf;
	int ret;

	ret = bm_alloc_request(arg, &req);
	if (ret)
		return ERR_PTR(ret);
	req.nowait |= nowait;
	buf = bm_buffer_create(file, &req);
	if (IS_ERR(buf))
		return ERR_CAST(buf);
	handle = bm_handle_new(file, buf, false);
	/* The handle has a reference of its own. */
	bm_buffer_put(buf);
	if (IS_ERR(handle))
		return handle;
	arg->out_id = handle->id;
	arg->out_offset = handle->buf->offset;
	arg->out_length = (u64)handle->buf->npages << PAGE_SHIFT;
	return handle;
}

int bm_ioctl_alloc(struct bm_call *call)
{
	struct bm_handle *handle;
	int ret;

	handle = bm_alloc_one(call->file, &call->args.alloc, call->nowait);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	ret = bm_respond(call);
	if (ret)
		bm_handle_abort(handle);
	else
		bm_handle_publish(handle);
	return ret;
}

int bm_ioctl_free(struct bm_call *call)
{
	struct bitmem_free *arg = &call->args.free;

	if (arg->flags || arg->__reserved)
		return -EOPNOTSUPP;
	return bm_handle_drop(call->file, arg->id, NULL) ? 0 : -ENOENT;
}

/* Writes how the buffer is spread over the nodes. */
static int bm_query_nodes(const struct bitmem_query *arg, const struct bm_buffer *buf)
{
	u64 __user *array = u64_to_user_ptr(arg->node_bytes);
	u32 i, n = min_t(u32, arg->node_count, nr_node_ids);

	if (!array)
		return 0;
	for (i = 0; i < n; i++) {
		u64 bytes = 0;
		unsigned int p;

		for (p = 0; p < bm_nr_pools; p++) {
			if (bm_pools[p].node == i)
				bytes += (u64)READ_ONCE(buf->share[p]) << PAGE_SHIFT;
		}
		if (put_user(bytes, &array[i]))
			return -EFAULT;
	}
	return 0;
}

static u32 bm_buffer_flags(const struct bm_buffer *buf, struct bm_file *file, bool readonly)
{
	u32 flags = 0;

	if (buf->anon)
		flags |= BITMEM_BUFFER_ANON;
	if (readonly)
		flags |= BITMEM_BUFFER_READONLY;
	if (READ_ONCE(buf->fixed))
		flags |= BITMEM_BUFFER_FIXED;
	if (READ_ONCE(buf->name))
		flags |= BITMEM_BUFFER_NAMED;
	if (buf->file != file)
		flags |= BITMEM_BUFFER_SHARED;
	return flags;
}

int bm_ioctl_query(struct bm_call *call)
{
	struct bitmem_query *arg = &call->args.query;
	struct bm_buffer *buf;
	u32 id = arg->id;
	bool readonly;
	int ret;

	if (arg->flags & ~BITMEM_QUERY_NEXT)
		return -EOPNOTSUPP;
	buf = bm_handle_find(call->file, &id, arg->flags & BITMEM_QUERY_NEXT, &readonly);
	if (!buf)
		return -ENOENT;
	arg->out_id = id;
	arg->out_flags = bm_buffer_flags(buf, call->file, readonly);
	arg->out_offset = buf->offset;
	arg->out_length = (u64)buf->npages << PAGE_SHIFT;
	arg->out_resident = (u64)READ_ONCE(buf->resident) << PAGE_SHIFT;
	arg->out_pinned = (u64)bm_buffer_pinned(buf) << PAGE_SHIFT;
	arg->out_age_ns = ktime_to_ns(ktime_sub(ktime_get(), buf->created));
	arg->out_mappings = atomic_read(&buf->mappings);
	arg->out_exports = atomic_read(&buf->exports);
	memcpy(arg->out_tag, buf->tag, sizeof(arg->out_tag));
	ret = bm_query_nodes(arg, buf);
	bm_buffer_put(buf);
	return ret ?: bm_respond(call);
}
