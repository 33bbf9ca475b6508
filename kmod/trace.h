/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: what perf, ftrace and bpftrace can see of buffers and pages.
 * Addresses never appear.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bitmem

#if !defined(BITMEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BITMEM_TRACE_H

#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/scatterlist.h>
#include <linux/tracepoint.h>

#include "bitmem.h"

DECLARE_EVENT_CLASS(bitmem_buffer,
		    TP_PROTO(const struct bm_buffer *buf),
		    TP_ARGS(buf),
		    TP_STRUCT__entry(__field(u64, file)
				     __field(u64, offset)
				     __field(int, node)
				     __field(u64, bytes)
				     __field(bool, anon)
				     __array(char, tag, BITMEM_TAG_LEN)),
		    TP_fast_assign(__entry->file = buf->file->serial;
				   __entry->offset = buf->offset;
				   __entry->node = buf->node;
				   __entry->bytes = (u64)buf->npages << PAGE_SHIFT;
				   __entry->anon = buf->anon;
				   memcpy(__entry->tag, buf->tag, BITMEM_TAG_LEN);),
		    TP_printk("file=%llu offset=%llu bytes=%llu node=%d anon=%d tag=%s",
			      __entry->file,
			      __entry->offset, __entry->bytes, __entry->node, __entry->anon,
			      __entry->tag)
);

/* A buffer was handed out. */
DEFINE_EVENT(bitmem_buffer, bitmem_alloc,
	     TP_PROTO(const struct bm_buffer *buf),
	     TP_ARGS(buf)
);

/* A buffer's last reference is gone; its pages go back. */
DEFINE_EVENT(bitmem_buffer, bitmem_free,
	     TP_PROTO(const struct bm_buffer *buf),
	     TP_ARGS(buf)
);

/* A page or whole superblock of a buffer is about to be mapped. */
TRACE_EVENT(bitmem_fault,
	    TP_PROTO(const struct bm_buffer *buf, unsigned long index, bool whole),
	    TP_ARGS(buf, index, whole),
	    TP_STRUCT__entry(__field(u64, offset)
			     __field(unsigned long, index)
			     __field(bool, whole)),
	    TP_fast_assign(__entry->offset = buf->offset;
			   __entry->index = index;
			   __entry->whole = whole;),
	    TP_printk("offset=%llu index=%lu whole=%d", __entry->offset, __entry->index,
		      __entry->whole)
);

/* Part of a buffer got memory (pages > 0) or gave it back (pages < 0). */
TRACE_EVENT(bitmem_commit,
	    TP_PROTO(const struct bm_buffer *buf, long pages, unsigned long skipped),
	    TP_ARGS(buf, pages, skipped),
	    TP_STRUCT__entry(__field(u64, offset)
			     __field(long, pages)
			     __field(unsigned long, skipped)),
	    TP_fast_assign(__entry->offset = buf->offset;
			   __entry->pages = pages;
			   __entry->skipped = skipped;),
	    TP_printk("offset=%llu pages=%ld skipped=%lu", __entry->offset, __entry->pages,
		      __entry->skipped)
);

/* A pool's single pages were packed. */
TRACE_EVENT(bitmem_compact,
	    TP_PROTO(const struct bm_pool *pool, unsigned long moved, unsigned long freed,
		     unsigned long skipped),
	    TP_ARGS(pool, moved, freed, skipped),
	    TP_STRUCT__entry(__field(int, node)
			     __field(unsigned long, moved)
			     __field(unsigned long, freed)
			     __field(unsigned long, skipped)),
	    TP_fast_assign(__entry->node = pool->node;
			   __entry->moved = moved;
			   __entry->freed = freed;
			   __entry->skipped = skipped;),
	    TP_printk("node=%d moved=%lu freed=%lu skipped=%lu", __entry->node, __entry->moved,
		      __entry->freed, __entry->skipped)
);

/* A file was closed that still held buffers. */
TRACE_EVENT(bitmem_reclaim,
	    TP_PROTO(const struct bm_file *file, unsigned long buffers, u64 bytes, u64 ns),
	    TP_ARGS(file, buffers, bytes, ns),
	    TP_STRUCT__entry(__field(u64, file)
			     __field(unsigned long, buffers)
			     __field(u64, bytes)
			     __field(u64, ns)),
	    TP_fast_assign(__entry->file = file->serial;
			   __entry->buffers = buffers;
			   __entry->bytes = bytes;
			   __entry->ns = ns;),
	    TP_printk("file=%llu buffers=%lu bytes=%llu ns=%llu", __entry->file,
		      __entry->buffers, __entry->bytes, __entry->ns)
);

/* Pages went into quarantine, or came back out of it. */
TRACE_EVENT(bitmem_quarantine,
	    TP_PROTO(int node, unsigned long in, unsigned long out),
	    TP_ARGS(node, in, out),
	    TP_STRUCT__entry(__field(int, node)
			     __field(unsigned long, in)
			     __field(unsigned long, out)),
	    TP_fast_assign(__entry->node = node;
			   __entry->in = in;
			   __entry->out = out;),
	    TP_printk("node=%d in=%lu out=%lu", __entry->node, __entry->in, __entry->out)
);

