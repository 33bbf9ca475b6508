/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Caches: what a thread keeps of a context's free slots, and of its counters.
 *
 * A cache belongs to one thread and one context. Its thread uses it without a lock and
 * without atomic operations, between bm_cache_enter() and bm_cache_leave(); or with the
 * context's lock held, which keeps everybody else out as well.
 *
 * Somebody else claims all caches of a context (claim.h).
 *
 * Locks, the outer first: the registry's, which keeps the lists of threads' and contexts'
 * caches; a context's.
 */
#ifndef BITMEM_CACHE_H
#define BITMEM_CACHE_H

#include <stdatomic.h>

#include "claim.h"
#include "record.h"
#include "slab.h"

/* Free slots of one class, the last in the first out. */
struct bm_stack {
	/*
	 * Where the next one goes. Below the first one is one whose slot is never a cache's, also
	 * while there is no memory for any: nothing needs to be compared to take one.
	 */
	struct bm_entry *top;
	struct bm_entry *limit;	/* top of a full one */
	struct bm_entry *base;	/* from malloc(), or NULL */
	uint64_t misses;	/* while it had none */
};

/*
 * Runs of up to this many units are cached, those that are no slot of a slab. Their classes are
 * sixteen to a doubling (runs.c), and the first is none: of what is not cached.
 */
#define BM_CACHED_UNITS	256u
#define BM_NR_RUN_CLASSES 73u

struct bm_cache {
	struct bitmem *ctx;	/* whose blocks may be had from here; NULL while claimed */
	unsigned char busy;
	int64_t credit;		/* bytes that may be allocated below the peak (count.h) */
	uint64_t frees;		/* by this thread, of slots that it cached then */
	struct bm_record *records[BM_NR_RECORD_SIZES]; /* free ones, by size (record.h) */
	struct bm_stack *runs;	/* BM_NR_RUN_CLASSES of them; bm_no_runs until one is needed */
	/* From here on under the context's lock, but for the stacks and their bookkeeping. */
	uint64_t filled, flushed; /* slots that came from a pool, and that went back */
	unsigned int nr_records[BM_NR_RECORD_SIZES];
	uint32_t number;	/* no other cache of the context ever has it; never 0 */
	unsigned int next_run;	/* whose turn it is to have room or runs taken from it */
	size_t run_bytes;	/* that its stacks of runs have room for */
	struct bitmem *owner;	/* the context, until it is gone; under the registry's, too */
	bool mine;		/* while a child sorts out whose are whose */
	struct bm_cache *next_of_thread;
	struct bm_cache *next_of_context, *prev_of_context;
	/* The last one is always empty and full: for what has no stack. */
	struct bm_stack stacks[BM_NR_CLASSES + 1];
};

#define BM_NO_STACK	BM_NR_CLASSES

/* Where a class's stack is in a cache. */
static inline uint16_t bm_bin(unsigned int class)
{
	return (uint16_t)(offsetof(struct bm_cache, stacks) + class * sizeof(struct bm_stack));
}

static inline unsigned int bm_class_of_bin(uint16_t bin)
{
	return (unsigned int)((bin - offsetof(struct bm_cache, stacks)) / sizeof(struct bm_stack));
}

/* The stack of what has that place in a thread's runs. */
static inline struct bm_stack *bm_run_stack(const struct bm_cache *cache, uint16_t bin)
{
	return (struct bm_stack *)((char *)cache->runs + bin);
}

/* Slots in a stack. */
static inline size_t bm_stack_level(const struct bm_stack *stack)
{
	return stack->base ? (size_t)(stack->top - stack->base) - 1 : 0;
}

/* What its owner alone writes outside the lock, and others may look at meanwhile. */
#ifdef __SANITIZE_THREAD__
#define bm_owner_set(member, value) __atomic_store_n(member, value, __ATOMIC_RELEASE)
#else
#define bm_owner_set(member, value) (*(member) = (value))
#endif

/*
 * Adds to such a one, of 64 bits, after what was added before. (Where its ends meet others' the
 * compiler makes three of it.)
 */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define bm_owner_add(member, value) \
	__asm__ volatile("addq %1, %0" : "+m"(*(member)) : "er"((int64_t)(value)) : "cc")
