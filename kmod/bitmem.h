/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bitmem: what the module's parts know of each other.
 *
 *   file     one per open(): buffer ids, counters           file.c, ioctl.c
 *   handle   an id of a file that leads to a buffer         handle.c
 *   buffer   length, table of pages, offset range           buffer.c, slot.c, offset.c
 *              committing and decommitting                  commit.c
 *              names                                        name.c
 *   map      mmap() and faults                              map.c
 *   relocate moving pages under their users                 relocate.c, compact.c
 *   pool     free and used superblocks of one NUMA node     pool.c, split.c, superblock.c,
 *                                                           superblock.h, number.c
 *              handing out, taking back                     take.c, reclaim.c
 *              sizes, filling and growing                   size.c, fill.c
 *              watermarks, the system's reclaim             level.c, shrink.c
 *   user     quotas                                         quota.c
 *   worker   fills, zeroes, rechecks quarantine             worker.c
 *   dmabuf   export, import; the heap's device              dmabuf.c, heap.c
 *   netlink  dumps, settings, events                        netlink*.c, event.c
 *   uring    io_uring's commands                            uring.c
 *
 * A page is in one state at a time (enum bm_state), and a pool's counters add up
 * to its capacity whenever its lock is free.
 *
 * Lifetime: each id (bm_handle), VMA and dma-buf holds a reference on its buffer;
 * a buffer holds one on the bm_file that is charged for it, and that one on its
 * user. A VMA holds its struct file, a struct file or dma-buf the module. So the
 * module cannot go while anything is mapped or open.
 *
 * Which page a buffer has where may change (commit, relocation). Whoever changes
 * it holds buf->change, and for the moment of the change buf->lock for writing;
 * whoever only looks holds either, a fault buf->lock for reading. A page leaves a
 * living buffer only when it has been claimed (see bm_page_claim()) under
 * buf->lock held for writing, after unmapping it: no fault can come in between.
 *
 * Locks, outermost first:
 *   dma_resv lock (the importer's) -> buf->change, export->lock
 *   buf->change -> the spread mutex, pool->convert, buf->lock
 *   mmap_lock (the core's) -> buf->lock (read), buf->change (of a buffer that mmap()
 *   makes)
 *   buf->lock (write) -> i_mmap_rwsem (the core's, unmap_mapping_range())
 *   the spread mutex, pool->convert -> pool->lock
 *   xa_lock of file->buffers, buf->handles_lock, file->lock, the offset, name and
 *   quota locks and pool->lock are leaves: none is taken under another, and
 *   nothing sleeps under them.
 *   So no GUP, and no access to user memory, under buf->change or buf->lock: a
 *   fault takes the mmap_lock and buf->lock. The shrinker only tries pool->lock.
 */
#ifndef BITMEM_H
#define BITMEM_H

#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <uapi/linux/bitmem.h>

#include "superblock.h"

struct bm_name;
struct dma_buf;
struct io_uring_cmd;
struct poll_table_struct;

/* What BITMEM_INFO says that this module can do. */
#define BM_FEATURES	(BITMEM_FEATURE_DMABUF | BITMEM_FEATURE_URING)

/**
 * struct bm_pool - superblocks of one NUMA node
 * @node: the node
 * @width: address bits that reach all of its memory: 32, or 64 for no limit
 * @index: the pool's index in bm_pools
 * @zone: what its allocations add to the gfp flags
 * @convert: serialises turning whole superblocks into split ones
 * @lock: guards what follows, down to @done. Taken with bm_pool_lock() and, as
 *	what changed may concern others, dropped with bm_pool_unlock()
 * @whole: whole free superblocks, zeroed and dirty, by their head page's lru
 * @nr_whole: their numbers
 * @splits: split superblocks, by enum bm_place
 * @nr_idle: the number of idle ones
 * @bucket_free: free pages in the buckets
 * @quarantine: head pages and single pages, by their lru
 * @retired: likewise; kept for ever
 * @pages: pages in each state; pages being zeroed or converted count as free
 * @reserved: free pages promised to requests that have not taken them yet
 * @inflight: superblocks and page batches off the lists to be zeroed or
 *	converted; they come back soon
 * @ended: some did since the lock was taken
 * @compacting: compactions under way; single pages are not zeroed meanwhile
 * @packed: nothing was split since the last one: no split superblock is kept in spare
 * @superblocks: all of them, by their number
 * @next_number: the number of the next one
 * @split_pages: pages of split superblocks
 * @gathered: those of them that were put together from single pages
 * @reclaimable: pages that the system was told to be reclaimable
 * @join_at: no memory was to be had for a join; not again before (jiffies)
 * @join_delay: how long to wait the next time
 * @max: pages that the pool may grow to
 * @target: pages the pool is to have now, @reserve … @max
 * @reserve: pages that are never given back to the system
 * @low: fewer free pages than this: the pool grows
 * @high: until there are this many
 * @emergency: fewer free pages than this are an emergency
 * @level: what that makes of the free pages
 * @ready: the first fill is over; until then there is no level
 * @filling: on its way to @target; requests wait for that
 * @wanted: free pages that a request waits for the pool to grow to
 * @grow_at: the system needed memory; no growth before (jiffies)
 * @ahead_at: memory was given back; no growth before that no request waits for (jiffies)
 * @buffers: buffers that have pages of this pool
 * @allocs: buffers that ever had
 * @fallbacks: those among them that had asked for another node
 * @failures: requests refused
 * @returned: pages given back to the system while it needed memory, or by BITMEM_TRIM
 * @moved: pages copied from one place to another under their users
 * @news: what the worker is to tell the world: pages since it last did
 * @done: counts the times that something came back
 * @wait: requests wait here for @done to move on
 * @kick: the worker sleeps here
 * @kicks: counts the reasons to wake it
 * @worker: does everything that need not be done at once
 */
struct bm_pool {
	int node;
	unsigned int width;
	unsigned int index;
	gfp_t zone;
	struct mutex convert;	/* whole superblocks becoming split ones */

	spinlock_t lock;	/* down to @done */
	struct list_head whole[BM_NR_FREE];
	unsigned long nr_whole[BM_NR_FREE];
	struct list_head splits[BM_NR_PLACES];
	unsigned long nr_idle;
	unsigned long bucket_free;
	struct list_head quarantine;
	struct list_head retired;
	unsigned long pages[BM_NR_STATES];
	unsigned long reserved;
	unsigned int inflight;
	bool ended;
	unsigned int compacting;
	bool packed;
	struct rb_root superblocks;
	u64 next_number;
	unsigned long split_pages;
	unsigned long gathered;
	unsigned long reclaimable;
	unsigned long join_at;
	unsigned long join_delay;
	unsigned long max;
	unsigned long target;
	unsigned long reserve;
	unsigned long low;
	unsigned long high;
	unsigned long emergency;
	enum bitmem_level level;
	bool ready;
	bool filling;
	unsigned long wanted;
	unsigned long grow_at;
	unsigned long ahead_at;
	u64 buffers;
	u64 allocs;
	u64 fallbacks;
	u64 failures;
	u64 returned;
	u64 moved;
	struct bm_news {
		unsigned long quarantined;
		unsigned long retired;
		unsigned long shrunk;
	} news;
	unsigned int done;

	wait_queue_head_t wait;
	wait_queue_head_t kick;
	atomic_t kicks;
	struct task_struct *worker;
};

/*
 * Pages of one pool on their way back, collected so that its lock is taken once
 * for many. @pool is NULL while there are none. Who is claimed goes to @to: dirty,
 * unless the caller knows better.
 */
struct bm_batch {
	struct bm_pool *pool;
	enum bm_state from;
	enum bm_state to;
	struct list_head claimed;
	struct list_head busy;
	unsigned int count;
};

/**
 * struct bm_user - what a user has, over all files
 * @kref: each bm_file holds one, and @kept does
 * @link: in the table of users
 * @uid: who, the effective user that opened the files
 * @lock: guards what follows
 * @kept: the limit was set for this user, and is remembered without any file
 * @bytes: charged now
 * @limit: bytes allowed, or BITMEM_NO_LIMIT
 */
struct bm_user {
	struct kref kref;
	struct rb_node link;
	kuid_t uid;
	spinlock_t lock;	/* what follows */
	bool kept;
	u64 bytes;
	u64 limit;
};

/**
 * struct bm_file - what an open() of the device owns
 * @kref: the struct file and each buffer charged to it hold one
 * @serial: names the file in fdinfo, netlink and tracepoints
 * @opened: when (ktime)
 * @owner: the process that opened it, for people to read
 * @user: charged for its buffers
 * @buffers: id to struct bm_handle
 * @next_id: where the search for a free id starts; under the xarray's lock
 * @closed: its struct file is gone; buffers charged to it may live on
 * @seen: the generation of pressure levels that BITMEM_INFO reported last
 * @lock: guards the counters below
 * @nr_buffers: buffers that are alive and charged to it, those without an id too
 * @bytes: committed bytes of theirs
 * @peak: the highest @bytes so far
 * @limit: bytes allowed, or BITMEM_NO_LIMIT
 */
struct bm_file {
	struct kref kref;
	u64 serial;
	ktime_t opened;
	struct pid *owner;
	struct bm_user *user;
	struct xarray buffers;
	u32 next_id;
	bool closed;
	unsigned int seen;

	spinlock_t lock;	/* the counters */
	unsigned long nr_buffers;
	u64 bytes;
	u64 peak;
	u64 limit;
};

/**
 * struct bm_slot - a superblock's worth of a buffer
 * @head: a whole superblock, or NULL
 * @pages: single pages, NULL where none is committed; or NULL altogether
 *
 * At most one of the two is set; neither is where nothing is committed.
 */
struct bm_slot {
	struct page *head;
	struct page **pages;
};

/**
 * struct bm_buffer - memory handed out
 * @kref: each id, VMA and dma-buf holds one
 * @file: charged for it; where it was allocated
 * @anon: made by mmap(); the id @anon_id in @file goes with the last mapping
 * @anon_id: that id
 * @node: the NUMA node asked for, or BITMEM_NODE_ANY
 * @bind: no page may come from another node
 * @contig: it is one whole superblock, or nothing
 * @width: address bits, as of its pools
 * @mappings: number of VMAs
 * @exports: number of dma-bufs; rises with @change held only
 * @created: when (ktime)
 * @npages: length
 * @offset: where it stands in the device's offset space
 * @offset_node: in the tree of all buffers by offset
 * @handles_lock: guards @handles and @nr_handles
 * @handles: the ids that lead here
 * @nr_handles: how many, and those that soon will: walks of @handles are to be short
 * @name: published, or NULL; guarded by the lock of names
 * @tag: for people
 * @change: held by whoever changes what follows; READ_ONCE() for a glance
 * @fixed: reasons not to move anything: DMA mappings, kernel mappings, BITMEM_SEGMENTS
 * @told: BITMEM_SEGMENTS is one of them
 * @accounted: it was complete once, and counts in its file's @nr_buffers
 * @resident: committed pages
 * @lock: held for writing while @slots change, for reading by faults
 * @slots: one entry a superblock's worth
 * @share: committed pages from each pool, by the pool's index
 */
struct bm_buffer {
	struct kref kref;
	struct bm_file *file;
	bool anon;
	u32 anon_id;
	int node;
	bool bind;
	bool contig;
	unsigned int width;
	atomic_t mappings;
	atomic_t exports;
	ktime_t created;
	unsigned long npages;
	u64 offset;
	struct rb_node offset_node;

	spinlock_t handles_lock;	/* @handles, @nr_handles */
	struct list_head handles;
	unsigned int nr_handles;
	struct bm_name *name;
	char tag[BITMEM_TAG_LEN];

	struct mutex change;		/* down to the end */
	unsigned int fixed;
	bool told;
	bool accounted;
	unsigned long resident;
	struct rw_semaphore lock;	/* @slots */
	struct bm_slot *slots;
	unsigned long share[];
};

/**
 * struct bm_handle - an id of a file
 * @buf: the buffer, with a reference
 * @file: whose id it is
 * @link: in the buffer's list
 * @id: the id
 * @readonly: this file may not write to it
 */
struct bm_handle {
	struct bm_buffer *buf;
	struct bm_file *file;
	struct list_head link;
	u32 id;
	bool readonly;
};

/*
 * What a request for pages asks for. @width is that of a pool: 32 or 64. @single:
 * no whole superblock; @contig: nothing but one, and @sure: one that is there now;
 * @quiet: waits for nothing, and a refusal is not counted; @raw: all of the pages is
 * to be overwritten, whatever they hold.
 */
struct bm_request {
	unsigned long npages;
	int node;
	unsigned int width;
	bool bind;
	bool contig;
	bool sure;
	bool single;
	bool quiet;
	bool raw;
	bool nowait;
	bool anon;
	const char *tag;
};

/**
 * struct bm_params - the module's parameters: sizes of the pools in MiB
 * @pool_mb: what to fill at load: one total, or one figure for each node with memory
 * @n: their number
 * @max_mb: total that the pools may grow to; 0 = no growth
 * @reserve_mb: total that is never given back, or -1 for all of @pool_mb
 * @dma32_mb: total of the pools for devices with 32 address bits
 */
struct bm_params {
	const unsigned long *pool_mb;
	unsigned int n;
	unsigned long max_mb;
	long reserve_mb;
	unsigned long dma32_mb;
};

/* New settings of a pool, in bytes; BITMEM_NO_LIMIT leaves one as it is. */
struct bm_settings {
	u64 target;
	u64 max;
	u64 reserve;
	u64 low;
	u64 high;
	u64 emergency;
};

extern struct bm_pool *bm_pools;
extern unsigned int bm_nr_pools;

static inline unsigned long bm_buffer_slots(const struct bm_buffer *buf)
{
	return DIV_ROUND_UP(buf->npages, BM_SB_PAGES);
}

/* Pages that slot @i of @buf covers: a superblock's worth, fewer in the last. */
static inline unsigned long bm_slot_pages(const struct bm_buffer *buf, unsigned long i)
{
	return min(BM_SB_PAGES, buf->npages - (i << BM_SB_ORDER));
}

/* The page at @index, or NULL if it is not committed. With buf->change or buf->lock held. */
static inline struct page *bm_buffer_page(const struct bm_buffer *buf, unsigned long index)
{
	const struct bm_slot *slot = &buf->slots[index >> BM_SB_ORDER];
	unsigned long sub = index & (BM_SB_PAGES - 1);

	if (slot->head)
		return slot->head + sub;
	return slot->pages ? slot->pages[sub] : NULL;
}

/* file.c */
extern const struct file_operations bm_fops;
struct bm_file *bm_file_new(void);
struct bm_file *bm_file_get(struct bm_file *file);
void bm_file_put(struct bm_file *file);

/* ioctl.c */
long bm_ioctl(struct file *filp, unsigned int cmd, unsigned long arg);
int bm_execute(struct bm_file *file, unsigned int cmd, void __user *uarg, bool nowait);

/* handle.c */
struct bm_handle *bm_handle_new(struct bm_file *file, struct bm_buffer *buf, bool readonly);
void bm_handle_publish(struct bm_handle *handle);
void bm_handle_abort(struct bm_handle *handle);
bool bm_handle_drop(struct bm_file *file, u32 id, const struct bm_buffer *only);
void bm_handle_drop_all(struct bm_file *file, unsigned long *n, u64 *bytes);
struct bm_buffer *bm_handle_find(struct bm_file *file, u32 *id, bool next, bool *readonly);
bool bm_handle_held(struct bm_file *file, struct bm_buffer *buf, bool *readonly);

/* buffer.c */
struct bm_buffer *bm_buffer_create(struct bm_file *file, const struct bm_request *req);
void bm_buffer_get(struct bm_buffer *buf);
void bm_buffer_put(struct bm_buffer *buf);
int bm_buffer_expose(struct bm_buffer *buf);
int bm_buffer_fix(struct bm_buffer *buf, bool killable);
void bm_buffer_unfix(struct bm_buffer *buf);

/* slot.c; more in slot.h */
void bm_slots_release(struct bm_buffer *buf);
unsigned long bm_buffer_pinned(struct bm_buffer *buf);

/* commit.c */
int bm_slots_commit(struct bm_buffer *buf, unsigned long first, unsigned long end,
		    const struct bm_request *req);
int bm_buffer_commit(struct bm_buffer *buf, unsigned long first, unsigned long end,
		     struct bitmem_range *out);
int bm_buffer_decommit(struct bm_buffer *buf, unsigned long first, unsigned long end,
		       struct bitmem_range *out);

/* relocate.c; more in slot.h */
int bm_buffer_migrate(struct bm_buffer *buf, int node, struct bitmem_migrate *arg);

/* compact.c */
int bm_pool_compact(struct bm_pool *pool, struct bitmem_compact *arg);

/* offset.c */
int bm_offset_assign(struct bm_buffer *buf);
void bm_offset_release(struct bm_buffer *buf);
struct bm_buffer *bm_offset_find(u64 offset);
struct bm_buffer *bm_offset_next(u64 offset, u64 last);
u64 bm_offset_last(void);

/* map.c */
int bm_map_init(void);
void bm_map_exit(void);
void bm_map_open(struct file *filp);
int bm_map_vma(struct bm_buffer *buf, struct vm_area_struct *vma, unsigned long index,
	       bool readonly);
void bm_unmap(struct bm_buffer *buf, unsigned long first, unsigned long npages);
int bm_mmap(struct file *filp, struct vm_area_struct *vma);

/* name.c */
int bm_name_publish(struct bm_buffer *buf, const struct bitmem_publish *arg);
int bm_name_remove(struct bm_buffer *buf);
void bm_name_forget(struct bm_buffer *buf);
bool bm_name_copy(struct bm_buffer *buf, char *name);
struct bm_buffer *bm_name_find(const struct bitmem_attach *arg, bool *readonly);

/* quota.c */
int bm_quota_init(unsigned long user_mb);
void bm_quota_exit(void);
struct bm_user *bm_user_get(kuid_t uid);
void bm_user_put(struct bm_user *user);
int bm_charge(struct bm_file *file, unsigned long npages);
void bm_uncharge(struct bm_file *file, unsigned long npages);
int bm_file_limit(struct bm_file *file, struct bitmem_limit *arg);
int bm_quota_set(kuid_t uid, u64 limit);
int bm_quota_next(kuid_t *uid, bool first, u64 *bytes, u64 *limit);

/* pool.c */
int bm_pools_init(const struct bm_params *params);
void bm_pools_exit(void);
unsigned long bm_pools_max(unsigned int width);
bool bm_pools_have_width(unsigned int width);
void bm_pool_info(struct bm_pool *pool, struct bitmem_pool_info *info);
void bm_pool_moved(struct bm_pool *pool, unsigned long npages);
void bm_pool_retire(struct bm_pool *pool, struct page *page, enum bm_state from);
int bm_pool_wait(struct bm_pool *pool, unsigned int done);
void bm_pool_lock(struct bm_pool *pool) __acquires(&pool->lock);
void bm_pool_unlock(struct bm_pool *pool) __releases(&pool->lock);
/* … with the pool's lock held */
unsigned long bm_pool_free(const struct bm_pool *pool);
unsigned long bm_pool_capacity(const struct bm_pool *pool);
void bm_pool_move(struct bm_pool *pool, unsigned long npages, enum bm_state from,
		  enum bm_state to);
void bm_pool_add_free(struct bm_pool *pool, struct page *page, enum bm_state state);
void bm_pool_add_whole(struct bm_pool *pool, struct page *head, u64 number);
struct page *bm_pool_pop_whole(struct bm_pool *pool, enum bm_state state);
struct page *bm_pool_pop_either(struct bm_pool *pool, enum bm_state *state);
void bm_pool_begin(struct bm_pool *pool);
void bm_pool_end(struct bm_pool *pool);

/* size.c */
int bm_pools_set_sizes(const struct bm_params *params);
int bm_pool_set(struct bm_pool *pool, const struct bm_settings *set);

/* level.c */
unsigned int bm_level_generation(void);
enum bitmem_level bm_level_now(void);
__poll_t bm_level_poll(struct file *filp, struct poll_table_struct *wait, unsigned int seen);
bool bm_level_update(struct bm_pool *pool);
void bm_level_changed(struct bm_pool *pool, enum bitmem_level level, unsigned long free);

/* shrink.c */
int bm_shrink_init(void);
void bm_shrink_exit(void);
unsigned long bm_pool_reclaimable(const struct bm_pool *pool);
unsigned long bm_pool_trim(struct bm_pool *pool, unsigned long superblocks);
bool bm_pool_shed(struct bm_pool *pool);

/* fill.c */
struct bm_fill {
	unsigned long retry_at;	/* after a fill that fell short (jiffies) */
	unsigned long whole_at;	/* no whole superblock was to be had; not again before */
	unsigned long short_of;	/* the target that it fell short of, or 0 */
	bool growing;
	bool ahead;		/* of requests */
	bool gathering;
	bool warned;
};

bool bm_fill_step(struct bm_pool *pool, struct bm_fill *fill);
long bm_fill_timeout(struct bm_pool *pool, const struct bm_fill *fill);
bool bm_pools_ask(const struct bm_request *req, int node);

/* take.c */
void bm_pools_wake(void);
void bm_pools_refuse(const struct bm_request *req);
bool bm_pool_eligible(const struct bm_pool *pool, const struct bm_request *req, int node);
int bm_pools_reserve(const struct bm_request *req, unsigned long *share);
void bm_pool_unreserve(struct bm_pool *pool, unsigned long npages);
struct page *bm_pool_take_whole(struct bm_pool *pool, const struct bm_request *req);
struct page *bm_pool_take_page(struct bm_pool *pool, const struct bm_request *req);
struct page *bm_pool_take_partial(struct bm_pool *pool);

/* reclaim.c */
void bm_batch_init(struct bm_batch *batch, enum bm_state from);
void bm_batch_add(struct bm_batch *batch, struct page *page);
void bm_batch_flush(struct bm_batch *batch);
bool bm_quarantine_recheck(struct bm_pool *pool);

/* worker.c */
int bm_worker_start(struct bm_pool *pool);
void bm_worker_stop(struct bm_pool *pool);
void bm_worker_kick(struct bm_pool *pool);

/* dmabuf.c */
struct dma_buf *bm_dmabuf_export(struct bm_buffer *buf, bool readonly, unsigned int mode);
struct bm_buffer *bm_dmabuf_import(int fd, bool *readonly);

/* main.c */
extern bool bm_live;

/* heap.c */
int bm_heap_init(void);
void bm_heap_exit(void);

/* event.c: with no lock of a pool held; they neither sleep nor fail */
void bm_event_level(struct bm_pool *pool, enum bitmem_level level);
void bm_event_reclaimed(const struct bm_file *file, unsigned long buffers, u64 bytes);
void bm_event_quarantine(struct bm_pool *pool, u64 bytes);
void bm_event_exhausted(struct bm_pool *pool, u64 bytes);
void bm_event_compacted(struct bm_pool *pool, const struct bitmem_compact *done);
void bm_event_retired(struct bm_pool *pool, u64 bytes);
void bm_event_shrunk(struct bm_pool *pool, u64 bytes);

/* netlink.c */
int bm_netlink_init(void);
void bm_netlink_exit(void);

/* uring.c */
int bm_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);

#endif /* BITMEM_H */
