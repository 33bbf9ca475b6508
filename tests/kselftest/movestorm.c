// SPDX-License-Identifier: GPL-2.0
/*
 * All that can happen to a page, at the same time, for $BITMEM_SECONDS: buffers are
 * demoted, promoted, decommitted, committed, compacted and migrated, while threads and
 * processes write into them, fork, are killed, pin pages in pipes and lock them; free
 * superblocks go back to the system and come again. What was written is still there
 * afterwards, and nothing is that was not.
 *
 * What this is there to find above all: in a write fault the core still has the page
 * locked after it gave its reference to the page table. Whoever takes a page away may
 * not believe the reference count alone. Freed so, it is a "Bad page state" in the
 * kernel's log.
 */
#include "movestorm.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

/* @threads: in a storm of all, and in one that only takes pages away from writers */
static const struct {
	void (*act)(struct fighter *me);
	unsigned int threads[2];
	const char *name;
} roles[] = {
	{ own_act, { OWNERS, 0 }, "owned" },
	{ wild_write, { 1, 0 }, "written" },
	{ wild_churn, { 1, 1 }, "churned" },
	{ wild_compact, { 1, 0 }, "compacted" },
	{ wild_migrate, { 1, 0 }, "migrated" },
	{ wild_splice, { 1, 0 }, "spliced" },
	{ wild_lock, { 1, 0 }, "locked" },
	{ wild_fork, { 1, 0 }, "forked" },
	{ wild_interrupt, { 0, 1 }, "interrupted" },
};

enum { ALL, ZAPS };

#define FIGHTERS	16
/* As many processes with as many threads each. Who is interrupted should be one that writes. */
#define WRITERS		2
static const int nr_writers[2] = { WRITERS, 1 };

FIXTURE(movestorm) {
	struct bt t;
};

FIXTURE_SETUP(movestorm)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
}

static int ignore(const struct bn_reply *reply __attribute__((unused)),
		  void *data __attribute__((unused)))
{
	return 0;
}

int set_pool(struct bn *nl, uint32_t index, uint64_t target, uint64_t reserve)
{
	struct bn_request request;

	bn_request(nl, &request, BITMEM_NL_CMD_POOL_SET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, index);
	bn_put_u64(&request, BITMEM_A_POOL_TARGET, target);
	bn_put_u64(&request, BITMEM_A_POOL_RESERVE, reserve);
	return bn_call(nl, &request, ignore, NULL);
}

