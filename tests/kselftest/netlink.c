// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink: the commands INFO, POOL_GET and POOL_SET, what is refused and how
 * that is explained, and who may ask. Buffers are netlink_buffer's, events
 * netlink_event's.
 */
#include "bitmem_test.h"
#include "bitmem_genl.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define NOBODY	65534

#define FIGURE(_attr, _member)	\
	{ BITMEM_A_POOL_##_attr, offsetof(struct bitmem_pool_info, out_##_member) }

static const struct {
	uint16_t attr;
	size_t offset;
} figures[] = {
	FIGURE(TARGET, target), FIGURE(MAX_BYTES, max), FIGURE(RESERVE, reserve),
	FIGURE(LOW, low), FIGURE(HIGH, high), FIGURE(EMERGENCY, emergency),
	FIGURE(CAPACITY, capacity), FIGURE(ZEROED, zeroed), FIGURE(DIRTY, dirty),
	FIGURE(ALLOCATED, allocated), FIGURE(QUARANTINED, quarantined),
	FIGURE(RETIRED, retired), FIGURE(LARGEST, largest), FIGURE(SPLIT, split),
	FIGURE(BUFFERS, buffers), FIGURE(ALLOCS, allocs), FIGURE(FALLBACKS, fallbacks),
	FIGURE(FAILURES, failures), FIGURE(GATHERED, gathered),
	FIGURE(RECLAIMABLE, reclaimable), FIGURE(RETURNED, returned), FIGURE(MOVED, moved),
};

FIXTURE(netlink)
{
	struct bt t;
	struct bn bn;
};

FIXTURE_SETUP(netlink)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bn_open(&self->bn));
}

/* Pools are as they were, in their settings as well. */
FIXTURE_TEARDOWN_PARENT(netlink)
{
	const char *why = bt_end(&self->t);
	struct bitmem_pool_info pool;
	int fd = bt_open();
	uint32_t i;

	EXPECT_EQ(NULL, why);
	if (why)
		TH_LOG("afterwards %s", why);
	for (i = 0; i < self->t.pools; i++) {
		ASSERT_EQ(0, bt_pool(fd, i, &pool));
		EXPECT_EQ(self->t.before[i].out_max, pool.out_max);
		EXPECT_EQ(self->t.before[i].out_reserve, pool.out_reserve);
		EXPECT_EQ(self->t.before[i].out_low, pool.out_low);
		EXPECT_EQ(self->t.before[i].out_high, pool.out_high);
		EXPECT_EQ(self->t.before[i].out_emergency, pool.out_emergency);
	}
	close(fd);
}

/* --- what it says --- */

static int take_info(const struct bn_reply *reply, void *data)
{
	struct bitmem_info *info = data;

	info->out_abi = bn_u32(reply, BITMEM_A_INFO_ABI);
	info->out_page_size = bn_u32(reply, BITMEM_A_INFO_PAGE_SIZE);
	info->out_pools = bn_u32(reply, BITMEM_A_INFO_POOLS);
	info->out_nodes = bn_u32(reply, BITMEM_A_INFO_NODES);
	info->out_level = bn_u32(reply, BITMEM_A_INFO_LEVEL);
	info->out_superblock_size = bn_u64(reply, BITMEM_A_INFO_SUPERBLOCK_SIZE);
	info->out_pmd_size = bn_u64(reply, BITMEM_A_INFO_PMD_SIZE);
	info->out_features = bn_u64(reply, BITMEM_A_INFO_FEATURES);
	return 0;
}

TEST_F(netlink, info_is_the_ioctls)
{
	struct bitmem_info told = { .size = sizeof(told) }, info;

	ASSERT_EQ(0, bn_do(&self->bn, BITMEM_NL_CMD_INFO, take_info, &told));
	ASSERT_EQ(0, bt_info(self->t.fd, &info));
	EXPECT_EQ(0, memcmp(&told, &info, sizeof(info)));
	EXPECT_NE(0, told.out_features);
}

