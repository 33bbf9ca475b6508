/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scopes: references that are dropped together.
 *
 * A scope, those within it and the one around it are one thread's at a time, so that
 * nothing needs a lock but the context's list of closed ones, which are used again, the oldest
 * first. An open one holds the context.
 *
 * A handle is the structure's address and, in the bits that its alignment leaves, how often it
 * was closed: handles of closed scopes are told from those of later ones in the same place
 * until that has come round.
 */
#include <stdlib.h>
#include <string.h>

#include <bitmem/lifetime.h>

#include "site.h"
#include "tensor.h"

#undef bitmem_scope_tensor
#undef bitmem_scope_empty

#define ALIGN		((size_t)128)
#define FIRST_SIZE	((size_t)32)
/* A closed scope keeps its array if it has no more entries. */
#define KEPT_SIZE	((size_t)512)

struct bm_scope {
	struct bitmem *ctx;
	/* NULL: it is closed. Atomic, as somebody may look with a stale one. */
	struct bitmem_scope *handle;
	uintptr_t generation;		/* below ALIGN */
	struct bm_scope *parent, *child; /* around it; the latest within it */
	struct bm_scope *next, *prev;	/* within the same one; next: among the closed ones */
	struct bitmem_tensor **tensors;
	size_t n, size;
};

/* NULL, and errno is EINVAL, if it is closed. */
static struct bm_scope *scope_of(struct bitmem_scope *handle)
{
	struct bm_scope *scope = (struct bm_scope *)((uintptr_t)handle & ~(ALIGN - 1));

	if (likely(scope && __atomic_load_n(&scope->handle, __ATOMIC_RELAXED) == handle))
		return scope;
	errno = EINVAL;
	return NULL;
}

/* --- the context's list; with its lock held --- */

static struct bm_scope *take_closed(struct bm_scopes *scopes)
{
	struct bm_scope *scope = scopes->first;

	if (scope)
		scopes->first = scope->next;
	if (!scopes->first)
		scopes->last = NULL;
	return scope;
}

static void give_closed(struct bm_scopes *scopes, struct bm_scope *scope)
{
	scope->next = NULL;
	if (scopes->last)
		scopes->last->next = scope;
	else
		scopes->first = scope;
	scopes->last = scope;
}

void bm_scopes_delete(struct bm_scopes *scopes)
{
	struct bm_scope *scope;

	while ((scope = take_closed(scopes))) {
		free(scope->tensors);
		free(scope);
	}
}

/* --- opening and closing --- */

static struct bm_scope *scope_new(struct bitmem *ctx)
{
	const size_t size = (sizeof(struct bm_scope) + ALIGN - 1) & ~(ALIGN - 1);
	struct bm_scope *scope = aligned_alloc(ALIGN, size);

	if (!scope)
		return NULL;
	*scope = (struct bm_scope) { .ctx = ctx };
	bm_lock(ctx);
	ctx->counters.meta_bytes += bm_meta_size(scope);
	bm_unlock(ctx);
	return scope;
}

static struct bm_scope *open_scope(struct bitmem *ctx)
{
	struct bm_scope *scope;

	if (atomic_load_explicit(&ctx->closed, memory_order_acquire)) {
		errno = EINVAL;
		return NULL;
	}
	bm_lock(ctx);
	scope = take_closed(&ctx->scopes);
	bm_unlock(ctx);
	if (!scope)
		scope = scope_new(ctx);
	if (!scope) {
		errno = ENOMEM;
		return NULL;
	}
	bm_context_ref(ctx);
	scope->parent = scope->child = scope->next = scope->prev = NULL;
	__atomic_store_n(&scope->handle,
			 (struct bitmem_scope *)((uintptr_t)scope + scope->generation),
			 __ATOMIC_RELAXED);
	return scope;
}

struct bitmem_scope *bitmem_scope_open(struct bitmem *ctx)
{
	struct bm_scope *scope = open_scope(ctx);

	return scope ? scope->handle : NULL;
}

struct bitmem_scope *bitmem_scope_open_in(struct bitmem_scope *parent_handle)
{
	struct bm_scope *parent = scope_of(parent_handle);
	struct bm_scope *scope = parent ? open_scope(parent->ctx) : NULL;

	if (!scope)
		return NULL;
	scope->parent = parent;
	scope->next = parent->child;
	if (scope->next)
		scope->next->prev = scope;
	parent->child = scope;
	return scope->handle;
}

static void leave_parent(struct bm_scope *scope)
{
	if (scope->prev)
		scope->prev->next = scope->next;
	else if (scope->parent)
		scope->parent->child = scope->next;
	if (scope->next)
		scope->next->prev = scope->prev;
}

/* Closes one with nothing within. */
static void close_scope(struct bm_scope *scope)
{
	struct bitmem *ctx = scope->ctx;
	struct bitmem_tensor **tensors = NULL;

	leave_parent(scope);
	while (scope->n)
		bitmem_tensor_unref(scope->tensors[--scope->n]);
	__atomic_store_n(&scope->handle, NULL, __ATOMIC_RELAXED);
	scope->generation = (scope->generation + 1) % ALIGN;
	if (scope->size > KEPT_SIZE) {
		tensors = scope->tensors;
		scope->tensors = NULL;
		scope->size = 0;
	}
	bm_lock(ctx);
	if (tensors)
		ctx->counters.meta_bytes -= bm_meta_size(tensors);
	give_closed(&ctx->scopes, scope);
	bm_unlock(ctx);
	free(tensors);
	bm_context_unref(ctx);
}

