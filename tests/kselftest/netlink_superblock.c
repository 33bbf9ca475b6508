// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink: the dump of superblocks. Every one that stays is in it once, whatever
 * else comes and goes; at rest all adds up to the pools' counters; and it says whose
 * they are, but only to root.
 */
#include "bitmem_genl.h"
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY	65534
#define MESSAGES	16384
#define ALL	UINT32_MAX

/* A message: some superblocks. */
struct seen {
	uint32_t pool, node, uid, pid;
	uint64_t index, count, zeroed, dirty, allocated, quarantined, retired, busy;
	uint64_t file, offset;
	bool split, gathered, owned;
	char comm[32], tag[BITMEM_TAG_LEN];
};

/* A dump; @wrong says what was wrong with it, if anything was. */
struct map {
	size_t superblock;
	const char *wrong;
	size_t n;
	struct seen seen[MESSAGES];
};

FIXTURE(netlink_superblock)
{
	struct bt t;
	struct bn bn;
	struct map *map;
};

FIXTURE_SETUP(netlink_superblock)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bn_open(&self->bn));
	self->map = calloc(1, sizeof(*self->map));
	ASSERT_NE(NULL, self->map);
	self->map->superblock = self->t.superblock;
}

FIXTURE_TEARDOWN_PARENT(netlink_superblock)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

/* --- a dump --- */

static void note_owner(const struct nlattr *attr, struct seen *seen)
{
	struct bn_reply owner = { .cmd = 0 };

	bn_nested(attr, owner.attrs);
	seen->owned = true;
	seen->file = bn_u64(&owner, BITMEM_A_BUFFER_FILE);
	seen->offset = bn_u64(&owner, BITMEM_A_BUFFER_OFFSET);
	seen->uid = bn_u32(&owner, BITMEM_A_BUFFER_UID);
	seen->pid = bn_u32(&owner, BITMEM_A_BUFFER_PID);
	strncpy(seen->comm, bn_text(&owner, BITMEM_A_BUFFER_COMM), sizeof(seen->comm) - 1);
	strncpy(seen->tag, bn_text(&owner, BITMEM_A_BUFFER_TAG), sizeof(seen->tag) - 1);
}

/* What a message by itself must be like, and what it must be like after the one before. */
static const char *judge(const struct map *map, const struct seen *seen, const struct seen *last)
{
	uint64_t sum = seen->zeroed + seen->dirty + seen->allocated + seen->quarantined +
		       seen->retired;

	if (!seen->count)
		return "none";
	if (seen->split ? sum > map->superblock || !sum || seen->count != 1 :
			  sum != map->superblock)
		return "its bytes are not a superblock's";
	if (!seen->split && (seen->zeroed % sum || seen->dirty % sum || seen->allocated % sum ||
			     seen->quarantined % sum))
		return "a whole one in two states";
	if (seen->busy > seen->zeroed + seen->dirty)
		return "more is busy than free";
	if (seen->owned && (!seen->allocated || !seen->file))
		return "an owner of nothing";
	if (last && last->pool == seen->pool && seen->index < last->index + last->count)
		return "twice, or in disorder";
	return last && last->pool > seen->pool ? "pools in disorder" : NULL;
}

