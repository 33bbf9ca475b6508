/* SPDX-License-Identifier: GPL-2.0 */
/* What malloc() promises across fork(): to each its own, as it was at that moment. */
#include "../kselftest/bitmem_harness.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "place.h"

extern char **environ;

#define BLOCKS 8

/* Sizes of blocks that share a segment, and of those that do not. */
static size_t size_of(int i)
{
	return i % 2 ? 10 * MIB + i * 4096 : LARGE + i * 1000;
}

static void make_blocks(unsigned char **blocks)
{
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(size_of(i));
		memset(blocks[i], i + 1, size_of(i));
	}
}

static bool are_whole(unsigned char *const *blocks)
{
	bool whole = true;

	for (int i = 0; i < BLOCKS; i++)
		whole &= all_are(blocks[i], i + 1, size_of(i));
	return whole;
}

/* 0 if memory can be had and given back, in the pool if @pool. */
static int use_malloc(bool pool)
{
	unsigned char *blocks[BLOCKS];
	int bad = 0;

	make_blocks(blocks);
	bad |= !are_whole(blocks);
	for (int i = 0; i < BLOCKS; i++) {
		bad |= in_pool(blocks[i]) != pool;
		free(blocks[i]);
	}
	return bad;
}

TEST(child_has_copies)
{
	unsigned char *blocks[BLOCKS];
	int go[2], pid;
	char byte = 0;

	make_blocks(blocks);
	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* By now the parent has written and freed. */
		if (read(go[0], &byte, 1) != 1 || !are_whole(blocks))
			_exit(1);
		for (int i = 0; i < BLOCKS; i++) {
			memset(blocks[i], 0x77, size_of(i));
			free(blocks[i]);
		}
		_exit(use_malloc(true) ? 2 : 0);
	}
	for (int i = 0; i < BLOCKS; i += 2) {
		memset(blocks[i], 0xee, size_of(i));
		free(blocks[i]);
	}
	free(malloc(MIB));
	EXPECT_EQ(1, write(go[1], &byte, 1));
	EXPECT_EQ(0, status_of(pid));
	for (int i = 1; i < BLOCKS; i += 2) {
		EXPECT_TRUE(all_are(blocks[i], i + 1, size_of(i)));
		EXPECT_TRUE(in_pool(blocks[i]));
		free(blocks[i]);
	}
	EXPECT_EQ(0, use_malloc(true));
}

TEST(child_goes_on_with_them)
{
	unsigned char *block = malloc(2 * MIB);
	int pid;

	memset(block, 0x11, 2 * MIB);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (in_pool(block))
			_exit(1);
		block = realloc(block, 5 * MIB);
		if (!all_are(block, 0x11, 2 * MIB) || !in_pool(block))
			_exit(2);
		free(block);
		_exit(0);
	}
	EXPECT_EQ(0, status_of(pid));
	EXPECT_TRUE(all_are(block, 0x11, 2 * MIB));
	free(block);
}

/* What a child has no use for any more is not kept. */
TEST(child_gives_copies_back)
{
	const size_t size = 64 * MIB;
	unsigned char *block = malloc(size), there[1];
	int pid;

	memset(block, 1, size);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (mincore(block + size / 2, 4096, there) || !(there[0] & 1))
			_exit(1);
		free(block);
		_exit(mincore(block + size / 2, 4096, there) || there[0] & 1 ? 2 : 0);
	}
	EXPECT_EQ(0, status_of(pid));
	free(block);
}

TEST(killed_child_harms_nobody)
{
	unsigned char *blocks[BLOCKS];
	int pid;

	make_blocks(blocks);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (int i = 0; i < BLOCKS; i++)
			memset(blocks[i], 0x77, size_of(i));
		raise(SIGKILL);
	}
	EXPECT_EQ(128 + SIGKILL, status_of(pid));
	EXPECT_TRUE(are_whole(blocks));
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

/* Each generation has a block of its own; 0 if all of them are right in the last. */
static int descend(unsigned char **blocks, int generation, int last)
{
	unsigned char *block;
	int pid;

	blocks[generation] = malloc(MIB + generation);
	memset(blocks[generation], generation, MIB);
	if (generation == last) {
		for (int i = 0; i <= last; i++) {
			block = realloc(blocks[i], 3 * MIB);
			if (!all_are(block, i, MIB))
				return 1;
			free(block);
		}
		return 0;
	}
	pid = fork();
	if (!pid)
		_exit(descend(blocks, generation + 1, last));
	if (pid < 0 || status_of(pid))
		return 1;
	for (int i = 0; i <= generation; i++) {
		if (!all_are(blocks[i], i, MIB))
			return 1;
		free(blocks[i]);
	}
	return 0;
}

