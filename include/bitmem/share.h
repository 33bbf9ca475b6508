/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file share.h
 * @brief Tensors sent to other processes over a UNIX socket.
 *
 * Both processes then have the same memory, and see each other's writes. It stays
 * until both have dropped it, or ended: the receiver keeps it when the sender is
 * killed.
 *
 * What is sent is the whole segment that the tensor lies in, whatever part of it the
 * tensor is. So only tensors whose segment holds nothing of anybody else's can be
 * sent: those of bitmem_tensor_new_shareable(), received ones, a model's (with these
 * all of the model's file) on the device backend, and views of them. A tensor of
 * bitmem_tensor_new() lies among others. A model's on the memfd backend may lie in
 * huge pages, which one process could take from the other.
 *
 * Both contexts must have the same backend. With the device, memory that the other
 * process allocated counts against that process's quota and limit, not the receiver's.
 *
 * The message is one block of 104 bytes in little-endian order, with one descriptor
 * (SCM_RIGHTS): a dma-buf of the module or a sealed memfd.
 *
 * | offset | bytes | what                                                          |
 * |--------|-------|---------------------------------------------------------------|
 * | 0      | 4     | 0x54534d42, "BMST"                                            |
 * | 4      | 4     | version, 1                                                    |
 * | 8      | 4     | enum bitmem_backend                                           |
 * | 12     | 4     | enum bitmem_dtype                                             |
 * | 16     | 4     | dimensions, 0 to 8                                            |
 * | 20     | 4     | 0                                                             |
 * | 24     | 8     | where the tensor starts, in bytes from the start of the memory |
 * | 32     | 8     | bytes of the tensor                                           |
 * | 40     | 64    | eight dimensions, 0 for those that there are not              |
 */
#ifndef BITMEM_SHARE_H
#define BITMEM_SHARE_H

#include <bitmem/bitmem.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Makes a tensor that bitmem_tensor_send() can send: as bitmem_tensor_new(), in a
 * segment of its own. That is a page at least, and on the memfd backend a file
 * descriptor for as long as the memory lives.
 * @return a tensor with one reference, zeroed; NULL with errno as from
 *         bitmem_tensor_new(), or EMFILE, ENFILE.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_new_shareable(struct bitmem *ctx,
							     enum bitmem_dtype dtype,
							     unsigned int ndims,
							     const uint64_t *shape);

/** bitmem_tensor_new_shareable() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_new_shareable_at(struct bitmem *ctx,
								enum bitmem_dtype dtype,
								unsigned int ndims,
								const uint64_t *shape,
								struct bitmem_site *site);

/**
 * Sends a tensor as one message. The tensor stays the caller's, too.
 *
 * The receiver gets the memory to read and to write. Blocks if the socket does and is
 * full; on a socket that does not block, that is EAGAIN, and nothing was sent. No signal
 * is raised. Several threads may send on one socket.
 * @param socket  a connected UNIX socket of any type.
 * @param tensor  what is sent; the caller's reference stays the caller's.
 * @return 0; -EOPNOTSUPP if the tensor's memory is not its own, see above; -EBADF,
 *         -ENOTSOCK, -EINVAL (not a UNIX socket); -EMFILE, -ENFILE, -ETOOMANYREFS,
 *         -ENOMEM; -EPIPE and others as sendmsg(2) says. On any of them nothing was sent.
 */
BITMEM_API int bitmem_tensor_send(int socket, struct bitmem_tensor *tensor);

/**
 * Receives a tensor that bitmem_tensor_send() sent, as one message. Nothing that is
 * in the message is believed: the tensor lies inside the memory that came with it, and
 * the sender cannot take that away. What the elements are, and when they change, is
 * the sender's affair: a careful receiver copies before it checks.
 *
 * Received memory counts in bitmem_stats() as any other, and with the memfd backend
 * is not locked by the receiver and takes a file descriptor. The tensor's data is aligned
 * as in the sender: to 64 bytes unless it is a view.
 *
 * Blocks if the socket does. Several threads may receive on one socket.
 * @param ctx     has the tensor; of the same backend as the sender's.
 * @param socket  a connected UNIX socket of any type.
 * @param error   filled in on failure, if not NULL.
 * @return a tensor with one reference; NULL with errno: ENODATA if the other end is
 *         closed; EPROTO if the message is not one of bitmem_tensor_send() or its
 *         descriptor not what the backend shares (the message is consumed, its
 *         descriptors are closed; of a stream socket no more can be made sense of);
 *         EOPNOTSUPP if it is of another version or another backend; EBADF, ENOTSOCK,
 *         EINVAL (not a UNIX socket), EAGAIN and others as recvmsg(2) says; ENOMEM, EMFILE.
 */
BITMEM_API struct bitmem_tensor *bitmem_tensor_receive(struct bitmem *ctx, int socket,
						       struct bitmem_error *error);

/** bitmem_tensor_receive() on behalf of @p site; what the macro of that name calls. */
BITMEM_API struct bitmem_tensor *bitmem_tensor_receive_at(struct bitmem *ctx, int socket,
							  struct bitmem_error *error,
							  struct bitmem_site *site);

/**
 * The device file that all of a context's memory belongs to, for what <linux/bitmem.h> can do
 * and this library does not: it is the context's still, so only what leaves the library's
 * buffers as they are.
 * @return a descriptor that is valid until the context is gone; -EOPNOTSUPP with another backend.
 */
BITMEM_API int bitmem_device_fd(const struct bitmem *ctx);

/**
 * Which of that file's buffers a tensor lies in. As with bitmem_tensor_send() only a tensor whose
 * memory holds nothing of anybody else's has an answer.
 * @param tensor  a tensor that is alive.
 * @param id      is set to the buffer's id in the file.
 * @param offset  is set to where the tensor starts in it, in bytes.
 * @return 0; -EOPNOTSUPP if there is none.
 */
BITMEM_API int bitmem_tensor_buffer(const struct bitmem_tensor *tensor, uint32_t *id,
				    uint64_t *offset);

#if defined(__GNUC__) && !defined(BITMEM_NO_SITES)
#define bitmem_tensor_new_shareable(ctx, dtype, ndims, shape)                                      \
	bitmem_tensor_new_shareable_at(ctx, dtype, ndims, shape, BITMEM_SITE())
#define bitmem_tensor_receive(ctx, socket, error)                                                  \
	bitmem_tensor_receive_at(ctx, socket, error, BITMEM_SITE())
#endif

#ifdef __cplusplus
}
#endif

#endif /* BITMEM_SHARE_H */