static int take(const struct bn_reply *reply, void *data)
{
	struct map *map = data;
	struct seen *seen = &map->seen[map->n];
	const char *wrong;

	if (reply->cmd != BITMEM_NL_CMD_SUPERBLOCK_GET)
		return -EBADMSG;
	if (map->n == MESSAGES)
		return -ENOBUFS;
	*seen = (struct seen) {
		.pool = bn_u32(reply, BITMEM_A_SUPERBLOCK_POOL),
		.node = bn_u32(reply, BITMEM_A_SUPERBLOCK_NODE),
		.index = bn_u64(reply, BITMEM_A_SUPERBLOCK_INDEX),
		.count = bn_u64(reply, BITMEM_A_SUPERBLOCK_COUNT),
		.zeroed = bn_u64(reply, BITMEM_A_SUPERBLOCK_ZEROED),
		.dirty = bn_u64(reply, BITMEM_A_SUPERBLOCK_DIRTY),
		.allocated = bn_u64(reply, BITMEM_A_SUPERBLOCK_ALLOCATED),
		.quarantined = bn_u64(reply, BITMEM_A_SUPERBLOCK_QUARANTINED),
		.retired = bn_u64(reply, BITMEM_A_SUPERBLOCK_RETIRED),
		.busy = bn_u64(reply, BITMEM_A_SUPERBLOCK_BUSY),
		.split = reply->attrs[BITMEM_A_SUPERBLOCK_SPLIT],
		.gathered = reply->attrs[BITMEM_A_SUPERBLOCK_GATHERED],
	};
	if (reply->attrs[BITMEM_A_SUPERBLOCK_OWNER])
		note_owner(reply->attrs[BITMEM_A_SUPERBLOCK_OWNER], seen);
	wrong = judge(map, seen, map->n ? seen - 1 : NULL);
	map->wrong = map->wrong ?: wrong;
	map->n++;
	return 0;
}

static void ask(struct bn *bn, struct bn_request *request, uint32_t pool)
{
	bn_request(bn, request, BITMEM_NL_CMD_SUPERBLOCK_GET, NLM_F_DUMP);
	if (pool != ALL)
		bn_put_u32(request, BITMEM_A_SUPERBLOCK_POOL, pool);
}

static int dump(struct bn *bn, struct map *map, uint32_t pool)
{
	struct bn_request request;

	map->n = 0;
	map->wrong = NULL;
	ask(bn, &request, pool);
	return bn_call(bn, &request, take, map);
}

/* Bytes that a buffer has in whole (or split) superblocks that are told to be its own. */
static uint64_t bytes_of(const struct map *map, uint64_t offset, bool split)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < map->n; i++) {
		const struct seen *seen = &map->seen[i];

		if (seen->owned && seen->offset == offset && seen->split == split)
			sum += seen->count * seen->allocated;
	}
	return sum;
}

/* --- what is told --- */

/* Adds a pool's messages up, in the members of its counters. */
static void add_up(const struct map *map, uint32_t pool, struct bitmem_pool_info *sum)
{
	size_t i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < map->n; i++) {
		const struct seen *seen = &map->seen[i];
		uint64_t bytes = seen->zeroed + seen->dirty + seen->allocated +
				 seen->quarantined + seen->retired;

		if (seen->pool != pool)
			continue;
		sum->out_zeroed += seen->count * seen->zeroed;
		sum->out_dirty += seen->count * seen->dirty;
		sum->out_allocated += seen->count * seen->allocated;
		sum->out_quarantined += seen->count * seen->quarantined;
		sum->out_retired += seen->count * seen->retired;
		sum->out_split += seen->split ? bytes : 0;
		sum->out_gathered += seen->gathered ? bytes : 0;
		if (!seen->split && !seen->busy)
			sum->out_largest += seen->count * (seen->zeroed + seen->dirty);
	}
}

static bool same(const struct bitmem_pool_info *sum, const struct bitmem_pool_info *pool)
{
	/* Retired single pages are part of no superblock. */
	return sum->out_zeroed == pool->out_zeroed && sum->out_dirty == pool->out_dirty &&
	       sum->out_allocated == pool->out_allocated &&
	       sum->out_quarantined == pool->out_quarantined &&
	       sum->out_retired <= pool->out_retired && sum->out_split == pool->out_split &&
	       sum->out_gathered == pool->out_gathered && sum->out_largest == pool->out_largest;
}

/* Whether each pool's superblocks are its counters, as soon as nothing moves. */
static const char *adds_up(struct bn *bn, const struct bt *t, struct map *map)
{
	const uint64_t end = bt_now_ns() + BT_PATIENCE_MS * 1000000ull;
	struct bitmem_pool_info pool, sum;
	uint32_t i = 0;

	while (i < t->pools) {
		if (bt_now_ns() > end)
			return "it does not add up";
		if (dump(bn, map, i) || bt_pool(t->fd, i, &pool))
			return "it does not come";
		if (map->wrong)
			return map->wrong;
		add_up(map, i, &sum);
		if (same(&sum, &pool))
			i++;
		else
			bt_sleep_ms(10);
	}
	return NULL;
}

