/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file bitmem.h
 * @brief libbitmem: pinned, DMA-capable memory for tensors.
 *
 * Everything hangs on a context, struct bitmem. What the library knows of the process as a
 * whole is which contexts and threads there are, and which places in code allocate. Functions
 * are safe to call from several threads at once unless their description says otherwise. Closing
 * a context while another thread uses it is not safe.
 *
 * Errors: a function that returns a pointer returns NULL and sets errno; a
 * function that returns int returns 0 or a negative errno. A failed call
 * changes nothing. Where a caller may want words as well, it hands in a struct
 * bitmem_error.
 *
 * Shapes are arrays of element counts. Sizes, lengths and offsets are bytes.
 *
 * A structure that begins with its size may grow at its end in later versions: a program tells the
 * size that it was compiled with, and works with libraries older and newer than that. The
 * others never change.
 *
 * Across fork() the memory is shared: parent and child see each other's writes,
 * and it stays until both have gone. The library's books are not shared: each
 * has a copy. So of a context opened before the fork, only one of the two may
 * go on calling functions that allocate, free, reference or close; the other
 * may use the memory it knows, exit or exec, and open a context of its own. What other threads
 * were about to get or to give back at that instant stays counted in the child.
 */
#ifndef BITMEM_BITMEM_H
#define BITMEM_BITMEM_H

#include <stddef.h>
#include <stdint.h>

#include <bitmem/dtype.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What is exported by the shared library. */
#if defined(__GNUC__)
#define BITMEM_API __attribute__((visibility("default")))
#else
#define BITMEM_API
#endif

struct bitmem;
struct bitmem_tensor;

/** Why a call failed, for people. The caller owns it. */
struct bitmem_error {
	/** Negative errno, 0 if nothing failed. */
	int code;
	/** One line without a newline: what was wrong, the field and the value. */
	char text[508];
};

/** Where a context's memory comes from. */
enum bitmem_backend {
	/** The device if it can be opened, else memfd; BITMEM_BACKEND=device|memfd decides. */
	BITMEM_BACKEND_AUTO = 0,
	/** The kernel module's /dev/bitmem: pinned, and taken back whatever happens. */
	BITMEM_BACKEND_DEVICE = 1,
	/** A memfd, locked as far as RLIMIT_MEMLOCK lets it: for hosts without the module. */
	BITMEM_BACKEND_MEMFD = 2,
};

/** How much the library keeps of what is allocated; each is exact in what it keeps. */
enum bitmem_tracking {
	/** BITMEM_TRACKING=counters|sites|full in the environment decides, else sites. */
	BITMEM_TRACKING_AUTO = 0,
	/** How many, how many bytes, the peak: what bitmem_stats() gives. */
	BITMEM_TRACKING_COUNTERS = 1,
	/** Also of each live block by which place in the code it was allocated, and when. */
	BITMEM_TRACKING_SITES = 2,
	/** Also its stack, and a ring of the latest events. */
	BITMEM_TRACKING_FULL = 3,
};

/** No NUMA node is asked for. */
#ifndef BITMEM_NODE_ANY
#define BITMEM_NODE_ANY (-1)
#endif

/** What bitmem_open() takes. Set it up with bitmem_options_init(), then change members. */
struct bitmem_options {
	/**
	 * sizeof(struct bitmem_options) as the caller was compiled: EINVAL if less
	 * than the first version's, or if it is more than the library knows and the
	 * members that it does not know are not zero.
	 */
	size_t size;
	/** An explicit backend here wins over the environment. */
	enum bitmem_backend backend;
	/** NUMA node to prefer, or BITMEM_NODE_ANY. */
	int node;
	/** Device node; NULL is BITMEM_DEVICE from the environment, else /dev/bitmem. */
	const char *device;
	/**
	 * Bytes of a segment that small allocations share, 0 for the default
	 * (64 MiB); rounded up to the superblock size. Larger requests get a
	 * segment of their own.
	 */
	size_t segment_size;
	/** Filled in on failure, if not NULL. */
	struct bitmem_error *error;
	/** How much is kept of what is allocated; an explicit level wins over the environment. */
	enum bitmem_tracking tracking;
};

