/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file events.h
 * @brief libbitmem-events: what the kernel module tells over generic netlink.
 *
 * A library of its own (-lbitmem-events), so that programs that do without need no
 * libnl. It keeps no global state. Different objects may be used by different
 * threads at once; one object by one thread at a time. Functions return 0 or a
 * negative errno unless they say otherwise; ENOENT means that the module is not
 * loaded, or that this is not the initial network namespace.
 *
 * Structures that the library hands to a callback may grow at their end; so does what begins with
 * its size, as bitmem.h tells.
 */
#ifndef BITMEM_EVENTS_H
#define BITMEM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef BITMEM_API
/** What is exported by the shared library. */
#if defined(__GNUC__)
#define BITMEM_API __attribute__((visibility("default")))
#else
#define BITMEM_API
#endif
#endif

/** A subscription to events. */
struct bitmem_events;

/** What happened; in brackets the members of struct bitmem_event that say more. */
enum bitmem_event_type {
	/** A pool's level changed [pool, node, level, free, capacity]. */
	BITMEM_EVENT_PRESSURE = 1,
	/**
	 * A pool refused requests [pool, node, bytes: what the last of them wanted,
	 * count: how many]. At most once a second for each pool.
	 */
	BITMEM_EVENT_EXHAUSTED = 2,
	/** Pages given back are still referenced by somebody [pool, node, bytes]. */
	BITMEM_EVENT_QUARANTINE = 3,
	/** A compaction moved pages [pool, node, moved, freed, skipped]. */
	BITMEM_EVENT_COMPACTED = 4,
	/** Memory is hardware-poisoned [pool, node, bytes]. */
	BITMEM_EVENT_RETIRED = 5,
	/** Memory went back to the system [pool, node, bytes]. */
	BITMEM_EVENT_SHRUNK = 6,
	/**
	 * A file was closed, or its last process died, with buffers not freed [file,
	 * buffers, bytes; with BITMEM_EVENTS_OWNERS also pid, uid, comm].
	 */
	BITMEM_EVENT_RECLAIMED = 7,
	/** Events were lost, as they were not read fast enough. */
	BITMEM_EVENT_LOST = 8,
};

/** No process, no user. */
#define BITMEM_EVENT_NOBODY UINT32_MAX

/** An event. Members that its type does not name are 0. */
struct bitmem_event {
	/** What happened. */
	enum bitmem_event_type type;
	/** Index of the pool. */
	uint32_t pool;
	/** Its NUMA node. */
	uint32_t node;
	/** 0 none, 1 low, 2 emergency. */
	uint32_t level;
	/** Bytes of the pool that are free. */
	uint64_t free;
	/** Bytes that the pool has. */
	uint64_t capacity;
	/** Bytes that it is about. */
	uint64_t bytes;
	/** How many requests. */
	uint64_t count;
	/** Bytes copied. */
	uint64_t moved;
	/** Bytes of superblocks that became whole and free. */
	uint64_t freed;
	/** Bytes that could not be moved. */
	uint64_t skipped;
	/** The file's number, as in bitmem_nl_buffer and in fdinfo. */
	uint64_t file;
	/** Buffers that were in the file. */
	uint64_t buffers;
	/** The process that opened the file, or BITMEM_EVENT_NOBODY. */
	uint32_t pid;
	/** The user who did, or BITMEM_EVENT_NOBODY. */
	uint32_t uid;
	/** The process's name; empty if it is gone. */
	char comm[16];
};

/** Ask for processes and users, too; needs CAP_SYS_ADMIN. */
#define BITMEM_EVENTS_OWNERS (1u << 0)

/**
 * Subscribes.
 * @param flags  BITMEM_EVENTS_*
 * @return the subscription; NULL with errno: ENOENT, EPERM, EINVAL (a flag that is
 *         not known), ENOMEM …
 */
BITMEM_API struct bitmem_events *bitmem_events_open(unsigned int flags);

/** Ends a subscription. NULL does nothing. */
BITMEM_API void bitmem_events_close(struct bitmem_events *events);

/** A file descriptor that is readable, for poll(2), when there are events. */
BITMEM_API int bitmem_events_fd(const struct bitmem_events *events);

/** Told of an event. Not 0 ends the call that reads. It must not close the subscription. */
typedef int (*bitmem_event_fn)(const struct bitmem_event *event, void *data);

/**
 * Calls @p fn for each event that is there; does not wait.
 * @return 0; what @p fn returned if that was not 0 (events that came in the same
 *         message as the last one are gone); or a negative errno.
 */
BITMEM_API int bitmem_events_read(struct bitmem_events *events, bitmem_event_fn fn, void *data);