TEST_F(netlink_superblock, adds_up)
{
	struct bitmem_alloc whole, tail;

	EXPECT_EQ(NULL, adds_up(&self->bn, &self->t, self->map));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 5 * self->t.superblock + self->t.page, &whole));
	ASSERT_EQ(0, bt_alloc(self->t.fd, 7 * self->t.page, &tail));
	EXPECT_EQ(NULL, adds_up(&self->bn, &self->t, self->map));
	ASSERT_EQ(0, bt_free(self->t.fd, whole.out_id));
	EXPECT_EQ(NULL, adds_up(&self->bn, &self->t, self->map));
}

static int take_file(const struct bn_reply *reply, void *data)
{
	*(uint64_t *)data = bn_u64(reply, BITMEM_A_BUFFER_FILE);
	return 0;
}

TEST_F(netlink_superblock, owner)
{
	struct bitmem_alloc alloc = {
		.size = sizeof(alloc), .length = 3 * self->t.superblock + 2 * self->t.page,
		.node = BITMEM_NODE_ANY, .tag = "kv-cache",
	};
	const struct map *map = self->map;
	struct bitmem_pool_info pool;
	uint64_t file = 0;
	size_t i, n = 0;

	ASSERT_EQ(0, bt_ioctl(self->t.fd, BITMEM_ALLOC, &alloc));
	ASSERT_EQ(0, bn_dump(&self->bn, BITMEM_NL_CMD_BUFFER_GET, take_file, &file));
	ASSERT_EQ(0, dump(&self->bn, self->map, ALL));
	EXPECT_EQ(NULL, map->wrong);
	EXPECT_EQ(3 * self->t.superblock, bytes_of(map, alloc.out_offset, false));
	EXPECT_EQ(2 * self->t.page, bytes_of(map, alloc.out_offset, true));
	for (i = 0; i < map->n; i++) {
		const struct seen *seen = &map->seen[i];

		ASSERT_EQ(0, bt_pool(self->t.fd, seen->pool, &pool));
		EXPECT_EQ(pool.out_node, seen->node);
		if (!seen->owned)
			continue;
		n++;
		EXPECT_EQ(file, seen->file);
		EXPECT_EQ(geteuid(), seen->uid);
		EXPECT_EQ(getpid(), seen->pid);
		EXPECT_STREQ("netlink_superbl", seen->comm);
		EXPECT_STREQ("kv-cache", seen->tag);
	}
	EXPECT_LE(2, n);
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	ASSERT_EQ(0, dump(&self->bn, self->map, ALL));
	EXPECT_EQ(0, bytes_of(map, alloc.out_offset, false));
	EXPECT_EQ(0, bytes_of(map, alloc.out_offset, true));
}

/* The only split superblock with pages in buffers, or NULL. */
static const struct seen *split_one(const struct map *map)
{
	const struct seen *found = NULL;
	size_t i;

	for (i = 0; i < map->n; i++) {
		if (!map->seen[i].split || !map->seen[i].allocated)
			continue;
		if (found)
			return NULL;
		found = &map->seen[i];
	}
	return found;
}

