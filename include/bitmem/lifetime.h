/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file lifetime.h
 * @brief How long tensors live, and what they are called: weak handles, other shapes of the
 *        same memory, clones and copies, names and tags, scopes.
 *
 * A tensor lives as long as somebody has a reference to it. A view is somebody, too: it has one
 * to the tensor whose memory it shows. So views, reshaped and sliced ones among them, never
 * dangle, in whatever order all are dropped.
 *
 * A *stale* handle is the pointer to a tensor whose last reference was dropped. Until the
 * library makes another tensor in its place, which may be soon, all functions find out, and
 * change nothing: bitmem_tensor_ref() returns NULL, and what makes something of a tensor fails,
 * with ESTALE; bitmem_tensor_unref() does nothing; bitmem_tensor_data() is NULL,
 * bitmem_tensor_bytes() 0. That is for finding mistakes, not to rely on: who wants to know
 * later whether a tensor is still there keeps a weak handle. When the context has ended, which
 * is when it is closed and its last tensor dropped, a stale handle must not be used at all.
 */
#ifndef BITMEM_LIFETIME_H
#define BITMEM_LIFETIME_H

#include <bitmem/bitmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- weak handles --- */

/**
 * A weak handle: knows a tensor without keeping it alive. It is a plain value, to be copied and
 * forgotten as one likes; one of all zeros is a handle of nothing.
 */
struct bitmem_weak {
	/** The library's: which context. */
	uint64_t context;
	uint64_t id;		/**< which place in it */
	uint64_t generation;	/**< whose turn it was there */
};

/**
 * Makes a weak handle of a tensor. The first of a tensor takes some bytes until the tensor is
 * dropped, and makes its end take a lock; further ones cost nothing.
 * @return 0; -ESTALE if @p tensor is; -ENOMEM. @p weak is set on success only.
 */
BITMEM_API int bitmem_tensor_weak(struct bitmem_tensor *tensor, struct bitmem_weak *weak);

/**
 * Takes a reference to the tensor that a weak handle is of. May race with the end of that tensor,
 * of its context and of everything else: the tensor is either got or gone.
 *
 * A closed context makes no difference: its tensors that still live can be got. A tensor whose
 * views live, lives. In the child of a fork() a handle is of the child's copy.
 * @return the tensor with one more reference; NULL with errno: ESTALE if its last reference
 *         was dropped, or its context has ended; EINVAL if @p weak is a handle of nothing.
 */
BITMEM_API struct bitmem_tensor *bitmem_weak_get(const struct bitmem_weak *weak);

/* --- the same elements otherwise --- */

/** In a shape for bitmem_tensor_reshape(): as many as the other dimensions leave. */
#define BITMEM_INFER UINT64_MAX

/**
 * Makes a view of all elements in another shape.
 * @param tensor whose memory; the caller's reference stays the caller's.
 * @param ndims  0 to BITMEM_MAX_DIMS.
 * @param shape  @p ndims element counts, at most one of them BITMEM_INFER. The number of
 *               elements stays as it is. For block types the fastest dimension must be a multiple
 *               of the block; for those whose size is a rule of its own (BITMEM_I2_S, BITMEM_TL1,
 *               BITMEM_TL2) it must stay what it is.
 * @param error  filled in on failure, if not NULL.
 * @return a view with one reference, that keeps the memory alive; NULL with errno: EINVAL,
 *         ESTALE, ENOMEM.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_reshape(struct bitmem_tensor *tensor,
						       unsigned int ndims, const uint64_t *shape,
						       struct bitmem_error *error);

/**
 * Makes a view of some rows: @p count of them from @p start on, along the slowest dimension.
 * @param tensor whose memory; the caller's reference stays the caller's.
 * @param start  the first row.
 * @param count  how many; 0 makes an empty view.
 * @param error  filled in on failure, if not NULL.
 * @return as bitmem_tensor_part().
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_slice(struct bitmem_tensor *tensor, uint64_t start,
						     uint64_t count, struct bitmem_error *error);

/**
 * Makes a view of a part of a tensor whose elements lie together: from the slowest dimension
 * on, one of some dimensions, a range of the next, and all of the others. A part without elements
 * always does.
 *
 * It has to begin and end where bytes do, or where the tensor ends, and with block types at
 * blocks. Of types whose size is a rule of its own only the whole can be had.
 * @param tensor whose memory; the caller's reference stays the caller's.
 * @param start  for each dimension, the first element.
 * @param count  for each dimension, how many; this is the view's shape.
 * @param error  filled in on failure, if not NULL.
 * @return a view with one reference, that keeps the memory alive; NULL with errno: EINVAL if the
 *         part does not lie inside, not together, or not at bytes or blocks; ESTALE, ENOMEM.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_part(struct bitmem_tensor *tensor,
						    const uint64_t *start, const uint64_t *count,
						    struct bitmem_error *error);

/** bitmem_tensor_reshape() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_reshape_at(struct bitmem_tensor *tensor,
							  unsigned int ndims,
							  const uint64_t *shape,
							  struct bitmem_error *error,
							  struct bitmem_site *site);
/** bitmem_tensor_slice() on behalf of @p site. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_slice_at(struct bitmem_tensor *tensor,
							uint64_t start, uint64_t count,
							struct bitmem_error *error,
							struct bitmem_site *site);
/** bitmem_tensor_part() on behalf of @p site. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_part_at(struct bitmem_tensor *tensor,
						       const uint64_t *start,
						       const uint64_t *count,
						       struct bitmem_error *error,
						       struct bitmem_site *site);

/**
 * Makes another tensor on the same memory, with a name and an end of its own: a view of all.
 * Each sees what is written to the other.
 * @return a view with one reference; NULL with errno: ESTALE, ENOMEM.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_clone(struct bitmem_tensor *tensor);
/** bitmem_tensor_clone() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_clone_at(struct bitmem_tensor *tensor,
							struct bitmem_site *site);

/**
 * Makes a tensor with memory of its own in @p ctx, which need not be @p tensor's context, and
 * copies the elements. Neither sees what is written to the other afterwards. Names and
 * tags are not copied.
 * @return a tensor with one reference; NULL with errno: ESTALE, ENOMEM.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_copy(struct bitmem *ctx,
						    const struct bitmem_tensor *tensor);

/** bitmem_tensor_copy() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_copy_at(struct bitmem *ctx,
						       const struct bitmem_tensor *tensor,
						       struct bitmem_site *site);

/**
 * Makes a tensor whose elements are all 0. bitmem_tensor_new() makes one whose bytes are, which
 * is the same for most types, but -1 for ternary ones. Types with scales get scales of 0.
 * @return as bitmem_tensor_new(); EINVAL also for BITMEM_F8_E8M0, which has no 0.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_zeros(struct bitmem *ctx, enum bitmem_dtype dtype,
						     unsigned int ndims, const uint64_t *shape);

/** bitmem_tensor_zeros() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_zeros_at(struct bitmem *ctx,
							enum bitmem_dtype dtype, unsigned int ndims,
							const uint64_t *shape,
							struct bitmem_site *site);

/* --- names and tags --- */

