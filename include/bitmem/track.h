/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file track.h
 * @brief What is alive, where it was allocated, and what should not be.
 *
 * The table is exact: it is the allocator's own. Every live block and tensor is in it, at each
 * level of tracking; the level says what is known of one:
 *
 * | level    | known besides address, size, type and age                              |
 * |----------|------------------------------------------------------------------------|
 * | counters | nothing                                                                |
 * | sites    | the place in code that allocated it                                    |
 * | full     | also the stack of that call; and the latest events of the context      |
 *
 * Ages: a context has ticks, and a block keeps the tick in which it was allocated. So of each
 * block two ages are told, between which its age is. A tick is a second or more: it ends when the
 * context does something that needs its lock, when a keeper wakes up (pressure.h), or at a mark.
 * Ticks that are long ago are put together, each as long as an eighth of its age at most.
 *
 * In the environment, for programs that are not privileged, read by bitmem_open():
 *
 *     BITMEM_LEAKS=1            what is alive when a context is closed, or still open when the
 *     BITMEM_LEAKS=text         process exits, is told on stderr
 *     BITMEM_LEAKS=json         as a line of JSON for each context
 *     BITMEM_LEAKS=json:PATH    appended to a file (also text:PATH)
 *     BITMEM_LEAKS=0            nothing, as without it
 *
 * A program that leaks nothing says nothing. In a child of fork(), what its parent had allocated
 * is not told of at exit.
 */
#ifndef BITMEM_TRACK_H
#define BITMEM_TRACK_H

#include <bitmem/bitmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A place in code. What is not known is NULL and 0, all of it where no sites are kept. */
struct bitmem_place {
	/** As the compiler gave it; a static string of the program. */
	const char *file;
	const char *function; /**< likewise */
	/** In the file. */
	unsigned int line;
	/** Of the call, where that is all there is. */
	const void *address;
	/** How many addresses stack has; 0 but at level full. */
	unsigned int depth;
	/** Return addresses, the innermost first, which are the library's own. */
	const void *const *stack;
};

/**
 * Writes an address as "symbol+0x12 (module)", or as much as is known of it, in the manner of
 * snprintf(). Programs that are linked statically, or do not export their symbols, have none.
 * @return the length that it has, which may be more than there is room for.
 */
BITMEM_API size_t bitmem_symbol(const void *address, char *text, size_t size);

/** The same of a place: "file.c:12 function", else of its address, else "unknown". */
BITMEM_API size_t bitmem_place_text(const struct bitmem_place *place, char *text, size_t size);

/** What something alive is. */
enum bitmem_live_kind {
	/** A block of bitmem_alloc(). */
	BITMEM_LIVE_BLOCK,
	/** A tensor that owns memory. */
	BITMEM_LIVE_TENSOR,
	/** A tensor that shares another's memory; its bytes count in no sum. */
	BITMEM_LIVE_VIEW,
};

/** Its memory is a segment of its own, or part of a model's: no pool's. */
#define BITMEM_LIVE_SEGMENT	(1u << 0)
/** That segment has been sent to others, or came from another process. */
#define BITMEM_LIVE_SHARED	(1u << 1)

/** Something alive. It lives as long as the snapshot. */
struct bitmem_live {
	/** Where its bytes are. */
	const void *ptr;
	/** Asked for. */
	size_t bytes;
	size_t room; /**< what it takes of its pool */
	/** What it is. */
	enum bitmem_live_kind kind;
	/** Of a tensor; BITMEM_DTYPE_INVALID if a thread was just making or dropping it. */
	enum bitmem_dtype dtype;
	/** Number of the pool, of a view that of what it shows; 0 with BITMEM_LIVE_SEGMENT. */
	unsigned int pool;
	/** BITMEM_LIVE_*. */
	unsigned int flags;
	/** Where it was allocated. Never NULL. */
	const struct bitmem_place *place;
	/** Its age in nanoseconds, at least. */
	uint64_t min_age_ns;
	uint64_t max_age_ns; /**< and at most */
	/** The tensor as it was then, for its address: NULL of a block, or without a dtype. */
	const struct bitmem_tensor *tensor;
	/** Its tag at that instant (lifetime.h), or NULL. It lives as long as the snapshot. */
	const char *tag;
};

/** All that was alive in a context at one instant. It does not depend on the context. */
struct bitmem_snapshot;