/* Single pages of one buffer, of two of one file, of two files, and of one again. */
TEST_F(netlink_superblock, owners_of_single_pages)
{
	const int node = self->t.before[0].out_node;
	struct bitmem_alloc first, second, third;
	const struct seen *seen;
	int fd = bt_open();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bt_alloc_on(self->t.fd, self->t.page, node, 0, &first));
	ASSERT_EQ(0, dump(&self->bn, self->map, ALL));
	seen = split_one(self->map);
	ASSERT_NE(NULL, seen);
	EXPECT_EQ(self->t.page, seen->allocated);
	EXPECT_EQ(first.out_offset, seen->offset);

	ASSERT_EQ(0, bt_alloc_on(self->t.fd, self->t.page, node, 0, &second));
	ASSERT_EQ(0, dump(&self->bn, self->map, ALL));
	seen = split_one(self->map);
	ASSERT_NE(NULL, seen);
	EXPECT_EQ(2 * self->t.page, seen->allocated);
	EXPECT_TRUE(seen->owned);
	EXPECT_EQ(getpid(), seen->pid);
	EXPECT_EQ(0, seen->offset);
	EXPECT_STREQ("", seen->tag);

	ASSERT_EQ(0, bt_alloc_on(fd, self->t.page, node, 0, &third));
	ASSERT_EQ(0, dump(&self->bn, self->map, ALL));
	seen = split_one(self->map);
	ASSERT_NE(NULL, seen);
	EXPECT_EQ(3 * self->t.page, seen->allocated);
	EXPECT_FALSE(seen->owned);

	ASSERT_EQ(0, bt_free(self->t.fd, first.out_id));
	ASSERT_EQ(0, bt_free(self->t.fd, second.out_id));
	ASSERT_EQ(0, dump(&self->bn, self->map, ALL));
	seen = split_one(self->map);
	ASSERT_NE(NULL, seen);
	EXPECT_EQ(self->t.page, seen->allocated);
	EXPECT_EQ(third.out_offset, seen->offset);
	close(fd);
}

/* What somebody still refers to is nobody's. */
TEST_F(netlink_superblock, quarantined)
{
	const size_t length = self->t.superblock + self->t.page;
	const struct map *map = self->map;
	struct bitmem_alloc alloc;
	uint64_t whole = 0, single = 0;
	int pipe_fds[2];
	char *memory;
	size_t i;

	ASSERT_EQ(0, pipe(pipe_fds));
	memory = bt_new(self->t.fd, length, &alloc);
	ASSERT_NE(NULL, memory);
	bt_fill(memory, length, 1);
	ASSERT_EQ(0, bt_pin(pipe_fds, memory, self->t.page));
	ASSERT_EQ(0, bt_pin(pipe_fds, memory + self->t.superblock, self->t.page));
	ASSERT_EQ(0, munmap(memory, length));
	ASSERT_EQ(0, bt_free(self->t.fd, alloc.out_id));
	ASSERT_EQ(0, dump(&self->bn, self->map, ALL));
	EXPECT_EQ(NULL, map->wrong);
	for (i = 0; i < map->n; i++) {
		whole += map->seen[i].split ? 0 : map->seen[i].count * map->seen[i].quarantined;
		single += map->seen[i].split ? map->seen[i].quarantined : 0;
		EXPECT_FALSE(map->seen[i].owned);
	}
	EXPECT_EQ(self->t.superblock, whole);
	EXPECT_EQ(self->t.page, single);
	EXPECT_EQ(NULL, adds_up(&self->bn, &self->t, self->map));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* --- in one message, and in many --- */

/*
 * Neighbours that are alike are told of once, however many (more than are looked at under one
 * hold of the lock, where pools have not lost so many that numbers have gaps), within reason.
 */
TEST_F(netlink_superblock, alike)
{
	uint64_t length = self->t.before[0].out_largest;
	const struct map *map = self->map;
	struct bitmem_alloc alloc;
	size_t i;

	ASSERT_EQ(0, bt_alloc_on(self->t.fd, length, self->t.before[0].out_node,
				 BITMEM_ALLOC_BIND, &alloc));
	ASSERT_EQ(0, dump(&self->bn, self->map, 0));
	EXPECT_EQ(NULL, map->wrong);
	EXPECT_EQ(length, bytes_of(map, alloc.out_offset, false) +
			  bytes_of(map, alloc.out_offset, true));
	for (i = 0; i < map->n; i++) {
		const struct seen *seen = &map->seen[i], *next = seen + 1;

		if (i + 1 == map->n || seen->split || next->split || seen->count >= 8192)
			continue;
		EXPECT_FALSE(seen->index + seen->count == next->index &&
			     seen->offset == next->offset && seen->zeroed == next->zeroed &&
			     seen->dirty == next->dirty && seen->retired == next->retired &&
			     seen->busy == next->busy);
	}
}

/*
 * Every superblock is another buffer's, so that a dump has several parts: what it stands
 * at goes between two of them; and a dump is given up half-way.
 */
TEST_F(netlink_superblock, in_parts)
{
	uint64_t i, n = self->t.before[0].out_largest / self->t.superblock;
	const struct bitmem_pool_info *was = &self->t.before[0];
	struct bitmem_compact trim;
	struct bn_request request;
	struct bitmem_alloc alloc;
	int err, fd = bt_open();

	ASSERT_LE(0, fd);
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, bt_alloc_on(i % 2 ? fd : self->t.fd, self->t.superblock,
					 was->out_node, 0, &alloc));
	ask(&self->bn, &request, ALL);
	ASSERT_EQ(0, bn_send(&self->bn, &request));
	ASSERT_EQ(1, bn_receive(&self->bn, take, self->map));
	if (n >= 200)
		EXPECT_GT(n, self->map->n);
	close(fd);
	ASSERT_EQ(0, bt_compact(self->t.fd, 0, 0, &trim));
	do {
		err = bn_receive(&self->bn, take, self->map);
	} while (err == 1);
	EXPECT_EQ(0, err);
	EXPECT_EQ(NULL, self->map->wrong);

	ASSERT_EQ(0, bn_send(&self->bn, &request));
	ASSERT_EQ(1, bn_receive(&self->bn, NULL, NULL));
	bn_close(&self->bn);
}

