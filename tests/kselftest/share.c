// SPDX-License-Identifier: GPL-2.0
/*
 * A buffer belongs to the file, not to the process: fork(), dup(), SCM_RIGHTS and
 * exec() hand it on, and it goes with the last reference, never before.
 *
 * This program is its own exec() target: "share --holder FD ID OFFSET LENGTH".
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define SEED	0x5ea1

BT_FIXTURE(share);

static uint64_t allocated(int fd)
{
	struct bitmem_pool_info total;

	return bt_total(fd, &total) ? UINT64_MAX : total.out_allocated;
}

/* 0 if the buffer @id of @fd can be queried, mapped and holds the pattern. */
static int inspect(int fd, const struct bitmem_alloc *alloc)
{
	struct bitmem_query query;
	char *memory;

	if (bt_query(fd, alloc->out_id, 0, &query) || query.out_length != alloc->out_length)
		return 1;
	memory = bt_map(fd, alloc->out_length, alloc->out_offset);
	if (!memory)
		return 2;
	if (bt_wrong(memory, alloc->out_length, SEED) != -1)
		return 3;
	return munmap(memory, alloc->out_length) ? 4 : 0;
}

TEST_F(share, fork)
{
	const size_t length = 2 * self->t.superblock + self->t.page;
	const uint64_t before = allocated(self->t.fd);
	struct bitmem_alloc alloc;
	char *memory;
	pid_t child;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int bad = bt_wrong(memory, length, SEED) != -1 || inspect(self->t.fd, &alloc);

		bt_fill(memory, length, SEED + 1);
		_exit(bad);
	}
	ASSERT_EQ(0, bt_reap(child));
	/* The child's end freed nothing, and what it wrote is here. */
	EXPECT_EQ(before + length, allocated(self->t.fd));
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED + 1));
}

/* The parent allocates and dies; the child still has it. */
TEST_F(share, fork_outlived)
{
	const size_t length = self->t.superblock + self->t.page;
	const uint64_t before = allocated(self->t.fd);
	int go[2], ready[2], status[2];
	pid_t parent;
	char byte;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(status));
	parent = fork();
	ASSERT_LE(0, parent);
	if (!parent) {
		struct bitmem_alloc alloc;
		int fd;
		char *memory = bt_new_file(&fd, length, &alloc);

		if (!memory)
			_exit(1);
		bt_fill(memory, length, SEED);
		if (fork())
			_exit(0);
		bt_signal(ready);
		bt_await(go);
		byte = bt_wrong(memory, length, SEED) != -1 || inspect(fd, &alloc);
		if (write(status[1], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(0, bt_reap(parent));
	ASSERT_EQ(0, bt_await(ready));
	EXPECT_EQ(before + length, allocated(self->t.fd));
	ASSERT_EQ(0, bt_signal(go));
	ASSERT_EQ(1, read(status[0], &byte, 1));
	EXPECT_EQ(0, byte);
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 2000));
}

TEST_F(share, dup)
{
	const uint64_t before = allocated(self->t.fd);
	int fd = bt_open(), twin;
	struct bitmem_alloc alloc;
	char *memory;

	ASSERT_LE(0, fd);
	memory = bt_new(fd, self->t.superblock, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, self->t.superblock, SEED);
	ASSERT_EQ(0, munmap(memory, self->t.superblock));
	twin = dup(fd);
	ASSERT_LE(0, twin);
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(0, inspect(twin, &alloc));
	EXPECT_EQ(before + self->t.superblock, allocated(self->t.fd));
	ASSERT_EQ(0, close(twin));
	EXPECT_EQ(before, allocated(self->t.fd));
}

TEST_F(share, opened_twice)
{
	int other = bt_open();
	struct bitmem_alloc one, two;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, bt_alloc(self->t.fd, 1, &one));
	ASSERT_EQ(0, bt_alloc(other, 1, &two));
	/* Each file counts its own ids. */
	EXPECT_EQ(one.out_id, two.out_id);
	EXPECT_NE(one.out_offset, two.out_offset);
	EXPECT_EQ(0, bt_free(other, two.out_id));
	EXPECT_EQ(0, bt_free(self->t.fd, one.out_id));
	close(other);
}

static int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = {}, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Sent by a process that closes its own and to one that was there before. */
TEST_F(share, scm_rights)
{
	const size_t length = self->t.superblock + 2 * self->t.page;
	const uint64_t before = allocated(self->t.fd);
	int sock[2], go[2], fd;
	struct bitmem_alloc alloc, *shared;
	char *memory;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	ASSERT_EQ(0, pipe(go));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int got = receive_fd(sock[1]);

		_exit(bt_await(go) || inspect(got, shared));
	}
	fd = bt_open();
	ASSERT_LE(0, fd);
	memory = bt_new(fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	*shared = alloc;
	ASSERT_EQ(0, send_fd(sock[0], fd));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(before + length, allocated(self->t.fd));
	ASSERT_EQ(0, bt_signal(go));
	EXPECT_EQ(0, bt_reap(child));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 2000));
}

