/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Types, sizes and offsets of the tensors of a GGUF set.
 *
 * ggml and BitNet's fork of it gave the ids 36 to 39 different meanings: ggml's
 * 36 to 38 were taken out again before they got into files and its 39 is MXFP4;
 * BitNet's are I2_S, I8_S, TL1 and TL2. So 36 to 38 tell BitNet; 39 alone is told
 * by the offsets, which are running sums of the sizes and so fit one reading only;
 * if both fit, the architecture decides for BitNet, or the caller must.
 */
#include <errno.h>
#include <inttypes.h>

#include "set.h"

#define FIRST_SHARED_ID 36
#define LAST_SHARED_ID	39

static const enum bitmem_dtype ggml_types[] = {
	[0] = BITMEM_F32,      [1] = BITMEM_F16,      [2] = BITMEM_Q4_0,     [3] = BITMEM_Q4_1,
	[6] = BITMEM_Q5_0,     [7] = BITMEM_Q5_1,     [8] = BITMEM_Q8_0,     [9] = BITMEM_Q8_1,
	[10] = BITMEM_Q2_K,    [11] = BITMEM_Q3_K,    [12] = BITMEM_Q4_K,    [13] = BITMEM_Q5_K,
	[14] = BITMEM_Q6_K,    [15] = BITMEM_Q8_K,    [16] = BITMEM_IQ2_XXS, [17] = BITMEM_IQ2_XS,
	[18] = BITMEM_IQ3_XXS, [19] = BITMEM_IQ1_S,   [20] = BITMEM_IQ4_NL,  [21] = BITMEM_IQ3_S,
	[22] = BITMEM_IQ2_S,   [23] = BITMEM_IQ4_XS,  [24] = BITMEM_I8,	     [25] = BITMEM_I16,
	[26] = BITMEM_I32,     [27] = BITMEM_I64,     [28] = BITMEM_F64,     [29] = BITMEM_IQ1_M,
	[30] = BITMEM_BF16,    [34] = BITMEM_TQ1_0,   [35] = BITMEM_TQ2_0,   [39] = BITMEM_MXFP4,
	[40] = BITMEM_NVFP4,   [41] = BITMEM_Q1_0,    [42] = BITMEM_Q2_0,
};

static const enum bitmem_dtype bitnet_types[] = {BITMEM_I2_S, BITMEM_I8_S, BITMEM_TL1, BITMEM_TL2};

static enum bitmem_dtype dtype_of(uint32_t id, enum bitmem_dialect dialect)
{
	if (dialect == BITMEM_DIALECT_BITNET && id >= FIRST_SHARED_ID && id <= LAST_SHARED_ID)
		return bitnet_types[id - FIRST_SHARED_ID];
	if (id >= sizeof(ggml_types) / sizeof(ggml_types[0]))
		return BITMEM_DTYPE_INVALID;
	return ggml_types[id];
}

/* Sets type and size of a tensor. */
static int size_tensor(const struct bm_file *file, struct bm_info *info,
		       enum bitmem_dialect dialect, struct bitmem_error *error)
{
	const struct bitmem_dtype_info *type;
	int err;

	info->dtype = dtype_of(info->type, dialect);
	type = bitmem_dtype_info(info->dtype);
	if (!info->dtype || !type)
		return bm_report(error, -ENOTSUP, file->path,
				 "tensor \"%s\" type: %" PRIu32 " is not supported",
				 BM_QUOTE(info->name), info->type);
	info->dtype_name = type->name;
	err = bitmem_dtype_bytes(info->dtype, info->ndims, info->shape, 0, &info->bytes);
	if (err == -EOVERFLOW)
		return bm_report(error, -EBADMSG, file->path,
				 "tensor \"%s\" dimensions: more bytes of %s than can be counted",
				 BM_QUOTE(info->name), type->name);
	if (err)
		return bm_report(error, -EBADMSG, file->path,
				 "tensor \"%s\" dimensions: rows of %" PRIu64
				 " elements cannot be %s", BM_QUOTE(info->name),
				 info->ndims ? info->shape[0] : 1, type->name);
	return 0;
}

