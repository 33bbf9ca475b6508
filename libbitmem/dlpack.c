/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DLPack: tensors described to other frameworks, and tensors made of what these
 * describe. Both structures of DLPack hold the same DLTensor; all that is done for
 * one is done for the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <bitmem/dlpack.h>

#include "strided.h"

struct type {
	enum bitmem_dtype dtype;
	uint8_t code, bits;
};

/* F8_E4M3 is safetensors' F8_E4M3, which has no infinities: DLPack's "fn". */
static const struct type types[] = {
	{ BITMEM_F64, kDLFloat, 64 },
	{ BITMEM_F32, kDLFloat, 32 },
	{ BITMEM_F16, kDLFloat, 16 },
	{ BITMEM_BF16, kDLBfloat, 16 },
	{ BITMEM_C64, kDLComplex, 64 },
	{ BITMEM_F8_E5M2, kDLFloat8_e5m2, 8 },
	{ BITMEM_F8_E4M3, kDLFloat8_e4m3fn, 8 },
	{ BITMEM_F8_E8M0, kDLFloat8_e8m0fnu, 8 },
	{ BITMEM_F8_E4M3FNUZ, kDLFloat8_e4m3fnuz, 8 },
	{ BITMEM_F8_E5M2FNUZ, kDLFloat8_e5m2fnuz, 8 },
	{ BITMEM_BOOL, kDLBool, 8 },
	{ BITMEM_I64, kDLInt, 64 },
	{ BITMEM_I32, kDLInt, 32 },
	{ BITMEM_I16, kDLInt, 16 },
	{ BITMEM_I8, kDLInt, 8 },
	{ BITMEM_U64, kDLUInt, 64 },
	{ BITMEM_U32, kDLUInt, 32 },
	{ BITMEM_U16, kDLUInt, 16 },
	{ BITMEM_U8, kDLUInt, 8 },
	{ BITMEM_F6_E2M3, kDLFloat6_e2m3fn, 6 },
	{ BITMEM_F6_E3M2, kDLFloat6_e3m2fn, 6 },
	{ BITMEM_F4, kDLFloat4_e2m1fn, 4 },
	{ BITMEM_I4, kDLInt, 4 },
	{ BITMEM_I2, kDLInt, 2 },
	{ BITMEM_I1, kDLInt, 1 },
};

#define N_TYPES (sizeof(types) / sizeof(types[0]))

#define ALL_FLAGS (DLPACK_FLAG_BITMASK_READ_ONLY | DLPACK_FLAG_BITMASK_IS_COPIED | \
		   DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED)

/* What manager_ctx of our own points to. */
struct export {
	union {
		DLManagedTensorVersioned versioned;
		DLManagedTensor legacy;
	};
	struct bitmem_tensor *tensor;
	int64_t shape[BITMEM_MAX_DIMS];
	struct bm_strided strided;
};

/* How elements of less than a byte lie. */
enum packing {
	PACKED,
	PADDED,
	UNKNOWN,
};

/* --- to DLPack --- */

static const struct type *type_of(enum bitmem_dtype dtype)
{
	for (size_t i = 0; i < N_TYPES; i++) {
		if (types[i].dtype == dtype)
			return &types[i];
	}
	return NULL;
}

/* Copies what there is to say of the shape. 0 or -EOVERFLOW. */
static int set_shape(struct export *export)
{
	const uint64_t *shape = bitmem_tensor_shape(export->tensor);
	struct bm_strided *strided = &export->strided;

	strided->ndims = bitmem_tensor_ndims(export->tensor);
	for (unsigned int i = 0; i < strided->ndims; i++) {
		if (shape[i] > INT64_MAX)
			return -EOVERFLOW;
		strided->shape[i] = shape[i];
		export->shape[i] = (int64_t)shape[i];
	}
	return bm_strided_set_dense(strided);
}

/* A description with all but what the two structures put around it. NULL with errno. */
static struct export *export_new(struct bitmem_tensor *tensor, enum packing packing, DLTensor *dl)
{
	const struct type *type = type_of(bitmem_tensor_dtype(tensor));
	struct export *export;

