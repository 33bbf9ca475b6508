// SPDX-License-Identifier: GPL-2.0
/*
 * ALLOC, FREE, COMMIT and DECOMMIT as commands of io_uring: on the spot, by a
 * worker, by the kernel's polling thread; what is refused; many at once, and
 * what becomes of them when their ring, their file or their process goes.
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>

#define DEPTH	128

FIXTURE(uringcmd) {
	struct bt t;
	struct io_uring ring;
	struct bitmem_pool_info before;
};

/* @flags: of the SQEs. @setup: of the ring */
FIXTURE_VARIANT(uringcmd) {
	unsigned int setup;
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(uringcmd, inline) {
	.setup = 0,
};

FIXTURE_VARIANT_ADD(uringcmd, worker) {
	.flags = IOSQE_ASYNC,
};

FIXTURE_VARIANT_ADD(uringcmd, polled) {
	.setup = IORING_SETUP_SQPOLL,
};

FIXTURE_VARIANT_ADD(uringcmd, single) {
	.setup = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
};

FIXTURE_SETUP(uringcmd)
{
	const char *why = bt_begin(&self->t);
	struct bitmem_info info;
	int err;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bt_info(self->t.fd, &info));
	if (!(info.out_features & BITMEM_FEATURE_URING))
		SKIP(return, "a kernel without io_uring");
	err = io_uring_queue_init(DEPTH, &self->ring, variant->setup);
	if (err)
		SKIP(return, "io_uring: %s", strerror(-err));
	ASSERT_EQ(0, bt_total(self->t.fd, &self->before));
}

FIXTURE_TEARDOWN_PARENT(uringcmd)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

static struct io_uring_sqe *prepare(struct io_uring *ring, int fd, uint32_t cmd, void *arg,
				    unsigned int flags)
{
	struct bitmem_uring payload = { .arg = (uintptr_t)arg };
	struct io_uring_sqe *sqe;

	/* The polling thread says late what it has taken. */
	while (!(sqe = io_uring_get_sqe(ring)))
		io_uring_sqring_wait(ring);
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = cmd;
	memcpy(sqe->cmd, &payload, sizeof(payload));
	sqe->flags |= flags;
	return sqe;
}

/* Whether @n requests at least were submitted: late news of others may be among them. */
static bool submit(struct io_uring *ring, int n)
{
	return io_uring_submit(ring) >= n;
}

/* The result of the next completion; sets *@data if that is not NULL. */
static int reap(struct io_uring *ring, uint64_t *data)
{
	struct __kernel_timespec limit = { .tv_sec = 20 };
	struct io_uring_cqe *cqe;
	int err = io_uring_wait_cqe_timeout(ring, &cqe, &limit);

	if (err)
		return err == -ETIME ? -ETIMEDOUT : err;
	err = cqe->res;
	if (data)
		*data = cqe->user_data;
	io_uring_cqe_seen(ring, cqe);
	return err;
}

static int finish(struct io_uring *ring)
{
	int err = io_uring_submit(ring);

	return err < 0 ? err : reap(ring, NULL);
}

static int run(FIXTURE_DATA(uringcmd) *self, const FIXTURE_VARIANT(uringcmd) *variant,
	       uint32_t cmd, void *arg)
{
	prepare(&self->ring, self->t.fd, cmd, arg, variant->flags);
	return finish(&self->ring);
}

static struct bitmem_alloc request(uint64_t length)
{
	return (struct bitmem_alloc) {
		.size = sizeof(struct bitmem_alloc), .length = length, .node = BITMEM_NODE_ANY,
	};
}

TEST_F(uringcmd, life)
{
	const size_t length = self->t.superblock + 2 * self->t.page;
	struct bitmem_range range = { .size = sizeof(range), .length = length };
	struct bitmem_free free = { .size = sizeof(free) };
	struct bitmem_alloc alloc = request(length);
	struct bitmem_query query;
	char *memory;

	ASSERT_EQ(0, run(self, variant, BITMEM_ALLOC, &alloc));
	EXPECT_EQ(length, alloc.out_length);
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(alloc.out_offset, query.out_offset);
	memory = bt_map(self->t.fd, length, alloc.out_offset);
	ASSERT_NE(NULL, memory);
	EXPECT_EQ(-1, bt_nonzero(memory, length));
	bt_fill(memory, length, 1);

	range.id = alloc.out_id;
	ASSERT_EQ(0, run(self, variant, BITMEM_DECOMMIT, &range));
	EXPECT_EQ(length, range.out_done);
	EXPECT_EQ(0, range.out_skipped);
	ASSERT_EQ(0, bt_query(self->t.fd, alloc.out_id, 0, &query));
	EXPECT_EQ(0, query.out_resident);
	ASSERT_EQ(0, run(self, variant, BITMEM_COMMIT, &range));
	EXPECT_EQ(length, range.out_done);
	EXPECT_EQ(-1, bt_nonzero(memory, length));
	ASSERT_EQ(0, munmap(memory, length));

	free.id = alloc.out_id;
	EXPECT_EQ(0, run(self, variant, BITMEM_FREE, &free));
	EXPECT_EQ(-ENOENT, run(self, variant, BITMEM_FREE, &free));
	EXPECT_EQ(0, bt_buffers(self->t.fd));
}