/* A dma-buf of a buffer was made. */
TRACE_EVENT(bitmem_export,
	    TP_PROTO(const struct bm_buffer *buf, bool readonly),
	    TP_ARGS(buf, readonly),
	    TP_STRUCT__entry(__field(u64, file)
			     __field(u64, offset)
			     __field(u64, bytes)
			     __field(bool, readonly)),
	    TP_fast_assign(__entry->file = buf->file->serial;
			   __entry->offset = buf->offset;
			   __entry->bytes = (u64)buf->npages << PAGE_SHIFT;
			   __entry->readonly = readonly;),
	    TP_printk("file=%llu offset=%llu bytes=%llu readonly=%d", __entry->file,
		      __entry->offset, __entry->bytes, __entry->readonly)
);

/* Of a device's name, the final NUL included. */
#define BM_TRACE_DEVICE		32

/* A device mapped a buffer. */
TRACE_EVENT(bitmem_dma_map,
	    TP_PROTO(const struct bm_buffer *buf, struct device *dev,
		     enum dma_data_direction dir, const struct sg_table *table),
	    TP_ARGS(buf, dev, dir, table),
	    TP_STRUCT__entry(__field(u64, file)
			     __field(u64, offset)
			     __field(u64, bytes)
			     __field(int, dir)
			     __field(unsigned int, pieces)
			     __field(unsigned int, segments)
			     __array(char, device, BM_TRACE_DEVICE)),
	    TP_fast_assign(__entry->file = buf->file->serial;
			   __entry->offset = buf->offset;
			   __entry->bytes = (u64)buf->npages << PAGE_SHIFT;
			   __entry->dir = dir;
			   __entry->pieces = table->orig_nents;
			   __entry->segments = table->nents;
			   strscpy(__entry->device, dev_name(dev), BM_TRACE_DEVICE);),
	    TP_printk("file=%llu offset=%llu bytes=%llu device=%s dir=%d pieces=%u segments=%u",
		      __entry->file, __entry->offset, __entry->bytes, __entry->device,
		      __entry->dir, __entry->pieces, __entry->segments)
);

/* A superblock was added to a pool, whole or gathered from single pages. */
TRACE_EVENT(bitmem_fill,
	    TP_PROTO(const struct bm_pool *pool, unsigned long capacity, unsigned long target,
		     bool gathered),
	    TP_ARGS(pool, capacity, target, gathered),
	    TP_STRUCT__entry(__field(int, node)
			     __field(unsigned int, width)
			     __field(unsigned long, capacity)
			     __field(unsigned long, target)
			     __field(bool, gathered)),
	    TP_fast_assign(__entry->node = pool->node;
			   __entry->width = pool->width;
			   __entry->capacity = capacity;
			   __entry->target = target;
			   __entry->gathered = gathered;),
	    TP_printk("node=%d width=%u capacity=%lu target=%lu gathered=%d", __entry->node,
		      __entry->width, __entry->capacity, __entry->target, __entry->gathered)
);

/* The worker zeroed free pages. */
TRACE_EVENT(bitmem_zero,
	    TP_PROTO(const struct bm_pool *pool, unsigned long pages, u64 ns),
	    TP_ARGS(pool, pages, ns),
	    TP_STRUCT__entry(__field(int, node)
			     __field(unsigned int, width)
			     __field(unsigned long, pages)
			     __field(u64, ns)),
	    TP_fast_assign(__entry->node = pool->node;
			   __entry->width = pool->width;
			   __entry->pages = pages;
			   __entry->ns = ns;),
	    TP_printk("node=%d width=%u pages=%lu ns=%llu", __entry->node, __entry->width,
		      __entry->pages, __entry->ns)
);

/* A pool's pressure level changed. */
TRACE_EVENT(bitmem_pressure,
	    TP_PROTO(const struct bm_pool *pool, unsigned int level, unsigned long free),
	    TP_ARGS(pool, level, free),
	    TP_STRUCT__entry(__field(int, node)
			     __field(unsigned int, width)
			     __field(unsigned int, level)
			     __field(unsigned long, free)),
	    TP_fast_assign(__entry->node = pool->node;
			   __entry->width = pool->width;
			   __entry->level = level;
			   __entry->free = free;),
	    TP_printk("node=%d width=%u level=%u free=%lu", __entry->node, __entry->width,
		      __entry->level, __entry->free)
);

/* Free superblocks went back to the system, because it needed memory or somebody asked. */
TRACE_EVENT(bitmem_shrink,
	    TP_PROTO(const struct bm_pool *pool, unsigned long pages, bool asked),
	    TP_ARGS(pool, pages, asked),
	    TP_STRUCT__entry(__field(int, node)
			     __field(unsigned int, width)
			     __field(unsigned long, pages)
			     __field(bool, asked)),
	    TP_fast_assign(__entry->node = pool->node;
			   __entry->width = pool->width;
			   __entry->pages = pages;
			   __entry->asked = asked;),
	    TP_printk("node=%d width=%u pages=%lu asked=%d", __entry->node, __entry->width,
		      __entry->pages, __entry->asked)
);

#endif /* BITMEM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