/* Sent, but never received. */
TEST_F(share, scm_rights_in_flight)
{
	const uint64_t before = allocated(self->t.fd);
	struct bitmem_alloc alloc;
	int sock[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	fd = bt_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bt_alloc(fd, self->t.superblock, &alloc));
	ASSERT_EQ(0, send_fd(sock[0], fd));
	ASSERT_EQ(0, close(fd));
	EXPECT_EQ(before + self->t.superblock, allocated(self->t.fd));
	close(sock[0]);
	close(sock[1]);
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 2000));
}

/* exec() drops mappings and O_CLOEXEC descriptors, and keeps the others. */
static pid_t exec_holder(int fd, const struct bitmem_alloc *alloc)
{
	char text[4][24];
	pid_t child = fork();

	if (child)
		return child;
	snprintf(text[0], sizeof(text[0]), "%d", fd);
	snprintf(text[1], sizeof(text[1]), "%u", alloc->out_id);
	snprintf(text[2], sizeof(text[2]), "%llu", (unsigned long long)alloc->out_offset);
	snprintf(text[3], sizeof(text[3]), "%llu", (unsigned long long)alloc->out_length);
	execl("/proc/self/exe", "share", "--holder", text[0], text[1], text[2], text[3], NULL);
	_exit(127);
}

static int holder(char **argv)
{
	const struct bitmem_alloc alloc = {
		.out_id = strtoul(argv[1], NULL, 10),
		.out_offset = strtoull(argv[2], NULL, 10),
		.out_length = strtoull(argv[3], NULL, 10),
	};

	return inspect(atoi(argv[0]), &alloc);
}

TEST_F(share, exec)
{
	const size_t length = 2 * self->t.superblock + self->t.page;
	int fd = open(BT_DEVICE, O_RDWR);
	struct bitmem_alloc alloc;
	char *memory;
	pid_t child;

	ASSERT_LE(0, fd);
	memory = bt_new(fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	child = exec_holder(fd, &alloc);
	ASSERT_LE(0, child);
	EXPECT_EQ(0, bt_reap(child));
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	/* The same with O_CLOEXEC: the number is no descriptor there. */
	ASSERT_EQ(0, fcntl(fd, F_SETFD, FD_CLOEXEC));
	child = exec_holder(fd, &alloc);
	ASSERT_LE(0, child);
	EXPECT_EQ(1, bt_reap(child));
	close(fd);
}

/* A process that held a mapping and a O_CLOEXEC descriptor holds nothing after exec(). */
TEST_F(share, exec_lets_go)
{
	const uint64_t before = allocated(self->t.fd);
	pid_t child;
	int pipes[2], gate[2];
	char go = 1;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, pipe(gate));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct bitmem_alloc alloc;
		int fd;
		char *memory = bt_new_file(&fd, self->t.superblock, &alloc);

		if (!memory)
			_exit(1);
		bt_touch(memory, self->t.superblock, self->t.page);
		if (read(gate[0], &go, 1) != 1)
			_exit(1);
		close(gate[0]);
		close(gate[1]);
		/* Sleeps on its standard input until it is closed. */
		dup2(pipes[0], 0);
		close(pipes[0]);
		close(pipes[1]);
		execl("/proc/self/exe", "share", "--wait", NULL);
		_exit(127);
	}
	close(pipes[0]);
	/* It writes nothing: that the memory comes and goes is all there is to see. */
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before + self->t.superblock, 5000));
	EXPECT_EQ(1, write(gate[1], &go, 1));
	EXPECT_EQ(0, BT_WAIT(self->t.fd, out_allocated, before, 5000));
	EXPECT_EQ(0, waitpid(child, NULL, WNOHANG));
	close(gate[0]);
	close(gate[1]);
	close(pipes[1]);
	EXPECT_EQ(0, bt_reap(child));
}

/* Fork storm: many short-lived sharers, each with every page in its tables. */
TEST_F(share, fork_storm)
{
	const size_t length = 4 * self->t.superblock + 5 * self->t.page;
	const uint64_t before = allocated(self->t.fd);
	struct bitmem_alloc alloc;
	struct bt_watch watch;
	char *memory;
	int round, i;

	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, SEED);
	ASSERT_EQ(0, bt_watch_start(&watch, &self->t));
	for (round = 0; round < 15; round++) {
		for (i = 0; i < 8; i++) {
			pid_t child = fork();

			ASSERT_LE(0, child);
			if (child)
				continue;
			if (i & 1)
				munmap(memory + i * self->t.page, self->t.superblock);
			_exit(memory[length - 1] == 0x7f);
		}
		for (i = 0; i < 8; i++)
			EXPECT_EQ(0, bt_reap(-1));
	}
	bt_watch_stop(&watch);
	EXPECT_EQ(0, watch.wrong);
	EXPECT_EQ(-1, bt_wrong(memory, length, SEED));
	EXPECT_EQ(before + length, allocated(self->t.fd));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	EXPECT_EQ(before, allocated(self->t.fd));
}

int main(int argc, char **argv)
{
	char byte;

	if (argc == 6 && !strcmp(argv[1], "--holder"))
		return holder(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "--wait"))
		return read(0, &byte, 1) != 0;
	bt_lock();
	return test_harness_run(argc, argv);
}
