// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers: pages taken from pools, with an id in a file and a range of offsets.
 *
 * A buffer is made in two steps. bm_buffer_create() does everything that can
 * fail and reserves the id, under which nobody finds the buffer yet; then
 * bm_buffer_publish() makes it visible, or bm_buffer_abort() undoes it all.
 *
 * The last reference gives the pages back. By then no page table maps them: a
 * VMA drops its reference after its pages are unmapped. Other references to the
 * pages (GUP pins) may be left, which is what quarantine is for.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "bitmem.h"
#include "compat.h"
#include "trace.h"

/* --- the table of pages --- */

/* Returns the pages to their pools; the table may be filled only up to some page. */
static void bm_buffer_release_pages(struct bm_buffer *buf)
{
	unsigned long i, j, nslots = bm_buffer_slots(buf);
	struct bm_batch batch;

	bm_batch_init(&batch, BM_ALLOCATED);
	for (i = 0; i < nslots && buf->slots[i]; i++) {
		struct page **table = bm_slot_table(buf->slots[i]);

		if (!table) {
			bm_batch_add(&batch, (struct page *)buf->slots[i]);
			continue;
		}
		for (j = 0; j < bm_slot_pages(buf, i) && table[j]; j++)
			bm_batch_add(&batch, table[j]);
		kfree(table);
	}
	bm_batch_flush(&batch);
}

/*
 * Takes single pages for slot @i from its page @first on, as many as @left says
 * that the pool still owes. Returns how many, or -errno with those taken so far
 * in the table.
 */
static long bm_buffer_take_pages(struct bm_buffer *buf, struct bm_pool *pool, unsigned long i,
				 unsigned long first, unsigned long *left)
{
	struct page **table = bm_slot_table(buf->slots[i]);
	unsigned long n = bm_slot_pages(buf, i), j;

	if (!table) {
		table = kcalloc(n, sizeof(*table), GFP_KERNEL_ACCOUNT);
		if (!table)
			return -ENOMEM;
		buf->slots[i] = (unsigned long)table | 1;
	}
	for (j = first; j < n && *left; j++) {
		struct page *page = bm_pool_take_page(pool);

		if (IS_ERR(page))
			return PTR_ERR(page);
		table[j] = page;
		(*left)--;
	}
	return j - first;
}

/* Takes what @pool owes (@left pages) from page @pos of the buffer on. 0 or -errno. */
static int bm_buffer_take(struct bm_buffer *buf, struct bm_pool *pool, unsigned long pos,
			  unsigned long *left)
{
	while (*left) {
		unsigned long i = pos >> BM_SB_ORDER, sub = pos & (BM_SB_PAGES - 1);
		struct page *head = NULL;
		long n;

		if (fatal_signal_pending(current))
			return -EINTR;
		if (!sub && *left >= BM_SB_PAGES) {
			head = bm_pool_take_whole(pool);
			if (IS_ERR(head))
				return PTR_ERR(head);
		}
		if (head) {
			buf->slots[i] = (unsigned long)head;
			n = BM_SB_PAGES;
			*left -= n;
		} else {
			n = bm_buffer_take_pages(buf, pool, i, sub, left);
			if (n < 0)
				return n;
		}
		pos += n;
		cond_resched();
	}
	return 0;
}

/* Fills the table of pages. On failure nothing is reserved or taken any more. */
static int bm_buffer_fill(struct bm_buffer *buf, const struct bm_request *req)
{
	unsigned long left, pos = 0;
	unsigned int i;
	int ret;

	ret = bm_pools_reserve(req, buf->share);
	if (ret)
		return ret;
	for (i = 0; i < bm_nr_pools; i++) {
		left = buf->share[i];
		if (!ret)
			ret = bm_buffer_take(buf, &bm_pools[i], pos, &left);
		pos += buf->share[i];
		if (left)
			bm_pool_unreserve(&bm_pools[i], left);
	}
	if (ret)
		bm_buffer_release_pages(buf);
	return ret;
}

/* --- counters --- */

static void bm_buffer_account(struct bm_buffer *buf)
{
	struct bm_file *file = buf->file;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		struct bm_pool *pool = &bm_pools[i];

		if (!buf->share[i])
			continue;
		spin_lock(&pool->lock);
		pool->buffers++;
		pool->allocs++;
		if (buf->node != BITMEM_NODE_ANY && buf->node != pool->node)
			pool->fallbacks++;
		spin_unlock(&pool->lock);
	}
	spin_lock(&file->lock);
	file->nr_buffers++;
	file->bytes += (u64)buf->npages << PAGE_SHIFT;
	file->peak = max(file->peak, file->bytes);
	spin_unlock(&file->lock);
}

static void bm_buffer_unaccount(struct bm_buffer *buf)
{
	struct bm_file *file = buf->file;
	unsigned int i;

	for (i = 0; i < bm_nr_pools; i++) {
		if (!buf->share[i])
			continue;
		spin_lock(&bm_pools[i].lock);
		bm_pools[i].buffers--;
		spin_unlock(&bm_pools[i].lock);
	}
	spin_lock(&file->lock);
	file->nr_buffers--;
	file->bytes -= (u64)buf->npages << PAGE_SHIFT;
	spin_unlock(&file->lock);
}

