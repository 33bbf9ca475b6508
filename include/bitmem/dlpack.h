/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file dlpack.h
 * @brief Tensors to and from other frameworks, by DLPack.
 *
 * Source of the structures, codes and rules: the DLPack specification,
 * https://dmlc.github.io/dlpack/latest/c_api.html, version 1.1, and version 0.8
 * for the legacy structure. They are declared here under the names they have
 * there, for programs without DLPack's own header; a program that has it
 * includes it before this one.
 *
 * Elements are in the machine's own byte order, the last dimension's next to each
 * other. Types packed below a byte have their first element in the lowest bits,
 * in both worlds.
 *
 * | bitmem                   | DLPack code           | bits           |
 * |--------------------------|-----------------------|----------------|
 * | I64, I32, I16, I8        | kDLInt                | 64, 32, 16, 8  |
 * | I4, I2, I1               | kDLInt                | 4, 2, 1        |
 * | U64, U32, U16, U8        | kDLUInt               | 64, 32, 16, 8  |
 * | F64, F32, F16            | kDLFloat              | 64, 32, 16     |
 * | BF16                     | kDLBfloat             | 16             |
 * | C64                      | kDLComplex            | 64             |
 * | BOOL                     | kDLBool               | 8              |
 * | F8_E4M3                  | kDLFloat8_e4m3fn      | 8              |
 * | F8_E4M3FNUZ              | kDLFloat8_e4m3fnuz    | 8              |
 * | F8_E5M2, F8_E5M2FNUZ     | kDLFloat8_e5m2, …fnuz | 8              |
 * | F8_E8M0                  | kDLFloat8_e8m0fnu     | 8              |
 * | F6_E2M3, F6_E3M2         | kDLFloat6_e2m3fn, …   | 6              |
 * | F4                       | kDLFloat4_e2m1fn      | 4              |
 *
 * The other types, which are ternary or have blocks, are none of DLPack's. Their
 * bytes can be had by a view as U8.
 */
#ifndef BITMEM_DLPACK_H
#define BITMEM_DLPACK_H

#include <stdint.h>

#include <bitmem/bitmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What DLPack's own header is known by. */
#ifndef DLPACK_DLPACK_H_

/** The version that this header describes. */
#define DLPACK_MAJOR_VERSION 1
/** As DLPACK_MAJOR_VERSION. */
#define DLPACK_MINOR_VERSION 1

/** Flag of a versioned tensor: it must not be written to. */
#define DLPACK_FLAG_BITMASK_READ_ONLY (1UL << 0UL)
/** Flag: nobody else has the data. */
#define DLPACK_FLAG_BITMASK_IS_COPIED (1UL << 1UL)
/** Flag: elements of less than a byte take a byte each; without it they are packed. */
#define DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED (1UL << 2UL)

/** Of another major version only the deleter may be used. */
typedef struct {
	uint32_t major; /**< DLPACK_MAJOR_VERSION */
	uint32_t minor; /**< DLPACK_MINOR_VERSION */
} DLPackVersion;

