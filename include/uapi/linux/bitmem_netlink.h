/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * bitmem: the generic netlink family - looking at pools and buffers, setting limits,
 * being told of events. The same in YAML: docs/netlink/bitmem.yaml.
 *
 * The family is in the initial network namespace only. Numbers are in host byte
 * order, lengths in bytes, %BITMEM_NO_LIMIT is "none". A request with an attribute
 * that its command does not take, or of the wrong size, is refused with EINVAL; the
 * extended ACK names the attribute.
 */
#ifndef _UAPI_LINUX_BITMEM_NETLINK_H
#define _UAPI_LINUX_BITMEM_NETLINK_H

#define BITMEM_FAMILY_NAME	"bitmem"
#define BITMEM_FAMILY_VERSION	1

/** BITMEM_MCGRP_EVENTS - every event, without whose it is; anybody may listen. */
#define BITMEM_MCGRP_EVENTS	"events"
/** BITMEM_MCGRP_OWNERS - events with the process and user they are about; needs CAP_SYS_ADMIN. */
#define BITMEM_MCGRP_OWNERS	"owners"

/**
 * enum bitmem_nl_cmd - commands and events
 * @BITMEM_NL_CMD_INFO: do: what kind of module this is; &enum bitmem_a_info
 * @BITMEM_NL_CMD_POOL_GET: do: one pool by @BITMEM_A_POOL_INDEX (ENOENT if there is none);
 *	dump: all of them. The figures of a pool are taken together, under its lock
 * @BITMEM_NL_CMD_POOL_SET: do: change the pool @BITMEM_A_POOL_INDEX: one or more of target,
 *	max, reserve, low, high and emergency; all of them or, with EINVAL, none.
 *	EINVAL unless reserve <= target <= max and emergency <= low <= high <= max, and
 *	where max is more than the node can spare. Needs CAP_SYS_ADMIN
 * @BITMEM_NL_CMD_BUFFER_GET: dump: one message a buffer; &enum bitmem_a_buffer. Every buffer
 *	that lives from the start of the dump to its end is in it once, none that is
 *	made after the start. Without CAP_SYS_ADMIN only buffers charged to one's own
 *	effective user
 * @BITMEM_NL_CMD_QUOTA_GET: dump: one message a user; &enum bitmem_a_quota. Without
 *	CAP_SYS_ADMIN only one's own
 * @BITMEM_NL_CMD_QUOTA_SET: do: @BITMEM_A_QUOTA_LIMIT for the user @BITMEM_A_QUOTA_UID. What
 *	the user has already stays. Needs CAP_SYS_ADMIN
 * @BITMEM_NL_CMD_PRESSURE: event: a pool's level changed: pool, node, level, free, capacity
 * @BITMEM_NL_CMD_EXHAUSTED: event: a pool refused requests: pool, node, bytes (the last of
 *	them wanted), count (refused since the last event; at most one event a second)
 * @BITMEM_NL_CMD_QUARANTINE: event: pages given back are still referenced: pool, node, bytes
 * @BITMEM_NL_CMD_COMPACTED: event: a compaction moved pages: pool, node, moved, freed, skipped
 * @BITMEM_NL_CMD_RETIRED: event: memory is hardware-poisoned: pool, node, bytes
 * @BITMEM_NL_CMD_SHRUNK: event: memory went back to the system: pool, node, bytes
 * @BITMEM_NL_CMD_RECLAIMED: event: a file was closed, or its last process died, with buffers
 *	not freed: file, buffers, bytes; in the group "owners" also pid, uid, comm
 * @BITMEM_NL_CMD_SUPERBLOCK_GET: dump: the superblocks of all pools, or of the one that
 *	@BITMEM_A_SUPERBLOCK_POOL names (ENOENT if there is none), in the order of their
 *	indexes; one message for those that follow each other and are alike; &enum
 *	bitmem_a_superblock. One that is there from the start of the dump to its end is in
 *	it once. Needs CAP_SYS_ADMIN
 */