/* The commands that wait for nobody are not for rings; nor is what is no command. */
TEST_F(uringcmd, other_commands)
{
	struct bitmem_info info = { .size = sizeof(info) };
	unsigned int nr;

	for (nr = 0; nr < 256; nr++) {
		const uint32_t cmd = _IO(BITMEM_TYPE, nr);

		if (cmd == BITMEM_ALLOC || cmd == BITMEM_FREE || cmd == BITMEM_COMMIT ||
		    cmd == BITMEM_DECOMMIT)
			continue;
		EXPECT_EQ(-EOPNOTSUPP, run(self, variant, cmd, &info))
			TH_LOG("number %#x", nr);
	}
	EXPECT_EQ(-EOPNOTSUPP, run(self, variant, 0, &info));
	EXPECT_EQ(-EOPNOTSUPP, run(self, variant, -1u, &info));
	EXPECT_EQ(-EOPNOTSUPP, run(self, variant, _IOW(BITMEM_TYPE, BITMEM_CMD_ALLOC, int), &info));
}

/* The ioctls' own rules hold here, too. */
TEST_F(uringcmd, refused)
{
	const uint32_t cmds[] = { BITMEM_ALLOC, BITMEM_FREE, BITMEM_COMMIT, BITMEM_DECOMMIT };
	struct bitmem_alloc alloc = request(1ull << 60);
	struct io_uring_sqe *sqe;
	uint32_t words[64];
	size_t i;

	for (i = 0; i < ARRAY_LEN(cmds); i++) {
		EXPECT_EQ(-EFAULT, run(self, variant, cmds[i], NULL));
		EXPECT_EQ(-EFAULT, run(self, variant, cmds[i], (void *)-4096));
		memset(words, 0, sizeof(words));
		EXPECT_EQ(-EINVAL, run(self, variant, cmds[i], words));
		words[0] = sizeof(words);
		words[1] = 1u << 31;
		EXPECT_EQ(-EOPNOTSUPP, run(self, variant, cmds[i], words));
		words[1] = 0;
		words[63] = 1;
		EXPECT_EQ(-E2BIG, run(self, variant, cmds[i], words));

		/* The reserved half of the command area. */
		sqe = prepare(&self->ring, self->t.fd, cmds[i], words, variant->flags);
		sqe->cmd[15] = 1;
		EXPECT_EQ(-EOPNOTSUPP, finish(&self->ring));
		/* Flags of io_uring's own that make no sense here, some of which it refuses. */
		sqe = prepare(&self->ring, self->t.fd, cmds[i], words, variant->flags);
		sqe->rw_flags = IORING_URING_CMD_FIXED;
		EXPECT_GT(0, finish(&self->ring));
		sqe = prepare(&self->ring, self->t.fd, cmds[i], words, variant->flags);
		sqe->rw_flags = 2;
		EXPECT_GT(0, finish(&self->ring));
	}
	EXPECT_EQ(-ENOMEM, run(self, variant, BITMEM_ALLOC, &alloc));
	EXPECT_EQ(0, alloc.out_id);
	EXPECT_EQ(0, bt_buffers(self->t.fd));
}

/* A buffer whose outputs cannot be written does not stay behind. */
TEST_F(uringcmd, unanswered)
{
	struct bitmem_alloc *alloc = mmap(NULL, self->t.page, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, alloc);
	*alloc = request(1);
	ASSERT_EQ(0, mprotect(alloc, self->t.page, PROT_READ));
	EXPECT_EQ(-EFAULT, run(self, variant, BITMEM_ALLOC, alloc));
	EXPECT_EQ(0, bt_buffers(self->t.fd));
}