/** The longest name in bytes, without the final NUL. */
#define BITMEM_NAME_MAX 255
/** The longest tag in bytes, without the final NUL. */
#define BITMEM_TAG_MAX 31

/**
 * Names a tensor, or takes its name away (NULL or ""), which cannot fail. The name is the
 * handle's, not the memory's: views have names of their own. Several tensors may have the
 * same. It goes with the tensor.
 * @return 0; -EINVAL for control characters, -ENAMETOOLONG, -ESTALE, -ENOMEM: the old name
 *         stays.
 */
BITMEM_API int bitmem_tensor_set_name(struct bitmem_tensor *tensor, const char *name);

/**
 * Copies a tensor's name into @p buffer of @p size bytes, cut off if it is longer, and with a
 * NUL if @p size is not 0. A copy, as another thread may rename the tensor.
 * @return the length of the whole name, 0 if there is none; -ESTALE, and no change.
 */
BITMEM_API int bitmem_tensor_name(const struct bitmem_tensor *tensor, char *buffer, size_t size);

/**
 * Finds a tensor of a context by the name that bitmem_tensor_set_name() gave it; of several, the
 * one that was named last. How many others there are does not matter.
 * @return the tensor with one more reference; NULL with errno: ENOENT.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_find(struct bitmem *ctx, const char *name);

/**
 * Puts a tag on a tensor ("kv", "weights"), or takes it away (NULL or ""), which cannot fail:
 * what it is for, by which memory is counted. A tag is kept once for all tensors that have it.
 * @return as bitmem_tensor_set_name().
 */
BITMEM_API int bitmem_tensor_set_tag(struct bitmem_tensor *tensor, const char *tag);

/** Copies a tensor's tag as bitmem_tensor_name() does its name. */
BITMEM_API int bitmem_tensor_tag(const struct bitmem_tensor *tensor, char *buffer, size_t size);

/* --- scopes --- */

/**
 * A scope: references that are dropped together, all at once. For what lives as long as a token,
 * a request, a layer:
 *
 *	struct bitmem_scope *token = bitmem_scope_open(ctx);
 *	struct bitmem_tensor *q = bitmem_scope_tensor(token, BITMEM_F16, 2, shape);
 *	...
 *	bitmem_scope_close(token);
 *
 * A scope, those within it and those around it are for one thread at a time; scopes that are
 * not within each other, of the same context, too, may be used by several at once.
 *
 * Handles of closed scopes are found out, as long as the context lives, and that is EINVAL; but
 * not for ever: only until 127 others were closed in the same place.
 *
 * An open scope keeps its context: after bitmem_close(), which reports its tensors as alive, it
 * can and has to be closed; only, nothing can be made in it any more.
 */
struct bitmem_scope;

/**
 * Opens a scope.
 * @return the scope, to be closed by bitmem_scope_close(); NULL with errno: ENOMEM.
 */