enum bitmem_nl_cmd {
	BITMEM_NL_CMD_INFO = 1,
	BITMEM_NL_CMD_POOL_GET,
	BITMEM_NL_CMD_POOL_SET,
	BITMEM_NL_CMD_BUFFER_GET,
	BITMEM_NL_CMD_QUOTA_GET,
	BITMEM_NL_CMD_QUOTA_SET,
	BITMEM_NL_CMD_PRESSURE,
	BITMEM_NL_CMD_EXHAUSTED,
	BITMEM_NL_CMD_QUARANTINE,
	BITMEM_NL_CMD_COMPACTED,
	BITMEM_NL_CMD_RETIRED,
	BITMEM_NL_CMD_SHRUNK,
	BITMEM_NL_CMD_RECLAIMED,
	BITMEM_NL_CMD_SUPERBLOCK_GET,

	/* private: */
	__BITMEM_NL_CMD_MAX,
	BITMEM_NL_CMD_MAX = (__BITMEM_NL_CMD_MAX - 1)
};

/**
 * enum bitmem_a_info - the members of &struct bitmem_info
 * @BITMEM_A_INFO_ABI: u32: BITMEM_ABI
 * @BITMEM_A_INFO_PAGE_SIZE: u32: bytes of a page
 * @BITMEM_A_INFO_POOLS: u32: number of pools
 * @BITMEM_A_INFO_NODES: u32: NUMA node ids are below this number
 * @BITMEM_A_INFO_LEVEL: u32: the highest &enum bitmem_level of any pool
 * @BITMEM_A_INFO_SUPERBLOCK_SIZE: u64: bytes of a superblock
 * @BITMEM_A_INFO_PMD_SIZE: u64: bytes that a page-table entry of the middle level maps
 * @BITMEM_A_INFO_FEATURES: u64: bits BITMEM_FEATURE_*
 * @BITMEM_A_INFO_PAD: aligns
 */
enum bitmem_a_info {
	BITMEM_A_INFO_ABI = 1,
	BITMEM_A_INFO_PAGE_SIZE,
	BITMEM_A_INFO_POOLS,
	BITMEM_A_INFO_NODES,
	BITMEM_A_INFO_LEVEL,
	BITMEM_A_INFO_SUPERBLOCK_SIZE,
	BITMEM_A_INFO_PMD_SIZE,
	BITMEM_A_INFO_FEATURES,
	BITMEM_A_INFO_PAD,

	/* private: */
	__BITMEM_A_INFO_MAX,
	BITMEM_A_INFO_MAX = (__BITMEM_A_INFO_MAX - 1)
};

/**
 * enum bitmem_a_pool - the members of &struct bitmem_pool_info, which says what they mean
 * @BITMEM_A_POOL_INDEX: u32: which pool
 * @BITMEM_A_POOL_TARGET: u64: bytes it is to hold now
 * @BITMEM_A_POOL_MAX_BYTES: u64: it grows up to this
 * @BITMEM_A_POOL_RESERVE: u64: it is never shrunk below this
 * @BITMEM_A_POOL_LOW: u64: the low watermark
 * @BITMEM_A_POOL_HIGH: u64: the high watermark
 * @BITMEM_A_POOL_EMERGENCY: u64: the emergency watermark
 * @BITMEM_A_POOL_PAD: aligns
 * @BITMEM_A_POOL_NODE: u32: NUMA node
 * @BITMEM_A_POOL_WIDTH: u32: address bits
 * @BITMEM_A_POOL_STATE: u32: bits BITMEM_POOL_FILLING
 * @BITMEM_A_POOL_LEVEL: u32: &enum bitmem_level
 * @BITMEM_A_POOL_CAPACITY: u64: bytes it holds, the sum of the next five
 * @BITMEM_A_POOL_ZEROED: u64: free and zeroed
 * @BITMEM_A_POOL_DIRTY: u64: free, to be zeroed
 * @BITMEM_A_POOL_ALLOCATED: u64: in buffers
 * @BITMEM_A_POOL_QUARANTINED: u64: given back, but still referenced
 * @BITMEM_A_POOL_RETIRED: u64: hardware-poisoned
 * @BITMEM_A_POOL_LARGEST: u64: free in whole superblocks
 * @BITMEM_A_POOL_SPLIT: u64: in split superblocks
 * @BITMEM_A_POOL_BUFFERS: u64: buffers with pages of the pool
 * @BITMEM_A_POOL_ALLOCS: u64: buffers ever given out
 * @BITMEM_A_POOL_FALLBACKS: u64: those that had asked for another node
 * @BITMEM_A_POOL_FAILURES: u64: requests refused
 * @BITMEM_A_POOL_GATHERED: u64: in superblocks put together from single pages
 * @BITMEM_A_POOL_RECLAIMABLE: u64: what the system counts as reclaimable
 * @BITMEM_A_POOL_RETURNED: u64: ever given back to the system
 * @BITMEM_A_POOL_MOVED: u64: ever copied by relocation
 */