/* Checks that a tensor begins where the one before ended, and lies inside the file. */
static int place_tensor(const struct bm_file *file, const struct bm_info *info, uint64_t *sum,
			uint64_t *end, struct bitmem_error *error)
{
	uint64_t room = file->size - file->data_start, mask = file->gguf.alignment - 1;

	if (info->offset != *sum)
		return bm_report(error, -EBADMSG, file->path, "tensor \"%s\" offset: %" PRIu64
				 " where %" PRIu64 " is due", BM_QUOTE(info->name), info->offset,
				 *sum);
	if (info->offset > room || info->bytes > room - info->offset) {
		/* The padding behind the last tensor may be missing: it is no data. */
		if (!info->bytes)
			return 0;
		return bm_report(error, -EBADMSG, file->path,
				 "tensor \"%s\" data: %" PRIu64 " bytes at %" PRIu64
				 " do not fit in a file of %" PRIu64, BM_QUOTE(info->name),
				 info->bytes, file->data_start + info->offset, file->size);
	}
	*end = info->offset + info->bytes;
	*sum = (*end + mask) & ~mask;
	return 0;
}

/* *@rest is what the file has behind its last tensor. */
static int lay_out(struct bm_file *file, enum bitmem_dialect dialect, struct bitmem_error *error,
		   uint64_t *rest)
{
	uint64_t sum = 0, end = 0;
	int err = 0;

	for (size_t i = 0; !err && i < file->n_infos; i++) {
		err = size_tensor(file, &file->infos[i], dialect, error);
		if (!err)
			err = place_tensor(file, &file->infos[i], &sum, &end, error);
	}
	file->data_end = file->data_start + end;
	*rest = file->size - file->data_end;
	return err;
}

enum fit {
	FIT_NONE,  /* some offset or size is wrong */
	FIT_LOOSE, /* right, but the file goes on behind the last tensor's padding */
	FIT_EXACT,
};

static enum fit try_dialect(struct bm_file **files, size_t n, enum bitmem_dialect dialect)
{
	enum fit fit = FIT_EXACT;
	uint64_t rest;

	for (size_t i = 0; i < n; i++) {
		if (lay_out(files[i], dialect, NULL, &rest))
			return FIT_NONE;
		if (rest >= files[i]->gguf.alignment)
			fit = FIT_LOOSE;
	}
	return fit;
}

/* The ids that the projects share: a bit for each one in the files. */
static unsigned int shared_ids(struct bm_file **files, size_t n)
{
	unsigned int ids = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < files[i]->n_infos; j++) {
			uint32_t id = files[i]->infos[j].type;

			if (id >= FIRST_SHARED_ID && id <= LAST_SHARED_ID)
				ids |= 1u << (id - FIRST_SHARED_ID);
		}
	}
	return ids;
}

static int decide(struct bm_file **files, size_t n, enum bitmem_dialect *dialect,
		  struct bitmem_error *error)
{
	const unsigned int mxfp4_or_tl2 = 1u << (LAST_SHARED_ID - FIRST_SHARED_ID);
	unsigned int ids = shared_ids(files, n);
	enum fit ggml, bitnet;

	*dialect = BITMEM_DIALECT_GGML;
	if (ids & ~mxfp4_or_tl2)
		*dialect = BITMEM_DIALECT_BITNET;
	if (ids != mxfp4_or_tl2)
		return 0;
	ggml = try_dialect(files, n, BITMEM_DIALECT_GGML);
	bitnet = try_dialect(files, n, BITMEM_DIALECT_BITNET);
	if (bitnet > ggml || (bitnet == ggml && files[0]->gguf.bitnet))
		*dialect = BITMEM_DIALECT_BITNET;
	else if (bitnet == ggml && ggml != FIT_NONE)
		return bm_report(error, -ENOTSUP, files[0]->path,
				 "tensor types: %d may be MXFP4 or TL2 by all that the file says; "
				 "give the dialect", LAST_SHARED_ID);
	return 0;
}

int bm_gguf_layout(struct bm_file **files, size_t n, enum bitmem_dialect dialect,
		   struct bitmem_error *error)
{
	uint64_t rest;
	int err = 0;

	if (dialect == BITMEM_DIALECT_AUTO)
		err = decide(files, n, &dialect, error);
	for (size_t i = 0; !err && i < n; i++) {
		err = lay_out(files[i], dialect, error, &rest);
		files[i]->gguf.laid_out = true;
	}
	return err;
}
