/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From an NVMe disk into pinned memory, and from there to an RDMA peer, without a copy by the
 * processor on the way in: io_uring with O_DIRECT, then an RDMA write.
 *
 *	nvme-rdma FILE DEVICE		DEVICE: an RDMA device (ibv_devices), rxe0
 *
 * FILE is a file or a block device; its last bytes beyond whole 4096 are left out. The peer is
 * this process (rdma.c). What arrived there goes to stdout.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <liburing.h>

#include <bitmem/bitmem.h>

#include "rdma.h"

#define BLOCK 4096u		/* what O_DIRECT wants offsets and lengths to be multiples of */
#define WINDOW (1u << 20)	/* bytes of one read */
#define DEPTH 8			/* reads in flight */

/* Queues a read of the next window. A device transfers straight into the buffer's pages. */
static void queue_read(struct io_uring *ring, int file, char *to, size_t length, size_t *next)
{
	size_t n = length - *next < WINDOW ? length - *next : WINDOW;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, file, to + *next, n, *next);
	io_uring_sqe_set_data64(sqe, n);
	*next += n;
}

static void read_file(int file, char *to, size_t length)
{
	size_t next = 0, done = 0;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int status = io_uring_queue_init(DEPTH, &ring, 0);

	if (status)
		errx(1, "io_uring: %s", strerror(-status));
	/*
	 * From Linux 6.5 on the memory can be a registered buffer, too, which saves pinning it for
	 * each read (io_uring_register_buffers(); 6.1 answers EOPNOTSUPP for any device's memory).
	 */
	for (int i = 0; i < DEPTH && next < length; i++)
		queue_read(&ring, file, to, length, &next);
	while (done < length) {
		status = io_uring_submit_and_wait(&ring, 1);
		if (status < 0 && status != -EINTR)
			errx(1, "io_uring: %s", strerror(-status));
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			/* Blocks are whole, so a short read is a file that became shorter. */
			if (cqe->res < 0 || (__u64)cqe->res != io_uring_cqe_get_data64(cqe))
				errx(1, "read: %s", cqe->res < 0 ? strerror(-cqe->res) : "too short");
			done += cqe->res;
			io_uring_cqe_seen(&ring, cqe);
			if (next < length)
				queue_read(&ring, file, to, length, &next);
		}
	}
	io_uring_queue_exit(&ring);
}

/* As much of it as is whole blocks. */
static size_t whole_blocks(int file, const char *path)
{
	off_t size = lseek(file, 0, SEEK_END);

	if (size < 0)
		err(1, "%s", path);
	if (size < BLOCK || size > RDMA_MAX)
		errx(1, "%s: %jd bytes are not %u to %u", path, (intmax_t)size, BLOCK, RDMA_MAX);
	return size / BLOCK * BLOCK;
}

/* Aligned to blocks, as O_DIRECT wants. Pinned and zeroed before anybody asked for it. */
static char *allocate(struct bitmem *ctx, size_t length)
{
	char *memory = bitmem_alloc(ctx, length, BLOCK);

	if (!memory)
		err(1, "%zu bytes", length);
	return memory;
}

int main(int argc, char **argv)
{
	struct bitmem_stats stats = { .size = sizeof(stats) };
	char *source, *target;
	struct bitmem *ctx;
	struct rdma rdma;
	size_t length;
	int file;

	if (argc != 3) {
		fprintf(stderr, "usage: %s FILE DEVICE\n", argv[0]);
		return 2;
	}
	file = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (file < 0)
		err(1, "%s", argv[1]);
	length = whole_blocks(file, argv[1]);
	ctx = bitmem_open(NULL);
	if (!ctx)
		err(1, "bitmem");
	source = allocate(ctx, length);
	target = allocate(ctx, length);
	rdma_open(&rdma, argv[2]);
	/* A server registers its memory once, at the start; so registration costs no request time. */
	rdma_register(&rdma, source, target, length);
	read_file(file, source, length);
	rdma_write(&rdma);
	if (!bitmem_stats(ctx, &stats))
		fprintf(stderr, "%zu bytes through memory of %s, %" PRIu64 " bytes pinned\n", length,
			bitmem_backend_name(bitmem_backend(ctx)), stats.pinned_bytes);
	if (fwrite(target, 1, length, stdout) != length || fflush(stdout))
		err(1, "stdout");
	/* First the registrations, then the memory. The other way round it would wait in quarantine. */
	rdma_close(&rdma);
	bitmem_free(ctx, source);
	bitmem_free(ctx, target);
	close(file);
	return bitmem_close(ctx) ? 1 : 0;
}