/* What has to be zeroed first is not given up, but done by somebody who may wait. */
TEST_F(uringcmd, dirty_pool)
{
	const uint64_t length = bt_free_bytes(&self->before) / self->t.superblock *
				self->t.superblock;
	struct bitmem_free free = { .size = sizeof(free) };
	struct bitmem_alloc alloc;
	char *memory;
	int i;

	for (i = 0; i < 3; i++) {
		alloc = request(length);
		ASSERT_EQ(0, run(self, variant, BITMEM_ALLOC, &alloc));
		memory = bt_map(self->t.fd, length, alloc.out_offset);
		ASSERT_NE(NULL, memory);
		EXPECT_EQ(-1, bt_nonzero(memory, length));
		memset(memory, 0xff, length);
		ASSERT_EQ(0, munmap(memory, length));
		free.id = alloc.out_id;
		ASSERT_EQ(0, run(self, variant, BITMEM_FREE, &free));
	}
}

/* Whoever would rather be told is told. */
TEST_F(uringcmd, nowait)
{
	const uint64_t length = bt_free_bytes(&self->before) / self->t.superblock *
				self->t.superblock;
	struct bitmem_alloc alloc = request(length), again = request(length);
	int err;

	ASSERT_EQ(0, run(self, variant, BITMEM_ALLOC, &alloc));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	again.flags = BITMEM_ALLOC_NOWAIT;
	err = run(self, variant, BITMEM_ALLOC, &again);
	/* The pool may have been faster than we were. */
	EXPECT_TRUE(err == -EAGAIN || (!err && again.out_length == length));
	TH_LOG("%s", err ? strerror(-err) : "no need to wait");
}

/* One that fails takes those linked behind it along, and only them. */
TEST_F(uringcmd, linked)
{
	struct bitmem_free frees[6];
	struct bitmem_alloc alloc;
	int results[6], i;
	uint64_t at;

	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &alloc));
		frees[i] = (struct bitmem_free) { .size = sizeof(frees[i]), .id = alloc.out_id };
	}
	frees[2].id = 0x7fffffff;
	for (i = 0; i < 6; i++) {
		struct io_uring_sqe *sqe = prepare(&self->ring, self->t.fd, BITMEM_FREE, &frees[i],
						   variant->flags | (i < 4 ? IOSQE_IO_LINK : 0));

		io_uring_sqe_set_data64(sqe, i);
	}
	ASSERT_TRUE(submit(&self->ring, 6));
	for (i = 0; i < 6; i++) {
		int res = reap(&self->ring, &at);

		ASSERT_GT(6, at);
		results[at] = res;
	}
	EXPECT_EQ(0, results[0]);
	EXPECT_EQ(0, results[1]);
	EXPECT_EQ(-ENOENT, results[2]);
	EXPECT_EQ(-ECANCELED, results[3]);
	EXPECT_EQ(-ECANCELED, results[4]);
	EXPECT_EQ(0, results[5]);
	EXPECT_EQ(3, bt_buffers(self->t.fd));
}

TEST_F(uringcmd, many)
{
	struct bitmem_alloc allocs[DEPTH];
	struct bitmem_free frees[DEPTH];
	int i, round;

	for (round = 0; round < 10; round++) {
		for (i = 0; i < DEPTH; i++) {
			allocs[i] = request(i % 3 * self->t.page + 1);
			prepare(&self->ring, self->t.fd, BITMEM_ALLOC, &allocs[i], variant->flags);
		}
		ASSERT_TRUE(submit(&self->ring, DEPTH));
		for (i = 0; i < DEPTH; i++)
			EXPECT_EQ(0, reap(&self->ring, NULL));
		EXPECT_EQ(DEPTH, bt_buffers(self->t.fd));
		for (i = 0; i < DEPTH; i++) {
			frees[i] = (struct bitmem_free) {
				.size = sizeof(frees[i]), .id = allocs[i].out_id,
			};
			prepare(&self->ring, self->t.fd, BITMEM_FREE, &frees[i], variant->flags);
		}
		ASSERT_TRUE(submit(&self->ring, DEPTH));
		for (i = 0; i < DEPTH; i++)
			EXPECT_EQ(0, reap(&self->ring, NULL));
		EXPECT_EQ(0, bt_buffers(self->t.fd));
	}
}

/* Fills the ring with buffers to be made; all of the pool goes into @size bytes each. */
static void submit_allocs(FIXTURE_DATA(uringcmd) *self, struct io_uring *ring, int fd,
			  struct bitmem_alloc *allocs, unsigned int flags)
{
	const uint64_t length = bt_free_bytes(&self->before) / DEPTH;
	int i;

	for (i = 0; i < DEPTH; i++) {
		allocs[i] = request(length);
		prepare(ring, fd, BITMEM_ALLOC, &allocs[i], flags);
	}
	io_uring_submit(ring);
}

