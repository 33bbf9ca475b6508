/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: what perf, ftrace and bpftrace can see of buffers and pages.
 * Addresses never appear.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM bitmem

#if !defined(BITMEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define BITMEM_TRACE_H

#include <linux/tracepoint.h>

#include "bitmem.h"

DECLARE_EVENT_CLASS(bitmem_buffer,
		    TP_PROTO(const struct bm_buffer *buf),
		    TP_ARGS(buf),
		    TP_STRUCT__entry(__field(u64, file)
				     __field(u32, id)
				     __field(int, node)
				     __field(u64, bytes)
				     __field(bool, anon)
				     __array(char, tag, BITMEM_TAG_LEN)),
		    TP_fast_assign(__entry->file = buf->file->serial;
				   __entry->id = buf->id;
				   __entry->node = buf->node;
				   __entry->bytes = (u64)buf->npages << PAGE_SHIFT;
				   __entry->anon = buf->anon;
				   memcpy(__entry->tag, buf->tag, BITMEM_TAG_LEN);),
		    TP_printk("file=%llu id=%u bytes=%llu node=%d anon=%d tag=%s", __entry->file,
			      __entry->id, __entry->bytes, __entry->node, __entry->anon,
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

#endif /* BITMEM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
