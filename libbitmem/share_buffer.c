/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library has on the device, as the kernel's own interface names it. */
#include <errno.h>

#include <bitmem/share.h>

#include "context.h"
#include "segment.h"

static int device_fd(const struct bitmem *ctx)
{
	int node;

	return bm_backend_device_fd(ctx->backend, &node);
}

int bitmem_device_fd(const struct bitmem *ctx)
{
	int fd = device_fd(ctx);

	return fd < 0 ? -EOPNOTSUPP : fd;
}

int bitmem_tensor_buffer(const struct bitmem_tensor *tensor, uint32_t *id, uint64_t *offset)
{
	const struct bm_segment *segment = bm_tensor_segment(tensor);
	uintptr_t data = (uintptr_t)bitmem_tensor_data(tensor);

	if (!segment || device_fd(segment->ctx) < 0)
		return -EOPNOTSUPP;
	*id = (uint32_t)segment->range.handle;
	*offset = data - (uintptr_t)segment->range.addr;
	return 0;
}