static int take_pool(const struct bn_reply *reply, void *data)
{
	struct bitmem_pool_info *pool = data;
	size_t i;

	pool->index = bn_u32(reply, BITMEM_A_POOL_INDEX);
	pool->out_node = bn_u32(reply, BITMEM_A_POOL_NODE);
	pool->out_width = bn_u32(reply, BITMEM_A_POOL_WIDTH);
	pool->out_state = bn_u32(reply, BITMEM_A_POOL_STATE);
	pool->out_level = bn_u32(reply, BITMEM_A_POOL_LEVEL);
	for (i = 0; i < ARRAY_LEN(figures); i++) {
		if (!reply->attrs[figures[i].attr])
			return -ENODATA;
		*(uint64_t *)((char *)pool + figures[i].offset) = bn_u64(reply, figures[i].attr);
	}
	return 0;
}

static int get_pool(struct bn *bn, uint32_t index, struct bitmem_pool_info *pool)
{
	struct bn_request request;

	memset(pool, 0, sizeof(*pool));
	pool->size = sizeof(*pool);
	bn_request(bn, &request, BITMEM_NL_CMD_POOL_GET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, index);
	return bn_call(bn, &request, take_pool, pool);
}

/* Both in turn until nothing has moved between them. */
static bool same_pool(struct bn *bn, int fd, uint32_t index)
{
	struct bitmem_pool_info told, pool, again;
	int i;

	for (i = 0; i < 20; i++) {
		if (bt_pool(fd, index, &pool) || get_pool(bn, index, &told) ||
		    bt_pool(fd, index, &again))
			return false;
		if (!memcmp(&pool, &again, sizeof(pool)))
			return !memcmp(&told, &pool, sizeof(pool));
		bt_sleep_ms(50);
	}
	return false;
}

TEST_F(netlink, pool_is_the_ioctls)
{
	struct bitmem_alloc alloc;
	uint32_t i;

	for (i = 0; i < self->t.pools; i++)
		EXPECT_TRUE(same_pool(&self->bn, self->t.fd, i));
	ASSERT_EQ(0, bt_alloc(self->t.fd, self->t.superblock + self->t.page, &alloc));
	for (i = 0; i < self->t.pools; i++)
		EXPECT_TRUE(same_pool(&self->bn, self->t.fd, i));
}

static int take_index(const struct bn_reply *reply, void *data)
{
	uint32_t *next = data;

	if (reply->cmd != BITMEM_NL_CMD_POOL_GET ||
	    bn_u32(reply, BITMEM_A_POOL_INDEX) != *next)
		return -EBADMSG;
	++*next;
	return 0;
}

TEST_F(netlink, pool_dump)
{
	uint32_t n = 0;

	ASSERT_EQ(0, bn_dump(&self->bn, BITMEM_NL_CMD_POOL_GET, take_index, &n));
	EXPECT_EQ(self->t.pools, n);
}

/* --- settings --- */

static int set_one(struct bn *bn, uint32_t index, uint16_t attr, uint64_t value)
{
	struct bn_request request;

	bn_request(bn, &request, BITMEM_NL_CMD_POOL_SET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, index);
	bn_put_u64(&request, attr, value);
	return bn_call(bn, &request, NULL, NULL);
}

TEST_F(netlink, watermarks)
{
	const struct bitmem_pool_info *was = &self->t.before[0];
	struct bitmem_pool_info now;
	struct bn_request request;

	bn_request(&self->bn, &request, BITMEM_NL_CMD_POOL_SET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, 0);
	bn_put_u64(&request, BITMEM_A_POOL_EMERGENCY, self->t.page);
	bn_put_u64(&request, BITMEM_A_POOL_LOW, 2 * self->t.page);
	bn_put_u64(&request, BITMEM_A_POOL_HIGH, 3 * self->t.page);
	ASSERT_EQ(0, bn_call(&self->bn, &request, NULL, NULL));
	ASSERT_EQ(0, bt_pool(self->t.fd, 0, &now));
	EXPECT_EQ(self->t.page, now.out_emergency);
	EXPECT_EQ(2 * self->t.page, now.out_low);
	EXPECT_EQ(3 * self->t.page, now.out_high);
	EXPECT_EQ(was->out_target, now.out_target);
	EXPECT_EQ(was->out_max, now.out_max);
	EXPECT_EQ(was->out_reserve, now.out_reserve);
	ASSERT_EQ(0, set_one(&self->bn, 0, BITMEM_A_POOL_HIGH, was->out_high));
	ASSERT_EQ(0, set_one(&self->bn, 0, BITMEM_A_POOL_LOW, was->out_low));
	ASSERT_EQ(0, set_one(&self->bn, 0, BITMEM_A_POOL_EMERGENCY, was->out_emergency));
}

