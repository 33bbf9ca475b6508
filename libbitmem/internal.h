/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library's parts know of each other. Data goes one way down:
 *
 *   tensor, model -> block allocator -> segment -> backend
 *
 * Nothing lower knows anything higher.
 *
 * Locks: ctx->lock guards the segments, the free lists and the counters. It is
 * the only lock of the library, a leaf: nothing that can block is called under
 * it, the backend's map and unmap neither.
 *
 * Lifetime: a context is reference-counted; each tensor and each segment holds
 * a reference, and bitmem_close() drops the caller's. A segment is reference-
 * counted; the allocator and each tensor that lives in it directly (a model's)
 * hold one.
 */
#ifndef BITMEM_INTERNAL_H
#define BITMEM_INTERNAL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bitmem/bitmem.h>
#include <bitmem/model.h>

struct bm_segment;
struct bm_backend;

/* --- error.c --- */

/* Fills @error (may be NULL) and sets errno to -@code. Returns @code, a negative errno. */
int bm_error(struct bitmem_error *error, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* --- backend.c, backend_device.c, backend_memfd.c --- */

/* A mapping that a backend made. */
struct bm_range {
	void *addr;	/* superblock-aligned */
	size_t length;	/* bytes, a multiple of the page size */
	size_t pinned;	/* bytes of it that cannot be paged out */
	uint64_t handle; /* the backend's own: buffer id, fd */
};

/* The longest tag that the kernel keeps, without the final NUL. */
#define BM_TAG_MAX 31

/* One of several segments that are wanted at once. */
struct bm_wanted {
	size_t length;
	char tag[BM_TAG_MAX + 1];
	struct bm_range range;		/* what the backend made */
	struct bm_segment *segment;	/* what became of it */
};

struct bm_backend_ops {
	enum bitmem_backend kind;
	/* Returns a new backend, or NULL with errno and @options->error set. */
	struct bm_backend *(*open)(const struct bitmem_options *options);
	void (*close)(struct bm_backend *backend);
	/* Maps at least @length zeroed bytes. 0 or -errno. @tag may be NULL. */
	int (*map)(struct bm_backend *backend, size_t length, const char *tag,
		   struct bm_range *range);
	/* Cannot fail: takes the mapping and the memory away. */
	void (*unmap)(struct bm_backend *backend, struct bm_range *range);
	/*
	 * Both for several at once, or NULL where that is no faster. The first makes
	 * all or none, and sets *@failed to the first that cannot be had.
	 */
	int (*map_many)(struct bm_backend *backend, struct bm_wanted *wanted, size_t n,
			size_t *failed);
	void (*unmap_many)(struct bm_backend *backend, struct bm_range *ranges, size_t n);
};

struct bm_backend {
	const struct bm_backend_ops *ops;
	size_t page_size;
	size_t superblock_size;
};

extern const struct bm_backend_ops bm_backend_device;
extern const struct bm_backend_ops bm_backend_memfd;

/* Opens the backend that @options and the environment ask for. NULL with errno. */
struct bm_backend *bm_backend_open(const struct bitmem_options *options);

/* --- context.c --- */

struct bitmem *bm_context_ref(struct bitmem *ctx);
void bm_context_unref(struct bitmem *ctx);
size_t bm_page_size(const struct bitmem *ctx);

/* --- segment.c --- */

/*
 * A segment of its own for @length bytes (rounded up to pages), with one
 * reference. NULL with errno.
 */
struct bm_segment *bm_segment_new(struct bitmem *ctx, size_t length, const char *tag);
struct bm_segment *bm_segment_ref(struct bm_segment *segment);
/* The last reference unmaps it. */
void bm_segment_unref(struct bm_segment *segment);

/*
 * All of the @n segments wanted, or none: then -errno, and *@failed is the first that
 * could not be had.
 */
int bm_segments_new(struct bitmem *ctx, struct bm_wanted *wanted, size_t n, size_t *failed);
/* Drops a reference on each of a list, linked by their next. */
void bm_segments_unref(struct bm_segment *list);
void *bm_segment_addr(const struct bm_segment *segment);
size_t bm_segment_length(const struct bm_segment *segment);

/* --- tensor.c --- */

/*
 * A tensor on @bytes bytes at @offset in @segment, on which it takes a reference:
 * for memory that did not come from the block allocator. It counts as one live
 * tensor of @bytes bytes. The caller has checked that the range lies inside the
 * segment and that @bytes is right. NULL with errno (ENOMEM).
 */
struct bitmem_tensor *bm_tensor_on_segment(struct bitmem *ctx, struct bm_segment *segment,
					   size_t offset, size_t bytes, enum bitmem_dtype dtype,
					   unsigned int ndims, const uint64_t *shape);

#endif /* BITMEM_INTERNAL_H */
