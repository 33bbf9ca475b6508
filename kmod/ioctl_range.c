// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctls about the memory behind a buffer: COMMIT, DECOMMIT, MIGRATE, SEGMENTS.
 */
#include <linux/capability.h>
#include <linux/nodemask.h>
#include <linux/pfn.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioctl.h"

/* --- COMMIT and DECOMMIT --- */

typedef int (*bm_range_fn)(struct bm_buffer *buf, unsigned long first, unsigned long end,
			   struct bitmem_range *out);

static int bm_range_execute(struct bm_call *call, bm_range_fn fn)
{
	struct bitmem_range *arg = &call->args.range;
	struct bm_buffer *buf;
	bool readonly;
	u32 id = arg->id;
	int ret;

	if (arg->flags || arg->__reserved)
		return -EOPNOTSUPP;
	if (!arg->length || !PAGE_ALIGNED(arg->offset) || !PAGE_ALIGNED(arg->length))
		return -EINVAL;
	buf = bm_handle_find(call->file, &id, false, &readonly);
	if (!buf)
		return -ENOENT;
	arg->offset >>= PAGE_SHIFT;
	arg->length >>= PAGE_SHIFT;
	if (arg->offset >= buf->npages || arg->length > buf->npages - arg->offset)
		ret = -EINVAL;
	else if (readonly)
		ret = -EACCES;
	else
		ret = fn(buf, arg->offset, arg->offset + arg->length, arg);
	bm_buffer_put(buf);
	arg->offset <<= PAGE_SHIFT;
	arg->length <<= PAGE_SHIFT;
	return ret ?: bm_respond(call);
}

int bm_ioctl_commit(struct bm_call *call)
{
	return bm_range_execute(call, bm_buffer_commit);
}

int bm_ioctl_decommit(struct bm_call *call)
{
	return bm_range_execute(call, bm_buffer_decommit);
}

/* --- MIGRATE --- */

static bool bm_node_has_pool(int node, unsigned int width)
{
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (bm_pools[i].node == node && bm_pools[i].width == width)
			return true;
	}
	return false;
}

int bm_ioctl_migrate(struct bm_call *call)
{
	struct bitmem_migrate *arg = &call->args.migrate;
	struct bm_buffer *buf;
	bool readonly;
	u32 id = arg->id;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	buf = bm_handle_find(call->file, &id, false, &readonly);
	if (!buf)
		return -ENOENT;
	if (!bm_node_has_pool(arg->node, buf->width))
		ret = -EINVAL;
	else if (readonly)
		ret = -EACCES;
	else
		ret = bm_buffer_migrate(buf, arg->node, arg);
	bm_buffer_put(buf);
	return ret ?: bm_respond(call);
}

/* --- SEGMENTS --- */

/* Segments collected between two copies to the caller. */
#define BM_SEGMENTS	64

/*
 * Collects physical runs of the buffer from page *@index on, until there are
 * @count or the end is reached. Returns how many. The buffer is fixed.
 */
static u32 bm_segments_collect(const struct bm_buffer *buf, unsigned long *index,
			       struct bitmem_segment *segments, u32 count)
{
	struct bitmem_segment *last = NULL;
	u32 n = 0;

	for (; *index < buf->npages; (*index)++) {
		u64 address = PFN_PHYS(page_to_pfn(bm_buffer_page(buf, *index)));

		/* One run may be as long as the buffer. */
		if (!(*index & (BM_SB_PAGES - 1)))
			cond_resched();
		if (last && last->address + last->length == address) {
			last->length += PAGE_SIZE;
			continue;
		}
		if (n == count)
			break;
		last = &segments[n++];
		last->address = address;
		last->length = PAGE_SIZE;
	}
	return n;
}

static int bm_segments_copy(const struct bm_buffer *buf, struct bitmem_segments *arg)
{
	struct bitmem_segment __user *out = u64_to_user_ptr(arg->entries);
	unsigned long index = arg->offset >> PAGE_SHIFT;
	struct bitmem_segment *segments;
	u32 n, done = 0;

	segments = kmalloc_array(BM_SEGMENTS, sizeof(*segments), GFP_KERNEL);
	if (!segments)
		return -ENOMEM;
	while (done < arg->count && index < buf->npages) {
		n = bm_segments_collect(buf, &index, segments,
					min_t(u32, BM_SEGMENTS, arg->count - done));
		if (copy_to_user(&out[done], segments, n * sizeof(*segments))) {
			kfree(segments);
			return -EFAULT;
		}
		done += n;
		cond_resched();
	}
	kfree(segments);
	arg->out_count = done;
	arg->__out_reserved = 0;
	arg->out_next = (u64)index << PAGE_SHIFT;
	return 0;
}

/* Holds the buffer in place for as long as it lives. */
static int bm_buffer_tell(struct bm_buffer *buf)
{
	int ret = bm_buffer_fix(buf, true);
	bool told;

	if (ret)
		return ret;
	mutex_lock(&buf->change);
	told = buf->told;
	buf->told = true;
	mutex_unlock(&buf->change);
	if (told)
		bm_buffer_unfix(buf);
	return 0;
}

int bm_ioctl_segments(struct bm_call *call)
{
	struct bitmem_segments *arg = &call->args.segments;
	struct bm_buffer *buf;
	u32 id = arg->id;
	int ret;

	if (arg->flags)
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(arg->offset))
		return -EINVAL;
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	buf = bm_handle_find(call->file, &id, false, NULL);
	if (!buf)
		return -ENOENT;
	ret = -EINVAL;
	if (arg->offset >> PAGE_SHIFT < buf->npages)
		ret = bm_buffer_tell(buf);
	/* Nothing changes the table of a buffer that is fixed. */
	if (!ret)
		ret = bm_segments_copy(buf, arg);
	bm_buffer_put(buf);
	return ret ?: bm_respond(call);
}