/** A pool; bytes, and all of them taken together. docs/kernel.md says what each figure means. */
struct bitmem_nl_pool {
	/** Its number, from 0 on. */
	uint32_t index;
	/** NUMA node. */
	uint32_t node;
	/** Address bits that a device needs to reach it; 64: all. */
	uint32_t width;
	/** Bits BITMEM_POOL_* of linux/bitmem.h: 1 while it is being filled. */
	uint32_t state;
	/** 0 none, 1 low, 2 emergency. */
	uint32_t level;
	/** What it is to hold now. */
	uint64_t target;
	/** Growth ends there. */
	uint64_t max;
	/** The system cannot have that back. */
	uint64_t reserve;
	/** Watermark of the free memory: below it the level is low. */
	uint64_t low;
	/** Watermark: the level ends, and growth. */
	uint64_t high;
	/** Watermark: below it the level is emergency. */
	uint64_t emergency;
	/** What it holds: the sum of the next five. */
	uint64_t capacity;
	/** Free, and zeroed. */
	uint64_t zeroed;
	/** Free, to be zeroed. */
	uint64_t dirty;
	/** In buffers. */
	uint64_t allocated;
	/** Given back, but something refers to it. */
	uint64_t quarantined;
	/** Hardware-poisoned. */
	uint64_t retired;
	/** How much of the free memory is whole superblocks. */
	uint64_t largest;
	/** How much of the capacity is single pages. */
	uint64_t split;
	/** Buffers with pages of it, now. A number. */
	uint64_t buffers;
	/** Buffers ever given out. A number, as are the next two. */
	uint64_t allocs;
	/** Buffers among them that asked for another node. */
	uint64_t fallbacks;
	/** Requests that it refused. */
	uint64_t failures;
	/** Split superblocks made of single pages from all over. */
	uint64_t gathered;
	/** What the shrinker could take at once. */
	uint64_t reclaimable;
	/** Ever given back to the system. */
	uint64_t returned;
	/** Ever copied by compaction, demotion, promotion, migration. */
	uint64_t moved;
};

/** Told of a pool. Not 0 ends the call, and is its result. */
typedef int (*bitmem_nl_pool_fn)(const struct bitmem_nl_pool *pool, void *data);

/** Calls @p fn for each pool. */
BITMEM_API int bitmem_nl_pools(bitmem_nl_pool_fn fn, void *data);

/** A setting that stays as it is. */
#define BITMEM_NL_KEEP UINT64_MAX

/** Room for what the kernel says of a refusal. */
#define BITMEM_NL_REASON_LEN 128

/** A pool's settings; bytes, or BITMEM_NL_KEEP. Set it up with bitmem_nl_settings_init(). */
struct bitmem_nl_settings {
	/**
	 * sizeof(struct bitmem_nl_settings) as the caller was compiled: EINVAL if less than the
	 * first version's, or if it is more than the library knows and what it does not know is
	 * not BITMEM_NL_KEEP.
	 */
	size_t size;
	/** What the pool is to hold now. */
	uint64_t target;
	/** Growth ends there. */
	uint64_t max;
	/** The system cannot have that back. */
	uint64_t reserve;
	/** Watermark of the free memory: the level is low below it. */
	uint64_t low;
	/** Watermark: the level ends from it on, and growth. */
	uint64_t high;
	/** Watermark: the level is emergency below it. */
	uint64_t emergency;
};

/**
 * Sets all of @p settings, which has @p size bytes, to BITMEM_NL_KEEP, and nothing beyond:
 * for who cannot call bitmem_nl_settings_init().
 */
BITMEM_API void bitmem_nl_settings_init_sized(struct bitmem_nl_settings *settings, size_t size);

/** Sets all of @p settings to BITMEM_NL_KEEP. */
static inline void bitmem_nl_settings_init(struct bitmem_nl_settings *settings)
{
	bitmem_nl_settings_init_sized(settings, sizeof(*settings));
}

/**
 * Changes the settings of pool @p index, all of them or none; needs CAP_SYS_ADMIN. Sizes
 * are rounded down to whole superblocks, watermarks to whole pages.
 * @param index   the pool.
 * @param settings  set up by bitmem_nl_settings_init().
 * @param reason  the kernel's words if it refuses, else empty
 * @return 0; -EPERM; -ENOENT (no such pool); -EINVAL: the size; not reserve <= target <= max and
 *         emergency <= low <= high <= max, or more than the node can spare …
 */
BITMEM_API int bitmem_nl_pool_set(uint32_t index, const struct bitmem_nl_settings *settings,
				  char reason[BITMEM_NL_REASON_LEN]);

/** What a user may have, and has, over all files. */
struct bitmem_nl_quota {
	/** The user. */
	uint32_t uid;
	/** Bytes, or BITMEM_NL_NO_LIMIT. */
	uint64_t limit;
	/** Bytes charged. */
	uint64_t bytes;
};

/** A user may have as much as there is. */
#define BITMEM_NL_NO_LIMIT UINT64_MAX

/** Told of a quota. Not 0 ends the call, and is its result. */
typedef int (*bitmem_nl_quota_fn)(const struct bitmem_nl_quota *quota, void *data);

