/* SPDX-License-Identifier: GPL-2.0 */
/* A framework that is not bitmem; see dlpack_test.h. */
#include <string.h>

#include "dlpack_test.h"

static void foreign_delete(DLManagedTensorVersioned *self)
{
	((struct foreign *)self->manager_ctx)->deleted++;
}

static void foreign_delete_legacy(DLManagedTensor *self)
{
	((struct foreign *)self->manager_ctx)->deleted++;
}

void foreign_init(struct foreign *f, uint8_t code, uint8_t bits, void *data, int64_t n)
{
	memset(f, 0, sizeof(*f));
	f->shape[0] = n;
	f->strides[0] = 1;
	f->managed.version.major = 1;
	f->managed.version.minor = 3;
	f->managed.manager_ctx = f;
	f->managed.deleter = foreign_delete;
	f->managed.dl_tensor.data = data;
	f->managed.dl_tensor.device.device_type = kDLCPU;
	f->managed.dl_tensor.ndim = 1;
	f->managed.dl_tensor.dtype.code = code;
	f->managed.dl_tensor.dtype.bits = bits;
	f->managed.dl_tensor.dtype.lanes = 1;
	f->managed.dl_tensor.shape = f->shape;
	f->managed.dl_tensor.strides = f->strides;
}

void foreign_shape(struct foreign *f, int ndim, const int64_t *shape,
			  const int64_t *strides)
{
	f->managed.dl_tensor.ndim = ndim;
	memcpy(f->shape, shape, (size_t)ndim * sizeof(*shape));
	if (strides)
		memcpy(f->strides, strides, (size_t)ndim * sizeof(*strides));
	else
		f->managed.dl_tensor.strides = NULL;
}

DLManagedTensor *foreign_legacy(struct foreign *f)
{
	f->legacy.dl_tensor = f->managed.dl_tensor;
	f->legacy.manager_ctx = f;
	f->legacy.deleter = foreign_delete_legacy;
	return &f->legacy;
}