int bitmem_scope_close(struct bitmem_scope *handle)
{
	struct bm_scope *scope = scope_of(handle), *inner, *next;

	if (!scope)
		return handle ? -EINVAL : 0;
	for (inner = scope; inner; inner = next) {
		if (inner->child) {
			next = inner->child;
			continue;
		}
		next = inner == scope ? NULL : inner->parent;
		close_scope(inner);
	}
	return 0;
}

void bitmem_scope_closep(struct bitmem_scope **scope)
{
	bitmem_scope_close(*scope);
	*scope = NULL;
}

/* --- what is in it --- */

/* Sees to it that there is room for one more. */
static bool reserve(struct bm_scope *scope)
{
	const size_t size = scope->size ? 2 * scope->size : FIRST_SIZE;
	struct bitmem_tensor **tensors, **old = scope->tensors;
	struct bitmem *ctx = scope->ctx;

	if (likely(scope->n < scope->size))
		return true;
	tensors = calloc(size, sizeof(struct bitmem_tensor *));
	if (!tensors) {
		errno = ENOMEM;
		return false;
	}
	if (old)
		memcpy(tensors, old, scope->n * sizeof(struct bitmem_tensor *));
	scope->tensors = tensors;
	scope->size = size;
	bm_lock(ctx);
	ctx->counters.meta_bytes += bm_meta_size(tensors);
	if (old)
		ctx->counters.meta_bytes -= bm_meta_size(old);
	bm_unlock(ctx);
	free(old);
	return true;
}

/* NULL, with errno, if none can be made in that scope. */
static struct bm_scope *scope_for_new(struct bitmem_scope *handle)
{
	struct bm_scope *scope = scope_of(handle);

	if (!scope || !reserve(scope))
		return NULL;
	if (likely(!atomic_load_explicit(&scope->ctx->closed, memory_order_acquire)))
		return scope;
	errno = EINVAL;
	return NULL;
}

/* There is room. */
static void put(struct bm_scope *scope, struct bitmem_tensor *tensor)
{
	scope->tensors[scope->n++] = tensor;
}

/* @site is the number of the place that asked (site.h). */
static struct bitmem_tensor *new_tensor(struct bitmem_scope *handle, enum bitmem_dtype dtype,
					unsigned int ndims, const uint64_t *shape,
					unsigned int site, bool zeroed)
{
	struct bm_scope *scope = scope_for_new(handle);
	struct bitmem_tensor *tensor;

	if (!scope)
		return NULL;
	tensor = bm_tensor_new(scope->ctx, dtype, ndims, shape, site, zeroed);
	if (likely(tensor))
		put(scope, tensor);
	return tensor;
}

struct bitmem_tensor *bitmem_scope_tensor_at(struct bitmem_scope *scope, enum bitmem_dtype dtype,
					     unsigned int ndims, const uint64_t *shape,
					     struct bitmem_site *site)
{
	return new_tensor(scope, dtype, ndims, shape, bm_site_number(site), true);
}

struct bitmem_tensor *bitmem_scope_empty_at(struct bitmem_scope *scope, enum bitmem_dtype dtype,
					    unsigned int ndims, const uint64_t *shape,
					    struct bitmem_site *site)
{
	return new_tensor(scope, dtype, ndims, shape, bm_site_number(site), false);
}

struct bitmem_tensor *bitmem_scope_tensor(struct bitmem_scope *scope, enum bitmem_dtype dtype,
					  unsigned int ndims, const uint64_t *shape)
{
	return new_tensor(scope, dtype, ndims, shape,
			  bm_site_of_caller(__builtin_return_address(0)), true);
}

struct bitmem_tensor *bitmem_scope_empty(struct bitmem_scope *scope, enum bitmem_dtype dtype,
					 unsigned int ndims, const uint64_t *shape)
{
	return new_tensor(scope, dtype, ndims, shape,
			  bm_site_of_caller(__builtin_return_address(0)), false);
}

int bitmem_scope_add(struct bitmem_scope *handle, struct bitmem_tensor *tensor)
{
	struct bm_scope *scope = scope_of(handle);

	if (!scope || !tensor || context_of(tensor) != scope->ctx)
		return -EINVAL;
	if (!is_live(tensor))
		return -ESTALE;
	if (!reserve(scope))
		return -ENOMEM;
	put(scope, tensor);
	return 0;
}

/* Where the latest reference to a tensor is; the number of references if there is none. */
static size_t find(const struct bm_scope *scope, const struct bitmem_tensor *tensor)
{
	for (size_t i = scope->n; i; i--) {
		if (scope->tensors[i - 1] == tensor)
			return i - 1;
	}
	return scope->n;
}

static void take_out(struct bm_scope *scope, size_t i)
{
	scope->n--;
	memmove(scope->tensors + i, scope->tensors + i + 1,
		(scope->n - i) * sizeof(struct bitmem_tensor *));
}

int bitmem_scope_keep(struct bitmem_scope *handle, struct bitmem_tensor *tensor)
{
	struct bm_scope *scope = scope_of(handle);
	size_t i;

	if (!scope || !scope->parent)
		return -EINVAL;
	i = find(scope, tensor);
	if (i == scope->n)
		return -ENOENT;
	if (!reserve(scope->parent))
		return -ENOMEM;
	put(scope->parent, tensor);
	take_out(scope, i);
	return 0;
}

int bitmem_scope_take(struct bitmem_scope *handle, struct bitmem_tensor *tensor)
{
	struct bm_scope *scope = scope_of(handle);
	size_t i;

	if (!scope)
		return -EINVAL;
	i = find(scope, tensor);
	if (i == scope->n)
		return -ENOENT;
	take_out(scope, i);
	return 0;
}

size_t bitmem_scope_count(struct bitmem_scope *handle)
{
	const struct bm_scope *scope = scope_of(handle);

	return scope ? scope->n : 0;
}
