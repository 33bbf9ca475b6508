// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers: pages taken from pools, with a range of offsets.
 *
 * The last reference gives the pages back. By then no page table maps them: a
 * VMA drops its reference after its pages are unmapped. Other references to the
 * pages (GUP pins) may be left, which is what quarantine is for.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "slot.h"
#include "trace.h"

/* --- counters --- */

/* Counts a new buffer. */
static void bm_buffer_account(struct bm_buffer *buf)
{
	struct bm_file *file = buf->file;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		struct bm_pool *pool = &bm_pools[i];

		if (!buf->share[i])
			continue;
		bm_pool_lock(pool);
		pool->allocs++;
		if (buf->node != BITMEM_NODE_ANY && buf->node != pool->node)
			pool->fallbacks++;
		bm_pool_unlock(pool);
	}
	spin_lock(&file->lock);
	file->nr_buffers++;
	spin_unlock(&file->lock);
	buf->accounted = true;
}

static void bm_buffer_unaccount(struct bm_buffer *buf)
{
	DECLARE_BITMAP(had, BM_MAX_POOLS);

	bm_shares_note(buf, had);
	memset(buf->share, 0, bm_nr_pools * sizeof(*buf->share));
	bm_shares_count(buf, had);
	bm_uncharge(buf->file, buf->resident);
	if (!buf->accounted)
		return;
	spin_lock(&buf->file->lock);
	buf->file->nr_buffers--;
	spin_unlock(&buf->file->lock);
}

/* --- life --- */

static struct bm_buffer *bm_buffer_new(struct bm_file *file, const struct bm_request *req)
{
	struct bm_buffer *buf;

	buf = kzalloc(struct_size(buf, share, bm_nr_pools), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return NULL;
	buf->npages = req->npages;
	buf->slots = kvcalloc(bm_buffer_slots(buf), sizeof(*buf->slots), GFP_KERNEL_ACCOUNT);
	if (!buf->slots) {
		kfree(buf);
		return NULL;
	}
	kref_init(&buf->kref);
	buf->file = bm_file_get(file);
	buf->anon = req->anon;
	buf->node = req->node;
	buf->bind = req->bind;
	buf->contig = req->contig;
	buf->width = req->width;
	buf->created = ktime_get();
	spin_lock_init(&buf->handles_lock);
	INIT_LIST_HEAD(&buf->handles);
	mutex_init(&buf->change);
	init_rwsem(&buf->lock);
	if (req->tag)
		memcpy(buf->tag, req->tag, sizeof(buf->tag));
	return buf;
}

static void bm_buffer_free(struct bm_buffer *buf)
{
	bm_file_put(buf->file);
	kvfree(buf->slots);
	kfree(buf);
}

static void bm_buffer_destroy(struct kref *kref)
{
	struct bm_buffer *buf = container_of(kref, struct bm_buffer, kref);

	if (buf->accounted)
		trace_bitmem_free(buf);
	bm_name_forget(buf);
	bm_offset_release(buf);
	bm_slots_release(buf);
	bm_buffer_unaccount(buf);
	bm_buffer_free(buf);
}

void bm_buffer_get(struct bm_buffer *buf)
{
	kref_get(&buf->kref);
}

void bm_buffer_put(struct bm_buffer *buf)
{
	kref_put(&buf->kref, bm_buffer_destroy);
}

/**
 * bm_buffer_create() - make a buffer, with all its memory
 * @file: charged for it
 * @req: what is asked for
 *
 * Return: the buffer with one reference, which no id leads to yet; or an ERR_PTR.
 */
struct bm_buffer *bm_buffer_create(struct bm_file *file, const struct bm_request *req)
{
	struct bm_buffer *buf;
	int ret;

	/* No need for a table that the pools can never fill. */
	if (req->npages > bm_pools_max(req->width)) {
		bm_pools_refuse(req);
		return ERR_PTR(-ENOMEM);
	}
	buf = bm_buffer_new(file, req);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	ret = bm_offset_assign(buf);
	if (ret) {
		bm_buffer_free(buf);
		return ERR_PTR(ret);
	}
	/* From here on it may be looked at, by dumps and by compaction. */
	mutex_lock(&buf->change);
	ret = bm_slots_commit(buf, 0, buf->npages, req);
	mutex_unlock(&buf->change);
	if (ret) {
		bm_buffer_put(buf);
		return ERR_PTR(ret);
	}
	bm_buffer_account(buf);
	trace_bitmem_alloc(buf);
	return buf;
}

/* --- holding it in place --- */

/*
 * From now on nothing of the buffer moves or goes. -ENXIO if some of it is not committed.
 * Whoever changes it may wait for memory: -EINTR if the caller is being killed meanwhile,
 * and may be told so.
 */
int bm_buffer_fix(struct bm_buffer *buf, bool killable)
{
	int ret = 0;

	if (!killable)
		mutex_lock(&buf->change);
	else if (mutex_lock_killable(&buf->change))
		return -EINTR;
	if (buf->resident != buf->npages)
		ret = -ENXIO;
	else
		WRITE_ONCE(buf->fixed, buf->fixed + 1);
	mutex_unlock(&buf->change);
	return ret;
}

/* Counts one more dma-buf. As long as there is one, all of the buffer stays committed. */
int bm_buffer_expose(struct bm_buffer *buf)
{
	int ret = 0;

	if (mutex_lock_killable(&buf->change))
		return -EINTR;
	if (buf->resident != buf->npages)
		ret = -ENXIO;
	else
		atomic_inc(&buf->exports);
	mutex_unlock(&buf->change);
	return ret;
}

void bm_buffer_unfix(struct bm_buffer *buf)
{
	mutex_lock(&buf->change);
	WRITE_ONCE(buf->fixed, buf->fixed - 1);
	mutex_unlock(&buf->change);
}
