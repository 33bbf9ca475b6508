// SPDX-License-Identifier: GPL-2.0
/* Generic netlink: the quotas of users are set, kept, and told. */
#include "bitmem_genl.h"
#include "bitmem_test.h"
#include "bitmem_harness.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

FIXTURE(netlink_quota)
{
	struct bt t;
	struct bn bn;
};

FIXTURE_SETUP(netlink_quota)
{
	const char *why = bt_begin(&self->t);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, bn_open(&self->bn));
}

FIXTURE_TEARDOWN_PARENT(netlink_quota)
{
	const char *why = bt_end(&self->t);

	if (why)
		TH_LOG("afterwards %s", why);
	EXPECT_EQ(NULL, why);
}

struct quota {
	uint32_t uid;
	bool found;
	uint64_t limit, bytes;
};

static int take_quota(const struct bn_reply *reply, void *data)
{
	struct quota *quota = data;

	if (reply->cmd != BITMEM_NL_CMD_QUOTA_GET)
		return -EBADMSG;
	if (bn_u32(reply, BITMEM_A_QUOTA_UID) != quota->uid)
		return 0;
	if (quota->found)
		return -EEXIST;
	quota->found = true;
	quota->limit = bn_u64(reply, BITMEM_A_QUOTA_LIMIT);
	quota->bytes = bn_u64(reply, BITMEM_A_QUOTA_BYTES);
	return 0;
}

static struct quota get_quota(struct bn *bn, uint32_t uid)
{
	struct quota quota = { .uid = uid };

	if (bn_dump(bn, BITMEM_NL_CMD_QUOTA_GET, take_quota, &quota))
		quota.found = false;
	return quota;
}

static int set_quota(struct bn *bn, uint32_t uid, uint64_t limit)
{
	struct bn_request request;

	bn_request(bn, &request, BITMEM_NL_CMD_QUOTA_SET, 0);
	bn_put_u32(&request, BITMEM_A_QUOTA_UID, uid);
	bn_put_u64(&request, BITMEM_A_QUOTA_LIMIT, limit);
	return bn_call(bn, &request, NULL, NULL);
}

TEST_F(netlink_quota, quotas)
{
	struct bitmem_alloc alloc;
	struct quota quota;
	uint32_t uid;

	if (geteuid())
		SKIP(return, "needs root");
	quota = get_quota(&self->bn, 0);
	EXPECT_TRUE(quota.found);
	EXPECT_EQ(0, quota.bytes);
	EXPECT_EQ(BITMEM_NO_LIMIT, quota.limit);
	ASSERT_EQ(0, bt_alloc(self->t.fd, 5 * self->t.page, &alloc));
	EXPECT_EQ(5 * self->t.page, get_quota(&self->bn, 0).bytes);

	for (uid = 70000; uid < 70600; uid++)
		ASSERT_EQ(0, set_quota(&self->bn, uid, uid));
	for (uid = 70000; uid < 70600; uid++) {
		if (uid % 100 == 0) {
			quota = get_quota(&self->bn, uid);
			EXPECT_TRUE(quota.found);
			EXPECT_EQ(uid, quota.limit);
			EXPECT_EQ(0, quota.bytes);
		}
		EXPECT_EQ(0, set_quota(&self->bn, uid, BITMEM_NO_LIMIT));
	}
	EXPECT_FALSE(get_quota(&self->bn, 70000).found);
}

TEST_F(netlink_quota, quota_is_kept)
{
	struct bitmem_alloc alloc;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, set_quota(&self->bn, 0, 2 * self->t.page));
	EXPECT_EQ(-EDQUOT, bt_alloc(self->t.fd, 3 * self->t.page, &alloc));
	EXPECT_EQ(0, bt_alloc(self->t.fd, 2 * self->t.page, &alloc));
	EXPECT_EQ(0, set_quota(&self->bn, 0, BITMEM_NO_LIMIT));
	EXPECT_EQ(0, bt_alloc(self->t.fd, self->t.page, &alloc));
}

TEST_F(netlink_quota, quota_errors)
{
	struct bn_request request;

	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(-EINVAL, bn_do(&self->bn, BITMEM_NL_CMD_QUOTA_SET, NULL, NULL));
	EXPECT_NE(NULL, strstr(self->bn.text, "uid"));
	bn_request(&self->bn, &request, BITMEM_NL_CMD_QUOTA_SET, 0);
	bn_put_u32(&request, BITMEM_A_QUOTA_UID, 70000);
	EXPECT_EQ(-EINVAL, bn_call(&self->bn, &request, NULL, NULL));
	EXPECT_NE(NULL, strstr(self->bn.text, "limit"));
	EXPECT_EQ(-EINVAL, set_quota(&self->bn, UINT32_MAX, 0));
	EXPECT_NE(NULL, strstr(self->bn.text, "uid: no such user"));
}

BT_MAIN