BITMEM_API struct bitmem_scope *bitmem_scope_open(struct bitmem *ctx);

/**
 * Opens a scope within another one, which is closed with it at the latest.
 * @return the scope; NULL with errno: EINVAL if @p parent, or the context, is closed; ENOMEM.
 */
BITMEM_API struct bitmem_scope *bitmem_scope_open_in(struct bitmem_scope *parent);

/**
 * Closes a scope: first those within it, then drops what is in it, the latest first. NULL does
 * nothing.
 * @return 0; -EINVAL if it is closed already.
 */
BITMEM_API int bitmem_scope_close(struct bitmem_scope *scope);

/** For @c bitmem_auto_scope: closes what *scope points to. */
BITMEM_API void bitmem_scope_closep(struct bitmem_scope **scope);

#if defined(__GNUC__)
/** A variable's attribute: the scope is closed when the variable's own scope ends. */
#define bitmem_auto_scope __attribute__((cleanup(bitmem_scope_closep)))
#endif

/**
 * Makes a tensor as bitmem_tensor_new(), whose reference is the scope's.
 * @return the tensor, for use until the scope is closed; NULL with errno as from
 *         bitmem_tensor_new(), and EINVAL if the scope, or the context, is closed.
 */
BITMEM_API struct bitmem_tensor *bitmem_scope_tensor(struct bitmem_scope *scope,
						     enum bitmem_dtype dtype, unsigned int ndims,
						     const uint64_t *shape);

/** The same with undefined content, as bitmem_tensor_empty(). */
BITMEM_API struct bitmem_tensor *bitmem_scope_empty(struct bitmem_scope *scope,
						    enum bitmem_dtype dtype, unsigned int ndims,
						    const uint64_t *shape);

/** bitmem_scope_tensor() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_scope_tensor_at(struct bitmem_scope *scope,
							enum bitmem_dtype dtype, unsigned int ndims,
							const uint64_t *shape,
							struct bitmem_site *site);
/** bitmem_scope_empty() on behalf of @p site. */
BITMEM_API struct bitmem_tensor *bitmem_scope_empty_at(struct bitmem_scope *scope,
						       enum bitmem_dtype dtype, unsigned int ndims,
						       const uint64_t *shape,
						       struct bitmem_site *site);

/**
 * Hands a reference that the caller has, to any tensor of the context, over to the scope.
 * @return 0, and the reference is the scope's; or it stays the caller's: -EINVAL if the scope is
 *         closed, or the tensor NULL or another context's; -ESTALE; -ENOMEM.
 */
BITMEM_API int bitmem_scope_add(struct bitmem_scope *scope, struct bitmem_tensor *tensor);

/**
 * Moves a reference to a tensor out into the scope around. Of several the latest; it takes the
 * longer the more were added since.
 * @return 0; -ENOENT if there is none in @p scope; -EINVAL if that is closed, or in no other;
 *         -ENOMEM.
 */
BITMEM_API int bitmem_scope_keep(struct bitmem_scope *scope, struct bitmem_tensor *tensor);

/**
 * Takes a reference to a tensor out of the scope: it is the caller's then. As
 * bitmem_scope_keep() otherwise.
 * @return 0; -ENOENT if there is none in @p scope; -EINVAL if that is closed.
 */
BITMEM_API int bitmem_scope_take(struct bitmem_scope *scope, struct bitmem_tensor *tensor);

/** References in a scope, without those in scopes within it; 0 for a closed one. */
BITMEM_API size_t bitmem_scope_count(struct bitmem_scope *scope);

#if defined(__GNUC__) && !defined(BITMEM_NO_SITES)
#define bitmem_tensor_reshape(tensor, ndims, shape, error)                                         \
	bitmem_tensor_reshape_at(tensor, ndims, shape, error, BITMEM_SITE())
#define bitmem_tensor_slice(tensor, start, count, error)                                           \
	bitmem_tensor_slice_at(tensor, start, count, error, BITMEM_SITE())
#define bitmem_tensor_part(tensor, start, count, error)                                            \
	bitmem_tensor_part_at(tensor, start, count, error, BITMEM_SITE())
#define bitmem_tensor_clone(tensor) bitmem_tensor_clone_at(tensor, BITMEM_SITE())
#define bitmem_tensor_copy(ctx, tensor) bitmem_tensor_copy_at(ctx, tensor, BITMEM_SITE())
#define bitmem_tensor_zeros(ctx, dtype, ndims, shape)                                              \
	bitmem_tensor_zeros_at(ctx, dtype, ndims, shape, BITMEM_SITE())
#define bitmem_scope_tensor(scope, dtype, ndims, shape)                                            \
	bitmem_scope_tensor_at(scope, dtype, ndims, shape, BITMEM_SITE())
#define bitmem_scope_empty(scope, dtype, ndims, shape)                                             \
	bitmem_scope_empty_at(scope, dtype, ndims, shape, BITMEM_SITE())
#endif

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_LIFETIME_H */