/* A lower target shrinks the pool, a higher one fills it again. */
TEST_F(netlink, target)
{
	const struct bitmem_pool_info *was = &self->t.before[0];
	uint64_t less = was->out_target - 2 * self->t.superblock;
	struct bitmem_pool_info now;
	struct bn_request request;
	int i;

	if (was->out_target < 4 * self->t.superblock || was->out_capacity != was->out_target)
		SKIP(return, "the pool is small, or not full");
	bn_request(&self->bn, &request, BITMEM_NL_CMD_POOL_SET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, 0);
	bn_put_u64(&request, BITMEM_A_POOL_TARGET, less);
	bn_put_u64(&request, BITMEM_A_POOL_RESERVE, less < was->out_reserve ? less :
		   was->out_reserve);
	ASSERT_EQ(0, bn_call(&self->bn, &request, NULL, NULL));
	for (i = 0; i < 400; i++) {
		ASSERT_EQ(0, bt_pool(self->t.fd, 0, &now));
		if (now.out_capacity == less)
			break;
		bt_sleep_ms(10);
	}
	EXPECT_EQ(less, now.out_capacity);
	EXPECT_EQ(less, now.out_target);
	ASSERT_EQ(0, set_one(&self->bn, 0, BITMEM_A_POOL_TARGET, was->out_target));
	ASSERT_EQ(0, set_one(&self->bn, 0, BITMEM_A_POOL_RESERVE, was->out_reserve));
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(0, bt_pool(self->t.fd, 0, &now));
		if (now.out_capacity == was->out_capacity)
			break;
		bt_sleep_ms(10);
	}
	EXPECT_EQ(was->out_capacity, now.out_capacity);
}

/* Which of two settings that contradict is given is the one to be named. */
TEST_F(netlink, settings_that_contradict)
{
	const struct bitmem_pool_info *was = &self->t.before[0];
	const struct {
		uint16_t attr;
		uint64_t value;
		const char *text;
	} all[] = {
		{ BITMEM_A_POOL_TARGET, was->out_max + self->t.superblock, "target is above max" },
		{ BITMEM_A_POOL_RESERVE, was->out_target + self->t.superblock, "reserve is above" },
		{ BITMEM_A_POOL_EMERGENCY, was->out_low + self->t.page, "emergency is above low" },
		{ BITMEM_A_POOL_LOW, was->out_high + self->t.page, "low is above high" },
		{ BITMEM_A_POOL_LOW, 0, "emergency is above low" },
		{ BITMEM_A_POOL_HIGH, was->out_max + self->t.page, "high is above max" },
		{ BITMEM_A_POOL_HIGH, 0, "low is above high" },
		{ BITMEM_A_POOL_MAX_BYTES, 0, "target is above max" },
		{ BITMEM_A_POOL_MAX_BYTES, UINT64_MAX - 1, "more than the node" },
	};
	struct bitmem_pool_info now;
	size_t i;

	for (i = 0; i < ARRAY_LEN(all); i++) {
		EXPECT_EQ(-EINVAL, set_one(&self->bn, 0, all[i].attr, all[i].value));
		EXPECT_NE(NULL, strstr(self->bn.text, all[i].text));
		if (!strstr(self->bn.text, all[i].text))
			TH_LOG("%zu: \"%s\"", i, self->bn.text);
		/* The attribute at fault comes after the header and the index. */
		EXPECT_EQ(NLMSG_HDRLEN + GENL_HDRLEN + NLA_HDRLEN + 4, self->bn.bad);
	}
	ASSERT_EQ(0, bt_pool(self->t.fd, 0, &now));
	EXPECT_EQ(0, memcmp(&now.out_max, &was->out_max, 5 * sizeof(now.out_max)));
}

/* --- what is refused --- */