/** Where the data is: of DLPack's values those that are named here. */
#ifdef __cplusplus
typedef enum : int32_t {
#else
typedef enum {
#endif
	kDLCPU = 1,	  /**< the processor's memory */
	kDLCUDA = 2,	  /**< a CUDA device's */
	kDLCUDAHost = 3,  /**< the processor's, pinned by CUDA */
	kDLROCM = 10,	  /**< a ROCm device's */
	kDLROCMHost = 11, /**< the processor's, pinned by ROCm */
} DLDeviceType;

/** Which device. */
typedef struct {
	/** Its kind. */
	DLDeviceType device_type;
	/** 0 for kDLCPU. */
	int32_t device_id;
} DLDevice;

/** What DLDataType::code says. */
typedef enum {
	kDLInt = 0, /**< signed integer */
	kDLUInt = 1, /**< unsigned integer */
	kDLFloat = 2, /**< IEEE 754 float */
	kDLOpaqueHandle = 3, /**< a handle */
	kDLBfloat = 4, /**< bfloat16 */
	kDLComplex = 5, /**< two floats */
	kDLBool = 6, /**< boolean */
	kDLFloat8_e3m4 = 7, /**< 8 bits: 3 of exponent, 4 of mantissa */
	kDLFloat8_e4m3 = 8, /**< 8 bits: 4 of exponent, 3 of mantissa */
	kDLFloat8_e4m3b11fnuz = 9, /**< 8 bits: 4 of exponent, 3 of mantissa; b11fnuz */
	kDLFloat8_e4m3fn = 10, /**< 8 bits: 4 of exponent, 3 of mantissa; fn */
	kDLFloat8_e4m3fnuz = 11, /**< 8 bits: 4 of exponent, 3 of mantissa; fnuz */
	kDLFloat8_e5m2 = 12, /**< 8 bits: 5 of exponent, 2 of mantissa */
	kDLFloat8_e5m2fnuz = 13, /**< 8 bits: 5 of exponent, 2 of mantissa; fnuz */
	kDLFloat8_e8m0fnu = 14, /**< 8 bits: 8 of exponent, 0 of mantissa; fnu */
	kDLFloat6_e2m3fn = 15, /**< 6 bits: 2 of exponent, 3 of mantissa; fn */
	kDLFloat6_e3m2fn = 16, /**< 6 bits: 3 of exponent, 2 of mantissa; fn */
	kDLFloat4_e2m1fn = 17, /**< 4 bits: 2 of exponent, 1 of mantissa; fn */
} DLDataTypeCode;

/** What one element is. */
typedef struct {
	/** A DLDataTypeCode. */
	uint8_t code;
	/** Bits of one lane. */
	uint8_t bits;
	/** 1; more if an element is a vector. */
	uint16_t lanes;
} DLDataType;

/** Memory and how to read it. */
typedef struct {
	/** Start of the memory; see byte_offset. */
	void *data;
	/** Where it is. */
	DLDevice device;
	/** Number of dimensions. */
	int32_t ndim;
	/** Element type. */
	DLDataType dtype;
	/** @c ndim element counts. */
	int64_t *shape;
	/** @c ndim distances in elements; NULL, in old versions, if there are no gaps. */
	int64_t *strides;
	/** Bytes from @c data to the first element. */
	uint64_t byte_offset;
} DLTensor;

/** The legacy structure, of before DLPack 1.0. */
typedef struct DLManagedTensor {
	DLTensor dl_tensor; /**< the tensor */
	void *manager_ctx;  /**< who made it keeps what it needs here */
	/** To be called when the data is no longer needed; may be NULL. */
	void (*deleter)(struct DLManagedTensor *self);
} DLManagedTensor;

/** The structure of DLPack 1.0 and later. */
typedef struct DLManagedTensorVersioned {
	DLPackVersion version; /**< of DLPack, by which it was made */
	void *manager_ctx;     /**< who made it keeps what it needs here */
	/** To be called when the data is no longer needed; may be NULL. */
	void (*deleter)(struct DLManagedTensorVersioned *self);
	/** DLPACK_FLAG_BITMASK_*. */
	uint64_t flags;
	/** The tensor. */
	DLTensor dl_tensor;
} DLManagedTensorVersioned;

#endif /* DLPACK_DLPACK_H_ */

/* An old header of DLPack's own has no versioned one. */
struct DLManagedTensor;
struct DLManagedTensorVersioned;

/**
 * Describes a tensor to another framework, which shares its memory.
 *
 * The result holds a reference to the tensor until its deleter is called, from any
 * thread, after bitmem_close() too. Its strides are never NULL unless it is a
 * scalar; its data is NULL if the tensor is empty.
 * @return the description, version 1.1 without flags, to be dropped by its
 *         deleter; NULL with errno: EOPNOTSUPP if DLPack has no such element type,
 *         EOVERFLOW if a dimension is beyond its 63 bits, ENOMEM.
 */
BITMEM_API struct DLManagedTensorVersioned *bitmem_tensor_to_dlpack(struct bitmem_tensor *tensor);

/**
 * The same in the legacy structure, for frameworks that know no other. It does not
 * say whether elements of less than a byte are packed, so these are EOPNOTSUPP.
 */
BITMEM_API struct DLManagedTensor *bitmem_tensor_to_dlpack_legacy(struct bitmem_tensor *tensor);

/**
 * Makes a tensor of what another framework describes.
 *
 * Memory that is not bitmem's is copied into a new tensor, gaps left out, whatever
 * strides and offset there are. What bitmem_tensor_to_dlpack() made of a tensor of
 * @p ctx gives that tensor, with one more reference. Vectors become one more
 * dimension, the last. @p managed is believed: it says how much memory there is.
 * @param ctx      where the copy's memory is from.
 * @param managed  on success it is done with: its deleter was called. On failure it
 *                 stays the caller's, to be dropped by its deleter.
 * @param error    filled in on failure, if not NULL.
 * @return a tensor with one reference; NULL with errno: EOPNOTSUPP (another major
 *         version, a device that is not the CPU, an element type, padding or flag
 *         that bitmem does not have), EINVAL (dimensions that cannot be, more than
 *         BITMEM_MAX_DIMS of them, no data), EOVERFLOW, ENOMEM.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_from_dlpack(struct bitmem *ctx,
						struct DLManagedTensorVersioned *managed,
						struct bitmem_error *error);

/**
 * The same of the legacy structure. Elements of less than a byte, which may be
 * packed or not, are EOPNOTSUPP, except vectors of them that fill whole bytes.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_from_dlpack_legacy(struct bitmem *ctx,
						struct DLManagedTensor *managed,
						struct bitmem_error *error);

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_DLPACK_H */
