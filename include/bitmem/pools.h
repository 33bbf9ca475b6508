/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file pools.h
 * @brief Several pools in one context: memory of a node, or for a device.
 *
 * A pool is the memory of one NUMA node, or that a device with so many address bits
 * reaches. Pools are known by their numbers. Pool 0 is there from the beginning, as
 * bitmem_options has it: bitmem_alloc() and bitmem_tensor_new() take from it. Others are
 * added, and stay until the context is closed. bitmem_free(), bitmem_tensor_unref(),
 * bitmem_stats() and bitmem_trim() are for all pools and need not be told which it is.
 *
 * Threads have caches for pool 0 only. What is taken from another pool, or goes back there,
 * takes the context's lock: other pools are for what is placed with care and kept.
 *
 * All functions may be called by several threads at once, but for bitmem_tensor_migrate(),
 * which says what may not be done with its tensor meanwhile.
 */
#ifndef BITMEM_POOLS_H
#define BITMEM_POOLS_H

#include <bitmem/bitmem.h>
#include <bitmem/pressure.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Pools that a context may have, pool 0 included. */
#define BITMEM_MAX_POOLS 8

/** All pools of a context, those that are added later as well. */
#define BITMEM_ALL_POOLS (~0u)

/** Where a pool's memory is to be. Set it up with bitmem_pool_options_init(). */
struct bitmem_pool_options {
	/** sizeof(struct bitmem_pool_options) as the caller was compiled, see bitmem_options. */
	size_t size;
	/** NUMA node, or BITMEM_NODE_ANY. */
	int node;
	/**
	 * Address bits of the device that is to reach the memory: 32 to 64; 0 is any, as 64 is.
	 * The module has pools for that; on memfd, whose memory no device is promised
	 * to reach, it has no effect.
	 */
	unsigned int width;
	/**
	 * Not 0: all memory is that node's, and a request for which it has none fails. 0: the
	 * node is preferred, and the kernel takes from another when it has to. 1.
	 * Without a node it means nothing.
	 */
	int bind;
	/** Filled in when bitmem_pool_add() fails, if not NULL. The caller's. */
	struct bitmem_error *error;
};

/**
 * Fills @p options of @p size bytes with the defaults, and nothing beyond, for who
 * cannot call bitmem_pool_options_init(). Members that the library does not know become 0.
 */
BITMEM_API void bitmem_pool_options_init_sized(struct bitmem_pool_options *options, size_t size);

/** Fills @p options with the defaults: any node, any width, bound. */
static inline void bitmem_pool_options_init(struct bitmem_pool_options *options)
{
	bitmem_pool_options_init_sized(options, sizeof(*options));
}

/**
 * Adds a pool. It holds no memory until something is allocated from it.
 * @param ctx      has it until it is closed.
 * @param options  where its memory is to be; NULL for the defaults.
 * @param pool  is set to its number: 1 for the first that is added, and so on.
 * @return 0; -EINVAL for a member that cannot be right (no such node, a width below 32 or
 *         above 64);
 *         -EOPNOTSUPP if the module has no pool for that width, or none on that node;
 *         -EMFILE if the context has BITMEM_MAX_POOLS.
 */
BITMEM_API int bitmem_pool_add(struct bitmem *ctx, const struct bitmem_pool_options *options,
			       unsigned int *pool);

/**
 * Tells where a pool's memory is. @p options->size is the caller's, error is left as it is.
 * @return 0; -EINVAL if the size is less than the first version's; -ENOENT if there is no
 *         such pool: so pools can be counted.
 */
BITMEM_API int bitmem_pool_info(struct bitmem *ctx, unsigned int pool,
				struct bitmem_pool_options *options);

/**
 * Measures how tight memory is where the pool takes it from: on the device the module's
 * pools for its width, of its node if it has one; on memfd the node's memory, or the host's.
 * It begins and ends as enum bitmem_pressure tells.
 * @return 0; -ENOENT.
 */
BITMEM_API int bitmem_pool_pressure(struct bitmem *ctx, unsigned int pool,
				    enum bitmem_pressure *level);

/* --- allocating --- */

/**
 * bitmem_alloc() from a pool, or where its policy lets the request go.
 * @return the block, to be freed by bitmem_free(); NULL with errno as from
 *         bitmem_alloc(), and ENOENT if there is no such pool.
 */
BITMEM_API void *bitmem_alloc_in(struct bitmem *ctx, unsigned int pool, size_t size, size_t align);
/** bitmem_zalloc() from a pool, the same way. */
BITMEM_API void *bitmem_zalloc_in(struct bitmem *ctx, unsigned int pool, size_t size,
				  size_t align);
/** bitmem_tensor_new() from a pool, the same way. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_new_in(struct bitmem *ctx, unsigned int pool,
						      enum bitmem_dtype dtype, unsigned int ndims,
						      const uint64_t *shape);
/** bitmem_tensor_empty() from a pool, the same way. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_empty_in(struct bitmem *ctx, unsigned int pool,
							enum bitmem_dtype dtype,
							unsigned int ndims,
							const uint64_t *shape);

/** bitmem_alloc_in() on behalf of @p site; what the macro of that name calls. */
BITMEM_API void *bitmem_alloc_in_at(struct bitmem *ctx, unsigned int pool, size_t size,
				    size_t align, struct bitmem_site *site);
