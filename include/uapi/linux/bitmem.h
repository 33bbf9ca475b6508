/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * bitmem: pinned, DMA-capable memory for tensors - the kernel interface.
 *
 * Every open() of /dev/bitmem is a *file* with its own table of buffer ids. A
 * buffer belongs to the file, not to the process: dup(), fork(), exec() and
 * SCM_RIGHTS hand the same file on, and the memory goes back to its pool when
 * the last reference (the file's id, a mapping) is gone.
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
 *   the caller put there is ignored.
 * - Lengths and offsets are in bytes.
 *
 * errno, with one meaning each:
 *
 * ENOTTY		the ioctl number is not known
 * EINVAL		@size is too short, or a member has a value that can never be right
 * E2BIG		bytes beyond the structure that the kernel knows are not zero, or
 *			@size is more than a page
 * EOPNOTSUPP		a flag, reserved member or value that this kernel does not know
 * EOVERFLOW		a length or offset is beyond what arithmetic can hold
 * ENOENT		no such buffer id or pool index
 * ENOMEM		the pool has not enough free pages, or the kernel is out of memory
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
 * @__out_reserved: 0
 * @out_target: bytes the pool was asked to hold
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
	__u32 __out_reserved;
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
};

#define BITMEM_POOL_INFO	_IO(BITMEM_TYPE, BITMEM_CMD_POOL_INFO)

/** BITMEM_ALLOC_BIND - take every page from @node, or fail with ENOMEM. */
#define BITMEM_ALLOC_BIND	(1u << 0)

/**
 * struct bitmem_alloc - ioctl(BITMEM_ALLOC)
 * @size: sizeof(struct bitmem_alloc)
 * @flags: BITMEM_ALLOC_*
 * @length: bytes wanted, not 0; rounded up to whole pages
 * @node: NUMA node to prefer (or, with BITMEM_ALLOC_BIND, to insist on), or
 *	BITMEM_NODE_ANY. EINVAL if there is no such node, or BITMEM_ALLOC_BIND
 *	comes without one
 * @width: address bits of the device that is to reach the memory; 0 = no limit
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
 * The id is gone when the call returns. The memory is gone too, unless it is
 * still mapped: then the last munmap() frees it.
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
 * @__out_reserved: 0
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
	__u32 __out_reserved;
	__u8 out_tag[BITMEM_TAG_LEN];
};

#define BITMEM_QUERY	_IO(BITMEM_TYPE, BITMEM_CMD_QUERY)

/*
 * mmap() on the device takes MAP_SHARED only (EINVAL otherwise). At a buffer's
 * offset (plus any page multiple inside it) it maps that buffer, if this file
 * holds its id and the buffer covers the whole length; ENXIO otherwise. At
 * offset 0 it makes a new buffer of the mapping's length, which lives until
 * its last munmap() and shows up in BITMEM_QUERY with BITMEM_BUFFER_ANON;
 * ENOMEM as from BITMEM_ALLOC.
 */

#endif /* _UAPI_LINUX_BITMEM_H */