/**
 * Calls @p fn for each user who has a quota or files: with CAP_SYS_ADMIN everybody, else
 * oneself.
 */
BITMEM_API int bitmem_nl_quotas(bitmem_nl_quota_fn fn, void *data);

/**
 * Limits a user; needs CAP_SYS_ADMIN. What the user has already stays.
 * @param uid     the user.
 * @param limit   bytes, or BITMEM_NL_NO_LIMIT
 * @param reason  the kernel's words if it refuses, else empty
 * @return 0; -EPERM; -EINVAL (no such user here); -ENOMEM …
 */
BITMEM_API int bitmem_nl_quota_set(uint32_t uid, uint64_t limit,
				   char reason[BITMEM_NL_REASON_LEN]);

/** What a buffer has on a NUMA node. */
struct bitmem_nl_spread {
	/** NUMA node. */
	uint32_t node;
	/** Bytes that the buffer has there. */
	uint64_t bytes;
};

/** A buffer. */
struct bitmem_nl_buffer {
	/** The number of the file that it is charged to, as in fdinfo. */
	uint64_t file;
	/** Where mmap() finds it, as in /proc/PID/maps; no two buffers have the same. */
	uint64_t offset;
	/** Bytes of the buffer. */
	uint64_t length;
	/** Bytes that have memory. */
	uint64_t resident;
	/** Nanoseconds since it was allocated. */
	uint64_t age_ns;
	/** The user who opened the file. */
	uint32_t uid;
	/** The process that opened the file, or 0 if it is in no namespace seen here. */
	uint32_t pid;
	/** An id of it in that file, or 0. */
	uint32_t id;
	/** Ids that lead to it, in all files. */
	uint32_t handles;
	/** Memory areas that map some of it. */
	uint32_t mappings;
	/** dma-bufs that refer to it. */
	uint32_t exports;
	/** Made by mmap(). */
	bool anon;
	/** Held in place. */
	bool fixed;
	/** The file has been closed by everybody, and has no mappings. */
	bool closed;
	/** The process's name; empty if it is gone. */
	char comm[16];
	/** As given when it was allocated: any bytes. */
	char tag[32];
	/** As published, or empty. */
	char name[64];
	/** One for each node where it has memory; there until the function returns. */
	const struct bitmem_nl_spread *spread;
	/** Entries of spread. */
	size_t n_spread;
};

/** Told of a buffer. Not 0 ends the call, and is its result. */
typedef int (*bitmem_nl_buffer_fn)(const struct bitmem_nl_buffer *buffer, void *data);

/**
 * Calls @p fn for each buffer: with CAP_SYS_ADMIN everybody's, else one's own
 * effective user's. A buffer that lives all the while is told of once.
 */
BITMEM_API int bitmem_nl_buffers(bitmem_nl_buffer_fn fn, void *data);

/** A pool's superblock, or several in a row that are alike; bytes are those of each. */
struct bitmem_nl_superblock {
	/** Index of the pool. */
	uint32_t pool;
	/** Its NUMA node. */
	uint32_t node;
	/** Which of the pool, counted as they came to it; those that left it are missing. */
	uint64_t index;
	/** How many: those with the next indexes are like this one. */
	uint64_t count;
	/** Bytes that are free and zeroed. */
	uint64_t zeroed;
	/** Free, to be zeroed. */
	uint64_t dirty;
	/** In buffers. */
	uint64_t allocated;
	/** Given back, but still referenced. */
	uint64_t quarantined;
	/** Hardware-poisoned. */
	uint64_t retired;
	/** Of the free bytes, those being zeroed, split or joined at the moment. */
	uint64_t busy;
	/** It is single pages, perhaps fewer than a whole one has. */
	bool split;
	/** Put together from single pages. */
	bool gathered;
	/**
	 * The number of the file that all of the allocated bytes are charged to; 0 if there is
	 * none, or several, and then what follows is 0, too.
	 */
	uint64_t file;
	/** The buffer's offset, if all of them are one buffer's; else 0. */
	uint64_t offset;
	/** The user it is charged to. */
	uint32_t uid;
	/** The process that opened the file, or 0 if it is in no namespace seen here. */
	uint32_t pid;
	/** The file has been closed by everybody, and has no mappings. */
	bool closed;
	/** The process's name; empty if it is gone. */
	char comm[16];
	/** The buffer's tag, if all of them are one buffer's: any bytes. */
	char tag[32];
};

/** Told of superblocks. Not 0 ends the call, and is its result. */
typedef int (*bitmem_nl_superblock_fn)(const struct bitmem_nl_superblock *superblock, void *data);

/**
 * Calls @p fn for the superblocks of all pools, in the order of pools and indexes; needs
 * CAP_SYS_ADMIN. One that is there all the while is told of once.
 * @return 0; what @p fn returned; -EPERM; -EOPNOTSUPP from a module that is older …
 */
BITMEM_API int bitmem_nl_superblocks(bitmem_nl_superblock_fn fn, void *data);

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_EVENTS_H */
