/* SPDX-License-Identifier: GPL-2.0 */
/* Threads that hand each other memory, come and go, and are cancelled. */
#include "../kselftest/bitmem_harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"

#define THREADS 4
#define SHELF 32
#define ROUNDS 3000

/* Blocks that whoever takes them frees; each begins with its size and is full of one byte. */
static _Atomic(unsigned char *) shelf[SHELF];
static atomic_int bad;

static size_t some_size(unsigned int *seed)
{
	static const size_t sizes[] = { 100, LARGE - 1, LARGE, 300000, MIB, 3 * MIB, 9 * MIB };

	return sizes[rand_r(seed) % 7];
}

static void check_and_free(unsigned char *block)
{
	size_t size;

	if (!block)
		return;
	memcpy(&size, block, sizeof(size));
	/* All of a large one takes too long. */
	if (block[sizeof(size)] != block[size - 1])
		bad++;
	free(block);
}

static unsigned char *make(unsigned int *seed)
{
	const size_t size = some_size(seed);
	unsigned char *block;

	switch (rand_r(seed) % 3) {
	case 0:
		block = malloc(size);
		break;
	case 1:
		block = calloc(1, size);
		break;
	default:
		block = realloc(malloc(size / 2), size);
	}
	if (!block) {
		bad++;
		return NULL;
	}
	memcpy(block, &size, sizeof(size));
	block[sizeof(size)] = block[size - 1] = (unsigned char)rand_r(seed);
	return block;
}

static void *trade(void *arg)
{
	unsigned int seed = (unsigned int)(size_t)arg;

	for (int i = 0; i < ROUNDS; i++)
		check_and_free(atomic_exchange(&shelf[rand_r(&seed) % SHELF], make(&seed)));
	return NULL;
}

TEST(others_free)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, trade, (void *)(i + 1)));
	for (size_t i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	for (int i = 0; i < SHELF; i++)
		check_and_free(shelf[i]);
	EXPECT_EQ(0, bad);
}

static void *once(void *arg)
{
	void *block = malloc(MIB);

	memset(block, 1, MIB);
	free(arg);
	return block;
}

TEST(threads_come_and_go)
{
	void *block = NULL;
	pthread_t thread;

	for (int i = 0; i < 200; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, once, block));
		ASSERT_EQ(0, pthread_join(thread, &block));
		ASSERT_TRUE(in_pool(block));
	}
	free(block);
}

static pthread_key_t key;

static void at_end(void *block)
{
	/* After the library's own destructor, maybe. */
	free(block);
	free(malloc(MIB));
}

static void *with_key(void *arg)
{
	pthread_setspecific(key, malloc(MIB));
	return arg;
}

TEST(ends_of_threads_allocate)
{
	pthread_t thread;

	ASSERT_EQ(0, pthread_key_create(&key, at_end));
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, with_key, NULL));
		ASSERT_EQ(0, pthread_join(thread, NULL));
	}
}

static void *until_cancelled(void *arg)
{
	atomic_bool *ready = arg;

	for (;;) {
		*ready = true;
		free(malloc(9 * MIB));
		free(malloc(MIB));
		pthread_testcancel();
	}
	return NULL;
}

/* Nobody is left in a lock. */
TEST(threads_are_cancelled)
{
	pthread_t thread;

	for (int i = 0; i < 30; i++) {
		atomic_bool ready = false;

		ASSERT_EQ(0, pthread_create(&thread, NULL, until_cancelled, &ready));
		while (!ready)
			free(malloc(MIB));
		ASSERT_EQ(0, pthread_cancel(thread));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		free(malloc(9 * MIB));
	}
}

TEST_HARNESS_MAIN