enum bitmem_a_pool {
	BITMEM_A_POOL_INDEX = 1,
	BITMEM_A_POOL_TARGET,
	BITMEM_A_POOL_MAX_BYTES,
	BITMEM_A_POOL_RESERVE,
	BITMEM_A_POOL_LOW,
	BITMEM_A_POOL_HIGH,
	BITMEM_A_POOL_EMERGENCY,
	BITMEM_A_POOL_PAD,
	BITMEM_A_POOL_NODE,
	BITMEM_A_POOL_WIDTH,
	BITMEM_A_POOL_STATE,
	BITMEM_A_POOL_LEVEL,
	BITMEM_A_POOL_CAPACITY,
	BITMEM_A_POOL_ZEROED,
	BITMEM_A_POOL_DIRTY,
	BITMEM_A_POOL_ALLOCATED,
	BITMEM_A_POOL_QUARANTINED,
	BITMEM_A_POOL_RETIRED,
	BITMEM_A_POOL_LARGEST,
	BITMEM_A_POOL_SPLIT,
	BITMEM_A_POOL_BUFFERS,
	BITMEM_A_POOL_ALLOCS,
	BITMEM_A_POOL_FALLBACKS,
	BITMEM_A_POOL_FAILURES,
	BITMEM_A_POOL_GATHERED,
	BITMEM_A_POOL_RECLAIMABLE,
	BITMEM_A_POOL_RETURNED,
	BITMEM_A_POOL_MOVED,

	/* private: */
	__BITMEM_A_POOL_MAX,
	BITMEM_A_POOL_MAX = (__BITMEM_A_POOL_MAX - 1)
};

/**
 * enum bitmem_a_buffer - a buffer
 * @BITMEM_A_BUFFER_FILE: u64: serial number of the file it is charged to, as in fdinfo
 * @BITMEM_A_BUFFER_OFFSET: u64: where mmap() finds it, as in /proc/PID/maps; no two buffers
 *	have the same
 * @BITMEM_A_BUFFER_UID: u32: the user it is charged to, in the reader's user namespace
 * @BITMEM_A_BUFFER_PID: u32: the process that opened the file, in the reader's PID namespace;
 *	absent if it has no number there. It may be gone
 * @BITMEM_A_BUFFER_COMM: string: that process's name; absent if it is gone
 * @BITMEM_A_BUFFER_ID: u32: an id of it in that file; absent if it has none there
 * @BITMEM_A_BUFFER_HANDLES: u32: ids that lead to it, in all files
 * @BITMEM_A_BUFFER_MAPPINGS: u32: memory areas (VMAs) that map some of it
 * @BITMEM_A_BUFFER_EXPORTS: u32: dma-bufs that refer to it
 * @BITMEM_A_BUFFER_PAD: aligns
 * @BITMEM_A_BUFFER_LENGTH: u64: bytes
 * @BITMEM_A_BUFFER_RESIDENT: u64: bytes of it that have memory
 * @BITMEM_A_BUFFER_AGE_NS: u64: nanoseconds since it was allocated
 * @BITMEM_A_BUFFER_SPREAD: nest, one a NUMA node where it has memory: &enum bitmem_a_spread
 * @BITMEM_A_BUFFER_TAG: string: as given to BITMEM_ALLOC: any bytes but NUL. Absent if empty
 * @BITMEM_A_BUFFER_NAME: string: as given to BITMEM_PUBLISH. Absent if it has none
 * @BITMEM_A_BUFFER_ANON: flag: made by mmap()
 * @BITMEM_A_BUFFER_FIXED: flag: held in place
 * @BITMEM_A_BUFFER_CLOSED: flag: the file it is charged to has been closed by everybody, and
 *	has no mappings
 */