/**
 * Takes a snapshot. Meanwhile other threads wait. Its sums are what bitmem_stats() would have
 * said at that instant.
 * @return the snapshot, to be freed by bitmem_snapshot_free(); NULL with errno: ENOMEM.
 */
BITMEM_API struct bitmem_snapshot *bitmem_snapshot(struct bitmem *ctx);

/** NULL does nothing. */
BITMEM_API void bitmem_snapshot_free(struct bitmem_snapshot *snapshot);

/**
 * The counters of that instant, of the whole context. 0; -EINVAL as bitmem_stats().
 */
BITMEM_API int bitmem_snapshot_stats(const struct bitmem_snapshot *snapshot,
				     struct bitmem_stats *stats);

/** How many blocks, tensors and views there are in it. */
BITMEM_API size_t bitmem_snapshot_count(const struct bitmem_snapshot *snapshot);

/** One of them, in the order of their addresses, views last; NULL from the count on. */
BITMEM_API const struct bitmem_live *bitmem_snapshot_get(const struct bitmem_snapshot *snapshot,
							 size_t i);

/** Some of what is alive, in sum. */
struct bitmem_sum {
	/** Blocks and tensors. */
	uint64_t count;
	uint64_t bytes; /**< their bytes */
	/** Views. */
	uint64_t views;
	/** The age of the oldest in nanoseconds, at least. */
	uint64_t min_oldest_ns;
	uint64_t max_oldest_ns; /**< and at most */
};

/** What has one key. */
struct bitmem_group {
	/** What the function of keys said. */
	uint64_t key;
	/** All that it said so of. */
	struct bitmem_sum sum;
	/** One of them. It lives as long as the snapshot. */
	const struct bitmem_live *example;
};

/** The key of something alive: what has the same is summed up. */
typedef uint64_t (*bitmem_key_fn)(const struct bitmem_live *live, void *arg);

/** A key for bitmem_snapshot_group(): by place, example->place. @p arg is ignored here and below. */
BITMEM_API uint64_t bitmem_by_place(const struct bitmem_live *live, void *arg);
/** By element type: an enum bitmem_dtype. */
BITMEM_API uint64_t bitmem_by_dtype(const struct bitmem_live *live, void *arg);
/** By the pool's number. */
BITMEM_API uint64_t bitmem_by_pool(const struct bitmem_live *live, void *arg);
/** By tag, example->tag; 0 for what has none. */
BITMEM_API uint64_t bitmem_by_tag(const struct bitmem_live *live, void *arg);
/** By kind: an enum bitmem_live_kind. */
BITMEM_API uint64_t bitmem_by_kind(const struct bitmem_live *live, void *arg);
/** By the power of two not above the bytes: 0 for none, 1 for 1, 2 for 2 and 3, 4 for 4 to 7 … */
BITMEM_API uint64_t bitmem_by_size(const struct bitmem_live *live, void *arg);

/**
 * Sums up what is in a snapshot by a key: one of the above, or the caller's, which may know names
 * or tags of its tensors.
 * @param snapshot  what is summed up; it is what the groups' examples live as long as.
 * @param key    called once for each that is alive.
 * @param arg    handed to @p key.
 * @param groups  is set to an array in the order of the keys, to be freed by free(); NULL if it
 *                would be empty.
 * @param n       is set to their number.
 * @return 0; -EINVAL (no @p key); -ENOMEM.
 */
BITMEM_API int bitmem_snapshot_group(const struct bitmem_snapshot *snapshot, bitmem_key_fn key,
				     void *arg, struct bitmem_group **groups, size_t *n);

/** What is known of a context at one instant, by place; the beginning of a tick. */
struct bitmem_mark;

/**
 * Sets a mark. What is allocated later is told from what was there, whatever address it has.
 * A context can have some 65,000 marks.
 * @return the mark, to be freed by bitmem_mark_free(); NULL with errno: ENOMEM; ENOSPC if
 *         there are too many.
 */
BITMEM_API struct bitmem_mark *bitmem_mark(struct bitmem *ctx);

/** NULL does nothing. The context may be closed before. */
BITMEM_API void bitmem_mark_free(struct bitmem_mark *mark);

/** The sums of a mark. */
BITMEM_API struct bitmem_sum bitmem_mark_sum(const struct bitmem_mark *mark);

