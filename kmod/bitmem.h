/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bitmem: what the module's parts know of each other.
 *
 *   file     one per open(): buffer ids, counters           file.c
 *   buffer   length, table of pages, offset range           buffer.c, offset.c
 *   map      mmap() and faults                              map.c
 *   pool     free and used superblocks of one NUMA node     pool.c, superblock.c
 *              handing out, taking back                     take.c, reclaim.c
 *   worker   fills, zeroes, rechecks quarantine             worker.c
 *
 * A page is in one state at a time (enum bm_state), and a pool's counters add up
 * to its capacity whenever its lock is free.
 *
 * Lifetime: a file's id and every VMA hold a reference on their buffer; a buffer
 * holds one on its bm_file; a VMA holds its struct file, and a struct file the
 * module. So the module cannot go while anything is mapped or open.
 *
 * Locks, outermost first:
 *   mmap_lock (the core's) -> the spread mutex -> pool->lock
 *   mmap_lock -> pool->convert -> pool->lock
 *   xa_lock of file->buffers, file->lock, the offset lock and pool->lock are
 *   leaves: none is taken under another, and nothing sleeps under them.
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
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <uapi/linux/bitmem.h>

/* A superblock is what one PMD maps. */
#define BM_SB_ORDER	(PMD_SHIFT - PAGE_SHIFT)
#define BM_SB_PAGES	BIT(BM_SB_ORDER)
#define BM_SB_SIZE	(PAGE_SIZE << BM_SB_ORDER)

enum bm_state {
	BM_ZEROED,	/* free, may be handed out as it is */
	BM_DIRTY,	/* free, to be zeroed first */
	BM_ALLOCATED,	/* in a buffer */
	BM_QUARANTINED,	/* left its buffer, but somebody else holds a reference */
	BM_RETIRED,	/* hardware-poisoned */
	BM_NR_STATES,
};

/* The states in which a page is free; they come first in enum bm_state. */
#define BM_NR_FREE	2

/**
 * struct bm_pool - the superblocks of one NUMA node
 * @node: the node
 * @index: the pool's index in bm_pools
 * @convert: serialises turning whole superblocks into split ones
 * @lock: guards what follows, down to @done
 * @whole: whole free superblocks, zeroed and dirty, by their head page's lru
 * @nr_whole: their numbers
 * @partial: split superblocks with free pages
 * @quarantine: head pages and single pages, by their lru
 * @retired: likewise; kept for ever
 * @pages: pages in each state; pages being zeroed or converted count as free
 * @reserved: free pages promised to requests that have not taken them yet
 * @inflight: superblocks and page batches off the lists to be zeroed or
 *	converted; they come back soon
 * @split_pages: pages of split superblocks
 * @join_at: no memory was to be had for a join; not again before (jiffies)
 * @target: pages the pool shall have
 * @filling: the first fill is not through yet
 * @buffers: buffers that have pages of this pool
 * @allocs: buffers that ever had
 * @fallbacks: those among them that had asked for another node
 * @failures: requests refused
 * @done: counts the times that something came back
 * @wait: requests wait here for @done to move on
 * @kick: the worker sleeps here
 * @kicks: counts the reasons to wake it
 * @worker: does everything that need not be done at once
 */
struct bm_pool {
	int node;
	unsigned int index;
	struct mutex convert;	/* whole superblocks becoming split ones */

	spinlock_t lock;	/* down to @done */
	struct list_head whole[BM_NR_FREE];
	unsigned long nr_whole[BM_NR_FREE];
	struct list_head partial;
	struct list_head quarantine;
	struct list_head retired;
	unsigned long pages[BM_NR_STATES];
	unsigned long reserved;
	unsigned int inflight;
	unsigned long split_pages;
	unsigned long join_at;
	unsigned long target;
	bool filling;
	u64 buffers;
	u64 allocs;
	u64 fallbacks;
	u64 failures;
	unsigned int done;

	wait_queue_head_t wait;
	wait_queue_head_t kick;
	atomic_t kicks;
	struct task_struct *worker;
};

/**
 * struct bm_split - a superblock taken apart into single pages
 * @link: in the pool's @partial list while a page is on a free list
 * @pool: where it belongs
 * @free: free pages, zeroed and dirty, by their lru
 * @nr_free: their numbers
 * @nr_pages: pages in all, those in buffers and in quarantine too
 *
 * Each page's private points here. Guarded by the pool's lock.
 */
struct bm_split {
	struct list_head link;
	struct bm_pool *pool;
	struct list_head free[BM_NR_FREE];
	unsigned int nr_free[BM_NR_FREE];
	unsigned int nr_pages;
};

/*
 * Pages of one pool on their way back, collected so that its lock is taken once
 * for many. @pool is NULL while there are none.
 */
struct bm_batch {
	struct bm_pool *pool;
	enum bm_state from;
	struct list_head claimed;
	struct list_head busy;
	unsigned int count;
};

/**
 * struct bm_file - what an open() of the device owns
 * @kref: the struct file and each buffer hold one
 * @serial: names the file in fdinfo and tracepoints
 * @opened: when (ktime)
 * @owner: the process that opened it, for people to read
 * @buffers: id to buffer
 * @next_id: where the search for a free id starts; under the xarray's lock
 * @lock: guards the counters below
 * @nr_buffers: buffers that are alive, those without an id too
 * @bytes: their lengths
 * @peak: the highest @bytes so far
 */
struct bm_file {
	struct kref kref;
	u64 serial;
	ktime_t opened;
	struct pid *owner;
	struct xarray buffers;
	u32 next_id;

	spinlock_t lock;	/* the counters */
	unsigned long nr_buffers;
	u64 bytes;
	u64 peak;
};

/**
 * struct bm_buffer - memory handed out
 * @kref: the id and each VMA hold one
 * @file: whose it is
 * @id: in @file
 * @anon: made by mmap(); its id goes with its last mapping
 * @node: the NUMA node asked for, or BITMEM_NODE_ANY
 * @mappings: number of VMAs
 * @created: when (ktime)
 * @npages: length
 * @slots: one entry a superblock's worth; see bm_slot_table()
 * @offset: where it stands in the device's offset space
 * @offset_node: in the tree of all buffers by offset
 * @tag: for people
 * @share: pages from each pool, by the pool's index
 *
 * All but the counters is constant from creation to the last reference.
 */
struct bm_buffer {
	struct kref kref;
	struct bm_file *file;
	u32 id;
	bool anon;
	int node;
	atomic_t mappings;
	ktime_t created;
	unsigned long npages;
	unsigned long *slots;
	u64 offset;
	struct rb_node offset_node;
	char tag[BITMEM_TAG_LEN];
	unsigned long share[];
};

/* What a request asks for. */
struct bm_request {
	unsigned long npages;
	int node;
	bool bind;
	bool anon;
	const char *tag;
};

extern struct bm_pool *bm_pools;
extern unsigned int bm_nr_pools;

/* A slot holds the head page of a whole superblock, or (bit 0 set) a table of single pages. */
static inline struct page **bm_slot_table(unsigned long slot)
{
	return slot & 1 ? (struct page **)(slot & ~1UL) : NULL;
}

static inline unsigned long bm_buffer_slots(const struct bm_buffer *buf)
{
	return DIV_ROUND_UP(buf->npages, BM_SB_PAGES);
}

/* Pages that slot @i of @buf covers: a superblock's worth, fewer in the last. */
static inline unsigned long bm_slot_pages(const struct bm_buffer *buf, unsigned long i)
{
	return min(BM_SB_PAGES, buf->npages - (i << BM_SB_ORDER));
}

static inline struct page *bm_buffer_page(const struct bm_buffer *buf, unsigned long index)
{
	unsigned long slot = buf->slots[index >> BM_SB_ORDER];
	unsigned long sub = index & (BM_SB_PAGES - 1);
	struct page **table = bm_slot_table(slot);

	return table ? table[sub] : (struct page *)slot + sub;
}

/* Pages that a page of a pool stands for: a superblock's if it is whole, else one. */
static inline unsigned long bm_page_count(struct page *page)
{
	return PageCompound(page) ? BM_SB_PAGES : 1;
}

static inline struct bm_split *bm_page_split(struct page *page)
{
	return (struct bm_split *)page_private(page);
}

static inline struct bm_pool *bm_page_pool(struct page *page)
{
	if (PageCompound(page))
		return (struct bm_pool *)page_private(page);
	return bm_page_split(page)->pool;
}

/* file.c */
extern const struct file_operations bm_fops;
struct bm_file *bm_file_get(struct bm_file *file);
void bm_file_put(struct bm_file *file);

/* buffer.c */
struct bm_buffer *bm_buffer_create(struct bm_file *file, const struct bm_request *req);
void bm_buffer_publish(struct bm_buffer *buf);
void bm_buffer_abort(struct bm_buffer *buf);
struct bm_buffer *bm_buffer_find(struct bm_file *file, u32 id, bool next);
void bm_buffer_put(struct bm_buffer *buf);
bool bm_buffer_drop_id(struct bm_buffer *buf);
unsigned long bm_buffer_pinned(const struct bm_buffer *buf);

/* offset.c */
int bm_offset_assign(struct bm_buffer *buf);
void bm_offset_release(struct bm_buffer *buf);
struct bm_buffer *bm_offset_find(struct bm_file *file, u64 offset);

/* map.c */
int bm_map_init(void);
void bm_map_exit(void);
void bm_map_open(struct file *filp);
int bm_mmap(struct file *filp, struct vm_area_struct *vma);

/* pool.c */
int bm_pools_init(const unsigned long *pool_mb, unsigned int n);
void bm_pools_exit(void);
unsigned long bm_pools_target(void);
void bm_pool_info(struct bm_pool *pool, struct bitmem_pool_info *info);
int bm_pool_convert(struct bm_pool *pool);
int bm_pool_join(struct bm_pool *pool);
void bm_pool_retire(struct bm_pool *pool, struct page *page, enum bm_state from);
int bm_pool_wait(struct bm_pool *pool, unsigned int done);
/* … with the pool's lock held */
unsigned long bm_pool_free(const struct bm_pool *pool);
unsigned long bm_pool_capacity(const struct bm_pool *pool);
bool bm_pool_idle_splits(struct bm_pool *pool, unsigned int n);
void bm_pool_move(struct bm_pool *pool, unsigned long npages, enum bm_state from,
		  enum bm_state to);
void bm_pool_add_free(struct bm_pool *pool, struct page *page, enum bm_state state);
struct page *bm_pool_pop_whole(struct bm_pool *pool, enum bm_state state);
struct page *bm_pool_pop_page(struct bm_pool *pool, struct bm_split *split, enum bm_state state);
void bm_pool_begin(struct bm_pool *pool);
void bm_pool_end(struct bm_pool *pool);

/* take.c */
void bm_pools_wake(void);
void bm_pools_refuse(const struct bm_request *req);
int bm_pools_reserve(const struct bm_request *req, unsigned long *share);
void bm_pool_unreserve(struct bm_pool *pool, unsigned long npages);
struct page *bm_pool_take_whole(struct bm_pool *pool);
struct page *bm_pool_take_page(struct bm_pool *pool);

/* reclaim.c */
void bm_batch_init(struct bm_batch *batch, enum bm_state from);
void bm_batch_add(struct bm_batch *batch, struct page *page);
void bm_batch_flush(struct bm_batch *batch);
bool bm_quarantine_recheck(struct bm_pool *pool);

/* superblock.c */
struct page *bm_whole_alloc(struct bm_pool *pool, gfp_t effort);
struct bm_split *bm_split_new(struct bm_pool *pool);
bool bm_split_fill(struct bm_split *split);
bool bm_split_gather(struct bm_split *split);
void bm_split_free(struct bm_split *split);
void bm_split_lose_page(struct bm_split *split);
void bm_page_release(struct page *page);
bool bm_page_claim(struct page *page);
bool bm_page_poisoned(struct page *page);
void bm_page_zero(struct page *page);

/* worker.c */
int bm_worker_start(struct bm_pool *pool);
void bm_worker_stop(struct bm_pool *pool);
void bm_worker_kick(struct bm_pool *pool);

#endif /* BITMEM_H */
