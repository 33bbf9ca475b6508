// SPDX-License-Identifier: GPL-2.0
/*
 * The device file: open, close, ioctls, fdinfo.
 *
 * A struct bm_file belongs to a struct file, never to a process. When the last
 * descriptor is closed, by whatever death, the ids go and with them every
 * buffer: no mapping can be left, as each one holds the struct file.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/pid.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "bitmem.h"
#include "trace.h"

/* Buffers that fdinfo lists one by one. */
#define BM_FDINFO_BUFFERS	64

static atomic64_t bm_serial = ATOMIC64_INIT(0);

/* --- life --- */

static void bm_file_free(struct kref *kref)
{
	struct bm_file *file = container_of(kref, struct bm_file, kref);

	put_pid(file->owner);
	kfree(file);
}

struct bm_file *bm_file_get(struct bm_file *file)
{
	kref_get(&file->kref);
	return file;
}

void bm_file_put(struct bm_file *file)
{
	kref_put(&file->kref, bm_file_free);
}

static int bm_open(struct inode *inode, struct file *filp)
{
	struct bm_file *file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);

	if (!file)
		return -ENOMEM;
	kref_init(&file->kref);
	file->serial = atomic64_inc_return(&bm_serial);
	file->opened = ktime_get();
	file->owner = get_pid(task_tgid(current));
	xa_init_flags(&file->buffers, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	spin_lock_init(&file->lock);
	filp->private_data = file;
	bm_map_open(filp);
	return nonseekable_open(inode, filp);
}

static int bm_release(struct inode *inode, struct file *filp)
{
	struct bm_file *file = filp->private_data;
	ktime_t start = ktime_get();
	struct bm_buffer *buf;
	unsigned long id, n = 0;
	u64 bytes = 0;

	xa_for_each(&file->buffers, id, buf) {
		n++;
		bytes += (u64)buf->npages << PAGE_SHIFT;
		bm_buffer_drop_id(buf);
		cond_resched();
	}
	if (n)
		trace_bitmem_reclaim(file, n, bytes, ktime_to_ns(ktime_sub(ktime_get(), start)));
	xa_destroy(&file->buffers);
	bm_file_put(file);
	return 0;
}

/* --- ioctls --- */

union bm_args {
	__u32 size;
	struct bitmem_info info;
	struct bitmem_pool_info pool_info;
	struct bitmem_alloc alloc;
	struct bitmem_free free;
	struct bitmem_query query;
};

/* One ioctl under way. */
struct bm_call {
	struct bm_file *file;
	void __user *uarg;
	__u32 user_size;
	__u32 known_size;
	union bm_args args;
};

/* Copies the arguments back, outputs and all, as far as the caller has room. */
static int bm_respond(struct bm_call *call)
{
	if (copy_to_user(call->uarg, &call->args, min(call->user_size, call->known_size)))
		return -EFAULT;
	return 0;
}

static int bm_ioctl_info(struct bm_call *call)
{
	struct bitmem_info *info = &call->args.info;

	if (info->flags)
		return -EOPNOTSUPP;
	info->out_abi = BITMEM_ABI;
	info->out_page_size = PAGE_SIZE;
	info->out_superblock_size = BM_SB_SIZE;
	info->out_pmd_size = PMD_SIZE;
	info->out_features = 0;
	info->out_pools = bm_nr_pools;
	info->out_nodes = nr_node_ids;
	return bm_respond(call);
}

static int bm_ioctl_pool_info(struct bm_call *call)
{
	struct bitmem_pool_info *info = &call->args.pool_info;

	if (info->flags || info->__reserved)
		return -EOPNOTSUPP;
	if (info->index >= bm_nr_pools)
		return -ENOENT;
	bm_pool_info(&bm_pools[array_index_nospec(info->index, bm_nr_pools)], info);
	return bm_respond(call);
}

