/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many buffers of the device at once.
 *
 * Large ones are asked for through an io_uring: a buffer whose memory is there is
 * had at once, one whose memory has to be zeroed first becomes a worker's, and the
 * workers zero side by side. Without a ring, or where there is little to zero,
 * BITMEM_ALLOC_MANY makes them one after the other, in one call. Giving back zeroes
 * nothing, so that BITMEM_FREE_MANY is the fastest there.
 *
 * Invariant: no command is under way any more when ring_alloc() returns, whatever
 * became of the ring: the kernel writes to the items until then.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "batch.h"

/* Commands that are under way at once. */
#define DEPTH 64
/* Submissions in a row that the kernel may put off, a millisecond each. */
#define MAX_REFUSED 1000

static void prepare(struct io_uring *ring, int fd, struct bm_batch_item *item)
{
	struct bitmem_uring payload = { .arg = (uintptr_t)&item->arg };
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = BITMEM_ALLOC;
	memcpy(sqe->cmd, &payload, sizeof(payload));
	io_uring_sqe_set_data(sqe, item);
}

static unsigned int reap(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int n;

	for (n = 0; !io_uring_peek_cqe(ring, &cqe); n++) {
		struct bm_batch_item *item = io_uring_cqe_get_data(cqe);

		item->result = cqe->res;
		io_uring_cqe_seen(ring, cqe);
	}
	return n;
}

/* Whether the ring can be used: not if the kernel put us off for too long, or refuses. */
static bool submit(struct io_uring *ring, unsigned int *refused)
{
	int ret = io_uring_submit_and_wait(ring, 1);

	if (ret == -EAGAIN || ret == -EBUSY)
		return ++*refused < MAX_REFUSED && !usleep(1000);
	*refused = 0;
	return ret >= 0 || ret == -EINTR;
}

/*
 * Submits the @n commands that are prepared and waits for them. Returns how many were
 * not submitted: 0, unless the ring cannot be used any more. What is under way
 * then ends all the same, and is waited for.
 */
static unsigned int run(struct io_uring *ring, unsigned int n)
{
	unsigned int refused = 0;
	bool usable = true;

	while (n > (usable ? 0 : io_uring_sq_ready(ring))) {
		if (usable)
			usable = submit(ring, &refused);
		else
			usleep(1000);
		n -= reap(ring);
	}
	return n;
}

void bm_ring_init(struct bm_ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	pthread_mutex_init(&ring->lock, NULL);
	ring->owner = getpid();
}

void bm_ring_destroy(struct bm_ring *ring)
{
	if (ring->made)
		io_uring_queue_exit(&ring->ring);
	pthread_mutex_destroy(&ring->lock);
}

/* Whether there is a ring to use; called with its lock held. */
static bool ring_ready(struct bm_ring *ring)
{
	if (!ring->made && !ring->broken) {
		ring->made = !io_uring_queue_init(DEPTH, &ring->ring, 0);
		ring->broken = !ring->made;
	}
	return !ring->broken;
}

/*
 * Has results for as many of the first items as it returns: all, unless the kernel
 * gives us no ring.
 */
static size_t ring_alloc(int fd, struct bm_ring *ring, struct bm_batch_item *items, size_t n)
{
	size_t done = 0;

	pthread_mutex_lock(&ring->lock);
	while (done < n && ring_ready(ring)) {
		unsigned int chunk = n - done < DEPTH ? (unsigned int)(n - done) : DEPTH;
		unsigned int left;

		for (unsigned int i = 0; i < chunk; i++)
			prepare(&ring->ring, fd, &items[done + i]);
		left = run(&ring->ring, chunk);
		done += chunk - left;
		ring->broken = left;
	}
	pthread_mutex_unlock(&ring->lock);
	return done;
}

/* The same with one call; stops at the first that fails. */
static size_t many_alloc(int fd, struct bm_batch_item *items, size_t n)
{
	size_t done = 0;

	while (done < n) {
		struct bitmem_alloc_many arg = {
			.size = sizeof(arg),
			.count = n - done < BITMEM_MANY_MAX ? (uint32_t)(n - done) :
							      BITMEM_MANY_MAX,
			.entries = (uintptr_t)&items[done],
			.entry_size = sizeof(*items),
		};
		int ret = ioctl(fd, BITMEM_ALLOC_MANY, &arg) ? -errno : 0;

		done += arg.out_done;
		if (ret) {
			items[done++].result = ret;
			break;
		}
	}
	return done;
}

int bm_batch_alloc(int fd, struct bm_ring *ring, struct bm_batch_item *items, size_t n,
		   size_t *failed)
{
	size_t done = 0, i;
	int ret = 0;

	if (ring && ring->owner == getpid())
		done = ring_alloc(fd, ring, items, n);
	for (i = 0; i < done && !ret; i++) {
		ret = items[i].result;
		*failed = i;
	}
	if (!ret && done < n) {
		done += many_alloc(fd, items + done, n - done);
		ret = items[done - 1].result;
		*failed = done - 1;
	}
	for (i = 0; i < done && ret; i++)
		if (!items[i].result)
			bm_batch_free(fd, &items[i].arg.out_id, 1);
	return ret;
}

void bm_batch_free(int fd, const uint32_t *ids, size_t n)
{
	while (n) {
		struct bitmem_free_many arg = {
			.size = sizeof(arg),
			.count = n < BITMEM_MANY_MAX ? (uint32_t)n : BITMEM_MANY_MAX,
			.ids = (uintptr_t)ids,
		};
		size_t done;

		if (ioctl(fd, BITMEM_FREE_MANY, &arg) && errno != ENOENT)
			return;
		/* Past the one that is not there, if that was it. */
		done = arg.out_done < arg.count ? arg.out_done + 1 : arg.count;
		ids += done;
		n -= done;
	}
}