/* --- while others do what they do --- */

/* Allocates, frees and compacts until it is killed. */
static void churn(const struct bt *t, unsigned int seed)
{
	struct bitmem_alloc alloc;
	struct bitmem_compact out;
	uint32_t ids[16] = { 0 };
	int fd = bt_open();

	for (;; seed = seed * 1103515245 + 12345) {
		unsigned int i = seed >> 16 & 15, pages = (seed >> 8) % (3 * t->superblock / t->page);

		if (ids[i])
			bt_free(fd, ids[i]);
		ids[i] = bt_alloc(fd, (1 + pages) * t->page, &alloc) ? 0 : alloc.out_id;
		if (!(seed >> 4 & 63))
			bt_compact(fd, (seed >> 10) % t->pools, 0, &out);
	}
}

static int set_target(struct bn *bn, const struct bitmem_pool_info *pool, uint64_t target)
{
	struct bn_request request;

	bn_request(bn, &request, BITMEM_NL_CMD_POOL_SET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, pool->index);
	bn_put_u64(&request, BITMEM_A_POOL_TARGET, target);
	bn_put_u64(&request, BITMEM_A_POOL_RESERVE, target < pool->out_reserve ? target :
		   pool->out_reserve);
	return bn_call(bn, &request, NULL, NULL);
}

/* The first pool shrinks and grows with the rounds, too. */
TEST_F(netlink_superblock, while_others_come_and_go)
{
	enum { CHURNERS = 3 };
	const struct bitmem_pool_info *was = &self->t.before[0];
	uint64_t less = was->out_target - was->out_target / self->t.superblock / 4 *
			self->t.superblock;
	unsigned int round, rounds = bt_rounds(40);
	struct bitmem_alloc stable;
	pid_t pids[CHURNERS];
	int i;

	ASSERT_EQ(0, bt_alloc(self->t.fd, 6 * self->t.superblock, &stable));
	for (i = 0; i < CHURNERS; i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i])
			churn(&self->t, i);
	}
	for (round = 0; round < rounds; round++) {
		if (was->out_capacity == was->out_target)
			EXPECT_EQ(0, set_target(&self->bn, was, round % 2 ? was->out_target : less));
		EXPECT_EQ(0, dump(&self->bn, self->map, ALL));
		EXPECT_EQ(NULL, self->map->wrong);
		if (self->map->wrong)
			TH_LOG("round %u: %s", round, self->map->wrong);
		EXPECT_EQ(6 * self->t.superblock, bytes_of(self->map, stable.out_offset, false));
	}
	EXPECT_EQ(0, set_target(&self->bn, was, was->out_target));
	for (i = 0; i < CHURNERS; i++) {
		kill(pids[i], SIGKILL);
		EXPECT_EQ(256 + SIGKILL, bt_reap(pids[i]));
	}
	EXPECT_EQ(NULL, adds_up(&self->bn, &self->t, self->map));
}

