/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tensors to and from other processes: what the message says. See share.h for its layout.
 *
 * The message is from somebody else and may hold anything: nothing is taken from it
 * that is not computed anew or checked against what the kernel says of the memory.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

#include <bitmem/share.h>

#include "message.h"
#include "site.h"

#undef bitmem_tensor_new_shareable
#undef bitmem_tensor_receive

/* "BMST" in memory. */
#define MAGIC 0x54534d42u
#define VERSION 1u

/* All little-endian. */
struct header {
	uint32_t magic;
	uint32_t version;
	uint32_t backend;
	uint32_t dtype;
	uint32_t ndims;
	uint32_t reserved;
	uint64_t offset;
	uint64_t bytes;
	uint64_t shape[BITMEM_MAX_DIMS];
};

_Static_assert(sizeof(struct header) == 104, "the layout that share.h tells");

/* What a header says, in the machine's own order. */
struct description {
	enum bitmem_dtype dtype;
	unsigned int ndims;
	uint64_t shape[BITMEM_MAX_DIMS];
	uint64_t offset, bytes;
};

static unsigned int fastest(unsigned int ndims)
{
	return ndims ? ndims - 1 : 0;
}

static struct bitmem_tensor *new_shareable(struct bitmem *ctx, enum bitmem_dtype dtype,
					   unsigned int ndims, const uint64_t *shape,
					   unsigned int site)
{
	struct bitmem_tensor *tensor;
	struct bm_segment *segment;
	uint64_t bytes;
	int ret = -EINVAL;

	if (!ndims || shape)
		ret = bitmem_dtype_bytes(dtype, ndims, shape, fastest(ndims), &bytes);
	if (!ret && bytes > SIZE_MAX)
		ret = -EOVERFLOW;
	if (ret) {
		errno = -ret;
		return NULL;
	}
	/* An empty tensor has an address, too. */
	segment = bm_segment_new_shareable(ctx, bytes ? (size_t)bytes : 1, "shareable");
	if (!segment)
		return NULL;
	tensor = bm_tensor_on_segment(ctx, segment, 0, (size_t)bytes, dtype, ndims, shape, site);
	bm_segment_unref(segment);
	if (!tensor)
		errno = ENOMEM;
	return tensor;
}

struct bitmem_tensor *bitmem_tensor_new_shareable(struct bitmem *ctx, enum bitmem_dtype dtype,
						  unsigned int ndims, const uint64_t *shape)
{
	return new_shareable(ctx, dtype, ndims, shape,
			     bm_site_of_caller(__builtin_return_address(0)));
}

struct bitmem_tensor *bitmem_tensor_new_shareable_at(struct bitmem *ctx, enum bitmem_dtype dtype,
						     unsigned int ndims, const uint64_t *shape,
						     struct bitmem_site *site)
{
	return new_shareable(ctx, dtype, ndims, shape, bm_site_number(site));
}

static void fill_in(const struct bitmem_tensor *tensor, const struct bm_segment *segment,
		    struct header *header)
{
	const uint64_t *shape = bitmem_tensor_shape(tensor);
	uint32_t ndims = bitmem_tensor_ndims(tensor);
	uintptr_t start = (uintptr_t)bitmem_tensor_data(tensor);

	*header = (struct header) {
		.magic = htole32(MAGIC),
		.version = htole32(VERSION),
		.backend = htole32(bitmem_backend(bm_tensor_context(tensor))),
		.dtype = htole32(bitmem_tensor_dtype(tensor)),
		.ndims = htole32(ndims),
		.offset = htole64(start - (uintptr_t)bm_segment_addr(segment)),
		.bytes = htole64(bitmem_tensor_bytes(tensor)),
	};
	for (uint32_t i = 0; i < ndims; i++)
		header->shape[i] = htole64(shape[i]);
}

int bitmem_tensor_send(int socket, struct bitmem_tensor *tensor)
{
	struct bm_segment *segment = bm_tensor_segment(tensor);
	struct header header;
	int fd, ret;

	if (!segment)
		return -EOPNOTSUPP;
	fd = bm_segment_share(segment);
	if (fd < 0)
		return fd;
	fill_in(tensor, segment, &header);
	ret = bm_message_send(socket, &header, sizeof(header), fd);
	close(fd);
	return ret;
}

/* Whether it is a message for a context of this kind. 0 or -errno with words. */
static int check_kind(const struct header *header, enum bitmem_backend backend,
		      struct bitmem_error *error)
{
	uint32_t version = le32toh(header->version), from = le32toh(header->backend);