	if (!type || (packing == UNKNOWN && type->bits < 8)) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	export = calloc(1, sizeof(*export));
	if (!export)
		return NULL;
	export->tensor = tensor;
	if (set_shape(export)) {
		free(export);
		errno = EOVERFLOW;
		return NULL;
	}
	bitmem_tensor_ref(tensor);
	dl->data = bitmem_tensor_bytes(tensor) ? bitmem_tensor_data(tensor) : NULL;
	dl->device.device_type = kDLCPU;
	dl->device.device_id = 0;
	dl->ndim = (int32_t)export->strided.ndims;
	dl->dtype.code = type->code;
	dl->dtype.bits = type->bits;
	dl->dtype.lanes = 1;
	dl->shape = dl->ndim ? export->shape : NULL;
	dl->strides = dl->ndim ? export->strided.strides : NULL;
	dl->byte_offset = 0;
	return export;
}

static void export_delete(struct export *export)
{
	bitmem_tensor_unref(export->tensor);
	free(export);
}

static void delete_versioned(DLManagedTensorVersioned *self)
{
	export_delete(self->manager_ctx);
}

static void delete_legacy(DLManagedTensor *self)
{
	export_delete(self->manager_ctx);
}

DLManagedTensorVersioned *bitmem_tensor_to_dlpack(struct bitmem_tensor *tensor)
{
	DLTensor dl;
	struct export *export = export_new(tensor, PACKED, &dl);

	if (!export)
		return NULL;
	export->versioned.version.major = DLPACK_MAJOR_VERSION;
	export->versioned.version.minor = DLPACK_MINOR_VERSION;
	export->versioned.manager_ctx = export;
	export->versioned.deleter = delete_versioned;
	export->versioned.dl_tensor = dl;
	return &export->versioned;
}

DLManagedTensor *bitmem_tensor_to_dlpack_legacy(struct bitmem_tensor *tensor)
{
	DLTensor dl;
	struct export *export = export_new(tensor, UNKNOWN, &dl);

	if (!export)
		return NULL;
	export->legacy.manager_ctx = export;
	export->legacy.deleter = delete_legacy;
	export->legacy.dl_tensor = dl;
	return &export->legacy;
}

/* --- from DLPack --- */

/* Finds the element type. 0 or -EOPNOTSUPP with words. */
static int find_type(const DLDataType *dl, enum packing packing, enum bitmem_dtype *dtype,
		     struct bitmem_error *error)
{
	bool whole_bytes = dl->bits * dl->lanes % 8 == 0;

	for (size_t i = 0; i < N_TYPES && dl->lanes; i++) {
		if (types[i].code != dl->code || types[i].bits != dl->bits)
			continue;
		if (dl->bits < 8 && (packing == PADDED || (packing == UNKNOWN && !whole_bytes)))
			return bm_error(error, -EOPNOTSUPP,
					"dtype: elements of %u bits are not known to be packed",
					dl->bits);
		if (dl->lanes > 1 && !whole_bytes)
			return bm_error(error, -EOPNOTSUPP,
					"dtype: vectors of %u times %u bits are no whole bytes",
					dl->lanes, dl->bits);
		*dtype = types[i].dtype;
		return 0;
	}
	return bm_error(error, -EOPNOTSUPP, "dtype: no type of code %u, %u bits and %u lanes",
			dl->code, dl->bits, dl->lanes);
}

/* The dimensions, in elements of which each may be a vector. */
static int read_shape(const DLTensor *dl, struct bm_strided *strided, struct bitmem_error *error)
{
	int max = BITMEM_MAX_DIMS - (dl->dtype.lanes > 1);

	if (dl->ndim < 0 || dl->ndim > max)
		return bm_error(error, -EINVAL, "ndim: %" PRId32 " is not 0 to %d", dl->ndim, max);
	if (dl->ndim && !dl->shape)
		return bm_error(error, -EINVAL, "shape: none, with %" PRId32 " dimensions",
				dl->ndim);
	strided->ndims = (unsigned int)dl->ndim;
	strided->bits = (uint32_t)dl->dtype.bits * dl->dtype.lanes;
	for (int i = 0; i < dl->ndim; i++) {
		if (dl->shape[i] < 0)
			return bm_error(error, -EINVAL, "shape[%d]: %" PRId64 " is negative", i,
					dl->shape[i]);
		strided->shape[i] = (uint64_t)dl->shape[i];
		if (dl->strides)
			strided->strides[i] = dl->strides[i];
	}
	if (!dl->strides && bm_strided_set_dense(strided))
		return bm_error(error, -EOVERFLOW, "shape: too many elements");
	return 0;
}