/** bitmem_zalloc_in() on behalf of @p site. */
BITMEM_API void *bitmem_zalloc_in_at(struct bitmem *ctx, unsigned int pool, size_t size,
				     size_t align, struct bitmem_site *site);
/** bitmem_tensor_new_in() on behalf of @p site. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_new_in_at(struct bitmem *ctx, unsigned int pool,
							 enum bitmem_dtype dtype,
							 unsigned int ndims, const uint64_t *shape,
							 struct bitmem_site *site);
/** bitmem_tensor_empty_in() on behalf of @p site. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_empty_in_at(struct bitmem *ctx, unsigned int pool,
							   enum bitmem_dtype dtype,
							   unsigned int ndims,
							   const uint64_t *shape,
							   struct bitmem_site *site);

/**
 * Which pool a block's, or a tensor's, memory is from.
 * @param ctx  the context that it was allocated in.
 * @param ptr  the start of a live block, or of a tensor's data; or anywhere in the memory of a
 *             shareable tensor, or of a model's file.
 * @return the pool's number; -EINVAL if there is no such block.
 */
BITMEM_API int bitmem_pool_of(struct bitmem *ctx, const void *ptr);

/* --- policies --- */

/** Where a request goes that was made to a pool. */
enum bitmem_policy_kind {
	/** There and nowhere else. */
	BITMEM_POLICY_STRICT = 0,
	/** There, or else to others, one after the other. */
	BITMEM_POLICY_FALLBACK = 1,
	/** To each in turn; or else to the next. */
	BITMEM_POLICY_INTERLEAVE = 2,
};

/**
 * A pool's policy. Set it up with bitmem_policy_init().
 *
 * A request that a pool can serve with what it holds already is served there, whatever the
 * pressure. Where a pool would have to take more memory, and the pressure is @p level
 * or more there, the next is asked first; if all refuse, or are under pressure, the
 * request is tried again in the same order with all means, and fails then with ENOMEM.
 *
 * Of pool 0 a thread's cache is asked before the policy: blocks that go to and fro between a
 * thread and its cache stay where they are.
 */
struct bitmem_policy {
	/** sizeof(struct bitmem_policy) as the caller was compiled, see bitmem_options. */
	size_t size;
	/** BITMEM_POLICY_STRICT. */
	enum bitmem_policy_kind kind;
	/** Entries of @p pools; 0: all that reach as many address bits, the nearest node first. */
	unsigned int nr_pools;
	/**
	 * In which order they are asked, each at most once. With BITMEM_POLICY_FALLBACK the pool
	 * itself comes before them, if it is not among them; with
	 * BITMEM_POLICY_INTERLEAVE the request goes round these alone.
	 */
	unsigned int pools[BITMEM_MAX_POOLS];
	/**
	 * From which pressure on others are asked first: BITMEM_PRESSURE_HIGH.
	 * BITMEM_PRESSURE_NONE: never, as long as there is memory.
	 */
	enum bitmem_pressure level;
	/** Filled in when bitmem_set_policy() fails, if not NULL. The caller's. */
	struct bitmem_error *error;
};

/**
 * Fills @p policy of @p size bytes with the defaults, and nothing beyond, for who
 * cannot call bitmem_policy_init(). Members that the library does not know become 0.
 */
BITMEM_API void bitmem_policy_init_sized(struct bitmem_policy *policy, size_t size);

/** Fills @p policy with the defaults: strict, and the nearest first if it is made another. */
static inline void bitmem_policy_init(struct bitmem_policy *policy)
{
	bitmem_policy_init_sized(policy, sizeof(*policy));
}

/**
 * Sets the policy of a pool, or of BITMEM_ALL_POOLS. It is for requests that come later.
 * @param ctx     the context that has the pool.
 * @param pool    a pool's number, or BITMEM_ALL_POOLS.
 * @param policy  NULL for the default, BITMEM_POLICY_STRICT.
 * @return 0; -EINVAL for a member that cannot be right (a pool that is not there, or twice
 *         in the list); -ENOENT if @p pool is not there. On failure nothing changes.
 */
BITMEM_API int bitmem_set_policy(struct bitmem *ctx, unsigned int pool,
				 const struct bitmem_policy *policy);

/**
 * Reads a pool's policy. policy->size is the caller's, error is left as it is.
 * @return 0; -EINVAL if the size is less than the first version's; -ENOENT.
 */
BITMEM_API int bitmem_get_policy(struct bitmem *ctx, unsigned int pool,
				 struct bitmem_policy *policy);

/* --- moving --- */

