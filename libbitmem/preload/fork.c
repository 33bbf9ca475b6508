/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a child of fork() gets: copies of its parent's blocks, at the same addresses, as they were
 * at that moment; for memory of a pool is shared, and neither side expects that of malloc().
 *
 * The copies are made by the parent, before it forks: with all locks of the library and of all
 * that wanted to be asked before a fork, while the thread that forks does nothing else. So
 * nothing changes that the child may rely on, nothing needs to be waited for, and whatever
 * happens to the child does not matter. In the child they take the pool's place; the parent has
 * none of them any more. Where there is no memory for copies, the child has nothing there: it
 * may still become another program.
 *
 * Handlers run backwards before a fork: the ones registered first are the last then, and the
 * first in the child, before anybody else's writes to what would still be the parent's.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../segment.h"
#include "../walk.h"
#include "preload.h"

/* Of a segment: as long as it is, but only what is alive has memory. */
struct copy {
	const struct bm_segment *segment;
	char *addr;
};

static struct {
	struct copy *copies;
	size_t n, room;
	bool failed;
} made;

static void drop_copies(void)
{
	for (size_t i = 0; i < made.n; i++)
		munmap(made.copies[i].addr, made.copies[i].segment->range.length);
	made.n = 0;
}

static void *reserve(void *addr, size_t length, int prot, int flags)
{
	return mmap(addr, length, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/* The copy of @segment, to which blocks come one after the other. NULL if it cannot be had. */
static struct copy *copy_of(const struct bm_segment *segment)
{
	struct copy *copies = made.copies;
	char *addr;

	if (made.n && copies[made.n - 1].segment == segment)
		return &copies[made.n - 1];
	if (made.n == made.room) {
		copies = preload_libc_realloc(copies, (2 * made.n + 16) * sizeof(*copies));
		if (!copies)
			return NULL;
		made.copies = copies;
		made.room = 2 * made.n + 16;
	}
	addr = reserve(NULL, segment->range.length, PROT_READ | PROT_WRITE, 0);
	if (addr == MAP_FAILED)
		return NULL;
	copies[made.n] = (struct copy) { segment, addr };
	return &copies[made.n++];
}

static void copy_block(struct bitmem *ctx, const struct bm_live *live, void *arg)
{
	const size_t place = bm_arena_offset(&ctx->arena, live->ptr) / ctx->arena.superblock;
	const struct bm_segment *segment = ctx->arena.segments[place];
	const struct copy *copy;

	(void)arg;
	if (made.failed)
		return;
	copy = copy_of(segment);
	if (copy)
		memcpy(copy->addr + ((char *)live->ptr - (char *)segment->range.addr), live->ptr,
		       live->room);
	else
		made.failed = true;
}

static void before(void)
{
	struct preload_pool *pool = preload_own();

	made.failed = preload_settings.drop;
	if (pool && !made.failed)
		bm_walk(pool->ctx, copy_block, NULL);
	if (made.failed)
		drop_copies();
}

static void in_parent(void)
{
	drop_copies();
}

static void in_child(void)
{
	struct preload_pool *pool = preload_own();
	const int err = errno;

	if (!pool)
		return;
	if (reserve((void *)pool->base, pool->size, PROT_NONE, MAP_FIXED) == MAP_FAILED) {
		preload_say("fork()", "the child cannot be kept out of its parent's memory");
		abort();
	}
	for (size_t i = 0; i < made.n; i++) {
		const struct bm_range *range = &made.copies[i].segment->range;

		/* If it cannot be moved there, nothing is there. */
		mremap(made.copies[i].addr, range->length, range->length,
		       MREMAP_MAYMOVE | MREMAP_FIXED, range->addr);
	}
	made.n = 0;
	bm_backend_device_leave(pool->ctx->backend);
	preload_inherit();
	errno = err;
}

int preload_fork_start(void)
{
	int err = pthread_atfork(before, in_parent, in_child);

	if (!err)
		err = -bm_caches_set_up();
	/* Who opens the pool asks for the library's locks. */
	if (!err)
		err = pthread_atfork(preload_pool_lock, preload_pool_unlock, preload_pool_unlock);
	return err;
}
