// SPDX-License-Identifier: GPL-2.0
/*
 * The mapping is ordinary memory to everybody who reaches it by other ways than
 * load and store: system calls, other processes, debuggers, mlock(), madvise().
 */
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

FIXTURE(access) {
	struct bt t;
	char *memory;
	size_t length;
};

/* A whole superblock and a tail, so that everything is tried on both kinds. */
FIXTURE_SETUP(access)
{
	const char *why = bt_begin(&self->t);
	struct bitmem_alloc alloc;

	if (why)
		SKIP(return, "%s", why);
	self->length = self->t.superblock + 3 * self->t.page;
	self->memory = bt_new(self->t.fd, self->length, &alloc);
	ASSERT_NE(NULL, self->memory);
	bt_fill(self->memory, self->length, 1);
}

FIXTURE_TEARDOWN_PARENT(access)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

TEST_F(access, mlock)
{
	EXPECT_EQ(0, mlock(self->memory, self->length));
	EXPECT_EQ(-1, bt_wrong(self->memory, self->length, 1));
	EXPECT_EQ(0, munlock(self->memory, self->length));
	EXPECT_EQ(-1, bt_wrong(self->memory, self->length, 1));
}

TEST_F(access, mlockall)
{
	char *memory;

	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		SKIP(return, "mlockall: %s", strerror(errno));
	memory = bt_map(self->t.fd, self->length, 0);
	EXPECT_NE(NULL, memory);
	EXPECT_EQ(-1, bt_nonzero(memory, self->length));
	EXPECT_EQ(0, munlockall());
}

TEST_F(access, msync)
{
	EXPECT_EQ(0, msync(self->memory, self->length, MS_ASYNC));
	EXPECT_EQ(-1, bt_wrong(self->memory, self->length, 1));
}

/* Advice may be refused, but it never costs contents. */
TEST_F(access, madvise)
{
	const struct {
		int advice;
		bool works;
	} all[] = {
		{ MADV_NORMAL, true }, { MADV_SEQUENTIAL, true }, { MADV_WILLNEED, false },
		{ MADV_DONTNEED, true }, { MADV_COLD, false }, { MADV_PAGEOUT, false },
		{ MADV_FREE, false }, { MADV_REMOVE, false }, { MADV_HUGEPAGE, false },
		{ MADV_NOHUGEPAGE, false }, { MADV_COLLAPSE, false }, { MADV_MERGEABLE, false },
		{ MADV_POPULATE_READ, true }, { MADV_POPULATE_WRITE, true },
		{ MADV_DODUMP, false }, { MADV_DONTDUMP, true },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(all); i++) {
		int ret = madvise(self->memory, self->length, all[i].advice);

		if (all[i].works)
			EXPECT_EQ(0, ret)
				TH_LOG("advice %d: %s", all[i].advice, strerror(errno));
		EXPECT_EQ(-1, bt_wrong(self->memory, self->length, 1))
			TH_LOG("advice %d", all[i].advice);
		/* A part of a superblock is another path through the kernel. */
		madvise(self->memory + self->t.page, 2 * self->t.page, all[i].advice);
		EXPECT_EQ(-1, bt_wrong(self->memory, self->length, 1))
			TH_LOG("advice %d on two pages", all[i].advice);
	}
}

TEST_F(access, pipe)
{
	char *bytes = malloc(self->t.page);
	size_t at;
	int tube[2];

	ASSERT_NE(NULL, bytes);
	ASSERT_EQ(0, pipe(tube));
	for (at = 0; at + self->t.page <= self->length; at += 101 * self->t.page) {
		ASSERT_EQ(self->t.page, write(tube[1], self->memory + at, self->t.page));
		ASSERT_EQ(self->t.page, read(tube[0], bytes, self->t.page));
		EXPECT_EQ(0, memcmp(bytes, self->memory + at, self->t.page));
		memset(bytes, at, self->t.page);
		ASSERT_EQ(self->t.page, write(tube[1], bytes, self->t.page));
		ASSERT_EQ(self->t.page, read(tube[0], self->memory + at, self->t.page));
		EXPECT_EQ(0, memcmp(bytes, self->memory + at, self->t.page));
	}
	free(bytes);
}

TEST_F(access, proc_self_mem)
{
	const size_t places[] = { 0, self->t.superblock - 8, self->t.superblock,
				  self->length - 16 };
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	uint64_t words[2];
	size_t i;

	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_LEN(places); i++) {
		char *at = self->memory + places[i];

		ASSERT_EQ(16, pread(fd, words, 16, (uintptr_t)at));
		EXPECT_EQ(0, memcmp(words, at, 16));
		words[0] = ~words[0];
		ASSERT_EQ(16, pwrite(fd, words, 16, (uintptr_t)at));
		EXPECT_EQ(0, memcmp(words, at, 16));
	}
	close(fd);
}

/* The child's reading of ours: processes may be told to keep to their descendants. */
TEST_F(access, process_vm)
{
	const pid_t parent = getpid();
	char *copy = mmap(NULL, self->length, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct iovec here = { copy, self->length }, there = { self->memory, self->length };
	pid_t child;

	ASSERT_NE(MAP_FAILED, copy);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (process_vm_readv(parent, &here, 1, &there, 1, 0) != (ssize_t)self->length)
			_exit(errno == EPERM || errno == ENOSYS ? 4 : 1);
		if (bt_wrong(copy, self->length, 1) != -1)
			_exit(2);
		bt_fill(copy, self->length, 2);
		if (process_vm_writev(parent, &here, 1, &there, 1, 0) != (ssize_t)self->length)
			_exit(3);
		_exit(0);
	}
	switch (bt_reap(child)) {
	case 0:
		EXPECT_EQ(-1, bt_wrong(self->memory, self->length, 2));
		break;
	case 4:
		SKIP(return, "process_vm_readv is not allowed here");
	default:
		EXPECT_TRUE(false);
	}
}

TEST_F(access, ptrace)
{
	char *at = self->memory + self->t.superblock;
	uint64_t want;
	pid_t child;
	long word;
	int status;

	memcpy(&want, at, sizeof(want));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(4);
		raise(SIGSTOP);
		_exit(memcmp(at, "debugger", 8) != 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	if (!WIFSTOPPED(status))
		SKIP(return, "ptrace is not allowed here");
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, child, at, NULL);
	EXPECT_EQ(0, errno);
	EXPECT_EQ(0, memcmp(&want, &word, sizeof(word)));
	memcpy(&word, "debugger", sizeof(word));
	EXPECT_EQ(0, ptrace(PTRACE_POKEDATA, child, at, (void *)word));
	ASSERT_EQ(0, ptrace(PTRACE_CONT, child, NULL, NULL));
	EXPECT_EQ(0, bt_reap(child));
	/* Shared memory: what the debugger wrote there is here too. */
	EXPECT_EQ(0, memcmp(at, "debugger", 8));
}

BT_MAIN
