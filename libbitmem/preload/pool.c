/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pools of a process: its own, opened when it is needed first, and those it was forked with.
 *
 * A pool that came with a fork() is a copy, in ordinary memory, that nothing is taken from any
 * more; its books tell what is where.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../context.h"
#include "../util.h"
#include "preload.h"

/* What small requests share at a time: a process that has few of them holds no more. */
#define SEGMENT_SIZE ((size_t)8 << 20)
/* Where programs do not expect to find their next file. */
#define DESCRIPTOR 512

enum { UNTRIED, OPEN, FAILED };

static struct preload_pool pools[PRELOAD_POOLS];
static atomic_uint nr_pools;
static unsigned int nr_inherited;
static atomic_int state;
static atomic_ullong refused;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static struct bitmem_site site = { 0, __LINE__, __FILE__, "malloc" };

/* This thread is in the library: what is allocated on the way does not come back to it. */
static __thread unsigned int inside __attribute__((tls_model("initial-exec")));

/* Allocating is no point at which a thread may be cancelled. Returns what leave() wants. */
static int enter(void)
{
	int cancel;

	inside++;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	return cancel;
}

static void leave(int cancel)
{
	pthread_setcancelstate(cancel, NULL);
	inside--;
}

struct preload_pool *preload_pool_of(const void *ptr)
{
	unsigned int n = atomic_load_explicit(&nr_pools, memory_order_acquire);

	while (n--) {
		if ((uintptr_t)ptr - pools[n].base < pools[n].size)
			return &pools[n];
	}
	return NULL;
}

struct preload_pool *preload_own(void)
{
	return atomic_load(&state) == OPEN ? &pools[nr_inherited] : NULL;
}

uint64_t preload_refused(void)
{
	return atomic_load(&refused);
}

void preload_pool_lock(void)
{
	pthread_mutex_lock(&opening);
}

void preload_pool_unlock(void)
{
	pthread_mutex_unlock(&opening);
}

/* With the lock held. */
static int open_pool(void)
{
	struct bitmem_options options;
	struct bitmem *ctx;

	bitmem_options_init(&options);
	options.backend = preload_settings.backend;
	options.node = preload_settings.node;
	options.segment_size = SEGMENT_SIZE;
	options.tracking = BITMEM_TRACKING_COUNTERS;
	if (nr_inherited == PRELOAD_POOLS)
		return FAILED;
	ctx = bitmem_open(&options);
	if (!ctx)
		return FAILED;
	memcpy(ctx->tag, preload_settings.tag, sizeof(ctx->tag));
	bm_backend_device_move_fd(ctx->backend, DESCRIPTOR);
	pools[nr_inherited] = (struct preload_pool) {
		.ctx = ctx, .base = (uintptr_t)ctx->arena.base, .size = ctx->arena.size,
	};
	atomic_store_explicit(&nr_pools, nr_inherited + 1, memory_order_release);
	return OPEN;
}

/* NULL if there is none to be had. */
static struct preload_pool *own_or_open(void)
{
	if (atomic_load(&state) == UNTRIED) {
		pthread_mutex_lock(&opening);
		if (atomic_load(&state) == UNTRIED)
			atomic_store(&state, open_pool());
		pthread_mutex_unlock(&opening);
	}
	return preload_own();
}

bool preload_take(size_t size, size_t align, bool zeroed, void **ptr)
{
	const int before = errno;
	struct preload_pool *pool;
	int cancel;

	if (inside)
		return false;
	cancel = enter();
	pool = own_or_open();
	*ptr = NULL;
	if (pool && zeroed)
		*ptr = bitmem_zalloc_at(pool->ctx, size, align, &site);
	else if (pool)
		*ptr = bitmem_alloc_at(pool->ctx, size, align, &site);
	leave(cancel);
	errno = before;
	if (*ptr)
		return true;
	atomic_fetch_add(&refused, 1);
	if (preload_settings.require)
		errno = ENOMEM;
	return preload_settings.require;
}

/* As the C library does: a program that frees what it has not got is about to break worse. */
static void __attribute__((noreturn)) refuse(void)
{
	preload_say("free() or realloc()", "that is no block of the pool, or not any more");
	abort();
}

size_t preload_size(struct preload_pool *pool, const void *ptr)
{
	const int cancel = enter();
	const size_t bytes = bitmem_usable_size(pool->ctx, ptr);

	leave(cancel);
	if (!bytes)
		refuse();
	return bytes;
}

/* What a child has from its parent: whole pages of it go back, the rest stays. */
static void give_inherited(struct preload_pool *pool, void *ptr)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t first = bm_round_up((uintptr_t)ptr, page);
	const uintptr_t end = ((uintptr_t)ptr + preload_size(pool, ptr)) & ~(page - 1);

	if (end > first)
		madvise((void *)first, end - first, MADV_DONTNEED);
}

void preload_give(struct preload_pool *pool, void *ptr)
{
	const int before = errno;
	int cancel, ret;

	if (pool != preload_own()) {
		give_inherited(pool, ptr);
	} else {
		cancel = enter();
		ret = bitmem_free(pool->ctx, ptr);
		leave(cancel);
		if (ret)
			refuse();
	}
	errno = before;
}

void preload_inherit(void)
{
	nr_inherited++;
	atomic_store(&state, UNTRIED);
	atomic_store(&refused, 0);
}