/** What became different at one place from a mark to a later one. Lives as long as both. */
struct bitmem_change {
	/** Where. Never NULL. */
	const struct bitmem_place *place;
	/** Blocks and tensors allocated after the first mark, and alive at the second. */
	uint64_t added;
	uint64_t added_bytes; /**< their bytes */
	uint64_t added_views; /**< and such views */
	/** Blocks and tensors alive at the first, and not any more. */
	uint64_t gone;
	uint64_t gone_bytes; /**< their bytes */
	uint64_t gone_views; /**< and such views */
	/** Blocks and tensors alive at the second. */
	uint64_t count;
	uint64_t bytes; /**< their bytes */
	uint64_t views; /**< and views */
};

/**
 * What became different from @p before to @p after, by place: exact.
 * @param before   the earlier mark.
 * @param after    the later one, of the same context.
 * @param changes  is set to an array of places where something did, most added bytes first, to
 *                 be freed by free(); NULL if there is none.
 * @param n        is set to their number.
 * @return 0; -EINVAL if they are not of one context, or @p after is the earlier one; -ENOMEM.
 */
BITMEM_API int bitmem_mark_diff(const struct bitmem_mark *before, const struct bitmem_mark *after,
				struct bitmem_change **changes, size_t *n);

/** What makes a place suspect. Set it up with bitmem_growth_init(), then change members. */
struct bitmem_growth {
	/** sizeof(struct bitmem_growth) as the caller was compiled, see bitmem_options. */
	size_t size;
	/** From the first mark to the last it grew by so many blocks and views at least: 0. */
	uint64_t min_count;
	/** And by so many bytes: 0. */
	uint64_t min_bytes;
	/** From one mark to the next so many times it may stay as it was (not shrink): 0. */
	unsigned int pauses;
};

/**
 * Fills @p growth of @p size bytes with the defaults, and nothing beyond, for who
 * cannot call bitmem_growth_init(). Members that the library does not know become 0.
 */
BITMEM_API void bitmem_growth_init_sized(struct bitmem_growth *growth, size_t size);

/** Fills @p growth with the defaults. */
static inline void bitmem_growth_init(struct bitmem_growth *growth)
{
	bitmem_growth_init_sized(growth, sizeof(*growth));
}

/**
 * Places of which ever more is alive: at no mark there is less (in blocks, views or bytes) than at
 * the one before, and more at each, but for the pauses. What stays as it is, or goes up and down,
 * is none of them.
 * @param marks   of one context, in the order in which they were set.
 * @param n       three at least.
 * @param growth  NULL for the defaults.
 * @param changes from the first to the last mark, as from bitmem_mark_diff().
 * @param n_changes  is set to their number.
 * @return 0; -EINVAL; -ENOMEM.
 */
BITMEM_API int bitmem_suspects(const struct bitmem_mark *const *marks, size_t n,
			       const struct bitmem_growth *growth, struct bitmem_change **changes,
			       size_t *n_changes);

/**
 * A snapshot of what was allocated after a mark, and is alive.
 * @param ctx    whose memory.
 * @param since  of this context; NULL: all that is alive.
 * @return as bitmem_snapshot(); EINVAL if @p since is another context's.
 */
BITMEM_API struct bitmem_snapshot *bitmem_leaks(struct bitmem *ctx,
						const struct bitmem_mark *since);

/** How a report is written. */
enum bitmem_report_format {
	/** Lines for people. */
	BITMEM_REPORT_TEXT,
	/** One line, an object of JSON. */
	BITMEM_REPORT_JSON,
};

/**
 * Writes what is in a snapshot, by place, most bytes first. Nothing if it is empty.
 * @param snapshot  what is told of.
 * @param fd        a descriptor to write to.
 * @param format    for people or for scripts.
 * @return 0; -EINVAL (format); -ENOMEM; or what write(2) said.
 */
BITMEM_API int bitmem_snapshot_report(const struct bitmem_snapshot *snapshot, int fd,
				      enum bitmem_report_format format);

/** bitmem_snapshot_report() of all that is alive now. 0 or -errno. */
BITMEM_API int bitmem_leaks_report(struct bitmem *ctx, int fd, enum bitmem_report_format format);

