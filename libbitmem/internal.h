/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library's parts know of each other. Data goes one way down:
 *
 *   tensor, model -> block -> cache -> slab -> heap -> segment -> backend
 *
 * Nothing lower knows anything higher.
 *
 * Locks: ctx->lock guards what several threads share. Nothing that can block is called
 * under it, the backend's operations neither. Outside it there is the registry's lock,
 * for threads' and contexts' comings and goings (cache.h), and outside that those of the
 * keeper (pressure/keeper.h).
 *
 * Lifetime: a context is reference-counted; each segment holds a reference, and
 * bitmem_close() drops the caller's, but leaves one for each tensor that is alive then. A
 * segment is reference-counted; the allocator and each tensor that lives in it directly
 * (a model's) hold one.
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

/* Which memory is wanted. */
struct bm_where {
	int node;		/* or BITMEM_NODE_ANY */
	unsigned int width;	/* address bits of the device that is to reach it, 0: any */
	bool bind;		/* only from that node */
	uint8_t pool;		/* the context's pool that it is for */
};

/* A mapping that a backend makes. */
struct bm_range {
	void *addr;	/* where it is wanted, superblock-aligned; the arena keeps that free */
	bool outside;	/* of the arena: addr is where the backend chose */
	size_t length;	/* bytes, a multiple of the page size */
	size_t pinned;	/* bytes of it that cannot be paged out */
	uint64_t handle; /* the backend's own: buffer id, kind of file */
	void *hold;	/* the backend's own: a mapping that keeps a shared buffer whole */
	unsigned int bound; /* the backend's own: 1 + the node that all has to be from, or 0 */
};

/* What committing or decommitting changed: bytes held from the backend, and those pinned. */
struct bm_change {
	size_t bytes, pinned;
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
	/* Maps @range->length zeroed bytes at @range->addr. 0 or -errno. @tag may be NULL. */
	int (*map)(struct bm_backend *backend, const struct bm_where *where, const char *tag,
		   struct bm_range *range);
	/* Cannot fail: takes the memory away. The addresses stay the arena's. */
	void (*unmap)(struct bm_backend *backend, struct bm_range *range);
	/*
	 * Both for several at once, or NULL where that is no faster. The first makes
	 * all or none, and sets *@failed to the first that cannot be had.
	 */
	int (*map_many)(struct bm_backend *backend, const struct bm_where *where,
			struct bm_wanted *wanted, size_t n, size_t *failed);
	void (*unmap_many)(struct bm_backend *backend, struct bm_range *ranges, size_t n);
	/*
	 * Takes the memory of part of a range away, in whole pages, as far as nothing holds it; and
	 * gets it again, zeroed: all, or -errno and no change. What has been decommitted
	 * must not be touched.
	 */
	void (*decommit)(struct bm_backend *backend, const struct bm_range *range, size_t offset,
			 size_t length, struct bm_change *change);
	int (*commit)(struct bm_backend *backend, const struct bm_range *range, size_t offset,
		      size_t length, struct bm_change *change);
	/*
	 * After the former: what is left of a range is pinned again, if it was. While nobody calls
	 * either. NULL where it never was anything else.
	 */
	void (*settle)(const struct bm_backend *backend, const struct bm_range *range);
	/* As map, of a range outside that share() can hand on; NULL where all can be. */
	int (*map_shareable)(struct bm_backend *backend, const struct bm_where *where,
			     const char *tag, struct bm_range *range);
	/*
	 * A new descriptor, close-on-exec, of the whole range's memory, for another
	 * process; or -errno, -EOPNOTSUPP if the range cannot be handed on. May be called
	 * by several threads at once.
	 */
	int (*share)(struct bm_backend *backend, struct bm_range *range);
	/*
	 * Maps the memory behind a descriptor from a process that nobody trusts, outside. Takes
	 * @fd over on success. 0 or -errno with words; -EPROTO if it cannot be accepted.
	 */
	int (*adopt)(struct bm_backend *backend, int fd, struct bm_range *range,
		     struct bitmem_error *error);
	/* Whether there can be such memory at all: 0, or -errno with words. */
	int (*check)(struct bm_backend *backend, const struct bm_where *where,
		     struct bitmem_error *error);
	/*
	 * Moves a range's memory to @where->node, as far as nothing holds it; -EBUSY if something
	 * does. Addresses and contents stay. 0 or -errno.
	 */
	int (*migrate)(struct bm_backend *backend, const struct bm_where *where,
		       struct bm_range *range);
	/*
	 * In the child of a fork(): says how much of a range is pinned there, in @range->pinned.
	 * NULL where that is as in the parent.
	 */
	void (*in_child)(struct bm_range *range);
	/*
	 * Has the memory that is like @where put together, whoever has it; adds to *@moved and
	 * *@freed. 0 or -errno. NULL where the kernel does that by itself.
	 */
	int (*compact)(struct bm_backend *backend, const struct bm_where *where, uint64_t *moved,
		       uint64_t *freed);
};

struct bm_backend {
	const struct bm_backend_ops *ops;
	size_t page_size;
	size_t superblock_size;
	size_t max_holes;	/* as many a process may have (holes.h); 0: any number */
	struct bm_where where;	/* what the options ask for */
};

extern const struct bm_backend_ops bm_backend_device;
extern const struct bm_backend_ops bm_backend_memfd;

/* The device's descriptor, and the node preferred there; -1 for another backend. */
int bm_backend_device_fd(const struct bm_backend *backend, int *node);
/* Moves it to @min or above, if it can; nobody may use the backend meanwhile. */
void bm_backend_device_move_fd(struct bm_backend *backend, int min);
/*
 * For the child of a fork() that is done with the memory: closes the descriptor, if nobody has
 * closed it and got the number for something else. Nothing can be asked of the device any more.
 */
void bm_backend_device_leave(struct bm_backend *backend);

/* Opens the backend that @options and the environment ask for. NULL with errno. */
struct bm_backend *bm_backend_open(const struct bitmem_options *options);

/* --- context.c --- */

struct bitmem *bm_context_ref(struct bitmem *ctx);
void bm_context_unref(struct bitmem *ctx);
size_t bm_page_size(const struct bitmem *ctx);

/* --- segment.c --- */

/*
 * A segment for @length bytes (rounded up to pages) at a multiple of @align, with one
 * reference. NULL with errno.
 */
struct bm_segment *bm_segment_new(struct bitmem *ctx, const struct bm_where *where, size_t length,
				  size_t align, const char *tag);
struct bm_segment *bm_segment_ref(struct bm_segment *segment);
/* The last reference unmaps it. */
void bm_segment_unref(struct bm_segment *segment);

/*
 * All of the @n segments wanted, of the context's first pool, or none: then -errno, and
 * *@failed is the first that could not be had.
 */
int bm_segments_new(struct bitmem *ctx, struct bm_wanted *wanted, size_t n, size_t *failed);
/* Drops a reference on each of a list, linked by their next. */
void bm_segments_unref(struct bm_segment *list);
/* In the child of a fork(): counts what is pinned there. With the context's lock held. */
void bm_segments_in_child(struct bitmem *ctx);
/* As bm_segment_new(), of memory that bm_segment_share() can hand on. */
struct bm_segment *bm_segment_new_shareable(struct bitmem *ctx, size_t length, const char *tag);
/* A descriptor of the segment's memory for another process, close-on-exec; or -errno. */
int bm_segment_share(struct bm_segment *segment);
/*
 * A segment of the memory behind a descriptor that came from another process, with one
 * reference. Takes @fd over on success. NULL with errno and @error set.
 */
struct bm_segment *bm_segment_adopt(struct bitmem *ctx, int fd, struct bitmem_error *error);
void *bm_segment_addr(const struct bm_segment *segment);
size_t bm_segment_length(const struct bm_segment *segment);

/* --- tensor.c --- */

/*
 * A tensor on @bytes bytes at @offset in @segment, on which it takes a reference:
 * for memory that did not come from the block allocator. It counts as one live
 * tensor of @bytes bytes. The caller has checked that the range lies inside the
 * segment and that @bytes is right. @site is the number of the place that asked (site.h).
 * NULL with errno (ENOMEM).
 */
struct bitmem_tensor *bm_tensor_on_segment(struct bitmem *ctx, struct bm_segment *segment,
					   size_t offset, size_t bytes, enum bitmem_dtype dtype,
					   unsigned int ndims, const uint64_t *shape,
					   unsigned int site);

/* bitmem_tensor_new() or bitmem_tensor_empty() on behalf of the site of that number. */
struct bitmem_tensor *bm_tensor_new(struct bitmem *ctx, enum bitmem_dtype dtype,
				    unsigned int ndims, const uint64_t *shape, unsigned int site,
				    bool zeroed);

/* bitmem_tensor_view() on behalf of the site of that number. */
struct bitmem_tensor *bm_tensor_view(struct bitmem_tensor *tensor, enum bitmem_dtype dtype,
				     unsigned int ndims, const uint64_t *shape, size_t offset,
				     unsigned int site);

/* The context that a tensor's memory belongs to. */
struct bitmem *bm_tensor_context(const struct bitmem_tensor *tensor);

/*
 * The segment that a tensor, or the one it is a view of, was put on, which holds nobody else's
 * data; NULL if it has a block.
 */
struct bm_segment *bm_tensor_segment(const struct bitmem_tensor *tensor);

/* --- dtype.c --- */

/* What each byte of a tensor is whose elements are all 0; -EINVAL if the type has no 0. */
int bm_dtype_zero(enum bitmem_dtype dtype);

/* --- tensor.c, for the tracker --- */

struct bm_record;

/* What a tensor that is alive is. */
struct bm_tensor_look {
	const struct bitmem_tensor *tensor;
	void *data;
	enum bitmem_dtype dtype;
	/* Of one that has no block; else its slot knows the rest. */
	bool foreign, view;
	size_t bytes;
	uint32_t *stamp;	/* site, and the time in the upper half */
	const struct bm_segment *segment;
};

/* What a record is. False if it is no tensor. With the lock held and all caches claimed. */
bool bm_tensor_look(struct bm_record *record, struct bm_tensor_look *look);

#endif /* BITMEM_INTERNAL_H */