/* Also if the test was killed: the pools are set as they were, and fill. */
FIXTURE_TEARDOWN_PARENT(movestorm)
{
	const struct bitmem_pool_info *before = self->t.before;
	const uint64_t end = bt_now_ns() + 60000000000ull;
	const char *why;
	struct bn nl;
	uint32_t i;

	if (!bn_open(&nl)) {
		for (i = 0; i < self->t.pools; i++)
			set_pool(&nl, i, before[i].out_target, before[i].out_reserve);
		bn_close(&nl);
	}
	do {
		why = bt_end(&self->t);
	} while (why && bt_now_ns() < end);
	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* The wild ones are all in the last pool: what leaves one buffer is what the next one gets. */
static int make_buffers(struct storm *storm, int first)
{
	const struct bt *t = storm->t;
	const int last = t->before[t->pools - 1].out_node;
	const struct {
		size_t length, chunk;
	} kinds[BUFFERS] = {
		[FINE] = { 2 * t->superblock + 40 * t->page, 8 * t->page },
		[COARSE] = { 2 * OWNERS * t->superblock, t->superblock },
		[WILD] = { t->superblock, 0 },
		/* As single pages, which have a superblock for themselves, or nearly so. */
		[WILD + 1] = { t->superblock - (first < WILD ? t->page : 0), 0 },
	};
	int i, err;

	for (i = first; i < BUFFERS; i++) {
		struct buffer *buffer = &storm->buffers[i];

		buffer->chunk = kinds[i].chunk;
		buffer->length = kinds[i].length;
		err = bt_alloc_on(storm->fd, buffer->length, i < WILD ? BITMEM_NODE_ANY : last, 0,
				  &buffer->alloc);
		if (err)
			return err;
		buffer->memory = bt_map(storm->fd, buffer->length, buffer->alloc.out_offset);
		if (!buffer->memory)
			return -errno;
	}
	return 0;
}

/* Little more than the buffers need, so that what is free is soon used or given back. */
uint64_t storm_target(const struct storm *storm, uint32_t index)
{
	const uint64_t enough = 24 * storm->t->superblock;
	const uint64_t before = storm->t->before[index].out_target;

	return before < enough ? before : enough;
}

/* From now on superblocks may leave the pools, if we are allowed to say so. */
static bool allow_trims(struct storm *storm)
{
	uint32_t i;

	if (bn_open(&storm->nl))
		return false;
	for (i = 0; i < storm->t->pools; i++) {
		if (set_pool(&storm->nl, i, storm_target(storm, i), 0))
			return false;
	}
	return true;
}

static void *fight(void *arg)
{
	struct fighter *me = arg;
	struct storm *storm = me->storm;
	unsigned int role = 0;

	while (roles[role].act != me->act)
		role++;
	while (!__atomic_load_n(&storm->stop, __ATOMIC_RELAXED)) {
		me->act(me);
		count(&storm->done[role]);
	}
	return NULL;
}

/* Returns how many were started, or a negative errno. */
static int start_all(struct storm *storm, int kind, struct fighter *fighters,
		     unsigned int seed)
{
	unsigned int role, i;
	int n = 0, err = 0;

	for (role = 0; role < ARRAY_LEN(roles); role++) {
		for (i = 0; i < roles[role].threads[kind] && !err; i++, n++) {
			struct fighter *me = &fighters[n];

			me->storm = storm;
			me->act = roles[role].act;
			me->number = i;
			me->seed = seed + n;
			if (pipe(me->pipe))
				err = -errno;
			else if (me->act == own_act)
				err = own_begin(me);
			err = err ?: -pthread_create(&me->thread, NULL, fight, me);
		}
	}
	return err ?: n;
}

/*
 * Processes of their own that only write: nobody but they changes their address space, so
 * their faults wait for nothing but the pages.
 */
static pid_t start_writer(struct storm *storm, int kind, unsigned int seed)
{
	struct fighter writers[WRITERS] = {};
	pid_t child = fork();
	int i;

	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (kind == ZAPS)
		wild_stay(true);
	for (i = 0; i < nr_writers[kind]; i++) {
		writers[i].storm = storm;
		writers[i].act = wild_write;
		writers[i].seed = seed + i;
		if (pthread_create(&writers[i].thread, NULL, fight, &writers[i]))
			_exit(1);
	}
	for (;;)
		pause();
}

static int stop_writer(pid_t writer)
{
	return kill(writer, SIGKILL) ? -errno : bt_reap(writer);
}

static struct storm *new_storm(const struct bt *t)
{
	struct storm *storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (storm == MAP_FAILED)
		return NULL;
	storm->t = t;
	storm->fd = t->fd;
	return storm;
}

static void log_counts(struct __test_metadata *_metadata, const struct storm *storm)
{
	char text[512] = "";
	size_t role, used = 0;

	for (role = 0; role < ARRAY_LEN(roles); role++)
		used += snprintf(text + used, sizeof(text) - used, "%s %lu, ",
				 roles[role].name, storm->done[role]);
	TH_LOG("%s%lu refused", text, storm->refused);
}

static void rage(struct __test_metadata *_metadata, struct storm *storm, int kind)
{
	const unsigned int seed = getpid();
	struct fighter fighters[FIGHTERS] = {};
	pid_t writers[WRITERS];
	int i, n;

	TH_LOG("seed %u%s", seed, storm->trims ? "" : ", without giving back to the system");
	for (i = 0; i < nr_writers[kind]; i++) {
		writers[i] = start_writer(storm, kind, seed + 100 * (i + 1));
		ASSERT_LT(0, writers[i]);
	}
	if (kind == ZAPS)
		wild_stay(false);
	n = start_all(storm, kind, fighters, seed);
	ASSERT_LT(0, n);
	bt_sleep_ms(bt_seconds(10) * 1000);
	__atomic_store_n(&storm->stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(0, pthread_join(fighters[i].thread, NULL));
		own_end(&fighters[i]);
	}
	for (i = 0; i < nr_writers[kind]; i++)
		EXPECT_EQ(256 + SIGKILL, stop_writer(writers[i]));
	log_counts(_metadata, storm);
	EXPECT_EQ(0, storm->content);
	EXPECT_EQ(0, storm->refused);
	for (i = 0; i < (int)ARRAY_LEN(roles); i++) {
		if (roles[i].threads[kind] || roles[i].act == wild_write)
			EXPECT_LT(0, storm->done[i]);
	}
}

TEST_F_TIMEOUT(movestorm, all_at_once, 3600)
{
	struct storm *storm = new_storm(&self->t);
	struct bitmem_pool_info before, after;

	ASSERT_NE(NULL, storm);
	ASSERT_EQ(0, wild_handlers());
	ASSERT_EQ(0, make_buffers(storm, 0));
	storm->trims = allow_trims(storm);
	ASSERT_EQ(0, bt_total(storm->fd, &before));
	rage(_metadata, storm, ALL);
	ASSERT_EQ(0, bt_total(storm->fd, &after));
	EXPECT_LT(before.out_moved, after.out_moved);
}

/*
 * The write fault and its page, with as little as possible in between. The faults are on one
 * CPU, where a thread with a higher priority interrupts them at any point for a while; that is
 * when the page is taken away on another one, and goes back to the system.
 */
TEST_F_TIMEOUT(movestorm, zaps, 3600)
{
	struct storm *storm = new_storm(&self->t);

	ASSERT_NE(NULL, storm);
	ASSERT_EQ(0, wild_handlers());
	ASSERT_EQ(0, make_buffers(storm, WILD));
	storm->trims = allow_trims(storm);
	rage(_metadata, storm, ZAPS);
}

BT_MAIN