#else
#define bm_owner_add(member, value) bm_owner_set(member, *(member) + (value))
#endif

/* The calling thread's cache that it used last; one that is nobody's, before the first. */
extern __thread struct bm_cache *bm_cache_last __attribute__((tls_model("initial-exec")));

/* Takes the cache if it is one of @ctx and not claimed. To be left in any case. */
static inline bool bm_cache_enter(struct bm_cache *cache, const struct bitmem *ctx)
{
	bool entered;

#ifdef __SANITIZE_THREAD__
	/* What it understands, and as strong. */
	__atomic_store_n(&cache->busy, 1, __ATOMIC_SEQ_CST);
	entered = __atomic_load_n(&cache->ctx, __ATOMIC_SEQ_CST) == ctx;
#elif defined(__x86_64__)
	/* Loads stay in their order; and the compiler would need one instruction more. */
	__asm__ volatile("movb $1, %[busy]\n\tcmpq %[ctx], %[owner]"
			 : [busy] "=m"(cache->busy), "=@cce"(entered)
			 : [owner] "m"(cache->ctx), [ctx] "r"(ctx)
			 : "memory");
#else
	/* What a claimer left in the cache is seen when he lets the owner in again. */
	cache->busy = 1;
	atomic_signal_fence(memory_order_seq_cst);
	entered = __atomic_load_n(&cache->ctx, __ATOMIC_ACQUIRE) == ctx;
#endif
	return entered;
}

static inline void bm_cache_leave(struct bm_cache *cache)
{
	__atomic_store_n(&cache->busy, 0, __ATOMIC_RELEASE);
}

/* --- all below with the context's lock held, unless they say otherwise --- */

/*
 * The calling thread's cache for @ctx, made if there is none. Without the lock. NULL if there
 * is no memory for one, or the context is closed: all is done under the lock then.
 */
struct bm_cache *bm_cache_get(struct bitmem *ctx);

/* Sees to it that a stack has memory, for slots of @size bytes. Whether it has. */
bool bm_stack_ready(struct bitmem *ctx, struct bm_stack *stack, size_t size);
/* Makes a stack one without memory. */
void bm_stack_reset(struct bm_stack *stack);
/* Gives the memory of an empty stack back. */
void bm_stack_delete(struct bitmem *ctx, struct bm_stack *stack);

/* Slots in all stacks of a cache. */
size_t bm_cache_level(const struct bm_cache *cache);

/* Gives the @n slots that were cached first back. */
void bm_stack_flush(struct bitmem *ctx, struct bm_cache *cache, struct bm_stack *stack, size_t n);
/* Takes these entries out of a stack, of which @given went back. */
void bm_stack_drop(struct bm_cache *cache, struct bm_stack *stack, size_t n, size_t given);

/* Gives what is in a cache back. It is the caller's own, or claimed. */
void bm_cache_flush(struct bitmem *ctx, struct bm_cache *cache);

/* The same for all caches of a context. */
void bm_caches_flush(struct bitmem *ctx, const struct bm_cache *own);

/*
 * Has fork() and threads' ends looked after from now on, which the first context does otherwise. 0
 * or -errno.
 */
int bm_caches_set_up(void);

/* Makes a context known. Without the lock. 0 or -errno. */
int bm_caches_open(struct bitmem *ctx);

/*
 * For bitmem_close(): its caches are nobody's from now on, and empty. No other thread uses the
 * context any more. Without the lock.
 */
void bm_caches_close(struct bitmem *ctx);

/*
 * The context that was opened before @ctx, which the caller has a reference on, or the latest; with
 * a reference. NULL at the end. Without the lock.
 */
struct bitmem *bm_contexts_next(struct bitmem *ctx);

/* For a context's end. Without the lock. */
void bm_caches_forget(struct bitmem *ctx);

/* The context of a number, with its lock held. NULL if it has ended. */
struct bitmem *bm_context_lock(uint64_t number);

#endif /* BITMEM_CACHE_H */