/**
 * Fills @p options of @p size bytes with the defaults, and nothing beyond, for who
 * cannot call bitmem_options_init(). Members that the library does not know become 0.
 */
BITMEM_API void bitmem_options_init_sized(struct bitmem_options *options, size_t size);

/** Fills @p options with the defaults. */
static inline void bitmem_options_init(struct bitmem_options *options)
{
	bitmem_options_init_sized(options, sizeof(*options));
}

/**
 * Opens a context.
 * @param options  NULL for the defaults.
 * @return the context, to be closed by bitmem_close(); NULL with errno:
 *         ENOENT, EACCES, ENXIO … as open(2) said of the device; EINVAL for an
 *         option, or a BITMEM_BACKEND in the environment, that cannot be right;
 *         ENOMEM; EPROTO if the module speaks another ABI.
 */
BITMEM_API struct bitmem *bitmem_open(const struct bitmem_options *options);

/**
 * Closes a context.
 *
 * The context goes away when its last tensor and model do: tensors and models that
 * are still referenced stay usable, and may be unreferenced afterwards. Plain
 * blocks from bitmem_alloc() are gone at once. NULL does nothing. With BITMEM_LEAKS in the
 * environment (track.h) it is told what was still live, and who allocated it.
 * @return what was still live, as bitmem_stats() counts it: tensors that own
 *         memory, and plain blocks.
 */
BITMEM_API size_t bitmem_close(struct bitmem *ctx);

/** The backend in use: BITMEM_BACKEND_DEVICE or BITMEM_BACKEND_MEMFD. */
BITMEM_API enum bitmem_backend bitmem_backend(const struct bitmem *ctx);

/** "device" or "memfd"; "auto" for BITMEM_BACKEND_AUTO; NULL for anything else. */
BITMEM_API const char *bitmem_backend_name(enum bitmem_backend backend);

/**
 * A place in code that allocates. BITMEM_SITE() makes one for the place where it stands; who
 * allocates for others may hand theirs on. The library writes to it when it is used first.
 * It has to stay for as long as the process does.
 */
struct bitmem_site {
	/** The library's; 0 before the first use. */
	uint32_t state;
	/** Line in the file. */
	uint32_t line;
	/** Static strings. */
	const char *file;
	const char *function; /**< as @c __func__ */
};

/**
 * The site of a place that is known only when the program runs, as a function knows its caller's
 * by an argument. The same place always has the same site. It costs a look into a table.
 * @param file      static string; NULL: the address of this call is the place.
 * @param line      line in that file.
 * @param function  static string.
 * @return the site, which stays.
 */
BITMEM_API struct bitmem_site *bitmem_site_of(const char *file, unsigned int line,
					      const char *function);

/**
 * Allocates a block.
 *
 * Its content is undefined: what the same context has freed before may still be there. What
 * another context or process has written never is.
 * @param ctx    where it belongs: the block is gone when that is closed.
 * @param size   bytes, at least 1.
 * @param align  a power of two up to 1 GiB; 0 is 64. More than 2 MiB gets memory of its own
 *               from the backend.
 * @return the block, to be freed by bitmem_free(); NULL with errno: EINVAL (size 0, bad
 *         alignment), ENOMEM.
 */
BITMEM_API void *bitmem_alloc(struct bitmem *ctx, size_t size, size_t align);

/** The same with @p size bytes that are zero. Memory that is fresh is not cleared once more. */
BITMEM_API void *bitmem_zalloc(struct bitmem *ctx, size_t size, size_t align);

/** bitmem_alloc() on behalf of @p site; what the macro of that name calls. */
BITMEM_API void *bitmem_alloc_at(struct bitmem *ctx, size_t size, size_t align,
				 struct bitmem_site *site);
/** bitmem_alloc_at() with an alignment of 64, for which there is nothing to check. */
BITMEM_API void *bitmem_alloc_default_at(struct bitmem *ctx, size_t size,
					 struct bitmem_site *site);