enum bitmem_a_buffer {
	BITMEM_A_BUFFER_FILE = 1,
	BITMEM_A_BUFFER_OFFSET,
	BITMEM_A_BUFFER_UID,
	BITMEM_A_BUFFER_PID,
	BITMEM_A_BUFFER_COMM,
	BITMEM_A_BUFFER_ID,
	BITMEM_A_BUFFER_HANDLES,
	BITMEM_A_BUFFER_MAPPINGS,
	BITMEM_A_BUFFER_EXPORTS,
	BITMEM_A_BUFFER_PAD,
	BITMEM_A_BUFFER_LENGTH,
	BITMEM_A_BUFFER_RESIDENT,
	BITMEM_A_BUFFER_AGE_NS,
	BITMEM_A_BUFFER_SPREAD,
	BITMEM_A_BUFFER_TAG,
	BITMEM_A_BUFFER_NAME,
	BITMEM_A_BUFFER_ANON,
	BITMEM_A_BUFFER_FIXED,
	BITMEM_A_BUFFER_CLOSED,

	/* private: */
	__BITMEM_A_BUFFER_MAX,
	BITMEM_A_BUFFER_MAX = (__BITMEM_A_BUFFER_MAX - 1)
};

/**
 * enum bitmem_a_spread - what a buffer has on a NUMA node
 * @BITMEM_A_SPREAD_NODE: u32: the node
 * @BITMEM_A_SPREAD_BYTES: u64: bytes there
 * @BITMEM_A_SPREAD_PAD: aligns
 */
enum bitmem_a_spread {
	BITMEM_A_SPREAD_NODE = 1,
	BITMEM_A_SPREAD_BYTES,
	BITMEM_A_SPREAD_PAD,

	/* private: */
	__BITMEM_A_SPREAD_MAX,
	BITMEM_A_SPREAD_MAX = (__BITMEM_A_SPREAD_MAX - 1)
};

/**
 * enum bitmem_a_superblock - a superblock, or several in a row that are alike
 * @BITMEM_A_SUPERBLOCK_POOL: u32: index of the pool; in a request the only one to be dumped
 * @BITMEM_A_SUPERBLOCK_NODE: u32: its NUMA node
 * @BITMEM_A_SUPERBLOCK_INDEX: u64: which of the pool: they are counted as they come to it, and
 *	keep the index when they are split or joined. Those that left it are missing
 * @BITMEM_A_SUPERBLOCK_PAD: aligns
 * @BITMEM_A_SUPERBLOCK_COUNT: u64: how many: those with the next indexes are like this one
 * @BITMEM_A_SUPERBLOCK_ZEROED: u64: bytes that are free and zeroed, of each
 * @BITMEM_A_SUPERBLOCK_DIRTY: u64: free, to be zeroed
 * @BITMEM_A_SUPERBLOCK_ALLOCATED: u64: in buffers
 * @BITMEM_A_SUPERBLOCK_QUARANTINED: u64: given back, but still referenced
 * @BITMEM_A_SUPERBLOCK_RETIRED: u64: hardware-poisoned. Retired single pages belong to no
 *	superblock any more
 * @BITMEM_A_SUPERBLOCK_BUSY: u64: of the free bytes, those that are being zeroed, split or
 *	joined at the moment
 * @BITMEM_A_SUPERBLOCK_SPLIT: flag: it is single pages, perhaps fewer than a whole one
 * @BITMEM_A_SUPERBLOCK_GATHERED: flag: put together from single pages
 * @BITMEM_A_SUPERBLOCK_OWNER: nest: of &enum bitmem_a_buffer the file, uid, pid, comm and closed,
 *	if all of its allocated bytes are one file's; with offset and tag if they are one
 *	buffer's. Else absent
 */
