/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file model.h
 * @brief Model files (GGUF, safetensors) loaded straight into pinned memory.
 *
 * A model is one file or a set (a split GGUF, a sharded safetensors index). Its
 * header is read and checked first: every length, product and offset, before
 * any memory is taken. Then each file's data section is read into one segment;
 * tensors are views of it.
 */
#ifndef BITMEM_MODEL_H
#define BITMEM_MODEL_H

#include <bitmem/bitmem.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bitmem_model;

/** The file format of a model. */
enum bitmem_format {
	/** GGUF version 2 or 3. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
	BITMEM_FORMAT_GGUF = 1,
	/** safetensors. https://github.com/huggingface/safetensors#format */
	BITMEM_FORMAT_SAFETENSORS = 2,
};

/**
 * How to read GGUF type ids that two projects gave different meanings
 * (36 to 39): as ggml's own or as BitNet's.
 */
enum bitmem_dialect {
	/** Decided by the architecture, the ids present and the offsets; never guessed. */
	BITMEM_DIALECT_AUTO = 0,
	/** As ggml's own. */
	BITMEM_DIALECT_GGML = 1,
	/** As in BitNet's fork of llama.cpp. */
	BITMEM_DIALECT_BITNET = 2,
};

/** Bits of bitmem_model_options.flags. */
enum bitmem_model_flags {
	/** Read through the page cache, even where the filesystem takes O_DIRECT. */
	BITMEM_MODEL_BUFFERED = 1 << 0,
};

/** How far a load has come. */
struct bitmem_progress {
	/** Bytes read so far. */
	uint64_t done;
	uint64_t total;		 /**< bytes to be read in all */
	/** Files of the set read completely. */
	unsigned int files_done;
	unsigned int files;	 /**< their number */
};

/** What bitmem_model_load() takes. Set it up with bitmem_model_options_init(). */
struct bitmem_model_options {
	/** sizeof(struct bitmem_model_options) as the caller was compiled. */
	size_t size;
	/** BITMEM_MODEL_* bits. */
	unsigned int flags;
	/** Of GGUF's clashing type ids. */
	enum bitmem_dialect dialect;
	/** Reads in flight, 0 for the default; at most 1024. */
	unsigned int queue_depth;
	/** Bytes of one read, 0 for the default; rounded up to 4096; at most 64 MiB. */
	size_t window;
	/**
	 * Called now and then from the loading thread, once at the end with
	 * done == total; returning non-zero cancels the load (ECANCELED).
	 */
	int (*progress)(const struct bitmem_progress *progress, void *arg);
	/** Handed to progress. */
	void *progress_arg;
	/** Filled in on failure, if not NULL: "FILE: FIELD: what is wrong with VALUE". */
	struct bitmem_error *error;
};

/**
 * Fills @p options of @p size bytes with the defaults, and nothing beyond, for who
 * cannot call bitmem_model_options_init(). Members that the library does not know become 0.
 */
BITMEM_API void bitmem_model_options_init_sized(struct bitmem_model_options *options, size_t size);

/** Fills @p options with the defaults. */
static inline void bitmem_model_options_init(struct bitmem_model_options *options)
{
	bitmem_model_options_init_sized(options, sizeof(*options));
}

/**
 * Loads a model.
 * @param ctx      where its memory is from; it may be closed before the model.
 * @param path     the file; of a split GGUF the first file, of a sharded
 *                 safetensors the index (NAME.safetensors.index.json): the whole
 *                 set is loaded.
 * @param options  NULL for the defaults.
 * @return the model, to be closed by bitmem_model_close(); NULL with errno:
 *         as open(2) and read(2) said of a file; EBADMSG if a file is not what
 *         its format demands, or if its size, mtime or ctime changed during the
 *         load (renaming it changes the ctime, too); ENOTSUP for a version, byte
 *         order or type that is not supported; EMEDIUMTYPE if it is neither format; ECANCELED;
 *         EINVAL for an option; ENOMEM. Nothing stays allocated on failure.
 */
BITMEM_API struct bitmem_model *bitmem_model_load(struct bitmem *ctx, const char *path,
						  const struct bitmem_model_options *options);

/**
 * Loads several files as one model, as bitmem_model_load() does with each; a file
 * that was already loaded as part of a set is not loaded again.
 * @return as bitmem_model_load(); EBADMSG also if two files hold a tensor of the
 *         same name, or differ in format.
 */
BITMEM_API struct bitmem_model *
bitmem_model_load_files(struct bitmem *ctx, const char *const *paths, size_t n_paths,
			const struct bitmem_model_options *options);

/**
 * Closes a model and drops its references to its tensors. Tensors that the
 * caller has referenced stay. NULL does nothing.
 */
BITMEM_API void bitmem_model_close(struct bitmem_model *model);

/** What was loaded and how. The strings live as long as the model. */
struct bitmem_model_info {
	/** sizeof(struct bitmem_model_info) as the caller was compiled; set it before the call. */
	size_t size;
	/** The files' format. */
	enum bitmem_format format;
	/** "gguf" or "safetensors". */
	const char *format_name;
	/**
	 * How the data came in: "io_uring+direct+fixed", "io_uring+direct",
	 * "io_uring+buffered", "pread+direct" or "pread+buffered" (pread where
	 * the kernel refuses io_uring). The least direct one if files differ; "+fixed"
	 * only if every read was, so never of a model without data.
	 */
	const char *io;
	/** Bytes of all tensors. */
	uint64_t bytes;
	/** Bytes read from the files' data sections, padding included. */
	uint64_t bytes_read;
	/** Wall time of the load, headers included. */
	double seconds;
	/** Number of files. */
	size_t files;
	size_t tensors; /**< number of tensors */
};

/** Describes a model. @return 0; -EINVAL if info->size is too small. */
BITMEM_API int bitmem_model_info(const struct bitmem_model *model, struct bitmem_model_info *info);

/**
 * Path of file @p i, 0 … files - 1, as given or found; NULL beyond. The index of a
 * sharded model holds no data and is not among the files.
 */
BITMEM_API const char *bitmem_model_file(const struct bitmem_model *model, size_t i);

/** One tensor of a model, as its file describes it. Lives as long as the model. */
struct bitmem_model_entry {
	/** As in the file, UTF-8. */
	const char *name;
	/** The file's own name of the element type: "Q8_0", "BF16", "F8_E4M3" … */
	const char *dtype_name;
	/** The same as the library's type. */
	enum bitmem_dtype dtype;
	/** Dimensions, 0 to BITMEM_MAX_DIMS. */
	unsigned int ndims;
	/** In the file's own order (GGUF: fastest first; safetensors: slowest first). */
	const uint64_t *shape;
	/** Of its data. */
	uint64_t bytes;
	/** Which file holds it: a number for bitmem_model_file(). */
	size_t file;
	/** Where its data starts in that file. */
	uint64_t file_offset;
	/**
	 * The data, borrowed from the model: reference it to keep it longer. Its
	 * shape is slowest first, as that of all the library's tensors.
	 */
	struct bitmem_tensor *tensor;
};

/** Tensor @p i, 0 … tensors - 1, in file order; NULL beyond. */
BITMEM_API const struct bitmem_model_entry *bitmem_model_entry(const struct bitmem_model *model,
							       size_t i);

/** The tensor of that name, borrowed from the model; NULL with errno ENOENT. */
BITMEM_API struct bitmem_tensor *bitmem_model_tensor(const struct bitmem_model *model,
						     const char *name);

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_MODEL_H */