/** bitmem_zalloc() on behalf of @p site. */
BITMEM_API void *bitmem_zalloc_at(struct bitmem *ctx, size_t size, size_t align,
				  struct bitmem_site *site);

/**
 * Frees a block of bitmem_alloc(). NULL does nothing.
 * @return 0; -EINVAL if @p ptr is not the start of a live block of this
 *         context (freed already, foreign, inside a block, a tensor's data).
 */
BITMEM_API int bitmem_free(struct bitmem *ctx, void *ptr);

/** Bytes usable at a block of bitmem_alloc(), not less than asked for; 0 if @p ptr is not one. */
BITMEM_API size_t bitmem_usable_size(struct bitmem *ctx, const void *ptr);

/**
 * Gives memory that no block needs back to the backend: what threads keep for later, whole
 * segments, and free pages in others. Where pages cannot go (huge ones of the fallback, those that
 * a device has pinned), they are kept and not counted.
 * @return the bytes that really went back.
 */
BITMEM_API size_t bitmem_trim(struct bitmem *ctx);

/** Counters of a context, all taken at one instant. */
struct bitmem_stats {
	/** sizeof(struct bitmem_stats) as the caller was compiled; set it before the call. */
	size_t size;
	/** Tensors that own memory, and blocks of bitmem_alloc(), now. */
	uint64_t live;
	/** Bytes asked for by those. */
	uint64_t live_bytes;
	/** Views now: tensors that share another's memory. */
	uint64_t views;
	/** Highest live_bytes so far. */
	uint64_t peak_bytes;
	/** Tensors and blocks ever allocated. */
	uint64_t allocs;
	uint64_t frees;		  /**< and ever freed */
	/** Bytes held from the backend now. */
	uint64_t committed_bytes;
	uint64_t segments;	  /**< the number of segments they make */
	/** Bytes of the committed that are locked in memory (all of them on the device). */
	uint64_t pinned_bytes;
	/** Bytes that the library itself uses to keep track, models' names and tables included. */
	uint64_t meta_bytes;
};

/**
 * Reads the counters; members that the library does not know are set to 0.
 * @return 0; -EINVAL if stats->size is less than the first version's.
 */
BITMEM_API int bitmem_stats(struct bitmem *ctx, struct bitmem_stats *stats);

/** Dimensions that a tensor may have. */
#define BITMEM_MAX_DIMS 8

/**
 * Makes a tensor with memory of its own, zeroed and 64-byte aligned.
 * @param ctx    where its memory is from; it may be closed before the tensor is dropped.
 * @param dtype  element type.
 * @param ndims  0 (a scalar) to BITMEM_MAX_DIMS.
 * @param shape  @p ndims element counts, the last one's elements next to each
 *               other (fastest); a 0 among them makes an empty tensor.
 *               For block types the fastest dimension must be a multiple of the
 *               block (see bitmem_dtype_bytes()).
 * @return a tensor with one reference, to be dropped by bitmem_tensor_unref();
 *         NULL with errno: EINVAL, EOVERFLOW, ENOMEM.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_new(struct bitmem *ctx, enum bitmem_dtype dtype,
						   unsigned int ndims, const uint64_t *shape);

/** The same with undefined content, as bitmem_alloc()'s. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_empty(struct bitmem *ctx, enum bitmem_dtype dtype,
						     unsigned int ndims, const uint64_t *shape);

/** bitmem_tensor_new() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_new_at(struct bitmem *ctx, enum bitmem_dtype dtype,
						      unsigned int ndims, const uint64_t *shape,
						      struct bitmem_site *site);
/** bitmem_tensor_empty() on behalf of @p site. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_empty_at(struct bitmem *ctx,
							enum bitmem_dtype dtype, unsigned int ndims,
							const uint64_t *shape,
							struct bitmem_site *site);

/**
 * Makes a tensor that shares the memory of another.
 * @param tensor  whose memory; the caller's reference stays the caller's.
 * @param dtype   element type of the view, which may be another one.
 * @param ndims   as for bitmem_tensor_new().
 * @param shape   as for bitmem_tensor_new().
 * @param offset  bytes into @p tensor where the view starts.
 * @return a tensor with one reference that keeps the memory alive; NULL with
 *         errno: EINVAL if it would not lie wholly inside @p tensor, EOVERFLOW,
 *         ESTALE (lifetime.h), ENOMEM.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_view(struct bitmem_tensor *tensor,
						    enum bitmem_dtype dtype, unsigned int ndims,
						    const uint64_t *shape, size_t offset);

/** bitmem_tensor_view() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_view_at(struct bitmem_tensor *tensor,
						       enum bitmem_dtype dtype, unsigned int ndims,
						       const uint64_t *shape, size_t offset,
						       struct bitmem_site *site);

/**
 * Takes one more reference. NULL does nothing. A tensor that ever has a million (2^20) at once,
 * views of it included, stays for as long as its context.
 * @return @p tensor; NULL with ESTALE for a stale handle (lifetime.h).
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_ref(struct bitmem_tensor *tensor);

/** Drops a reference; the last one frees the tensor. NULL does nothing. */
BITMEM_API void bitmem_tensor_unref(struct bitmem_tensor *tensor);