/**
 * Moves a tensor's memory to another pool. The handle stays what it is, and so do type, shape,
 * content and site.
 *
 * What has memory of its own from the backend (a block larger than a shared segment; the file's
 * memory in which a model's tensors lie, and all of these go along; a shareable
 * tensor) is moved by the kernel: its address stays, and views and further references
 * see nothing of it. Its width cannot change.
 *
 * Any other tensor is copied to a new block: the pointer that bitmem_tensor_data() gave is
 * not to be used any more. So nobody else may have one: there may be no views, and
 * no reference but the caller's. No other thread may use the tensor meanwhile.
 * @param tensor what to move; not a view.
 * @param pool  its policy does not matter: the memory is from that pool, or nothing changes.
 * @return 0, also if it is there already; -ESTALE if the handle is; -EINVAL if it is a view;
 *         -ENOENT if there is no such pool; -EBUSY if there are views or references, or
 *         a device or another process holds some of the memory, which stays where it
 *         is, though the rest may have moved; -ENOMEM if the pool has not enough;
 *         -EOPNOTSUPP for another width; -EACCES for memory that this process may
 *         only read.
 */
BITMEM_API int bitmem_tensor_migrate(struct bitmem_tensor *tensor, unsigned int pool);

/* --- figures --- */

/**
 * What a pool's memory is used for, at one instant, in bytes.
 *
 * It is looked up and added up, not kept beside. Always:
 *
 *	committed = room + cached + slack + free + kept + moving
 */
struct bitmem_pool_usage {
	/** sizeof(struct bitmem_pool_usage) as the caller was compiled; set it before the call. */
	size_t size;
	/** Held from the backend; what went back from the middle of segments does not count. */
	uint64_t committed;
	/** Went back from the middle of segments, and has addresses there still. */
	uint64_t returned;
	/** Live blocks and tensors. */
	uint64_t blocks;
	uint64_t live;			/**< the bytes asked for by those */
	/** What these take: live, and what rounding up to sizes and pages adds. */
	uint64_t room;
	/** What threads have in their caches, or are about to take or give. */
	uint64_t cached;
	/** Ends of slabs that are too short for a block. */
	uint64_t slack;
	/** Free, in runs of pages and in slots of slabs. */
	uint64_t free;
	uint64_t free_slots;		/**< the part of free that is in slots of slabs */
	/** Free, but could not go back when it was to: a device holds it. */
	uint64_t kept;
	/** Segments on their way from or to the backend, or that a model is being read into. */
	uint64_t moving;
	/** Runs of free pages, with memory or without. */
	uint64_t free_runs;
	uint64_t free_run_bytes;	/**< bytes of all of them */
	uint64_t largest_free_run;	/**< bytes of the longest */
	/** live / committed; 1 if nothing is committed. */
	double utilisation;
	/** Part of room that nobody asked for: 1 - live / room. 0 without any. */
	double internal_fragmentation;
	/** How far free pages are from being in one piece: 1 - largest / all. 0 without any. */
	double external_fragmentation;
};

/**
 * Looks up what a pool's memory is used for, or that of BITMEM_ALL_POOLS together (the longest
 * free run is that of all). All threads' caches are looked into; it takes time by the
 * number of blocks. What another process gave this one counts as pool 0's.
 * @return 0; -EINVAL if usage->size is less than the first version's; -ENOENT.
 */
BITMEM_API int bitmem_pool_usage(struct bitmem *ctx, unsigned int pool,
				 struct bitmem_pool_usage *usage);

/** What bitmem_compact() did, in bytes. */
struct bitmem_compacted {
	/** sizeof(struct bitmem_compacted) as the caller was compiled; set it before the call. */
	size_t size;
	/** Went back to the backend, as by bitmem_trim(). */
	uint64_t returned;
	/** The module copied, to have pages lie together; addresses and contents stay. */
	uint64_t moved;
	/** Superblocks that became whole and free by that. */
	uint64_t freed;
};

/**
 * Gives free memory back, and has the module put together what is left in the pools that the
 * context holds memory of. On memfd the kernel does that by itself. Where nothing is
 * held nothing is done, and all figures are 0.
 * @param ctx   whose memory.
 * @param done  what really went back and was moved; may be NULL.
 * @return 0; -EINVAL if done->size is less than the first version's; -errno if the module
 *         refuses; what was done by then is told.
 */
BITMEM_API int bitmem_compact(struct bitmem *ctx, struct bitmem_compacted *done);

#if defined(__GNUC__) && !defined(BITMEM_NO_SITES)
#define bitmem_alloc_in(ctx, pool, size, align)                                                    \
	bitmem_alloc_in_at(ctx, pool, size, align, BITMEM_SITE())
#define bitmem_zalloc_in(ctx, pool, size, align)                                                   \
	bitmem_zalloc_in_at(ctx, pool, size, align, BITMEM_SITE())
#define bitmem_tensor_new_in(ctx, pool, dtype, ndims, shape)                                       \
	bitmem_tensor_new_in_at(ctx, pool, dtype, ndims, shape, BITMEM_SITE())
#define bitmem_tensor_empty_in(ctx, pool, dtype, ndims, shape)                                     \
	bitmem_tensor_empty_in_at(ctx, pool, dtype, ndims, shape, BITMEM_SITE())
#endif

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_POOLS_H */
