/* SPDX-License-Identifier: GPL-2.0 */
/* Faults for the tests of model loading; see model_inject.h. */
#include "model_inject.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct plan plan;

/* --- reads --- */

ssize_t __real_pread(int fd, void *to, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t length, off_t offset);
int __real_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
void __real_io_uring_queue_exit(struct io_uring *ring);
void __wrap_io_uring_queue_exit(struct io_uring *ring);
int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned int n);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int n);

/* Whether this read is one that the plan is about. */
static bool hit(void)
{
	plan.read_calls++;
	if (!plan.armed || plan.read == FAULT_NONE)
		return false;
	if (plan.read_at ? plan.read_calls != plan.read_at : plan.read_calls % plan.read_every)
		return false;
	plan.done++;
	return true;
}

static int error_of(enum fault fault)
{
	return fault == FAULT_EINTR  ? EINTR :
	       fault == FAULT_EAGAIN ? EAGAIN :
	       fault == FAULT_EINVAL ? EINVAL :
				       EIO;
}

ssize_t __wrap_pread(int fd, void *to, size_t length, off_t offset)
{
	bool direct = plan.armed && fcntl(fd, F_GETFL) & O_DIRECT;
	size_t half = length / 2 & ~(size_t)4095;
	ssize_t n;

	if (((plan.read == FAULT_EINVAL || plan.read == FAULT_EAGAIN) && !direct) || !hit())
		return __real_pread(fd, to, length, offset);
	plan.data_hit |= direct;
	switch (plan.read) {
	case FAULT_SHORT:
		return __real_pread(fd, to, half ? half : length, offset);
	case FAULT_END:
		return 0;
	case FAULT_ODD:
		n = __real_pread(fd, to, length, offset);
		if (n > 2) {
			memset((char *)to + n / 2 - 1, 0x5a, (size_t)(n - n / 2 + 1));
			n = n / 2 - 1;
		}
		return n;
	default:
		errno = error_of(plan.read);
		return -1;
	}
}

int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	return plan.no_ring ? -plan.no_ring : __real_io_uring_queue_init(entries, ring, flags);
}

/* The kernel counts what it took in and we count what we took out, both from 0. */
void __wrap_io_uring_queue_exit(struct io_uring *ring)
{
	plan.in_flight += *ring->sq.khead - *ring->cq.khead;
	__real_io_uring_queue_exit(ring);
}

/* Makes reads that are about to be submitted ask for less than the library wanted. */
static void shorten(struct io_uring *ring)
{
	for (unsigned int i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
		struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];

		if (sqe->len / 2 >= 4096 && hit())
			sqe->len = sqe->len / 2 & ~4095u;
	}
}

/* Changes the results of reads that have ended. */
static void spoil(struct io_uring *ring)
{
	unsigned int head = *ring->cq.khead, n = io_uring_cq_ready(ring);

	for (unsigned int i = 0; i < n; i++) {
		struct io_uring_cqe *cqe = &ring->cq.cqes[(head + i) & *ring->cq.kring_mask];

		if (cqe->res <= 2 || !hit())
			continue;
		plan.data_hit = true;
		cqe->res = plan.read == FAULT_ODD ? cqe->res / 2 - 1 :
			   plan.read == FAULT_END ? 0 :
						    -error_of(plan.read);
	}
}

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned int n)
{
	int ret;

	plan.submit_calls++;
	if (plan.submit && plan.submit_calls >= plan.submit_from &&
	    plan.submit_calls <= plan.submit_to)
		return -plan.submit;
	if (plan.armed && plan.read == FAULT_SHORT)
		shorten(ring);
	ret = __real_io_uring_submit_and_wait(ring, n);
	if (plan.armed && plan.read != FAULT_SHORT && plan.read != FAULT_NONE)
		spoil(ring);
	return ret;
}

/* --- filesystems --- */

int __real_statx(int dir, const char *path, int flags, unsigned int mask, struct statx *stx);
int __wrap_statx(int dir, const char *path, int flags, unsigned int mask, struct statx *stx);

int __wrap_statx(int dir, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	int ret = __real_statx(dir, path, flags, mask, stx);

	if (ret || !plan.block)
		return ret;
	stx->stx_mask |= STATX_DIOALIGN;
	stx->stx_dio_offset_align = plan.block == BLOCK_NONE ? 0 : plan.block;
	stx->stx_dio_mem_align = plan.block == BLOCK_NONE ? 0 : 512;
	return 0;
}