/** For @c bitmem_auto: drops what *tensor points to. */
BITMEM_API void bitmem_tensor_unrefp(struct bitmem_tensor **tensor);

#if defined(__GNUC__)
/** A variable's attribute: the tensor is dropped when the variable's scope ends. */
#define bitmem_auto __attribute__((cleanup(bitmem_tensor_unrefp)))
#endif

/**
 * The tensor's memory; NULL of a stale handle only. It stays where it is as long as the tensor
 * lives and nobody moves it (bitmem_tensor_migrate()).
 */
BITMEM_API void *bitmem_tensor_data(const struct bitmem_tensor *tensor);
/** Bytes of the tensor: exactly what dtype and shape need. */
BITMEM_API size_t bitmem_tensor_bytes(const struct bitmem_tensor *tensor);
/** The element type. */
BITMEM_API enum bitmem_dtype bitmem_tensor_dtype(const struct bitmem_tensor *tensor);
/** The number of dimensions. */
BITMEM_API unsigned int bitmem_tensor_ndims(const struct bitmem_tensor *tensor);
/** The bitmem_tensor_ndims() element counts; they live as long as the tensor. */
BITMEM_API const uint64_t *bitmem_tensor_shape(const struct bitmem_tensor *tensor);

#if defined(__GNUC__) && !defined(BITMEM_NO_SITES)
/** The site of the place where it stands, static. */
#define BITMEM_SITE()                                                                              \
	__extension__({                                                                            \
		static struct bitmem_site bitmem_site_ = { 0, __LINE__, __FILE__, __func__ };      \
		&bitmem_site_;                                                                     \
	})

/*
 * What allocates takes note of the place where it is called, when the call is compiled: it
 * costs an index. Without (BITMEM_NO_SITES, another compiler, a pointer to the function) the
 * caller's address is looked up, in some more time.
 */
#define bitmem_alloc(ctx, size, align)                                                             \
	(__builtin_constant_p(align) && ((align) == 0 || (align) == 64) ?                          \
		 bitmem_alloc_default_at(ctx, size, BITMEM_SITE()) :                               \
		 bitmem_alloc_at(ctx, size, align, BITMEM_SITE()))
#define bitmem_zalloc(ctx, size, align) bitmem_zalloc_at(ctx, size, align, BITMEM_SITE())
#define bitmem_tensor_new(ctx, dtype, ndims, shape)                                                \
	bitmem_tensor_new_at(ctx, dtype, ndims, shape, BITMEM_SITE())
#define bitmem_tensor_empty(ctx, dtype, ndims, shape)                                              \
	bitmem_tensor_empty_at(ctx, dtype, ndims, shape, BITMEM_SITE())
#define bitmem_tensor_view(tensor, dtype, ndims, shape, offset)                                    \
	bitmem_tensor_view_at(tensor, dtype, ndims, shape, offset, BITMEM_SITE())
#endif

/** "0.1.0": the library's version. */
BITMEM_API const char *bitmem_version(void);

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_BITMEM_H */
