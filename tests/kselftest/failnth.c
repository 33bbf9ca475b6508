// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation that a call makes, and every copy to and from its caller, is made
 * to fail, one after the other, until none is left that did not: each call of the
 * device by itself, then whole lives of buffers. Whatever fails, nothing is lost: the
 * pools' counters are whole after each failure, and a call says nothing but that
 * memory was short or an address bad.
 *
 * What the module's own threads do is not reached so. At the end one in ten allocations
 * fails, of theirs and of a process that does all of this, for $BITMEM_SECONDS.
 *
 * Needs a kernel with fault injection.
 */
#include "bitmem_fail.h"
#include "failnth.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* No call makes as many. */
#define MOST_FAILURES	5000

FIXTURE(failnth) {
	struct bt t;
	struct bt_fail fail;
};

FIXTURE_VARIANT(failnth) {
	const struct sequence *sequence;
};

#define SEQUENCE(name)							\
	FIXTURE_VARIANT_ADD(failnth, name) {				\
		.sequence = &sequence_ ## name,				\
	};

FAILNTH_SEQUENCES(SEQUENCE)

FIXTURE_SETUP(failnth)
{
	const char *why = bt_fail_begin(&self->fail) ?: bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN_PARENT(failnth)
{
	const char *why = bt_end(&self->t);

	bt_fail_end(&self->fail);
	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/*
 * What a call may say when an allocation or a copy inside has failed. ECANCELED is what
 * io_uring says when it can make no thread for a command.
 */
static bool is_excuse(int err)
{
	switch (-err) {
	case 0:
	case ENOMEM:
	case EFAULT:
	case EAGAIN:
	case ENOBUFS:
	case ECANCELED:
		return true;
	default:
		return false;
	}
}

/*
 * Runs the sequence with its @n'th failure. Sets *@hit to whether there was one. Returns what
 * the sequence did, 1 for a failed preparation.
 */
static int run_once(FIXTURE_DATA(failnth) *self, const struct sequence *sequence,
		    unsigned int n, bool *hit)
{
	struct scene scene;
	int err;

	scene_begin(&scene, &self->t);
	err = sequence->prepare(&scene);
	if (!err) {
		bt_fail_nth(&self->fail, n);
		err = sequence->run(&scene);
		*hit = bt_fail_hit(&self->fail);
	} else {
		err = err == -ENOENT || err == -ENOTTY ? 1 : 2;
	}
	scene_end(&scene);
	return err;
}

TEST_F_TIMEOUT(failnth, each_in_turn, 1200)
{
	unsigned int injected = 0, refused = 0, n;
	const char *why = NULL;
	bool hit = true;
	int err;

	for (n = 1; hit && !why && n < MOST_FAILURES; n++) {
		err = run_once(self, variant->sequence, n, &hit);
		if (err == 1)
			SKIP(return, "not on this kernel");
		ASSERT_GE(0, err);
		why = bt_end(&self->t);
		if (why)
			TH_LOG("failure %u: %s", n, why);
		EXPECT_EQ(NULL, why);
		EXPECT_TRUE(is_excuse(err)) TH_LOG("failure %u: %s", n, strerror(-err));
		injected += hit;
		refused += hit && err;
	}
	EXPECT_EQ(0, err);
	EXPECT_FALSE(hit);
	EXPECT_LT(0, injected);
	TH_LOG("%u failures injected, %u of them reported to the caller", injected, refused);
}

FIXTURE(failing) {
	struct bt t;
	struct bt_fail fail;
};

FIXTURE_SETUP(failing)
{
	const char *why = bt_fail_begin(&self->fail) ?: bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);

	/* A split superblock may be short of pages that were refused; fills add whole ones. */
	self->t.slack = self->t.superblock;
}

FIXTURE_TEARDOWN_PARENT(failing)
{
	const char *why = bt_end(&self->t);

	bt_fail_end(&self->fail);
	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

struct mix {
	const struct bt *t;
	unsigned long *done;
	unsigned long *refused;
	unsigned int seed;
};

/* All sequences over and over, in an order of the thread's own. */
static void *mixed_work(void *arg)
{
	struct mix *mix = arg;
	struct scene scene;

	for (;;) {
		const struct sequence *sequence = sequences[rand_r(&mix->seed) % nr_sequences];
		int err;

		scene_begin(&scene, mix->t);
		err = sequence->prepare(&scene) ?: sequence->run(&scene);
		scene_end(&scene);
		__atomic_fetch_add(err ? mix->refused : mix->done, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

#define MIX_THREADS	3
#define PERCENT		10

/* Never returns. */
static void mixed_child(const struct bt *t, unsigned long counts[2])
{
	struct mix mix[MIX_THREADS];
	pthread_t thread;
	int i;

	for (i = 0; i < MIX_THREADS; i++) {
		mix[i] = (struct mix){ t, &counts[0], &counts[1], i + 1 };
		if (pthread_create(&thread, NULL, mixed_work, &mix[i]))
			_exit(1);
	}
	for (;;)
		pause();
}

TEST_F_TIMEOUT(failing, at_random, 1200)
{
	const unsigned int seconds = bt_seconds(10);
	unsigned long *counts;
	pid_t child;

	counts = mmap(NULL, self->t.page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, counts);
	memset(counts, 0, self->t.page);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		if (bt_fail_task(getpid(), true))
			_exit(1);
		mixed_child(&self->t, counts);
	}
	EXPECT_LT(0, bt_fail_workers(true));
	EXPECT_EQ(0, bt_fail_often(&self->fail, PERCENT));
	bt_sleep_ms(seconds * 1000);
	EXPECT_EQ(0, bt_fail_often(&self->fail, 0));
	EXPECT_LT(0, bt_fail_workers(false));
	EXPECT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(256 + SIGKILL, bt_reap(child));
	EXPECT_LT(0, counts[0]);
	EXPECT_LT(0, counts[1]);
	TH_LOG("%lu sequences went through, %lu did not", counts[0], counts[1]);
}

BT_MAIN