TEST_F(netlink, pool_errors)
{
	struct bitmem_pool_info pool;
	struct bn_request request;

	EXPECT_EQ(-EINVAL, bn_do(&self->bn, BITMEM_NL_CMD_POOL_GET, NULL, NULL));
	EXPECT_NE(NULL, strstr(self->bn.text, "index"));
	EXPECT_EQ(BITMEM_A_POOL_INDEX, self->bn.bad);
	EXPECT_EQ(-ENOENT, get_pool(&self->bn, self->t.pools, &pool));
	EXPECT_NE(NULL, strstr(self->bn.text, "index: no such pool"));
	EXPECT_EQ(-ENOENT, get_pool(&self->bn, UINT32_MAX, &pool));

	EXPECT_EQ(-EINVAL, bn_do(&self->bn, BITMEM_NL_CMD_POOL_SET, NULL, NULL));
	EXPECT_EQ(-ENOENT, set_one(&self->bn, self->t.pools, BITMEM_A_POOL_LOW, 0));
	EXPECT_EQ(-ERANGE, set_one(&self->bn, 0, BITMEM_A_POOL_LOW, UINT64_MAX));
	bn_request(&self->bn, &request, BITMEM_NL_CMD_POOL_SET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, 0);
	EXPECT_EQ(-EINVAL, bn_call(&self->bn, &request, NULL, NULL));
	EXPECT_NE(NULL, strstr(self->bn.text, "no setting"));
}

TEST_F(netlink, commands_that_are_not)
{
	static const uint8_t no_do[] = {
		0, BITMEM_NL_CMD_BUFFER_GET, BITMEM_NL_CMD_QUOTA_GET, BITMEM_NL_CMD_PRESSURE,
		BITMEM_NL_CMD_RECLAIMED, BITMEM_NL_CMD_SUPERBLOCK_GET, BITMEM_NL_CMD_MAX + 1, 255,
	};
	static const uint8_t no_dump[] = {
		0, BITMEM_NL_CMD_INFO, BITMEM_NL_CMD_POOL_SET, BITMEM_NL_CMD_QUOTA_SET,
		BITMEM_NL_CMD_PRESSURE, BITMEM_NL_CMD_MAX + 1, 255,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(no_do); i++)
		EXPECT_EQ(-EOPNOTSUPP, bn_do(&self->bn, no_do[i], NULL, NULL));
	for (i = 0; i < ARRAY_LEN(no_dump); i++)
		EXPECT_EQ(-EOPNOTSUPP, bn_dump(&self->bn, no_dump[i], NULL, NULL));
}

static int call_with(struct bn *bn, uint8_t cmd, uint16_t flags, uint16_t attr, const void *data,
		     uint16_t length)
{
	struct bn_request request;

	bn_request(bn, &request, cmd, flags);
	bn_put(&request, attr, data, length);
	return bn_call(bn, &request, NULL, NULL);
}

TEST_F(netlink, attributes_that_are_not)
{
	static const uint8_t zeros[64];
	struct bn *bn = &self->bn;

	EXPECT_EQ(-EINVAL, call_with(bn, BITMEM_NL_CMD_INFO, 0, 1, zeros, 4));
	EXPECT_EQ(-EINVAL, call_with(bn, BITMEM_NL_CMD_POOL_GET, 0, 63, zeros, 4));
	EXPECT_EQ(-EINVAL, call_with(bn, BITMEM_NL_CMD_POOL_GET, 0, BITMEM_A_POOL_TARGET, zeros,
				     8));
	EXPECT_EQ(-EINVAL, call_with(bn, BITMEM_NL_CMD_POOL_SET, 0, BITMEM_A_POOL_CAPACITY, zeros,
				     8));
	EXPECT_EQ(-EINVAL, call_with(bn, BITMEM_NL_CMD_POOL_GET, NLM_F_DUMP, BITMEM_A_POOL_INDEX,
				     zeros, 4));
	/* Where a dump starts, older kernels have no place for words. */
	if (!bt_kernel_before(6, 12))
		EXPECT_NE(NULL, strstr(bn->text, "a dump is of all"));
	EXPECT_EQ(-EINVAL, call_with(bn, BITMEM_NL_CMD_BUFFER_GET, NLM_F_DUMP, 1, zeros, 8));
	EXPECT_EQ(-EINVAL, call_with(bn, BITMEM_NL_CMD_QUOTA_GET, NLM_F_DUMP, 1, zeros, 4));
}