/** What happened. */
enum bitmem_trace_kind {
	/** A block was allocated. */
	BITMEM_TRACE_ALLOC,
	/** A tensor with memory was made. */
	BITMEM_TRACE_TENSOR,
	/** A view was made. */
	BITMEM_TRACE_VIEW,
	/** A block was freed. */
	BITMEM_TRACE_FREE,
	/** The last reference of a tensor with memory was dropped. */
	BITMEM_TRACE_TENSOR_END,
	/** The last reference of a view was dropped. */
	BITMEM_TRACE_VIEW_END,
	/** bitmem_free() of what is no live block; the place is not known. */
	BITMEM_TRACE_BAD_FREE,
};

/** An event. */
struct bitmem_trace_event {
	/** What happened. */
	enum bitmem_trace_kind kind;
	/** The thread, as gettid(2) says. */
	int thread;
	/** CLOCK_MONOTONIC. */
	uint64_t time_ns;
	/** To which memory. */
	const void *ptr;
	/** How much that is. */
	size_t bytes;
	/** Where it was allocated, at the end of its life, too. */
	const struct bitmem_place *place;
};

/** The latest events of a context, as they were at one instant. */
struct bitmem_trace;

/** Events that are kept. */
#define BITMEM_TRACE_MAX 4096

/**
 * Takes the events of a context with BITMEM_TRACKING_FULL. They stay there, too.
 * @return to be freed by bitmem_trace_free(); NULL with errno: EOPNOTSUPP (another level),
 *         ENOMEM.
 */
BITMEM_API struct bitmem_trace *bitmem_trace(struct bitmem *ctx);
/** NULL does nothing. */
BITMEM_API void bitmem_trace_free(struct bitmem_trace *trace);
/** How many there are. */
BITMEM_API size_t bitmem_trace_count(const struct bitmem_trace *trace);
/** How many were before them, and are not kept. */
BITMEM_API uint64_t bitmem_trace_lost(const struct bitmem_trace *trace);
/** An event, the oldest first; NULL from the count on. It lives as long as @p trace. */
BITMEM_API const struct bitmem_trace_event *bitmem_trace_get(const struct bitmem_trace *trace,
							     size_t i);

/**
 * Allocations of a context with BITMEM_TRACKING_FULL whose stack was not kept, as there were too
 * many different ones: their place is known without it. 0 at other levels.
 */
BITMEM_API uint64_t bitmem_stacks_lost(struct bitmem *ctx);

/** What the library and its backend say of the same memory. */
struct bitmem_audit {
	/** sizeof(struct bitmem_audit) as the caller was compiled, see bitmem_options. */
	size_t size;
	/** Filled in on failure, if not NULL. The caller's. */
	struct bitmem_error *error;
	/** The library's counters, this and the next five: as in bitmem_stats(). */
	uint64_t live;
	uint64_t live_bytes;	  /**< as in bitmem_stats() */
	uint64_t views;		  /**< as in bitmem_stats() */
	uint64_t segments;	  /**< as in bitmem_stats() */
	uint64_t committed_bytes; /**< as in bitmem_stats() */
	uint64_t pinned_bytes;	  /**< as in bitmem_stats() */
	/** Blocks and tensors, when everything that is there is counted. */
	uint64_t found;
	uint64_t found_bytes; /**< their bytes */
	uint64_t found_views; /**< and the views */
	/**
	 * The backend's: with the device, the buffers that the kernel has for this context; else
	 * the mappings of this process that are the segments.
	 */
	uint64_t backend_segments;
	uint64_t backend_bytes;	   /**< their lengths */
	uint64_t backend_resident; /**< how much of that has memory */
	uint64_t backend_pinned;   /**< how much of that is locked or pinned */
	/** Buffers of which there is a dma-buf; the device's. */
	uint64_t exported;
	uint64_t named; /**< buffers that have a published name; the device's */
};

/**
 * Compares what the library says with what it has, and with what the backend says.
 *
 * It counts all blocks, runs and slots, and sees that they cover the segments. With the device,
 * the kernel's buffers and their memory have to be exactly the library's. With memfd, every byte
 * of a segment has to be mapped, what is counted as pinned has to be locked, and there must not be
 * more memory than is counted.
 * @return 0 if all agree; -EUCLEAN if not, with the figures, and in error the first thing that is
 *         wrong; -EINVAL (size); -EAGAIN if other threads kept making and dropping segments
 *         meanwhile; -ENOMEM, or what the kernel said when asked.
 */
BITMEM_API int bitmem_audit(struct bitmem *ctx, struct bitmem_audit *audit);

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_TRACK_H */