/* Checks an allocation's arguments, and puts them the way bm_buffer_create() wants them. */
static int bm_alloc_request(const struct bitmem_alloc *arg, struct bm_request *req)
{
	u64 length;

	if ((arg->flags & ~BITMEM_ALLOC_BIND) || arg->__reserved)
		return -EOPNOTSUPP;
	if (!arg->length)
		return -EINVAL;
	if (check_add_overflow(arg->length, (__u64)PAGE_SIZE - 1, &length) ||
	    length > MAX_LFS_FILESIZE)
		return -EOVERFLOW;
	if (arg->width > 64)
		return -EINVAL;
	if (arg->width && arg->width < 64)
		return -EOPNOTSUPP;
	if (arg->node == BITMEM_NODE_ANY) {
		if (arg->flags & BITMEM_ALLOC_BIND)
			return -EINVAL;
	} else if (arg->node < 0 || arg->node >= nr_node_ids || !node_state(arg->node, N_MEMORY)) {
		return -EINVAL;
	}
	if (arg->tag[BITMEM_TAG_LEN - 1])
		return -EINVAL;
	req->npages = length >> PAGE_SHIFT;
	req->node = arg->node;
	req->bind = arg->flags & BITMEM_ALLOC_BIND;
	req->tag = (const char *)arg->tag;
	return 0;
}

static int bm_ioctl_alloc(struct bm_call *call)
{
	struct bitmem_alloc *arg = &call->args.alloc;
	struct bm_request req = { 0 };
	struct bm_buffer *buf;
	int ret;

	ret = bm_alloc_request(arg, &req);
	if (ret)
		return ret;
	buf = bm_buffer_create(call->file, &req);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	arg->out_id = buf->id;
	arg->out_offset = buf->offset;
	arg->out_length = (u64)buf->npages << PAGE_SHIFT;
	ret = bm_respond(call);
	if (ret)
		bm_buffer_abort(buf);
	else
		bm_buffer_publish(buf);
	return ret;
}

static int bm_ioctl_free(struct bm_call *call)
{
	struct bitmem_free *arg = &call->args.free;
	struct bm_buffer *buf;
	bool dropped;

	if (arg->flags || arg->__reserved)
		return -EOPNOTSUPP;
	buf = bm_buffer_find(call->file, arg->id, false);
	if (!buf)
		return -ENOENT;
	dropped = bm_buffer_drop_id(buf);
	bm_buffer_put(buf);
	return dropped ? 0 : -ENOENT;
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
				bytes += (u64)buf->share[p] << PAGE_SHIFT;
		}
		if (put_user(bytes, &array[i]))
			return -EFAULT;
	}
	return 0;
}

static int bm_ioctl_query(struct bm_call *call)
{
	struct bitmem_query *arg = &call->args.query;
	struct bm_buffer *buf;
	int ret;

	if (arg->flags & ~BITMEM_QUERY_NEXT)
		return -EOPNOTSUPP;
	buf = bm_buffer_find(call->file, arg->id, arg->flags & BITMEM_QUERY_NEXT);
	if (!buf)
		return -ENOENT;
	arg->out_id = buf->id;
	arg->out_flags = buf->anon ? BITMEM_BUFFER_ANON : 0;
	arg->out_offset = buf->offset;
	arg->out_length = (u64)buf->npages << PAGE_SHIFT;
	arg->out_resident = arg->out_length;
	arg->out_pinned = (u64)bm_buffer_pinned(buf) << PAGE_SHIFT;
	arg->out_age_ns = ktime_to_ns(ktime_sub(ktime_get(), buf->created));
	arg->out_mappings = atomic_read(&buf->mappings);
	arg->__out_reserved = 0;
	memcpy(arg->out_tag, buf->tag, sizeof(arg->out_tag));
	ret = bm_query_nodes(arg, buf);
	bm_buffer_put(buf);
	return ret ?: bm_respond(call);
}

/* A command: what it does, its structure's size, and the least that a caller must pass. */
struct bm_command {
	int (*execute)(struct bm_call *call);
	__u32 size;
	__u32 min_size;
};

#define BM_COMMAND(_cmd, _fn, _struct, _last)						\
	[_IOC_NR(_cmd) - BITMEM_CMD_BASE] = {						\
		.execute = _fn,								\
		.size = sizeof(_struct) +						\
			BUILD_BUG_ON_ZERO(sizeof(union bm_args) < sizeof(_struct)),	\
		.min_size = offsetofend(_struct, _last),				\
	}