/* Every size but the right one; another type's flag bits; a length beyond the message. */
TEST_F(netlink, malformed)
{
	static const uint8_t zeros[64];
	struct bn *bn = &self->bn;
	struct bn_request request;
	uint16_t length;

	for (length = 0; length <= sizeof(zeros); length++) {
		int want = length == 4 ? 0 : -EINVAL;

		EXPECT_EQ(want, call_with(bn, BITMEM_NL_CMD_POOL_GET, 0, BITMEM_A_POOL_INDEX,
					  zeros, length));
	}
	EXPECT_EQ(-EINVAL, call_with(bn, BITMEM_NL_CMD_POOL_GET, 0,
				     BITMEM_A_POOL_INDEX | NLA_F_NESTED, zeros, 4));
	for (length = 1; length < NLA_HDRLEN + 4; length++) {
		bn_request(bn, &request, BITMEM_NL_CMD_POOL_GET, 0);
		bn_put_u32(&request, BITMEM_A_POOL_INDEX, 0);
		request.nl.nlmsg_len -= length;
		EXPECT_EQ(-EINVAL, bn_call(bn, &request, NULL, NULL));
	}
	bn_request(bn, &request, BITMEM_NL_CMD_INFO, 0);
	request.nl.nlmsg_len = NLMSG_LENGTH(1);
	EXPECT_EQ(-EINVAL, bn_call(bn, &request, NULL, NULL));
	bn_request(bn, &request, BITMEM_NL_CMD_INFO, 0);
	request.genl.reserved = 1;
	EXPECT_EQ(-EINVAL, bn_call(bn, &request, NULL, NULL));
	bn_request(bn, &request, BITMEM_NL_CMD_INFO, NLM_F_APPEND);
	EXPECT_EQ(-EINVAL, bn_call(bn, &request, NULL, NULL));
	EXPECT_EQ(0, bn_do(bn, BITMEM_NL_CMD_INFO, NULL, NULL));
}

/* --- who may --- */

/* In a child: 0, or the number of what was not as it should be. */
static int as_nobody(struct bn *inherited)
{
	struct bitmem_pool_info pool;
	struct bn_request request;
	struct bn bn;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
	    bn_open(&bn))
		return 1;
	if (bn_do(&bn, BITMEM_NL_CMD_INFO, NULL, NULL) || get_pool(&bn, 0, &pool))
		return 2;
	if (set_one(&bn, 0, BITMEM_A_POOL_LOW, 0) != -EPERM ||
	    !strstr(bn.text, "CAP_SYS_ADMIN"))
		return 3;
	bn_request(&bn, &request, BITMEM_NL_CMD_QUOTA_SET, 0);
	bn_put_u32(&request, BITMEM_A_QUOTA_UID, NOBODY);
	bn_put_u64(&request, BITMEM_A_QUOTA_LIMIT, BITMEM_NO_LIMIT);
	if (bn_call(&bn, &request, NULL, NULL) != -EPERM)
		return 4;
	if (bn_join(&bn, 0) || bn_join(&bn, 1) != -EPERM)
		return 5;
	/* A socket that root opened gives nobody root's rights; nor root's buffers. */
	if (set_one(inherited, 0, BITMEM_A_POOL_LOW, 0) != -EPERM)
		return 6;
	if (bn_dump(inherited, BITMEM_NL_CMD_BUFFER_GET, NULL, NULL) != -EPERM ||
	    bn_dump(inherited, BITMEM_NL_CMD_QUOTA_GET, NULL, NULL) != -EPERM)
		return 7;
	return 0;
}

TEST_F(netlink, nobody_may_look_only)
{
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(as_nobody(&self->bn));
	EXPECT_EQ(0, bt_reap(pid));
}

TEST_F(netlink, not_in_other_network_namespaces)
{
	pid_t pid;
	int end;

	if (geteuid())
		SKIP(return, "needs root");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct bn bn;

		if (unshare(CLONE_NEWNET))
			_exit(errno == EINVAL ? KSFT_SKIP : 1);
		_exit(bn_open(&bn) != -ENOENT);
	}
	end = bt_reap(pid);
	if (end == KSFT_SKIP)
		SKIP(return, "the kernel has no network namespaces");
	EXPECT_EQ(0, end);
}

BT_MAIN
