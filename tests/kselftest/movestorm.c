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

#include <errno.h>
#include <kselftest_harness.h>
#include <string.h>
#include <sys/mman.h>

static const struct {
	void (*act)(struct fighter *me);
	unsigned int threads;
	const char *name;
} roles[] = {
	{ own_act, OWNERS, "owned" },
	{ wild_write, 2, "written" },
	{ wild_churn, 1, "churned" },
	{ wild_compact, 1, "compacted" },
	{ wild_migrate, 1, "migrated" },
	{ wild_splice, 1, "spliced" },
	{ wild_lock, 1, "locked" },
	{ wild_fork, 1, "forked" },
	{ wild_refill, 1, "refilled" },
};

#define FIGHTERS	16

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

static int make_buffers(struct storm *storm)
{
	const struct bt *t = storm->t;
	const struct {
		size_t length, chunk;
	} kinds[BUFFERS] = {
		[FINE] = { 2 * t->superblock + 40 * t->page, 8 * t->page },
		[COARSE] = { 2 * OWNERS * t->superblock, t->superblock },
		[WILD] = { t->superblock, 0 },
		[WILD + 1] = { 37 * t->page, 0 },
	};
	int i;

	for (i = 0; i < BUFFERS; i++) {
		struct buffer *buffer = &storm->buffers[i];

		buffer->chunk = kinds[i].chunk;
		buffer->length = kinds[i].length;
		buffer->memory = bt_new(storm->fd, buffer->length, &buffer->alloc);
		if (!buffer->memory)
			return -errno;
	}
	return 0;
}

/* From now on superblocks may leave the pools, if we are allowed to say so. */
static bool allow_trims(struct storm *storm)
{
	uint32_t i;

	if (bn_open(&storm->nl))
		return false;
	for (i = 0; i < storm->t->pools; i++) {
		const struct bitmem_pool_info *pool = &storm->t->before[i];

		if (set_pool(&storm->nl, i, pool->out_target, pool->out_reserve / 2))
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
static int start_all(struct storm *storm, struct fighter *fighters, unsigned int seed)
{
	unsigned int role, i;
	int n = 0, err = 0;

	for (role = 0; role < ARRAY_LEN(roles); role++) {
		if (roles[role].act == wild_refill && !storm->trims)
			continue;
		for (i = 0; i < roles[role].threads && !err; i++, n++) {
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

static void log_counts(struct __test_metadata *_metadata, const struct storm *storm)
{
	char text[512] = "";
	size_t role, used = 0;

	for (role = 0; role < ARRAY_LEN(roles); role++)
		used += snprintf(text + used, sizeof(text) - used, "%s %lu, ",
				 roles[role].name, storm->done[role]);
	TH_LOG("%s%lu refused", text, storm->refused);
}

TEST_F_TIMEOUT(movestorm, all_at_once, 3600)
{
	const unsigned int seed = getpid(), seconds = bt_seconds(10);
	struct fighter fighters[FIGHTERS] = {};
	struct storm storm = { .t = &self->t, .fd = self->t.fd };
	struct bitmem_pool_info total, after;
	int i, n;

	ASSERT_EQ(0, bt_total(storm.fd, &total));
	ASSERT_EQ(0, wild_handlers());
	ASSERT_EQ(0, make_buffers(&storm));
	storm.trims = allow_trims(&storm);
	TH_LOG("seed %u%s", seed, storm.trims ? "" : ", without giving back to the system");
	n = start_all(&storm, fighters, seed);
	ASSERT_LT(0, n);
	bt_sleep_ms(seconds * 1000);
	__atomic_store_n(&storm.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(0, pthread_join(fighters[i].thread, NULL));
		own_end(&fighters[i]);
	}
	log_counts(_metadata, &storm);
	EXPECT_EQ(0, storm.content);
	EXPECT_EQ(0, storm.refused);
	for (i = 0; i < (int)ARRAY_LEN(roles); i++) {
		if (roles[i].act != wild_refill || storm.trims)
			EXPECT_LT(0, storm.done[i]);
	}
	ASSERT_EQ(0, bt_total(storm.fd, &after));
	EXPECT_LT(total.out_moved, after.out_moved);
}

BT_MAIN