static const struct bm_command bm_commands[] = {
	BM_COMMAND(BITMEM_INFO, bm_ioctl_info, struct bitmem_info, out_nodes),
	BM_COMMAND(BITMEM_POOL_INFO, bm_ioctl_pool_info, struct bitmem_pool_info, out_failures),
	BM_COMMAND(BITMEM_ALLOC, bm_ioctl_alloc, struct bitmem_alloc, out_length),
	BM_COMMAND(BITMEM_FREE, bm_ioctl_free, struct bitmem_free, __reserved),
	BM_COMMAND(BITMEM_QUERY, bm_ioctl_query, struct bitmem_query, out_tag),
};

static long bm_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct bm_call call = { .file = filp->private_data, .uarg = (void __user *)arg };
	unsigned int nr = _IOC_NR(cmd) - BITMEM_CMD_BASE;
	int ret;

	if (nr >= ARRAY_SIZE(bm_commands) || cmd != _IO(BITMEM_TYPE, _IOC_NR(cmd)))
		return -ENOTTY;
	if (get_user(call.user_size, (u32 __user *)call.uarg))
		return -EFAULT;
	nr = array_index_nospec(nr, ARRAY_SIZE(bm_commands));
	if (call.user_size < bm_commands[nr].min_size)
		return -EINVAL;
	/* No structure will ever be longer; looking for zeros in gigabytes takes long. */
	if (call.user_size > PAGE_SIZE)
		return -E2BIG;
	call.known_size = bm_commands[nr].size;
	ret = copy_struct_from_user(&call.args, call.known_size, call.uarg, call.user_size);
	if (ret)
		return ret;
	/* Another thread may have changed it since it was read first. */
	call.args.size = call.user_size;
	return bm_commands[nr].execute(&call);
}

/* --- fdinfo --- */

static void bm_show_buffer(struct seq_file *m, const struct bm_buffer *buf, ktime_t now)
{
	seq_printf(m, "bitmem-buffer:\t%u %llu %lld %d %*pE\n", buf->id,
		   (u64)buf->npages << PAGE_SHIFT, ktime_to_ms(ktime_sub(now, buf->created)),
		   atomic_read(&buf->mappings), (int)strnlen(buf->tag, sizeof(buf->tag)), buf->tag);
}

static void bm_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct bm_file *file = filp->private_data;
	unsigned long nr_buffers;
	ktime_t now = ktime_get();
	struct bm_buffer *buf;
	u64 bytes, peak;
	u32 id = 0;
	int i;

	spin_lock(&file->lock);
	nr_buffers = file->nr_buffers;
	bytes = file->bytes;
	peak = file->peak;
	spin_unlock(&file->lock);
	seq_printf(m, "bitmem-file:\t%llu\n", file->serial);
	seq_printf(m, "bitmem-owner:\t%d\n", pid_vnr(file->owner));
	seq_printf(m, "bitmem-age-ms:\t%lld\n", ktime_to_ms(ktime_sub(now, file->opened)));
	seq_printf(m, "bitmem-buffers:\t%lu\n", nr_buffers);
	seq_printf(m, "bitmem-bytes:\t%llu\n", bytes);
	seq_printf(m, "bitmem-peak-bytes:\t%llu\n", peak);
	for (i = 0; i < BM_FDINFO_BUFFERS; i++) {
		buf = bm_buffer_find(file, id, true);
		if (!buf)
			break;
		id = buf->id;
		bm_show_buffer(m, buf, now);
		bm_buffer_put(buf);
	}
}

const struct file_operations bm_fops = {
	.owner			= THIS_MODULE,
	.open			= bm_open,
	.release		= bm_release,
	.unlocked_ioctl		= bm_ioctl,
	.compat_ioctl		= compat_ptr_ioctl,
	.mmap			= bm_mmap,
	.get_unmapped_area	= thp_get_unmapped_area,
	.show_fdinfo		= bm_show_fdinfo,
	.llseek			= noop_llseek,
};
