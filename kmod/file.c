// SPDX-License-Identifier: GPL-2.0
/*
 * The device file: open, close, poll, fdinfo.
 *
 * A struct bm_file belongs to a struct file, never to a process. When the last
 * descriptor is closed, by whatever death, the ids go and with them every buffer
 * that no other file and no dma-buf holds: no mapping can be left, as each one
 * holds the struct file.
 */
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "bitmem.h"
#include "compat.h"
#include "trace.h"

/* Buffers that fdinfo lists one by one. */
#define BM_FDINFO_BUFFERS	64

static atomic64_t bm_serial = ATOMIC64_INIT(0);

/* --- life --- */

/* What an open() owns, charged to the caller's effective user; or an ERR_PTR. */
struct bm_file *bm_file_new(void)
{
	struct bm_file *file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);

	if (!file)
		return ERR_PTR(-ENOMEM);
	file->user = bm_user_get(current_euid());
	if (!file->user) {
		kfree(file);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&file->kref);
	file->serial = atomic64_inc_return(&bm_serial);
	file->opened = ktime_get();
	file->owner = get_pid(task_tgid(current));
	file->seen = bm_level_generation();
	file->limit = BITMEM_NO_LIMIT;
	xa_init_flags(&file->buffers, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	spin_lock_init(&file->lock);
	return file;
}

static void bm_file_free(struct kref *kref)
{
	struct bm_file *file = container_of(kref, struct bm_file, kref);

	bm_user_put(file->user);
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
	struct bm_file *file = bm_file_new();

	if (IS_ERR(file))
		return PTR_ERR(file);
	filp->private_data = file;
	bm_map_open(filp);
	return nonseekable_open(inode, filp);
}

static int bm_release(struct inode *inode, struct file *filp)
{
	struct bm_file *file = filp->private_data;
	ktime_t start = ktime_get();
	unsigned long n;
	u64 bytes;

	WRITE_ONCE(file->closed, true);
	bm_handle_drop_all(file, &n, &bytes);
	if (n) {
		trace_bitmem_reclaim(file, n, bytes, ktime_to_ns(ktime_sub(ktime_get(), start)));
		bm_event_reclaimed(file, n, bytes);
	}
	bm_file_put(file);
	return 0;
}

static __poll_t bm_poll(struct file *filp, struct poll_table_struct *wait)
{
	struct bm_file *file = filp->private_data;

	return bm_level_poll(filp, wait, READ_ONCE(file->seen));
}

/* --- fdinfo --- */

static void bm_show_buffer(struct seq_file *m, const struct bm_buffer *buf, u32 id, ktime_t now)
{
	seq_printf(m, "bitmem-buffer:\t%u %llu %lld %d %*pE\n", id,
		   (u64)buf->npages << PAGE_SHIFT, ktime_to_ms(ktime_sub(now, buf->created)),
		   atomic_read(&buf->mappings), (int)strnlen(buf->tag, sizeof(buf->tag)), buf->tag);
}

static void bm_show_counters(struct seq_file *m, struct bm_file *file, ktime_t now)
{
	unsigned long nr_buffers;
	u64 bytes, peak, limit;

	spin_lock(&file->lock);
	nr_buffers = file->nr_buffers;
	bytes = file->bytes;
	peak = file->peak;
	limit = file->limit;
	spin_unlock(&file->lock);
	seq_printf(m, "bitmem-file:\t%llu\n", file->serial);
	seq_printf(m, "bitmem-owner:\t%d\n", pid_vnr(file->owner));
	seq_printf(m, "bitmem-age-ms:\t%lld\n", ktime_to_ms(ktime_sub(now, file->opened)));
	seq_printf(m, "bitmem-buffers:\t%lu\n", nr_buffers);
	seq_printf(m, "bitmem-bytes:\t%llu\n", bytes);
	seq_printf(m, "bitmem-peak-bytes:\t%llu\n", peak);
	if (limit != BITMEM_NO_LIMIT)
		seq_printf(m, "bitmem-limit-bytes:\t%llu\n", limit);
}

static void bm_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct bm_file *file = filp->private_data;
	ktime_t now = ktime_get();
	struct bm_buffer *buf;
	u32 id = 0;
	int i;

	bm_show_counters(m, file, now);
	for (i = 0; i < BM_FDINFO_BUFFERS; i++) {
		buf = bm_handle_find(file, &id, true, NULL);
		if (!buf)
			break;
		bm_show_buffer(m, buf, id, now);
		bm_buffer_put(buf);
	}
}

const struct file_operations bm_fops = {
	.owner			= THIS_MODULE,
	.open			= bm_open,
	.release		= bm_release,
	.unlocked_ioctl		= bm_ioctl,
	.compat_ioctl		= compat_ptr_ioctl,
	.uring_cmd		= bm_uring_cmd,
	.poll			= bm_poll,
	.mmap			= bm_mmap,
	.get_unmapped_area	= thp_get_unmapped_area,
	.show_fdinfo		= bm_show_fdinfo,
	.llseek			= noop_llseek,
};
