/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of model loading share: a directory of their own, writers of
 * model files that know nothing of the library's readers, and checks of what was
 * loaded against plain reads of the files.
 */
#ifndef BITMEM_MODEL_TEST_H
#define BITMEM_MODEL_TEST_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/model.h>

/* lib_test.h's, which only test programs include: it defines a fixture. */
struct bitmem_stats test_stats(struct bitmem *ctx);
bool test_stats_equal(const struct bitmem_stats *a, const struct bitmem_stats *b);
int test_fds(void);

/* --- bytes to be written to a file --- */

/* A field of a file and how it may be damaged. */
struct mark {
	const char *field;	/* what an error about it names */
	size_t pos;
	unsigned int width;	/* 4 or 8 bytes */
	unsigned int harmless;	/* PROBE_ bits: values that leave the file valid */
};

enum {
	PROBE_0 = 1 << 0,
	PROBE_1 = 1 << 1,
	PROBE_MAX = 1 << 2,
	PROBE_SIGN = 1 << 3,	/* the sign bit alone */
	PROBE_POSITIVE = 1 << 4, /* all but the sign bit */
	PROBE_MORE = 1 << 5,
	PROBE_LESS = 1 << 6,
	PROBES = 7,
};

#define MAX_MARKS 1024

struct bytes {
	unsigned char *data;
	size_t length, room;
	struct mark marks[MAX_MARKS];
	unsigned int n_marks;
};

void bytes_free(struct bytes *b);
void bytes_add(struct bytes *b, const void *data, size_t length);
void bytes_zero(struct bytes *b, size_t length);
/* Bytes that differ from place to place and from @seed to @seed. */
void bytes_noise(struct bytes *b, uint64_t length, uint64_t seed);
void bytes_u16(struct bytes *b, uint16_t value);
/* With @field not NULL, a mark is left. */
void bytes_u32(struct bytes *b, uint32_t value, const char *field, unsigned int harmless);
void bytes_u64(struct bytes *b, uint64_t value, const char *field, unsigned int harmless);
/* The value of probe @i (0 to PROBES - 1) of a mark. False if it is the field's own. */
bool bytes_probe(const struct bytes *b, const struct mark *mark, unsigned int i, uint64_t *value);
void bytes_set(struct bytes *b, const struct mark *mark, uint64_t value);

/* --- GGUF --- */

struct gguf_tensor {
	const char *name;
	unsigned int ndims;
	uint64_t ne[5];		/* one more than there may be */
	uint32_t type;
	uint64_t bytes;
	uint64_t offset;	/* set by gguf_tensors() */
};

/* A file is written as gguf_begin(), keys, gguf_tensors(), gguf_data(). */
void gguf_begin(struct bytes *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys);
void gguf_key(struct bytes *b, const char *key, uint32_t type);
void gguf_string(struct bytes *b, const char *string);
void gguf_key_string(struct bytes *b, const char *key, const char *value);
void gguf_key_u32(struct bytes *b, const char *key, uint32_t value);
void gguf_key_u16(struct bytes *b, const char *key, uint16_t value);
void gguf_key_i32(struct bytes *b, const char *key, int32_t value);
/* Gives out the offsets and writes the descriptions. */
void gguf_tensors(struct bytes *b, struct gguf_tensor *tensors, size_t n, uint32_t alignment);
/* Padding and data; the last tensor's own padding only with @padded. */
void gguf_data(struct bytes *b, const struct gguf_tensor *tensors, size_t n, uint32_t alignment,
	       bool padded);
/* All of it, with an architecture as the only key. */
void gguf_file(struct bytes *b, uint32_t version, const char *architecture,
	       struct gguf_tensor *tensors, size_t n);

enum {
	GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
	GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64,
};

/* --- safetensors --- */

/* A file with this header, of its own length, and @data bytes of noise. */
void safetensors_file(struct bytes *b, const char *json, size_t data);

/* --- files --- */

/* A new directory for files; removed with its files by dir_remove(). NULL if there is none. */
char *dir_make(const char *where);
void dir_remove(char *dir);
/* "DIR/NAME"; the string lives until 64 more calls. */
const char *dir_path(const char *dir, const char *name);
bool dir_write(const char *dir, const char *name, const void *data, size_t length);
bool dir_write_bytes(const char *dir, const char *name, const struct bytes *b);
/* The directory with real models; NULL where it is missing. */
const char *models_dir(void);

/* --- checks --- */

/* Whether each tensor's bytes are those that pread(2) finds; says which are not. */
bool model_matches_files(const struct bitmem_model *model);

/*
 * Whether loading @path fails with @code (any of EBADMSG, ENOTSUP and EMEDIUMTYPE if
 * @code is 0) and one line that names @file and has @words (if not NULL) in it, and
 * leaves all counters and descriptors as they were. Says what is otherwise.
 */
bool model_refused(struct bitmem *ctx, const char *path, int code, const char *file,
		   const char *words);
/* Whether it loads and is what the files say. */
bool model_loads(struct bitmem *ctx, const char *path);

#endif /* BITMEM_MODEL_TEST_H */