	if (le32toh(header->magic) != MAGIC)
		return bm_error(error, -EPROTO, "magic: %#" PRIx32 " is none of a tensor",
				le32toh(header->magic));
	if (version != VERSION)
		return bm_error(error, -EOPNOTSUPP, "version: %" PRIu32 " is not %u", version,
				VERSION);
	if (from != BITMEM_BACKEND_DEVICE && from != BITMEM_BACKEND_MEMFD)
		return bm_error(error, -EPROTO, "backend: %" PRIu32 " is none", from);
	if (from != backend)
		return bm_error(error, -EOPNOTSUPP, "backend: %s, and this context's is %s",
				bitmem_backend_name((enum bitmem_backend)from),
				bitmem_backend_name(backend));
	if (header->reserved)
		return bm_error(error, -EPROTO, "reserved: %#" PRIx32,
				le32toh(header->reserved));
	return 0;
}

/* The shape, and that it makes as many bytes as it says. 0 or -errno with words. */
static int read_header(const struct header *header, struct description *d,
		       struct bitmem_error *error)
{
	uint64_t bytes;

	d->dtype = (enum bitmem_dtype)le32toh(header->dtype);
	d->ndims = le32toh(header->ndims);
	d->offset = le64toh(header->offset);
	d->bytes = le64toh(header->bytes);
	if (d->ndims > BITMEM_MAX_DIMS)
		return bm_error(error, -EPROTO, "ndims: %u", d->ndims);
	for (unsigned int i = 0; i < BITMEM_MAX_DIMS; i++) {
		d->shape[i] = le64toh(header->shape[i]);
		if (i >= d->ndims && d->shape[i])
			return bm_error(error, -EPROTO, "shape[%u]: %" PRIu64
					" with %u dimensions", i, d->shape[i], d->ndims);
	}
	if (bitmem_dtype_bytes(d->dtype, d->ndims, d->shape, fastest(d->ndims), &bytes))
		return bm_error(error, -EPROTO, "dtype: %" PRIu32 " with a shape that cannot be",
				le32toh(header->dtype));
	if (d->bytes != bytes)
		return bm_error(error, -EPROTO, "bytes: %" PRIu64 ", and the shape has %" PRIu64,
				d->bytes, bytes);
	return 0;
}

/* The tensor in the memory that came. NULL with errno. */
static struct bitmem_tensor *tensor_on(struct bitmem *ctx, struct bm_segment *segment,
				       const struct description *d, unsigned int site,
				       struct bitmem_error *error)
{
	size_t length = bm_segment_length(segment);
	struct bitmem_tensor *tensor;

	if (d->offset > length || d->bytes > length - d->offset) {
		bm_error(error, -EPROTO, "offset: %" PRIu64 " and bytes: %" PRIu64
			 ", in memory of %zu", d->offset, d->bytes, length);
		return NULL;
	}
	tensor = bm_tensor_on_segment(ctx, segment, (size_t)d->offset, (size_t)d->bytes,
				      d->dtype, d->ndims, d->shape, site);
	if (!tensor)
		bm_error(error, -ENOMEM, "out of memory");
	return tensor;
}

/* What the header tells of, made of the memory behind @fd, which the segment has if *@used. */
static struct bitmem_tensor *accept_tensor(struct bitmem *ctx, const struct header *header, int fd,
					   unsigned int site, bool *used,
					   struct bitmem_error *error)
{
	struct bitmem_tensor *tensor;
	struct bm_segment *segment;
	struct description d;
	int code;

	if (check_kind(header, bitmem_backend(ctx), error) || read_header(header, &d, error))
		return NULL;
	segment = bm_segment_adopt(ctx, fd, error);
	if (!segment)
		return NULL;
	*used = true;
	tensor = tensor_on(ctx, segment, &d, site, error);
	code = errno;
	bm_segment_unref(segment);
	errno = code;
	return tensor;
}

static struct bitmem_tensor *receive(struct bitmem *ctx, int socket, unsigned int site,
				     struct bitmem_error *error)
{
	struct bitmem_tensor *tensor;
	struct header header;
	bool used = false;
	int fd, code;

	if (error)
		*error = (struct bitmem_error) { .code = 0 };
	fd = bm_message_receive(socket, &header, sizeof(header), error);
	if (fd < 0)
		return NULL;
	tensor = accept_tensor(ctx, &header, fd, site, &used, error);
	if (!used) {
		code = errno;
		close(fd);
		errno = code;
	}
	return tensor;
}

struct bitmem_tensor *bitmem_tensor_receive(struct bitmem *ctx, int socket,
					    struct bitmem_error *error)
{
	return receive(ctx, socket, bm_site_of_caller(__builtin_return_address(0)), error);
}

struct bitmem_tensor *bitmem_tensor_receive_at(struct bitmem *ctx, int socket,
					       struct bitmem_error *error,
					       struct bitmem_site *site)
{
	return receive(ctx, socket, bm_site_number(site), error);
}