/* --- what is refused, and to whom --- */

TEST_F(netlink_superblock, one_pool)
{
	uint64_t n = 0;
	uint32_t pool;
	size_t i;

	ASSERT_EQ(0, dump(&self->bn, self->map, ALL));
	for (i = 0; i < self->map->n; i++)
		n += self->map->seen[i].count;
	for (pool = 0; pool < self->t.pools; pool++) {
		ASSERT_EQ(0, dump(&self->bn, self->map, pool));
		EXPECT_LT(0, self->map->n);
		for (i = 0; i < self->map->n; i++) {
			EXPECT_EQ(pool, self->map->seen[i].pool);
			n -= self->map->seen[i].count;
		}
	}
	EXPECT_EQ(0, n);
}

TEST_F(netlink_superblock, errors)
{
	static const uint8_t zeros[64];
	struct bn_request request;
	uint16_t length;

	EXPECT_EQ(-ENOENT, dump(&self->bn, self->map, self->t.pools));
	EXPECT_EQ(0, self->map->n);
	/* Where a dump starts, older kernels have no place for words. */
	if (!bt_kernel_before(6, 12))
		EXPECT_NE(NULL, strstr(self->bn.text, "pool: no such pool"));
	EXPECT_EQ(-ENOENT, dump(&self->bn, self->map, UINT32_MAX - 1));
	for (length = 0; length <= sizeof(zeros); length++) {
		bn_request(&self->bn, &request, BITMEM_NL_CMD_SUPERBLOCK_GET, NLM_F_DUMP);
		bn_put(&request, BITMEM_A_SUPERBLOCK_POOL, zeros, length);
		EXPECT_EQ(length == 4 ? 0 : -EINVAL,
			  bn_call(&self->bn, &request, NULL, NULL));
	}
	bn_request(&self->bn, &request, BITMEM_NL_CMD_SUPERBLOCK_GET, NLM_F_DUMP);
	bn_put_u32(&request, BITMEM_A_SUPERBLOCK_NODE, 0);
	EXPECT_EQ(-EINVAL, bn_call(&self->bn, &request, NULL, NULL));
	bn_request(&self->bn, &request, BITMEM_NL_CMD_SUPERBLOCK_GET, NLM_F_DUMP);
	bn_put(&request, BITMEM_A_SUPERBLOCK_POOL | NLA_F_NESTED, zeros, 4);
	EXPECT_EQ(-EINVAL, bn_call(&self->bn, &request, NULL, NULL));
}

/* In a child that is nobody: neither with a socket of its own nor with root's. */
static int refused(struct bn *inherited, struct map *map)
{
	struct bn bn;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
	    bn_open(&bn))
		return 1;
	if (dump(&bn, map, ALL) != -EPERM || dump(&bn, map, 0) != -EPERM || map->n)
		return 2;
	if (!bt_kernel_before(6, 12) && !strstr(bn.text, "CAP_SYS_ADMIN"))
		return 3;
	return dump(inherited, map, ALL) == -EPERM && !map->n ? 0 : 4;
}

TEST_F(netlink_superblock, for_root_alone)
{
	pid_t pid;
	struct bn bn;

	if (geteuid())
		SKIP(return, "needs root");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(refused(&self->bn, self->map));
	EXPECT_EQ(0, bt_reap(pid));
	/* A socket that nobody opened gains nothing from root, who uses it. */
	ASSERT_EQ(0, seteuid(NOBODY));
	ASSERT_EQ(0, bn_open(&bn));
	ASSERT_EQ(0, seteuid(0));
	EXPECT_EQ(-EPERM, dump(&bn, self->map, ALL));
	bn_close(&bn);
}

BT_MAIN