/* The ring goes while its commands are under way: what they made is the file's. */
TEST_F(uringcmd, ring_goes)
{
	struct bitmem_alloc allocs[DEPTH];
	int round;

	for (round = 0; round < 5; round++) {
		struct io_uring ring;
		int fd = bt_open();

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, io_uring_queue_init(DEPTH, &ring, variant->setup));
		submit_allocs(self, &ring, fd, allocs, variant->flags);
		bt_sleep_ms(round);
		io_uring_queue_exit(&ring);
		EXPECT_GE(DEPTH, bt_buffers(fd));
		close(fd);
	}
}

/*
 * Waits for the pools to be as before. A ring of IORING_SETUP_DEFER_TASKRUN lets go of what
 * a worker has done only when its task looks in.
 */
static bool let_go(FIXTURE_DATA(uringcmd) *self, const FIXTURE_VARIANT(uringcmd) *variant)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (variant->setup & IORING_SETUP_DEFER_TASKRUN)
			io_uring_get_events(&self->ring);
		if (!BT_WAIT(self->t.fd, out_allocated, self->before.out_allocated, 5))
			return true;
	}
	return false;
}

/* The file's number goes: the commands hold the file, and it ends with the last of them. */
TEST_F(uringcmd, file_goes)
{
	struct bitmem_alloc allocs[DEPTH];
	int i, round;

	for (round = 0; round < 5; round++) {
		int fd = bt_open();

		ASSERT_LE(0, fd);
		submit_allocs(self, &self->ring, fd, allocs, variant->flags);
		/* The polling thread looks numbers up when it gets there. */
		while (io_uring_sq_ready(&self->ring))
			bt_sleep_ms(1);
		close(fd);
		for (i = 0; i < DEPTH; i++) {
			int err = reap(&self->ring, NULL);

			EXPECT_TRUE(!err || err == -ENOMEM || err == -EBADF)
				TH_LOG("%d", err);
		}
		EXPECT_TRUE(let_go(self, variant));
	}
}

TEST_F(uringcmd, killed)
{
	int round;

	for (round = 0; round < 12; round++) {
		pid_t child = fork();

		ASSERT_LE(0, child);
		if (!child) {
			struct bitmem_alloc allocs[DEPTH];

			for (;;) {
				struct io_uring ring;
				int fd = bt_open();

				if (io_uring_queue_init(DEPTH, &ring, variant->setup))
					_exit(1);
				submit_allocs(self, &ring, fd, allocs, variant->flags);
				reap(&ring, NULL);
				io_uring_queue_exit(&ring);
				close(fd);
			}
		}
		bt_sleep_ms(10 + 7 * round);
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(256 + SIGKILL, bt_reap(child));
		EXPECT_EQ(NULL, bt_end(&self->t));
	}
}

struct scribbled {
	pthread_t thread;
	volatile bool stop;
	volatile struct bitmem_alloc alloc;
	volatile struct bitmem_free free;
};

static void *scribble(void *arg)
{
	struct scribbled *args = arg;
	uint32_t i;

	for (i = 0; !args->stop; i++) {
		args->alloc.size = i % 3 ? sizeof(args->alloc) : i % 4096;
		args->alloc.length = i % 65536;
		args->alloc.tag[BITMEM_TAG_LEN - 1] = i % 5 == 0;
		args->free.size = i % 3 ? sizeof(args->free) : i % 64;
		args->free.id = i % 64;
	}
	return NULL;
}

/* Arguments that change while they are read do no harm. */
TEST_F(uringcmd, changing_arguments)
{
	struct scribbled args = { .alloc.node = BITMEM_NODE_ANY };
	const uint64_t until = bt_now_ns() + 1500000000ull;
	unsigned long good = 0, bad = 0;
	int i;

	ASSERT_EQ(0, pthread_create(&args.thread, NULL, scribble, &args));
	while (bt_now_ns() < until) {
		for (i = 0; i < 16; i++) {
			prepare(&self->ring, self->t.fd, BITMEM_ALLOC, (void *)&args.alloc,
				variant->flags);
			prepare(&self->ring, self->t.fd, BITMEM_FREE, (void *)&args.free,
				variant->flags);
		}
		ASSERT_TRUE(submit(&self->ring, 32));
		for (i = 0; i < 32; i++) {
			int err = reap(&self->ring, NULL);

			EXPECT_NE(-ETIMEDOUT, err);
			good += !err;
			bad += err < 0;
		}
	}
	args.stop = true;
	ASSERT_EQ(0, pthread_join(args.thread, NULL));
	EXPECT_NE(0, good);
	EXPECT_NE(0, bad);
}

BT_MAIN
