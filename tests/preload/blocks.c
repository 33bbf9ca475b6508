/* SPDX-License-Identifier: GPL-2.0 */
/* Each function of malloc()'s family, small and large, and what is promised of it. */
#include "../kselftest/bitmem_harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "place.h"

static void *early;

/* Before main(), and before what other libraries do then. */
static __attribute__((constructor)) void allocate_early(void)
{
	early = malloc(MIB);
}

TEST(early_calls_are_served)
{
	ASSERT_NE(NULL, early);
	/* This is a child of the one that allocated it, and has a copy. */
	EXPECT_FALSE(in_pool(early));
	memset(early, 1, MIB);
	free(early);
}

TEST(large_is_the_pools)
{
	void *small = malloc(LARGE - 1), *large = malloc(LARGE), *huge = malloc(20 * MIB);

	ASSERT_TRUE(small && large && huge);
	EXPECT_FALSE(in_pool(small));
	EXPECT_TRUE(in_pool(large));
	EXPECT_TRUE(in_pool((char *)large + LARGE - 1));
	EXPECT_TRUE(in_pool(huge));
	EXPECT_TRUE(in_pool((char *)huge + 20 * MIB - 1));
	memset(small, 1, LARGE - 1);
	memset(large, 2, LARGE);
	memset(huge, 3, 20 * MIB);
	EXPECT_TRUE(all_are(small, 1, LARGE - 1));
	EXPECT_TRUE(all_are(large, 2, LARGE));
	free(small);
	free(large);
	free(huge);
	free(NULL);
}

TEST(calloc_is_zero)
{
	for (int i = 0; i < 20; i++) {
		unsigned char *block = calloc(LARGE / 8 + i, 8);

		ASSERT_NE(NULL, block);
		EXPECT_TRUE(in_pool(block));
		EXPECT_TRUE(all_are(block, 0, LARGE + 8 * i));
		memset(block, 0xff, malloc_usable_size(block));
		free(block);
	}
	errno = 0;
	EXPECT_EQ(NULL, calloc(SIZE_MAX / 2, 4));
	EXPECT_EQ(ENOMEM, errno);
}

TEST(realloc_keeps_what_was_there)
{
	static const size_t sizes[] = {
		1, 1000, LARGE, LARGE + 1, 3 * MIB, 30 * MIB, 29 * MIB, 2 * MIB, LARGE - 1, 10,
		LARGE, 20,
	};
	unsigned char *block = NULL;
	size_t before = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		block = realloc(block, sizes[i]);
		ASSERT_NE(NULL, block);
		EXPECT_EQ(sizes[i] >= LARGE, in_pool(block));
		EXPECT_LE(sizes[i], malloc_usable_size(block));
		if (before > sizes[i])
			before = sizes[i];
		EXPECT_TRUE(all_are(block, (unsigned char)i, before));
		memset(block, (unsigned char)i + 1, sizes[i]);
		before = sizes[i];
	}
	free(block);
	block = malloc(MIB);
	EXPECT_EQ(NULL, realloc(block, 0));
	block = reallocarray(NULL, 1024, 1024);
	EXPECT_TRUE(in_pool(block));
	errno = 0;
	EXPECT_EQ(NULL, reallocarray(block, SIZE_MAX / 2, 4));
	EXPECT_EQ(ENOMEM, errno);
	free(block);
}

TEST(realloc_that_fails_leaves_all)
{
	unsigned char *block = malloc(MIB);

	ASSERT_NE(NULL, block);
	memset(block, 7, MIB);
	errno = 0;
	EXPECT_EQ(NULL, realloc(block, PTRDIFF_MAX));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_TRUE(all_are(block, 7, MIB));
	free(block);
}