/* One is the child of the harness's program, which has no pool. */
TEST(generations)
{
	unsigned char *blocks[8];

	EXPECT_EQ(0, descend(blocks, 0, 7));
}

struct crew {
	atomic_bool stop;
	atomic_int bad, rounds;
};

static void *churn(void *arg)
{
	struct crew *crew = arg;

	while (!crew->stop) {
		size_t size = LARGE << crew->rounds++ % 7;
		unsigned char *block = malloc(size);

		if (!block) {
			crew->bad++;
			continue;
		}
		memset(block, 0x33, size);
		crew->bad += !all_are(block, 0x33, size);
		free(block);
	}
	return NULL;
}

TEST(forks_beside_threads)
{
	unsigned char *blocks[BLOCKS];
	struct crew crew = { 0 };
	pthread_t threads[3];

	make_blocks(blocks);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &crew));
	for (int i = 0; i < 15; i++) {
		int pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			if (!are_whole(blocks))
				_exit(1);
			for (int j = 0; j < BLOCKS; j++)
				free(blocks[j]);
			_exit(use_malloc(true) ? 2 : 0);
		}
		EXPECT_EQ(0, status_of(pid));
	}
	crew.stop = true;
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	EXPECT_EQ(0, crew.bad);
	EXPECT_LT(0, crew.rounds);
	EXPECT_TRUE(are_whole(blocks));
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

/* Handlers that others registered may allocate, and come when nothing is locked any more. */
static unsigned char *of_handlers[3];

static void on_prepare(void)
{
	of_handlers[0] = malloc(MIB);
}

static void on_parent(void)
{
	of_handlers[1] = malloc(MIB);
}

static void on_child(void)
{
	of_handlers[2] = malloc(MIB);
	memset(of_handlers[0], 0x44, MIB);
}

TEST(handlers_allocate)
{
	int pid;

	ASSERT_EQ(0, pthread_atfork(on_prepare, on_parent, on_child));
	free(malloc(MIB));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(in_pool(of_handlers[0]) || !in_pool(of_handlers[2]));
	EXPECT_EQ(0, status_of(pid));
	EXPECT_TRUE(in_pool(of_handlers[0]));
	EXPECT_TRUE(in_pool(of_handlers[1]));
	EXPECT_FALSE(all_are(of_handlers[0], 0x44, MIB));
}

/* Runs this program once more, with "child" for an argument; by fork() if not @spawn. */
static int run_again(bool spawn)
{
	char *const argv[] = { "/proc/self/exe", "child", NULL };
	char self[4096] = "";
	int pid;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return -1;
	if (spawn)
		return posix_spawn(&pid, self, NULL, NULL, argv, environ) ? -1 : status_of(pid);
	pid = fork();
	if (!pid) {
		execv(self, argv);
		_exit(127);
	}
	return status_of(pid);
}

TEST(programs_that_are_started)
{
	unsigned char *blocks[BLOCKS];

	make_blocks(blocks);
	EXPECT_EQ(0, run_again(false));
	EXPECT_EQ(0, run_again(true));
	EXPECT_EQ(0, system("exit 0"));
	EXPECT_TRUE(are_whole(blocks));
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

/* A daemon closes all descriptors, and has others with their numbers then. */
TEST(descriptors_are_closed)
{
	unsigned char *blocks[BLOCKS];
	int pid;

	make_blocks(blocks);
	ASSERT_EQ(0, close_range(3, ~0u, 0));
	for (int fd = 3; fd < 520; fd++)
		ASSERT_EQ(fd, dup2(0, fd));
	EXPECT_TRUE(are_whole(blocks));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (int fd = 3; fd < 520; fd++) {
			if (close(fd))
				_exit(1);
		}
		if (!are_whole(blocks))
			_exit(2);
		memset(blocks[0], 0x77, size_of(0));
		free(blocks[0]);
		_exit(0);
	}
	EXPECT_EQ(0, status_of(pid));
	EXPECT_TRUE(are_whole(blocks));
	/* On the device nothing new can be had, which is no harm. */
	free(malloc(20 * MIB));
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "child"))
		return use_malloc(true);
	if (argc == 2 && !strcmp(argv[1], "drop")) {
		/* Run with --fork drop: the child has nothing, but goes on, and the parent. */
		unsigned char *block = malloc(MIB);
		int pid, dead;

		memset(block, 1, MIB);
		pid = fork();
		if (!pid)
			_exit(run_again(false));
		dead = fork();
		if (!dead)
			_exit(block[5]);
		return status_of(pid) || status_of(dead) != 128 + SIGSEGV ||
		       !all_are(block, 1, MIB);
	}
	return test_harness_run(argc, argv);
}
