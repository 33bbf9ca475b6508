// SPDX-License-Identifier: GPL-2.0
/*
 * The offset space: where mmap() finds buffers.
 *
 * All files of the device share one inode and so one offset space. Each buffer
 * has a range of its own in it, aligned to a superblock so that PMDs fit; one
 * unmap_mapping_range() reaches every mapping of a buffer. Offset 0 is never
 * given out: mmap() there makes a new buffer.
 *
 * Ranges are given out in rising order and reused only after the whole space has
 * been used up, so that a stale offset finds nothing rather than a stranger. The
 * nodes are part of the buffers: giving a range back needs no memory.
 */
#include <linux/fs.h>

#include "bitmem.h"

#define BM_OFFSET_MIN	BM_SB_SIZE
#define BM_OFFSET_MAX	round_down((u64)MAX_LFS_FILESIZE, BM_SB_SIZE)

static DEFINE_SPINLOCK(bm_offset_lock);
static struct rb_root bm_offsets = RB_ROOT;
static u64 bm_offset_cursor;

static struct bm_buffer *bm_offset_entry(struct rb_node *node)
{
	return rb_entry_safe(node, struct bm_buffer, offset_node);
}

static u64 bm_offset_end(const struct bm_buffer *buf)
{
	return buf->offset + ((u64)bm_buffer_slots(buf) << (BM_SB_ORDER + PAGE_SHIFT));
}

/* The first buffer that ends after @offset, or NULL. */
static struct bm_buffer *bm_offset_lower_bound(u64 offset)
{
	struct rb_node *node = bm_offsets.rb_node;
	struct bm_buffer *found = NULL;

	while (node) {
		struct bm_buffer *buf = bm_offset_entry(node);

		if (bm_offset_end(buf) > offset) {
			found = buf;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

/* The lowest gap of @len bytes at or above @start, or 0. */
static u64 bm_offset_gap(u64 start, u64 len)
{
	struct bm_buffer *buf = bm_offset_lower_bound(start);

	while (buf && buf->offset < start + len) {
		start = bm_offset_end(buf);
		buf = bm_offset_entry(rb_next(&buf->offset_node));
	}
	return len <= BM_OFFSET_MAX && start <= BM_OFFSET_MAX - len ? start : 0;
}

static void bm_offset_insert(struct bm_buffer *buf)
{
	struct rb_node **link = &bm_offsets.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (buf->offset < bm_offset_entry(parent)->offset)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&buf->offset_node, parent, link);
	rb_insert_color(&buf->offset_node, &bm_offsets);
}

/* Gives @buf a range. -ENOMEM if the space is full. */
int bm_offset_assign(struct bm_buffer *buf)
{
	u64 len = (u64)bm_buffer_slots(buf) << (BM_SB_ORDER + PAGE_SHIFT);
	int ret = -ENOMEM;

	spin_lock(&bm_offset_lock);
	buf->offset = bm_offset_gap(max_t(u64, bm_offset_cursor, BM_OFFSET_MIN), len);
	if (!buf->offset)
		buf->offset = bm_offset_gap(BM_OFFSET_MIN, len);
	if (buf->offset) {
		bm_offset_insert(buf);
		bm_offset_cursor = buf->offset + len;
		ret = 0;
	}
	spin_unlock(&bm_offset_lock);
	return ret;
}

void bm_offset_release(struct bm_buffer *buf)
{
	spin_lock(&bm_offset_lock);
	rb_erase(&buf->offset_node, &bm_offsets);
	spin_unlock(&bm_offset_lock);
}

/* The buffer whose range @offset lies in, with a reference, or NULL. */
struct bm_buffer *bm_offset_find(u64 offset)
{
	struct bm_buffer *buf;

	spin_lock(&bm_offset_lock);
	buf = bm_offset_lower_bound(offset);
	if (buf && (buf->offset > offset || !kref_get_unless_zero(&buf->kref)))
		buf = NULL;
	spin_unlock(&bm_offset_lock);
	return buf;
}

/*
 * The buffer with the lowest offset above @offset and not above @last, with a
 * reference, or NULL.
 */
struct bm_buffer *bm_offset_next(u64 offset, u64 last)
{
	struct bm_buffer *buf;

	spin_lock(&bm_offset_lock);
	buf = bm_offset_lower_bound(offset);
	/* Those whose last reference is gone are about to leave. */
	while (buf && (buf->offset <= offset || !kref_get_unless_zero(&buf->kref)))
		buf = bm_offset_entry(rb_next(&buf->offset_node));
	spin_unlock(&bm_offset_lock);
	if (buf && buf->offset > last) {
		bm_buffer_put(buf);
		buf = NULL;
	}
	return buf;
}

/* The highest offset of a buffer, or 0. */
u64 bm_offset_last(void)
{
	struct bm_buffer *buf;
	u64 offset;

	spin_lock(&bm_offset_lock);
	buf = bm_offset_entry(rb_last(&bm_offsets));
	offset = buf ? buf->offset : 0;
	spin_unlock(&bm_offset_lock);
	return offset;
}