enum bitmem_a_superblock {
	BITMEM_A_SUPERBLOCK_POOL = 1,
	BITMEM_A_SUPERBLOCK_NODE,
	BITMEM_A_SUPERBLOCK_INDEX,
	BITMEM_A_SUPERBLOCK_PAD,
	BITMEM_A_SUPERBLOCK_COUNT,
	BITMEM_A_SUPERBLOCK_ZEROED,
	BITMEM_A_SUPERBLOCK_DIRTY,
	BITMEM_A_SUPERBLOCK_ALLOCATED,
	BITMEM_A_SUPERBLOCK_QUARANTINED,
	BITMEM_A_SUPERBLOCK_RETIRED,
	BITMEM_A_SUPERBLOCK_BUSY,
	BITMEM_A_SUPERBLOCK_SPLIT,
	BITMEM_A_SUPERBLOCK_GATHERED,
	BITMEM_A_SUPERBLOCK_OWNER,

	/* private: */
	__BITMEM_A_SUPERBLOCK_MAX,
	BITMEM_A_SUPERBLOCK_MAX = (__BITMEM_A_SUPERBLOCK_MAX - 1)
};

/**
 * enum bitmem_a_quota - a user
 * @BITMEM_A_QUOTA_UID: u32: who, in the caller's user namespace
 * @BITMEM_A_QUOTA_LIMIT: u64: bytes allowed, or %BITMEM_NO_LIMIT
 * @BITMEM_A_QUOTA_PAD: aligns
 * @BITMEM_A_QUOTA_BYTES: u64: bytes charged
 */
enum bitmem_a_quota {
	BITMEM_A_QUOTA_UID = 1,
	BITMEM_A_QUOTA_LIMIT,
	BITMEM_A_QUOTA_PAD,
	BITMEM_A_QUOTA_BYTES,

	/* private: */
	__BITMEM_A_QUOTA_MAX,
	BITMEM_A_QUOTA_MAX = (__BITMEM_A_QUOTA_MAX - 1)
};

/**
 * enum bitmem_a_event - what happened; &enum bitmem_nl_cmd says which of these come with what
 * @BITMEM_A_EVENT_POOL: u32: index of the pool
 * @BITMEM_A_EVENT_NODE: u32: its NUMA node
 * @BITMEM_A_EVENT_LEVEL: u32: &enum bitmem_level
 * @BITMEM_A_EVENT_PAD: aligns
 * @BITMEM_A_EVENT_FREE: u64: bytes free in the pool
 * @BITMEM_A_EVENT_CAPACITY: u64: bytes that the pool holds
 * @BITMEM_A_EVENT_BYTES: u64: bytes concerned
 * @BITMEM_A_EVENT_COUNT: u64: how often since the last event of the kind
 * @BITMEM_A_EVENT_MOVED: u64: bytes copied
 * @BITMEM_A_EVENT_FREED: u64: bytes of superblocks that became whole and free
 * @BITMEM_A_EVENT_SKIPPED: u64: bytes that could not be moved
 * @BITMEM_A_EVENT_FILE: u64: serial number of the file, as in fdinfo
 * @BITMEM_A_EVENT_BUFFERS: u64: ids that the file still had
 * @BITMEM_A_EVENT_PID: u32: the process that opened it, in the initial PID namespace
 * @BITMEM_A_EVENT_UID: u32: the user charged, in the initial user namespace
 * @BITMEM_A_EVENT_COMM: string: that process's name; absent if it is gone
 */
enum bitmem_a_event {
	BITMEM_A_EVENT_POOL = 1,
	BITMEM_A_EVENT_NODE,
	BITMEM_A_EVENT_LEVEL,
	BITMEM_A_EVENT_PAD,
	BITMEM_A_EVENT_FREE,
	BITMEM_A_EVENT_CAPACITY,
	BITMEM_A_EVENT_BYTES,
	BITMEM_A_EVENT_COUNT,
	BITMEM_A_EVENT_MOVED,
	BITMEM_A_EVENT_FREED,
	BITMEM_A_EVENT_SKIPPED,
	BITMEM_A_EVENT_FILE,
	BITMEM_A_EVENT_BUFFERS,
	BITMEM_A_EVENT_PID,
	BITMEM_A_EVENT_UID,
	BITMEM_A_EVENT_COMM,

	/* private: */
	__BITMEM_A_EVENT_MAX,
	BITMEM_A_EVENT_MAX = (__BITMEM_A_EVENT_MAX - 1)
};

#endif /* _UAPI_LINUX_BITMEM_NETLINK_H */