/* Where the elements are. Those of an empty tensor are nowhere. */
static int read_data(const DLTensor *dl, struct bm_strided *strided, struct bitmem_error *error)
{
	uintptr_t start;

	for (unsigned int i = 0; i < strided->ndims; i++) {
		if (!strided->shape[i])
			return 0;
	}
	if (!dl->data)
		return bm_error(error, -EINVAL, "data: none");
	if (__builtin_add_overflow((uintptr_t)dl->data, dl->byte_offset, &start))
		return bm_error(error, -EOVERFLOW, "byte_offset: %" PRIu64 " is too large",
				dl->byte_offset);
	strided->data = (const void *)start;
	if (bm_strided_check(strided))
		return bm_error(error, -EOVERFLOW, "strides: too large");
	return 0;
}

/* A new tensor with a copy of the elements. */
static struct bitmem_tensor *copy(struct bitmem *ctx, enum bitmem_dtype dtype,
				  const struct bm_strided *strided, uint16_t lanes,
				  struct bitmem_error *error)
{
	uint64_t shape[BITMEM_MAX_DIMS];
	unsigned int ndims = strided->ndims;
	struct bitmem_tensor *tensor;

	for (unsigned int i = 0; i < ndims; i++)
		shape[i] = strided->shape[i];
	if (lanes > 1)
		shape[ndims++] = lanes;
	tensor = bitmem_tensor_new(ctx, dtype, ndims, shape);
	if (!tensor) {
		bm_error(error, -errno, "a tensor for the copy: %s", strerror(errno));
		return NULL;
	}
	if (bitmem_tensor_bytes(tensor))
		bm_strided_copy(bitmem_tensor_data(tensor), strided);
	return tensor;
}

static struct bitmem_tensor *import(struct bitmem *ctx, const DLTensor *dl, enum packing packing,
				    struct bitmem_error *error)
{
	struct bm_strided strided = { .ndims = 0 };
	enum bitmem_dtype dtype = BITMEM_DTYPE_INVALID;

	if (dl->device.device_type != kDLCPU) {
		bm_error(error, -EOPNOTSUPP, "device: type %d is not the CPU",
			 (int)dl->device.device_type);
		return NULL;
	}
	if (find_type(&dl->dtype, packing, &dtype, error) || read_shape(dl, &strided, error) ||
	    read_data(dl, &strided, error))
		return NULL;
	return copy(ctx, dtype, &strided, dl->dtype.lanes, error);
}

/* The tensor of a description of ours; NULL if it is another context's. */
static struct bitmem_tensor *own_tensor(const struct bitmem *ctx, const struct export *export)
{
	if (bm_tensor_context(export->tensor) != ctx)
		return NULL;
	return bitmem_tensor_ref(export->tensor);
}

static void clear(struct bitmem_error *error)
{
	if (error) {
		error->code = 0;
		error->text[0] = '\0';
	}
}

static int check_version(const DLManagedTensorVersioned *managed, struct bitmem_error *error)
{
	if (managed->version.major != DLPACK_MAJOR_VERSION)
		return bm_error(error, -EOPNOTSUPP, "version: DLPack %" PRIu32 ".%" PRIu32
				" is not %d", managed->version.major, managed->version.minor,
				DLPACK_MAJOR_VERSION);
	if (managed->flags & ~(uint64_t)ALL_FLAGS)
		return bm_error(error, -EOPNOTSUPP, "flags: %#" PRIx64 " has unknown ones",
				managed->flags);
	return 0;
}

struct bitmem_tensor *bitmem_tensor_from_dlpack(struct bitmem *ctx,
						DLManagedTensorVersioned *managed,
						struct bitmem_error *error)
{
	struct bitmem_tensor *tensor = NULL;

	clear(error);
	if (check_version(managed, error))
		return NULL;
	if (managed->deleter == delete_versioned)
		tensor = own_tensor(ctx, managed->manager_ctx);
	if (!tensor)
		tensor = import(ctx, &managed->dl_tensor,
				managed->flags & DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED ?
				PADDED : PACKED, error);
	if (tensor && managed->deleter)
		managed->deleter(managed);
	return tensor;
}

struct bitmem_tensor *bitmem_tensor_from_dlpack_legacy(struct bitmem *ctx, DLManagedTensor *managed,
						       struct bitmem_error *error)
{
	struct bitmem_tensor *tensor = NULL;

	clear(error);
	if (managed->deleter == delete_legacy)
		tensor = own_tensor(ctx, managed->manager_ctx);
	if (!tensor)
		tensor = import(ctx, &managed->dl_tensor, UNKNOWN, error);
	if (tensor && managed->deleter)
		managed->deleter(managed);
	return tensor;
}
