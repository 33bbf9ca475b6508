/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * bitmem: pinned, DMA-capable memory for tensors - the kernel interface.
 *
 * Every open() of /dev/bitmem is a *file* with its own table of buffer ids. A
 * buffer belongs to the file, not to the process: dup(), fork(), exec() and
 * SCM_RIGHTS hand the same file on, and the memory goes back to its pool when
 * the last reference (a file's id, a mapping, a dma-buf) is gone. Several files
 * may have an id for one buffer (BITMEM_IMPORT, BITMEM_ATTACH); it is charged to
 * the file, and the user, that allocated it.
 *
 * All ioctls follow the same rules:
 *
 * - The first member is @size, the size of the structure as the caller was
 *   compiled. A caller newer than the kernel may pass a longer structure if
 *   the bytes that the kernel does not know are zero. A caller older than the
 *   kernel may pass a shorter one, down to the size of the first release; the
 *   members it does not pass are taken as zero.
 * - Flags that are not defined and reserved members must be zero.
 * - Members named out_* are written by the kernel, and only on success. What
 *   the caller put there is ignored. Where they can not be written it is EFAULT;
 *   what COMMIT, DECOMMIT, MIGRATE, COMPACT, TRIM and LIMIT have done by then stays.
 * - Lengths and offsets are in bytes.
 * - Whoever may open the device may COMPACT and TRIM, although the pools are
 *   everybody's: neither takes anything from anyone. Whoever has an id that is not
 *   read-only may do all to the buffer, DECOMMIT and MIGRATE included.
 *
 * io_uring takes BITMEM_ALLOC, BITMEM_FREE, BITMEM_COMMIT and BITMEM_DECOMMIT as
 * IORING_OP_URING_CMD: cmd_op is the ioctl's number, the first eight bytes of the
 * SQE's command area are the address of its structure (struct bitmem_uring), and
 * the completion's result is 0 or the negative errno.
 *
 * poll() reports POLLPRI from the moment a pool's pressure level changes until
 * this file's next BITMEM_INFO.
 *
 * errno, with one meaning each:
 *
 * ENOTTY		the ioctl number is not known
 * EINVAL		@size is too short, or a member has a value that can never be right
 * E2BIG		bytes beyond the structure that the kernel knows are not zero, or
 *			@size is more than a page
 * EOPNOTSUPP		a flag, reserved member or value that this kernel does not know
 * EOVERFLOW		a length or offset is beyond what arithmetic can hold
 * ENOENT		no such buffer id, pool index or name
 * ENXIO		some of the buffer is not committed
 * ENOMEM		the pool has not enough free pages, or the kernel is out of memory
 * EDQUOT		the user's quota or the file's limit would be exceeded
 * EAGAIN		BITMEM_ALLOC_NOWAIT, and the call would have to wait
 * EBUSY		the whole buffer is held in place: a device or the kernel has it mapped
 * EACCES		the buffer is read-only here, or its publisher lets this user not have it
 * EPERM		a capability is missing
 * EMFILE		the buffer has BITMEM_MAX_IDS ids already
 * EEXIST		the name is taken
 * EFAULT		an address in the arguments cannot be read or written
 * EINTR		a fatal signal came while the call waited
 */
#ifndef _UAPI_LINUX_BITMEM_H
#define _UAPI_LINUX_BITMEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** BITMEM_ABI - what &bitmem_info.out_abi says; raised when an old caller would misread. */
#define BITMEM_ABI		1

#define BITMEM_TYPE		0xBC

/** BITMEM_MAX_IDS - ids that one buffer may have, in all files together. */
#define BITMEM_MAX_IDS		4096

/** BITMEM_TAG_LEN - bytes of a buffer's tag, the final NUL included. */
#define BITMEM_TAG_LEN		32

/** BITMEM_NODE_ANY - no NUMA node is asked for: the caller's own first, then the others. */
#define BITMEM_NODE_ANY		(-1)

enum {
	BITMEM_CMD_BASE = 0x80,
	BITMEM_CMD_INFO = BITMEM_CMD_BASE,
	BITMEM_CMD_POOL_INFO,
	BITMEM_CMD_ALLOC,
	BITMEM_CMD_FREE,
	BITMEM_CMD_QUERY,
	BITMEM_CMD_ALLOC_MANY,
	BITMEM_CMD_FREE_MANY,
	BITMEM_CMD_COMMIT,
	BITMEM_CMD_DECOMMIT,
	BITMEM_CMD_EXPORT,
	BITMEM_CMD_IMPORT,
	BITMEM_CMD_PUBLISH,
	BITMEM_CMD_ATTACH,
	BITMEM_CMD_MIGRATE,
	BITMEM_CMD_COMPACT,
	BITMEM_CMD_TRIM,
	BITMEM_CMD_LIMIT,
	BITMEM_CMD_SEGMENTS,
};

/** BITMEM_FEATURE_DMABUF - BITMEM_EXPORT, BITMEM_IMPORT and /dev/dma_heap/bitmem are there. */
#define BITMEM_FEATURE_DMABUF	(1ull << 0)
/** BITMEM_FEATURE_URING - io_uring's IORING_OP_URING_CMD is understood. */
#define BITMEM_FEATURE_URING	(1ull << 1)

/**
 * enum bitmem_level - how little of a pool is free
 * @BITMEM_LEVEL_NONE: enough
 * @BITMEM_LEVEL_LOW: fell below the low watermark, and has not risen above the high one since
 * @BITMEM_LEVEL_EMERGENCY: fell below the emergency watermark, and is not above the low one yet
 */
enum bitmem_level {
	BITMEM_LEVEL_NONE,
	BITMEM_LEVEL_LOW,
	BITMEM_LEVEL_EMERGENCY,
};

/**
 * struct bitmem_info - ioctl(BITMEM_INFO)
 * @size: sizeof(struct bitmem_info)
 * @flags: must be 0
 * @out_abi: BITMEM_ABI of the running module
 * @out_page_size: bytes of a page, the granule of lengths
 * @out_superblock_size: bytes of a superblock, the granule of offsets
 * @out_pmd_size: bytes that one page-table entry of the middle level maps
 * @out_features: bits BITMEM_FEATURE_*
 * @out_pools: number of pools; the indexes of BITMEM_POOL_INFO are 0 … out_pools - 1
 * @out_nodes: NUMA node ids are below this number
 * @out_level: the highest &enum bitmem_level of any pool; reading it ends POLLPRI
 * @__out_reserved: 0
 */
struct bitmem_info {
	__u32 size;
	__u32 flags;
	__u32 out_abi;
	__u32 out_page_size;
	__aligned_u64 out_superblock_size;
	__aligned_u64 out_pmd_size;
	__aligned_u64 out_features;
	__u32 out_pools;
	__u32 out_nodes;
	__u32 out_level;
	__u32 __out_reserved;
};

#define BITMEM_INFO	_IO(BITMEM_TYPE, BITMEM_CMD_INFO)

/** BITMEM_POOL_FILLING - the pool is still on its way to @out_target. */
#define BITMEM_POOL_FILLING	(1u << 0)

/**
 * struct bitmem_pool_info - ioctl(BITMEM_POOL_INFO)
 * @size: sizeof(struct bitmem_pool_info)
 * @flags: must be 0
 * @index: which pool
 * @__reserved: must be 0
 * @out_node: the pool's NUMA node
 * @out_width: address bits a device needs to reach the pool's memory; 64 = no limit
 * @out_state: bits BITMEM_POOL_FILLING
 * @out_level: &enum bitmem_level
 * @out_target: bytes the pool is to hold now; moves between @out_reserve and @out_max
 * @out_capacity: bytes the pool holds; at every instant the sum of the next five
 * @out_zeroed: free and zeroed
 * @out_dirty: free, to be zeroed before the next owner sees it
 * @out_allocated: in buffers
 * @out_quarantined: given back by their buffer, but still referenced by somebody
 *	(a DMA in flight, a long-term pin)
 * @out_retired: hardware-poisoned; never handed out again
 * @out_largest: bytes of whole superblocks among the free ones, but for those
 *	that are being zeroed or joined right now
 * @out_split: bytes of superblocks that are split into single pages
 * @out_buffers: buffers that hold pages of this pool
 * @out_allocs: buffers ever given out from this pool
 * @out_fallbacks: buffers among them that asked for another node
 * @out_failures: requests that this pool refused
 * @out_max: the pool grows up to this when less than @out_low is free
 * @out_reserve: neither memory pressure nor BITMEM_TRIM brings the capacity below this
 * @out_low: the low watermark: below it the pool grows, and the level rises
 * @out_high: the high watermark: growing stops, and the level falls
 * @out_emergency: the emergency watermark
 * @out_gathered: bytes of split superblocks put together from single pages,
 *	because the system had no 2 MiB in one piece
 * @out_reclaimable: bytes that the system counts as reclaimable (in its MemAvailable)
 * @out_returned: bytes ever given back to the system under memory pressure or by BITMEM_TRIM
 * @out_moved: bytes ever copied by compaction, demotion, promotion or migration
 *
 * All figures of one call are taken together, under the pool's lock.
 */
struct bitmem_pool_info {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 __reserved;
	__s32 out_node;
	__u32 out_width;
	__u32 out_state;
	__u32 out_level;
	__aligned_u64 out_target;
	__aligned_u64 out_capacity;
	__aligned_u64 out_zeroed;
	__aligned_u64 out_dirty;
	__aligned_u64 out_allocated;
	__aligned_u64 out_quarantined;
	__aligned_u64 out_retired;
	__aligned_u64 out_largest;
	__aligned_u64 out_split;
	__aligned_u64 out_buffers;
	__aligned_u64 out_allocs;
	__aligned_u64 out_fallbacks;
	__aligned_u64 out_failures;
	__aligned_u64 out_max;
	__aligned_u64 out_reserve;
	__aligned_u64 out_low;
	__aligned_u64 out_high;
	__aligned_u64 out_emergency;
	__aligned_u64 out_gathered;
	__aligned_u64 out_reclaimable;
	__aligned_u64 out_returned;
	__aligned_u64 out_moved;
};

#define BITMEM_POOL_INFO	_IO(BITMEM_TYPE, BITMEM_CMD_POOL_INFO)

/** BITMEM_ALLOC_BIND - take every page from @node, or fail with ENOMEM. */
#define BITMEM_ALLOC_BIND	(1u << 0)
/**
 * BITMEM_ALLOC_CONTIG - physically contiguous: @length is a superblock at most, and is rounded
 * up to one.
 */
#define BITMEM_ALLOC_CONTIG	(1u << 1)
/** BITMEM_ALLOC_NOWAIT - EAGAIN rather than wait for a fill, or zero memory first. */
#define BITMEM_ALLOC_NOWAIT	(1u << 2)

/**
 * struct bitmem_alloc - ioctl(BITMEM_ALLOC)
 * @size: sizeof(struct bitmem_alloc)
 * @flags: BITMEM_ALLOC_*
 * @length: bytes wanted, not 0; rounded up to whole pages
 * @node: NUMA node to prefer (or, with BITMEM_ALLOC_BIND, to insist on), or
 *	BITMEM_NODE_ANY. EINVAL if there is no such node, or BITMEM_ALLOC_BIND
 *	comes without one
 * @width: address bits of the device that is to reach the memory; 0 = no limit.
 *	EOPNOTSUPP if it is below 64 and there is no pool for it
 * @tag: a name for people to read, padded with NULs; the last byte must be NUL
 * @out_id: the buffer's id in this file, never 0
 * @__reserved: must be 0
 * @out_offset: where mmap() on this file finds the buffer; a multiple of the
 *	superblock size
 * @out_length: @length rounded up, what the buffer costs
 *
 * All or nothing. The memory is zeroed. One node serves a request as long as
 * one node can; without BITMEM_ALLOC_BIND the request may be spread over
 * several when none can alone. A request that finds too few free pages waits
 * for a pool that is still filling, and fails with ENOMEM otherwise.
 */
struct bitmem_alloc {
	__u32 size;
	__u32 flags;
	__aligned_u64 length;
	__s32 node;
	__u32 width;
	__u8 tag[BITMEM_TAG_LEN];
	__u32 out_id;
	__u32 __reserved;
	__aligned_u64 out_offset;
	__aligned_u64 out_length;
};

#define BITMEM_ALLOC	_IO(BITMEM_TYPE, BITMEM_CMD_ALLOC)

/**
 * struct bitmem_free - ioctl(BITMEM_FREE)
 * @size: sizeof(struct bitmem_free)
 * @flags: must be 0
 * @id: the buffer
 * @__reserved: must be 0
 *
 * The id is gone when the call returns. The memory is gone too, unless something
 * else refers to the buffer: another file's id, a mapping, a dma-buf. Then the
 * last of these frees it.
 */
struct bitmem_free {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 __reserved;
};

#define BITMEM_FREE	_IO(BITMEM_TYPE, BITMEM_CMD_FREE)

/** BITMEM_QUERY_NEXT - the buffer with the smallest id above @id, ENOENT at the end. */
#define BITMEM_QUERY_NEXT	(1u << 0)

/** BITMEM_BUFFER_ANON - the buffer was made by mmap() at offset 0; its last munmap() frees it. */
#define BITMEM_BUFFER_ANON	(1u << 0)
/** BITMEM_BUFFER_READONLY - this file may only read it. */
#define BITMEM_BUFFER_READONLY	(1u << 1)
/** BITMEM_BUFFER_FIXED - held in place: DMA-mapped, mapped by the kernel, or BITMEM_SEGMENTS. */
#define BITMEM_BUFFER_FIXED	(1u << 2)
/** BITMEM_BUFFER_NAMED - BITMEM_PUBLISH gave it a name. */
#define BITMEM_BUFFER_NAMED	(1u << 3)
/** BITMEM_BUFFER_SHARED - came from another file, by BITMEM_IMPORT or BITMEM_ATTACH. */
#define BITMEM_BUFFER_SHARED	(1u << 4)

/**
 * struct bitmem_query - ioctl(BITMEM_QUERY)
 * @size: sizeof(struct bitmem_query)
 * @flags: BITMEM_QUERY_*
 * @id: the buffer
 * @node_count: room in @node_bytes, in entries
 * @node_bytes: address of an array of __u64, or 0; entry N is set to the bytes
 *	that the buffer has on node N, as far as there is room
 * @out_id: the buffer found
 * @out_flags: bits BITMEM_BUFFER_*
 * @out_offset: as from BITMEM_ALLOC
 * @out_length: bytes of the buffer
 * @out_resident: bytes of it that have memory
 * @out_pinned: bytes of it that something besides page tables refers to now (an
 *	estimate while others map, pin and unpin)
 * @out_age_ns: nanoseconds since it was allocated
 * @out_mappings: number of memory areas (VMAs) that map some of it
 * @out_exports: number of dma-bufs that refer to it
 * @out_tag: as given to BITMEM_ALLOC
 */
struct bitmem_query {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 node_count;
	__aligned_u64 node_bytes;
	__u32 out_id;
	__u32 out_flags;
	__aligned_u64 out_offset;
	__aligned_u64 out_length;
	__aligned_u64 out_resident;
	__aligned_u64 out_pinned;
	__aligned_u64 out_age_ns;
	__u32 out_mappings;
	__u32 out_exports;
	__u8 out_tag[BITMEM_TAG_LEN];
};

#define BITMEM_QUERY	_IO(BITMEM_TYPE, BITMEM_CMD_QUERY)

/** BITMEM_MANY_MAX - entries that one call of the _MANY kind takes. */
#define BITMEM_MANY_MAX		65536

/**
 * struct bitmem_alloc_many - ioctl(BITMEM_ALLOC_MANY)
 * @size: sizeof(struct bitmem_alloc_many)
 * @flags: must be 0
 * @count: entries in the array, 1 … BITMEM_MANY_MAX
 * @out_done: buffers handed out; written on failure, too
 * @entries: address of an array of struct bitmem_alloc, each @entry_size bytes
 *	from the last and filled in as for BITMEM_ALLOC
 * @entry_size: bytes from one entry to the next, a multiple of 8
 * @__reserved: must be 0
 *
 * Stops at the first entry that fails, with that entry's errno; the buffers of
 * the @out_done entries before it stay.
 */
struct bitmem_alloc_many {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 out_done;
	__aligned_u64 entries;
	__u32 entry_size;
	__u32 __reserved;
};

#define BITMEM_ALLOC_MANY	_IO(BITMEM_TYPE, BITMEM_CMD_ALLOC_MANY)

/**
 * struct bitmem_free_many - ioctl(BITMEM_FREE_MANY)
 * @size: sizeof(struct bitmem_free_many)
 * @flags: must be 0
 * @count: entries in the array, 1 … BITMEM_MANY_MAX
 * @out_done: ids freed; written on failure, too
 * @ids: address of an array of __u32
 *
 * Stops at the first id that is not there, with ENOENT.
 */
struct bitmem_free_many {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 out_done;
	__aligned_u64 ids;
};

#define BITMEM_FREE_MANY	_IO(BITMEM_TYPE, BITMEM_CMD_FREE_MANY)

/**
 * struct bitmem_range - ioctl(BITMEM_COMMIT), ioctl(BITMEM_DECOMMIT)
 * @size: sizeof(struct bitmem_range)
 * @flags: must be 0
 * @id: the buffer
 * @__reserved: must be 0
 * @offset: in the buffer, a multiple of the page size
 * @length: not 0, a multiple of the page size; the range lies in the buffer (else EINVAL)
 * @out_done: bytes that got memory, or gave theirs back
 * @out_skipped: bytes that kept their memory because something refers to it, or because
 *	there was no memory to move the rest of their superblock to
 * @out_promoted: bytes that became whole superblocks again. To get their large
 *	mapping back, map the range anew
 *
 * A buffer is committed when it is made. BITMEM_DECOMMIT gives memory of a range
 * back: touching it then is a SIGBUS, its content is lost, and it no longer
 * counts against any quota. What is pinned keeps its memory (and content), and is
 * counted in @out_skipped; part of a superblock can only be given back if nothing
 * pins the rest of it. EBUSY if the buffer is held in place as a whole, or
 * exported.
 *
 * A BITMEM_ALLOC_CONTIG buffer can only be committed and decommitted as a whole (else EINVAL).
 *
 * BITMEM_COMMIT gives memory, zeroed, to what has none in a range: all or ENOMEM.
 */
struct bitmem_range {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 __reserved;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 out_done;
	__aligned_u64 out_skipped;
	__aligned_u64 out_promoted;
};

#define BITMEM_COMMIT	_IO(BITMEM_TYPE, BITMEM_CMD_COMMIT)
#define BITMEM_DECOMMIT	_IO(BITMEM_TYPE, BITMEM_CMD_DECOMMIT)

/** BITMEM_EXPORT_READONLY - whoever gets the dma-buf may only read. */
#define BITMEM_EXPORT_READONLY	(1u << 0)

/**
 * struct bitmem_export - ioctl(BITMEM_EXPORT)
 * @size: sizeof(struct bitmem_export)
 * @flags: BITMEM_EXPORT_*
 * @id: the buffer
 * @out_fd: a new dma-buf file descriptor, close-on-exec
 *
 * The dma-buf keeps the buffer, and all of its memory: ENXIO if some of it is not
 * committed. A buffer that is read-only here can only be exported read-only (else
 * EACCES).
 */
struct bitmem_export {
	__u32 size;
	__u32 flags;
	__u32 id;
	__s32 out_fd;
};

#define BITMEM_EXPORT	_IO(BITMEM_TYPE, BITMEM_CMD_EXPORT)

/**
 * struct bitmem_import - ioctl(BITMEM_IMPORT)
 * @size: sizeof(struct bitmem_import)
 * @flags: must be 0
 * @fd: a dma-buf that BITMEM_EXPORT or /dev/dma_heap/bitmem made; EBADF if it is no
 *	file, EINVAL if it is something else
 * @out_id: the buffer's id in this file
 * @out_offset: where mmap() on this file finds it
 * @out_length: bytes of the buffer
 */
struct bitmem_import {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 out_id;
	__aligned_u64 out_offset;
	__aligned_u64 out_length;
};

#define BITMEM_IMPORT	_IO(BITMEM_TYPE, BITMEM_CMD_IMPORT)

/** BITMEM_NAME_LEN - bytes of a published name, the final NUL included. */
#define BITMEM_NAME_LEN		64

/** BITMEM_PUBLISH_REMOVE - take the buffer's name away; @mode and @name must be zeros. */
#define BITMEM_PUBLISH_REMOVE	(1u << 0)

/**
 * struct bitmem_publish - ioctl(BITMEM_PUBLISH)
 * @size: sizeof(struct bitmem_publish)
 * @flags: BITMEM_PUBLISH_*
 * @id: the buffer; only its own file can name it (EACCES for one that came from another)
 * @mode: who may attach it, as for a file: read and write bits (0666 at most) for the
 *	user, the group and others. The user is the caller's effective one
 * @name: not empty, padded with NULs; the last byte must be NUL
 *
 * Names are kept for each user: two users may use the same. A buffer has one
 * name at most (EEXIST, as for a name that is taken). The name goes when the
 * buffer does.
 */
struct bitmem_publish {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 mode;
	__u8 name[BITMEM_NAME_LEN];
};

#define BITMEM_PUBLISH	_IO(BITMEM_TYPE, BITMEM_CMD_PUBLISH)

/** BITMEM_ATTACH_READONLY - reading is enough. */
#define BITMEM_ATTACH_READONLY	(1u << 0)

/** BITMEM_UID_SELF - the caller's own effective user. */
#define BITMEM_UID_SELF		(~0u)

/**
 * struct bitmem_attach - ioctl(BITMEM_ATTACH)
 * @size: sizeof(struct bitmem_attach)
 * @flags: BITMEM_ATTACH_*
 * @uid: the user who published it, or BITMEM_UID_SELF
 * @__reserved: must be 0
 * @name: as published
 * @out_id: the buffer's id in this file
 * @__out_reserved: 0
 * @out_offset: where mmap() on this file finds it
 * @out_length: bytes of the buffer
 *
 * The id is read-only (BITMEM_QUERY tells) if the mode lets this user do no more.
 * CAP_DAC_OVERRIDE counts as it does for files.
 */
struct bitmem_attach {
	__u32 size;
	__u32 flags;
	__u32 uid;
	__u32 __reserved;
	__u8 name[BITMEM_NAME_LEN];
	__u32 out_id;
	__u32 __out_reserved;
	__aligned_u64 out_offset;
	__aligned_u64 out_length;
};

#define BITMEM_ATTACH	_IO(BITMEM_TYPE, BITMEM_CMD_ATTACH)

/**
 * struct bitmem_migrate - ioctl(BITMEM_MIGRATE)
 * @size: sizeof(struct bitmem_migrate)
 * @flags: must be 0
 * @id: the buffer
 * @node: NUMA node to move it to; EINVAL if it has no pool
 * @out_moved: bytes that are there now and were not before
 * @out_skipped: bytes that stay where they were because something refers to them
 *
 * Addresses and contents do not change. ENOMEM with nothing moved if the node
 * has not enough free; EBUSY if the buffer is held in place as a whole.
 */
struct bitmem_migrate {
	__u32 size;
	__u32 flags;
	__u32 id;
	__s32 node;
	__aligned_u64 out_moved;
	__aligned_u64 out_skipped;
};

#define BITMEM_MIGRATE	_IO(BITMEM_TYPE, BITMEM_CMD_MIGRATE)

/**
 * struct bitmem_compact - ioctl(BITMEM_COMPACT), ioctl(BITMEM_TRIM)
 * @size: sizeof(struct bitmem_compact)
 * @flags: must be 0
 * @index: which pool
 * @__reserved: must be 0
 * @budget: bytes to copy (BITMEM_COMPACT) or to give back (BITMEM_TRIM) at most; 0 = no limit
 * @out_moved: bytes copied
 * @out_freed: bytes of superblocks that became whole and free, or went back to the system
 * @out_skipped: bytes that could not be moved because something refers to them
 *
 * BITMEM_COMPACT packs single pages into as few superblocks as possible, whoever's
 * buffers they belong to; addresses and contents do not change. BITMEM_TRIM
 * gives free superblocks back to the system, down to the pool's reserve.
 */
struct bitmem_compact {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 __reserved;
	__aligned_u64 budget;
	__aligned_u64 out_moved;
	__aligned_u64 out_freed;
	__aligned_u64 out_skipped;
};

#define BITMEM_COMPACT	_IO(BITMEM_TYPE, BITMEM_CMD_COMPACT)
#define BITMEM_TRIM	_IO(BITMEM_TYPE, BITMEM_CMD_TRIM)

/** BITMEM_NO_LIMIT - what &bitmem_limit.out_limit says when there is none. */
#define BITMEM_NO_LIMIT		(~0ull)

/**
 * struct bitmem_limit - ioctl(BITMEM_LIMIT)
 * @size: sizeof(struct bitmem_limit)
 * @flags: must be 0
 * @limit: bytes that the buffers allocated through this file may have. A limit can
 *	only be lowered (EPERM), for ever: a file with a limit can be handed to
 *	somebody who is not trusted. BITMEM_NO_LIMIT leaves it as it is
 * @out_limit: the limit now
 * @out_used: bytes charged to this file
 */
struct bitmem_limit {
	__u32 size;
	__u32 flags;
	__aligned_u64 limit;
	__aligned_u64 out_limit;
	__aligned_u64 out_used;
};

#define BITMEM_LIMIT	_IO(BITMEM_TYPE, BITMEM_CMD_LIMIT)

/**
 * struct bitmem_segment - physically contiguous memory
 * @address: physical address
 * @length: bytes
 */
struct bitmem_segment {
	__aligned_u64 address;
	__aligned_u64 length;
};

/**
 * struct bitmem_segments - ioctl(BITMEM_SEGMENTS)
 * @size: sizeof(struct bitmem_segments)
 * @flags: must be 0
 * @id: the buffer
 * @count: room in @entries
 * @offset: in the buffer, a multiple of the page size: where to start
 * @entries: address of an array of struct bitmem_segment
 * @out_count: entries written
 * @__out_reserved: 0
 * @out_next: where the next call is to start; the buffer's length when all was told
 *
 * Needs CAP_SYS_RAWIO. From the first call on the buffer is held in place for as
 * long as it lives. ENXIO if some of it is not committed.
 */
struct bitmem_segments {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 count;
	__aligned_u64 offset;
	__aligned_u64 entries;
	__u32 out_count;
	__u32 __out_reserved;
	__aligned_u64 out_next;
};

#define BITMEM_SEGMENTS	_IO(BITMEM_TYPE, BITMEM_CMD_SEGMENTS)

/**
 * struct bitmem_uring - the command area of an SQE
 * @arg: address of the structure that the ioctl of the same number takes
 * @__reserved: must be 0
 */
struct bitmem_uring {
	__aligned_u64 arg;
	__aligned_u64 __reserved;
};

/*
 * mmap() on the device takes MAP_SHARED only (EINVAL otherwise). At a buffer's
 * offset (plus any page multiple inside it) it maps that buffer, if this file
 * holds its id and the buffer covers the whole length; ENXIO otherwise. EACCES
 * if it is to be written to and this file may only read it. At
 * offset 0 it makes a new buffer of the mapping's length, which lives until
 * its last munmap() and shows up in BITMEM_QUERY with BITMEM_BUFFER_ANON;
 * ENOMEM as from BITMEM_ALLOC.
 */

#endif /* _UAPI_LINUX_BITMEM_H */
