/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What `bitmem run` preloads: the C library's allocation functions, of which those for much
 * memory take it from a pool.
 *
 * The library is inside, not linked to: a program that uses libbitmem itself has another one,
 * whose locks are never asked for here. So it may call malloc() wherever it likes. What the
 * library inside allocates for itself goes straight to the C library (libc.c); so does what
 * the C library allocates on its behalf, as long as the thread is inside.
 */
#ifndef BITMEM_PRELOAD_H
#define BITMEM_PRELOAD_H

#include "../internal.h"

enum preload_stats {
	PRELOAD_NO_STATS,
	PRELOAD_STATS_TEXT,
	PRELOAD_STATS_JSON,
};

struct preload_settings {
	size_t min_bytes;	/* less than that is the C library's affair */
	int node;
	enum bitmem_backend backend;
	char tag[BM_TAG_MAX + 1];
	enum preload_stats stats;
	bool require;		/* what the pool refuses nobody gives */
	bool drop;		/* a child of fork() gets no copy */
};

/* Until preload_read() has been there nothing is the pool's affair. */
extern struct preload_settings preload_settings;

/* Reads BITMEM_PRELOAD_* from @env. NULL, or which of them is wrong: then nothing has changed. */
const char *preload_read(char **env);

/* One line on stderr: "bitmem: ...". Uses no memory. */
void preload_say(const char *what, const char *why);

/* --- pool.c --- */

/* A context, of this process, or of the one that it was forked from. */
struct preload_pool {
	struct bitmem *ctx;
	uintptr_t base;
	size_t size;
};

/* Generations of fork() that may have had pools of their own; who comes after them has none. */
#define PRELOAD_POOLS 8

/*
 * The pool that an address belongs to, or NULL. No lock, no system call: a few comparisons. The
 * first is of this process; if there is none, so says preload_own().
 */
struct preload_pool *preload_pool_of(const void *ptr);

/* This process's, if there is one; it is not opened. */
struct preload_pool *preload_own(void);

/*
 * Whether *@ptr is the answer to a request: memory of the pool, or NULL with errno. If not, the C
 * library is to be asked.
 */
bool preload_take(size_t size, size_t align, bool zeroed, void **ptr);

/* Gives memory of @pool back; abort() if it is none. */
void preload_give(struct preload_pool *pool, void *ptr);

/* Bytes there are at @ptr, memory of @pool; abort() if it is none. */
size_t preload_size(struct preload_pool *pool, const void *ptr);

/* How many requests the pool refused. */
uint64_t preload_refused(void);

/* While another thread may be opening the pool. */
void preload_pool_lock(void);
void preload_pool_unlock(void);

/* The child of a fork() has this process's pool from its parent, and none of its own as yet. */
void preload_inherit(void);

/* --- fork.c, stats.c --- */

/* Has fork() looked after. 0 or an errno. */
int preload_fork_start(void);

void preload_stats_start(void);
void preload_stats_print(void);

/* --- libc.c: the C library's own functions --- */

void *preload_libc_malloc(size_t size);
void *preload_libc_calloc(size_t n, size_t size);
void *preload_libc_realloc(void *ptr, size_t size);
void *preload_libc_memalign(size_t align, size_t size);
void preload_libc_free(void *ptr);
size_t preload_libc_size(void *ptr);
/* Before there are threads. Looks up what has no name of its own. */
void preload_libc_start(void);

#endif /* BITMEM_PRELOAD_H */