TEST(alignments)
{
	void *block;

	for (size_t align = 8; align <= 64 * MIB; align *= 2) {
		ASSERT_EQ(0, posix_memalign(&block, align, LARGE));
		EXPECT_EQ(0, (uintptr_t)block % align);
		EXPECT_TRUE(in_pool(block));
		free(block);
		block = aligned_alloc(align, LARGE);
		EXPECT_EQ(0, (uintptr_t)block % align);
		EXPECT_TRUE(in_pool(block));
		free(block);
		block = memalign(align, 100);
		EXPECT_EQ(0, (uintptr_t)block % align);
		EXPECT_FALSE(in_pool(block));
		free(block);
	}
	block = valloc(LARGE);
	EXPECT_EQ(0, (uintptr_t)block % 4096);
	EXPECT_TRUE(in_pool(block));
	free(block);
	block = pvalloc(LARGE - 1);
	EXPECT_EQ(0, (uintptr_t)block % 4096);
	EXPECT_LE(LARGE, malloc_usable_size(block));
	EXPECT_TRUE(in_pool(block));
	free(block);
}

TEST(bad_alignments)
{
	void *block = &block;

	errno = 0;
	EXPECT_EQ(EINVAL, posix_memalign(&block, 0, LARGE));
	EXPECT_EQ(EINVAL, posix_memalign(&block, 4, LARGE));
	EXPECT_EQ(EINVAL, posix_memalign(&block, 24, LARGE));
	EXPECT_EQ(ENOMEM, posix_memalign(&block, 64, PTRDIFF_MAX));
	EXPECT_EQ(0, errno);
	EXPECT_TRUE(block == &block);
	EXPECT_EQ(NULL, pvalloc(SIZE_MAX));
	EXPECT_EQ(ENOMEM, errno);
}

TEST(errno_stays)
{
	void *block;

	errno = EXDEV;
	block = malloc(3 * MIB);
	EXPECT_EQ(EXDEV, errno);
	free(block);
	EXPECT_EQ(EXDEV, errno);
}

/* By a library that comes later, and with operator new. */
TEST(libraries_that_come_later)
{
	void *(*new)(size_t size), *symbol, *block;
	void (*delete)(void *memory);
	char path[PATH_MAX + 16] = "";
	void *plugin;

	ASSERT_LT(0, readlink("/proc/self/exe", path, PATH_MAX));
	strcat(dirname(path), "/plugin.so");
	plugin = dlopen(path, RTLD_NOW);
	ASSERT_NE(NULL, plugin) TH_LOG("%s", dlerror());
	symbol = dlsym(plugin, "plugin_new");
	memcpy(&new, &symbol, sizeof(new));
	symbol = dlsym(plugin, "plugin_delete");
	memcpy(&delete, &symbol, sizeof(delete));
	block = new(2 * MIB);
	EXPECT_TRUE(in_pool(block));
	EXPECT_TRUE(all_are(block, 0x5a, 2 * MIB));
	delete(block);
	block = new(20);
	EXPECT_FALSE(in_pool(block));
	delete(block);
	EXPECT_EQ(0, dlclose(plugin));
}

static void on_signal(int signal)
{
	(void)signal;
}

/* What is interrupted is not refused: the tests are run with --require. */
TEST(signals_do_not_matter)
{
	const struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { 0 };
	struct sigaction action = { .sa_handler = on_signal };
	int refused = 0;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	for (int i = 0; i < 300; i++) {
		void *block = malloc((i % 20 + 1) * MIB);

		refused += !block;
		free(block);
	}
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	EXPECT_EQ(0, refused);
}

static void free_twice(char *block)
{
	free(block);
	free(block);
}

static void free_a_part(char *block)
{
	free(block + 64);
}

static void resize_what_is_free(char *block)
{
	free(block);
	free(realloc(block, 2 * MIB));
}

TEST(what_is_no_block_ends_the_program)
{
	static void (*const mistakes[])(char *block) = {
		free_twice, free_a_part, resize_what_is_free,
	};

	for (int i = 0; i < 3; i++) {
		int pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			mistakes[i](malloc(MIB));
			_exit(0);
		}
		EXPECT_EQ(128 + SIGABRT, status_of(pid));
	}
}

TEST_HARNESS_MAIN
