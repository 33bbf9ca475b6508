/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the model loader know of each other. A load goes one way:
 *
 *   set (which files) -> gguf, safetensors, index (what a header says)
 *       -> loader (data into segments) -> model (tensors, lookup)
 *
 * Everything read from a file is untrusted until the function that read it has
 * checked it; what is in struct bm_file and struct bm_info after the set has been
 * sealed is checked. Nothing here is shared between threads before the load is over.
 */
#ifndef BITMEM_MODEL_SET_H
#define BITMEM_MODEL_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "../internal.h"

/* A tensor as its file describes it. */
struct bm_info {
	char *name;
	const char *dtype_name;
	enum bitmem_dtype dtype;
	uint32_t type;		/* GGUF: the file's id of the type */
	unsigned int ndims;
	uint64_t shape[BITMEM_MAX_DIMS]; /* in the file's own order */
	uint64_t offset;	/* into the data section */
	uint64_t bytes;
};

/* What a GGUF header says beside its tensors. */
struct bm_gguf {
	uint32_t alignment;
	bool bitnet;		/* general.architecture begins with "bitnet" */
	bool laid_out;		/* types and offsets have been checked */
	bool in_set;		/* its split set has been loaded and checked */
	uint16_t split_no, split_count;
	int32_t split_tensors;
};

struct bm_file {
	char *path;
	dev_t dev;
	ino_t ino;
	uint64_t size;
	struct timespec mtime, ctime; /* who changes the file changes one of these */
	enum bitmem_format format;
	struct bm_gguf gguf;
	struct bm_info *infos;	/* in the order of their offsets */
	size_t n_infos, max_infos;
	uint64_t data_start, data_end; /* of the data section, padding between tensors included */

	/* Where the loader puts it: the segment starts with the file's byte @base. */
	bool direct;		/* the filesystem takes O_DIRECT */
	uint32_t block;		/* what offsets, lengths and addresses of reads are multiples of */
	uint64_t base, length;
	struct bm_segment *segment;
};

/* The files of a model. */
struct bm_set {
	struct bm_file **files;
	size_t n_files, max_files;
	enum bitmem_dialect dialect;
	bool buffered;		/* the caller wants no O_DIRECT */
	struct bitmem_error *error;
};

/* --- report.c --- */

/*
 * Says "PATH: FIELD: what is wrong", the latter two made of @fmt, on one line:
 * control characters are escaped, an overlong path loses its beginning. Returns @code.
 */
int bm_report(struct bitmem_error *error, int code, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/*
 * A name out of a file as an error shows it: escaped, and short enough that field
 * and value still fit behind it. BM_QUOTE's text lives as long as the block around it.
 */
#define BM_QUOTE_MAX 104
#define BM_QUOTE(name) bm_quote((char[BM_QUOTE_MAX]){0}, (name))
char *bm_quote(char to[BM_QUOTE_MAX], const char *name);

int bm_report_nomem(struct bitmem_error *error, const char *path);

/* --- names.c --- */

struct bm_name_slot {
	const char *name;
	uint64_t hash;
	size_t value;
};

/* A hash table from names to indices, keyed at random: names come from strangers. */
struct bm_names {
	struct bm_name_slot *slots;
	size_t n, n_slots;
	uint64_t key[2];
};

int bm_names_init(struct bm_names *names);
void bm_names_fini(struct bm_names *names);
/* @name is borrowed. -EEXIST if it is there, -ENOMEM. */
int bm_names_add(struct bm_names *names, const char *name, size_t value);
/* The value; SIZE_MAX if there is no such name. */
size_t bm_names_find(const struct bm_names *names, const char *name);

/* --- set.c --- */

void bm_set_fini(struct bm_set *set);
/* Adds the file or set at @path, unless it is there. */
int bm_set_add(struct bm_set *set, const char *path);
/* Adds one file, its header read, unless it is there. *@index tells where it is. */
int bm_set_add_file(struct bm_set *set, const char *path, size_t *index);
/* Checks what can only be checked when all are there. Nothing may be added then. */
int bm_set_seal(struct bm_set *set);

/* --- file.c --- */

struct bm_file *bm_file_new(const char *path);
void bm_file_free(struct bm_file *file);
/* Opens a regular file for reading and fills in who it is. A descriptor or -errno. */
int bm_file_open(struct bm_file *file, struct bitmem_error *error);
/* Makes sure that @now, opened later, is @file, and as it was. */
int bm_file_same(const struct bm_file *file, const struct bm_file *now,
		 struct bitmem_error *error);
/* The same of what is open as @fd. */
int bm_file_unchanged(const struct bm_file *file, int fd, struct bitmem_error *error);
/* Finds out how the filesystem wants to be read. */
void bm_file_probe(struct bm_file *file, int fd, bool buffered);
/* The next tensor to fill in, zeroed; NULL for want of memory. */
struct bm_info *bm_file_info(struct bm_file *file);
/* pread(2) of all @length bytes. */
int bm_file_read(const struct bm_file *file, int fd, void *to, size_t length, uint64_t offset,
		 struct bitmem_error *error);
/* "DIR/NAME" in the directory of @path; NULL for want of memory. */
char *bm_path_sibling(const char *path, const char *name);
/* The last component of @path. */
const char *bm_path_name(const char *path);
bool bm_path_ends(const char *path, const char *suffix);

/* --- gguf.c --- */

/* Reads the header into @file. Types and offsets are as the file has them. */
int bm_gguf_read(struct bm_file *file, int fd, struct bitmem_error *error);

/* --- gguf_layout.c --- */

/*
 * Decides the dialect of the files of one set and checks all types and offsets
 * by it. @files[0] is the one with the metadata.
 */
int bm_gguf_layout(struct bm_file **files, size_t n, enum bitmem_dialect dialect,
		   struct bitmem_error *error);

/* --- gguf_split.c --- */

/* Adds the other files of the split set that @first is the first file of. */
int bm_gguf_add_split(struct bm_set *set, size_t first);
/* The complaint about a file whose set was not asked for by its first file. */
int bm_gguf_not_first(const struct bm_file *file, struct bitmem_error *error);

/* --- safetensors.c --- */

int bm_safetensors_read(struct bm_file *file, int fd, struct bitmem_error *error);
/* True if the 16 bytes (or fewer) at the start of the file look like one. */
bool bm_safetensors_probe(const struct bm_file *file, const unsigned char *head, size_t n);

/* --- index.c --- */

/* Adds the files of the index that is open as @fd. */
int bm_index_read(struct bm_set *set, const struct bm_file *index, int fd);

/* --- loader.c --- */

struct bm_load_result {
	const char *io;
	uint64_t bytes_read;
};

/* Takes a segment for each file's data and reads it in. On failure the segments remain. */
int bm_load(struct bitmem *ctx, struct bm_set *set, const struct bitmem_model_options *options,
	    struct bm_load_result *result);

#endif /* BITMEM_MODEL_SET_H */