/* --- creation --- */

static void bm_buffer_free(struct bm_buffer *buf)
{
	bm_file_put(buf->file);
	kvfree(buf->slots);
	kfree(buf);
}

static struct bm_buffer *bm_buffer_new(struct bm_file *file, const struct bm_request *req)
{
	struct bm_buffer *buf;

	buf = kzalloc(struct_size(buf, share, bm_nr_pools), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return NULL;
	kref_init(&buf->kref);
	atomic_set(&buf->mappings, 0);
	buf->file = bm_file_get(file);
	buf->anon = req->anon;
	buf->node = req->node;
	buf->npages = req->npages;
	buf->created = ktime_get();
	if (req->tag)
		memcpy(buf->tag, req->tag, sizeof(buf->tag));
	buf->slots = kvcalloc(bm_buffer_slots(buf), sizeof(*buf->slots), GFP_KERNEL_ACCOUNT);
	if (!buf->slots) {
		bm_buffer_free(buf);
		return NULL;
	}
	return buf;
}

/* Makes a buffer that nobody can find yet, with one reference, or an ERR_PTR. */
struct bm_buffer *bm_buffer_create(struct bm_file *file, const struct bm_request *req)
{
	struct bm_buffer *buf;
	int ret;

	/* No need for a table that the pools can never fill. */
	if (req->npages > bm_pools_target()) {
		bm_pools_refuse(req);
		return ERR_PTR(-ENOMEM);
	}
	buf = bm_buffer_new(file, req);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	ret = bm_buffer_fill(buf, req);
	if (ret)
		goto err_free;
	ret = bm_offset_assign(buf);
	if (ret)
		goto err_pages;
	/* The id is taken, but leads to nothing until bm_buffer_publish(). */
	ret = xa_alloc_cyclic(&file->buffers, &buf->id, NULL, xa_limit_31b, &file->next_id,
			      GFP_KERNEL_ACCOUNT);
	if (ret < 0)
		goto err_offset;
	return buf;

err_offset:
	bm_offset_release(buf);
err_pages:
	bm_buffer_release_pages(buf);
err_free:
	bm_buffer_free(buf);
	return ERR_PTR(ret == -EBUSY ? -ENOMEM : ret);
}

/* Makes the buffer findable; the reference of bm_buffer_create() is the id's from now on. */
void bm_buffer_publish(struct bm_buffer *buf)
{
	bm_buffer_account(buf);
	trace_bitmem_alloc(buf);
	/* The id is reserved, so that this needs no memory. */
	xa_store(&buf->file->buffers, buf->id, buf, GFP_KERNEL_ACCOUNT);
}

/* Undoes bm_buffer_create(). */
void bm_buffer_abort(struct bm_buffer *buf)
{
	xa_erase(&buf->file->buffers, buf->id);
	bm_offset_release(buf);
	bm_buffer_release_pages(buf);
	bm_buffer_free(buf);
}

/* --- life --- */

static void bm_buffer_destroy(struct kref *kref)
{
	struct bm_buffer *buf = container_of(kref, struct bm_buffer, kref);

	trace_bitmem_free(buf);
	bm_offset_release(buf);
	bm_buffer_release_pages(buf);
	bm_buffer_unaccount(buf);
	bm_buffer_free(buf);
}

void bm_buffer_put(struct bm_buffer *buf)
{
	kref_put(&buf->kref, bm_buffer_destroy);
}

/* The buffer of an id (or with @next of the smallest id above), with a reference, or NULL. */
struct bm_buffer *bm_buffer_find(struct bm_file *file, u32 id, bool next)
{
	unsigned long index = id;
	struct bm_buffer *buf;

	xa_lock(&file->buffers);
	if (next)
		buf = xa_find_after(&file->buffers, &index, ULONG_MAX, XA_PRESENT);
	else
		buf = xa_load(&file->buffers, index);
	if (buf)
		kref_get(&buf->kref);
	xa_unlock(&file->buffers);
	return buf;
}

/* Takes the buffer's id, and its reference, away. False if somebody else did already. */
bool bm_buffer_drop_id(struct bm_buffer *buf)
{
	if (xa_cmpxchg(&buf->file->buffers, buf->id, buf, NULL, GFP_KERNEL) != buf)
		return false;
	bm_buffer_put(buf);
	return true;
}

/* Is there a reference besides the pool's and those of page tables? */
static unsigned long bm_page_pinned(struct page *page)
{
	struct folio *folio = page_folio(page);

	return folio_ref_count(folio) > 1 + bm_folio_mapcount(folio) ? bm_page_count(page) : 0;
}

/* Pages that something besides page tables refers to, as far as a glance can tell. */
unsigned long bm_buffer_pinned(const struct bm_buffer *buf)
{
	unsigned long i, j, sum = 0;

	for (i = 0; i < bm_buffer_slots(buf); i++) {
		struct page **table = bm_slot_table(buf->slots[i]);

		if (!table)
			sum += bm_page_pinned((struct page *)buf->slots[i]);
		for (j = 0; table && j < bm_slot_pages(buf, i); j++)
			sum += bm_page_pinned(table[j]);
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return sum;
}
