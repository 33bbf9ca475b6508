// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: its commands for pools, and what they all have in common.
 *
 * Figures of pools are as public as /proc/meminfo. What is other people's, and all
 * settings, want CAP_SYS_ADMIN: of the process that opened the socket and of the
 * one that sends (netlink_capable()), so that a socket lent to a privileged program
 * gains nothing. GENL_ADMIN_PERM would ask for CAP_NET_ADMIN, which is about
 * networks and not about memory.
 *
 * The family is not offered to other network namespaces (netnsok): a container sees
 * its own files with ioctls and fdinfo. Nothing here needs genl_lock(): parallel_ops.
 */
#include <linux/nodemask.h>
#include <linux/nospec.h>
#include <linux/sched.h>
#include <linux/uidgid.h>
#include <net/sock.h>
#include <uapi/linux/bitmem_netlink.h>

#include "compat.h"
#include "netlink.h"

/* Room for all attributes of a message that has a fixed set of them. */
#define BM_NL_ROOM(_max)	((_max) * nla_total_size_64bit(sizeof(u64)))

/* --- who asks --- */

/* Whether @skb comes from who may see and do all: 0, or -EPERM and the reason in words. */
int bm_nl_admin(struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	NL_SET_ERR_MSG(extack, "CAP_SYS_ADMIN is missing");
	return -EPERM;
}

/*
 * For whom the dump is that @cb starts. A socket opened by one user and used by
 * another is neither's.
 */
int bm_viewer_init(struct bm_viewer *viewer, struct netlink_callback *cb)
{
	const struct sock *sk = NETLINK_CB(cb->skb).sk;

	viewer->all = netlink_capable(cb->skb, CAP_SYS_ADMIN);
	viewer->uid = current_euid();
	if (viewer->all || uid_eq(viewer->uid, sk->sk_socket->file->f_cred->euid))
		return 0;
	NL_SET_ERR_MSG(cb->extack, "the socket was opened by another user");
	return -EPERM;
}

/* Begins a message of a dump. */
void *bm_dump_put(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &bm_family,
			   NLM_F_MULTI, cmd);
}

/* --- replies --- */

/* Begins a reply with room for attributes of up to @max; NULL for want of memory. */
static struct sk_buff *bm_reply_new(struct genl_info *info, unsigned int max, u8 cmd)
{
	struct sk_buff *skb = genlmsg_new(BM_NL_ROOM(max), GFP_KERNEL);

	if (skb && !genlmsg_put_reply(skb, info, &bm_family, 0, cmd)) {
		nlmsg_free(skb);
		return NULL;
	}
	return skb;
}

/* Sends it, unless filling it went wrong. */
static int bm_reply_send(struct sk_buff *skb, struct genl_info *info, int err)
{
	if (err) {
		nlmsg_free(skb);
		return err;
	}
	nlmsg_end(skb, nlmsg_hdr(skb));
	return genlmsg_reply(skb, info);
}

static int bm_nl_info(struct sk_buff *request, struct genl_info *info)
{
	struct sk_buff *skb = bm_reply_new(info, BITMEM_A_INFO_MAX, BITMEM_NL_CMD_INFO);
	int err;

	if (!skb)
		return -ENOMEM;
	err = nla_put_u32(skb, BITMEM_A_INFO_ABI, BITMEM_ABI) ?:
	      nla_put_u32(skb, BITMEM_A_INFO_PAGE_SIZE, PAGE_SIZE) ?:
	      nla_put_u32(skb, BITMEM_A_INFO_POOLS, bm_nr_pools) ?:
	      nla_put_u32(skb, BITMEM_A_INFO_NODES, nr_node_ids) ?:
	      nla_put_u32(skb, BITMEM_A_INFO_LEVEL, bm_level_now()) ?:
	      nla_put_u64_64bit(skb, BITMEM_A_INFO_SUPERBLOCK_SIZE, BM_SB_SIZE,
				BITMEM_A_INFO_PAD) ?:
	      nla_put_u64_64bit(skb, BITMEM_A_INFO_PMD_SIZE, PMD_SIZE, BITMEM_A_INFO_PAD) ?:
	      nla_put_u64_64bit(skb, BITMEM_A_INFO_FEATURES, BM_FEATURES, BITMEM_A_INFO_PAD);
	return bm_reply_send(skb, info, err);
}

/* --- pools --- */

/* The pool that the request names, or an ERR_PTR. */
static struct bm_pool *bm_nl_pool(struct genl_info *info)
{
	u32 index;

	if (GENL_REQ_ATTR_CHECK(info, BITMEM_A_POOL_INDEX)) {
		NL_SET_ERR_MSG(info->extack, "index is missing");
		return ERR_PTR(-EINVAL);
	}
	index = nla_get_u32(info->attrs[BITMEM_A_POOL_INDEX]);
	if (index < bm_nr_pools)
		return &bm_pools[array_index_nospec(index, bm_nr_pools)];
	bm_refuse(info->extack, info->attrs[BITMEM_A_POOL_INDEX], "index: no such pool", index);
	return ERR_PTR(-ENOENT);
}

#define BM_POOL_FIGURE(_attr, _member) \
	{ .attr = BITMEM_A_POOL_##_attr, .offset = offsetof(struct bitmem_pool_info, _member) }

/* The attributes that are u64 members of struct bitmem_pool_info. */
static const struct {
	u16 attr;
	u16 offset;
} bm_pool_figures[] = {
	BM_POOL_FIGURE(TARGET, out_target),
	BM_POOL_FIGURE(MAX_BYTES, out_max),
	BM_POOL_FIGURE(RESERVE, out_reserve),
	BM_POOL_FIGURE(LOW, out_low),
	BM_POOL_FIGURE(HIGH, out_high),
	BM_POOL_FIGURE(EMERGENCY, out_emergency),
	BM_POOL_FIGURE(CAPACITY, out_capacity),
	BM_POOL_FIGURE(ZEROED, out_zeroed),
	BM_POOL_FIGURE(DIRTY, out_dirty),
	BM_POOL_FIGURE(ALLOCATED, out_allocated),
	BM_POOL_FIGURE(QUARANTINED, out_quarantined),
	BM_POOL_FIGURE(RETIRED, out_retired),
	BM_POOL_FIGURE(LARGEST, out_largest),
	BM_POOL_FIGURE(SPLIT, out_split),
	BM_POOL_FIGURE(BUFFERS, out_buffers),
	BM_POOL_FIGURE(ALLOCS, out_allocs),
	BM_POOL_FIGURE(FALLBACKS, out_fallbacks),
	BM_POOL_FIGURE(FAILURES, out_failures),
	BM_POOL_FIGURE(GATHERED, out_gathered),
	BM_POOL_FIGURE(RECLAIMABLE, out_reclaimable),
	BM_POOL_FIGURE(RETURNED, out_returned),
	BM_POOL_FIGURE(MOVED, out_moved),
};

static int bm_put_pool(struct sk_buff *skb, struct bm_pool *pool)
{
	struct bitmem_pool_info info = { 0 };
	unsigned int i;
	int err;

	bm_pool_info(pool, &info);
	err = nla_put_u32(skb, BITMEM_A_POOL_INDEX, pool->index) ?:
	      nla_put_u32(skb, BITMEM_A_POOL_NODE, info.out_node) ?:
	      nla_put_u32(skb, BITMEM_A_POOL_WIDTH, info.out_width) ?:
	      nla_put_u32(skb, BITMEM_A_POOL_STATE, info.out_state) ?:
	      nla_put_u32(skb, BITMEM_A_POOL_LEVEL, info.out_level);
	for (i = 0; i < ARRAY_SIZE(bm_pool_figures) && !err; i++) {
		const u64 *figure = (const void *)&info + bm_pool_figures[i].offset;

		err = nla_put_u64_64bit(skb, bm_pool_figures[i].attr, *figure, BITMEM_A_POOL_PAD);
	}
	return err;
}

static int bm_nl_pool_get(struct sk_buff *request, struct genl_info *info)
{
	struct bm_pool *pool = bm_nl_pool(info);
	struct sk_buff *skb;

	if (IS_ERR(pool))
		return PTR_ERR(pool);
	skb = bm_reply_new(info, BITMEM_A_POOL_MAX, BITMEM_NL_CMD_POOL_GET);
	if (!skb)
		return -ENOMEM;
	return bm_reply_send(skb, info, bm_put_pool(skb, pool));
}

/* The policy is that of the single request, too; a dump is of all. */
static int bm_nl_pool_start(struct netlink_callback *cb)
{
	struct nlattr *index = bm_dump_attrs(cb)[BITMEM_A_POOL_INDEX];

	if (!index)
		return 0;
	bm_refuse(cb->extack, index, "index: a dump is of all pools", nla_get_u32(index));
	return -EINVAL;
}

static int bm_nl_pool_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	unsigned int *index = (unsigned int *)cb->ctx;
	int err = 0;
	void *hdr;

	for (; *index < bm_nr_pools; ++*index) {
		hdr = bm_dump_put(skb, cb, BITMEM_NL_CMD_POOL_GET);
		err = hdr ? bm_put_pool(skb, &bm_pools[*index]) : -EMSGSIZE;
		if (err) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
	}
	return err && !skb->len ? err : skb->len;
}

/* --- settings --- */

/* The value of a setting as it would be: what the request says, else what it is. */
static u64 bm_setting_new(struct genl_info *info, const struct bitmem_pool_info *now, u16 attr)
{
	unsigned int i = 0;

	if (info->attrs[attr])
		return nla_get_u64(info->attrs[attr]);
	while (bm_pool_figures[i].attr != attr)
		i++;
	return *(const u64 *)((const void *)now + bm_pool_figures[i].offset);
}

/* What bm_pool_set() asks of settings, for people. */
static const struct {
	u16 lower;
	u16 upper;
	const char *text;
} bm_setting_rules[] = {
	{ BITMEM_A_POOL_TARGET, BITMEM_A_POOL_MAX_BYTES, "target is above max-bytes" },
	{ BITMEM_A_POOL_RESERVE, BITMEM_A_POOL_TARGET, "reserve is above target" },
	{ BITMEM_A_POOL_EMERGENCY, BITMEM_A_POOL_LOW, "emergency is above low" },
	{ BITMEM_A_POOL_LOW, BITMEM_A_POOL_HIGH, "low is above high" },
	{ BITMEM_A_POOL_HIGH, BITMEM_A_POOL_MAX_BYTES, "high is above max-bytes" },
};

/* Says why bm_pool_set() refused. */
static void bm_nl_explain(struct genl_info *info, struct bm_pool *pool)
{
	struct nlattr *max = info->attrs[BITMEM_A_POOL_MAX_BYTES];
	struct bitmem_pool_info now = { 0 };
	unsigned int i;

	bm_pool_info(pool, &now);
	for (i = 0; i < ARRAY_SIZE(bm_setting_rules); i++) {
		u16 lower = bm_setting_rules[i].lower, upper = bm_setting_rules[i].upper;
		u16 given = info->attrs[lower] ? lower : upper;

		if (bm_setting_new(info, &now, lower) <= bm_setting_new(info, &now, upper))
			continue;
		bm_refuse(info->extack, info->attrs[given], bm_setting_rules[i].text,
			  bm_setting_new(info, &now, given));
		return;
	}
	if (max)
		bm_refuse(info->extack, max, "max-bytes is more than the node can spare",
			  nla_get_u64(max));
	else
		NL_SET_ERR_MSG(info->extack, "the settings were changed meanwhile");
}

static u64 bm_setting(struct genl_info *info, int attr, unsigned int *n)
{
	if (!info->attrs[attr])
		return BITMEM_NO_LIMIT;
	++*n;
	return nla_get_u64(info->attrs[attr]);
}

static int bm_nl_pool_set(struct sk_buff *skb, struct genl_info *info)
{
	struct bm_settings set;
	struct bm_pool *pool;
	unsigned int n = 0;
	int ret;

	ret = bm_nl_admin(skb, info->extack);
	if (ret)
		return ret;
	pool = bm_nl_pool(info);
	if (IS_ERR(pool))
		return PTR_ERR(pool);
	set.target = bm_setting(info, BITMEM_A_POOL_TARGET, &n);
	set.max = bm_setting(info, BITMEM_A_POOL_MAX_BYTES, &n);
	set.reserve = bm_setting(info, BITMEM_A_POOL_RESERVE, &n);
	set.low = bm_setting(info, BITMEM_A_POOL_LOW, &n);
	set.high = bm_setting(info, BITMEM_A_POOL_HIGH, &n);
	set.emergency = bm_setting(info, BITMEM_A_POOL_EMERGENCY, &n);
	if (!n) {
		NL_SET_ERR_MSG(info->extack, "no setting: target, max-bytes, reserve, ...");
		return -EINVAL;
	}
	ret = bm_pool_set(pool, &set);
	if (ret)
		bm_nl_explain(info, pool);
	return ret;
}

/* --- the family --- */

static const struct nla_policy bm_pool_get_policy[] = {
	[BITMEM_A_POOL_INDEX]		= { .type = NLA_U32 },
};

/* BITMEM_NO_LIMIT would mean to leave the setting as it is. */
static struct netlink_range_validation bm_setting_range __ro_after_init = {
	.max = BITMEM_NO_LIMIT - 1,
};

#define BM_POLICY_SETTING	NLA_POLICY_FULL_RANGE(NLA_U64, &bm_setting_range)

static const struct nla_policy bm_pool_set_policy[] = {
	[BITMEM_A_POOL_INDEX]		= { .type = NLA_U32 },
	[BITMEM_A_POOL_TARGET]		= BM_POLICY_SETTING,
	[BITMEM_A_POOL_MAX_BYTES]	= BM_POLICY_SETTING,
	[BITMEM_A_POOL_RESERVE]		= BM_POLICY_SETTING,
	[BITMEM_A_POOL_LOW]		= BM_POLICY_SETTING,
	[BITMEM_A_POOL_HIGH]		= BM_POLICY_SETTING,
	[BITMEM_A_POOL_EMERGENCY]	= BM_POLICY_SETTING,
};

/* A command without a policy takes no attributes: the core sees to that. */
static const struct genl_ops bm_nl_ops[] = {
	{
		.cmd		= BITMEM_NL_CMD_INFO,
		.doit		= bm_nl_info,
	}, {
		.cmd		= BITMEM_NL_CMD_POOL_GET,
		.doit		= bm_nl_pool_get,
		.start		= bm_nl_pool_start,
		.dumpit		= bm_nl_pool_dump,
		.policy		= bm_pool_get_policy,
		.maxattr	= ARRAY_SIZE(bm_pool_get_policy) - 1,
	}, {
		.cmd		= BITMEM_NL_CMD_POOL_SET,
		.doit		= bm_nl_pool_set,
		.policy		= bm_pool_set_policy,
		.maxattr	= ARRAY_SIZE(bm_pool_set_policy) - 1,
	}, {
		.cmd		= BITMEM_NL_CMD_BUFFER_GET,
		.start		= bm_nl_buffer_start,
		.dumpit		= bm_nl_buffer_dump,
	}, {
		.cmd		= BITMEM_NL_CMD_QUOTA_GET,
		.start		= bm_nl_quota_start,
		.dumpit		= bm_nl_quota_dump,
	}, {
		.cmd		= BITMEM_NL_CMD_QUOTA_SET,
		.doit		= bm_nl_quota_set,
		.policy		= bm_quota_set_policy,
		.maxattr	= ARRAY_SIZE(bm_quota_set_policy) - 1,
	}, {
		.cmd		= BITMEM_NL_CMD_SUPERBLOCK_GET,
		.start		= bm_nl_superblock_start,
		.dumpit		= bm_nl_superblock_dump,
		.policy		= bm_superblock_policy,
		.maxattr	= ARRAY_SIZE(bm_superblock_policy) - 1,
	},
};

static const struct genl_multicast_group bm_nl_groups[] = {
	[BM_GROUP_EVENTS] = { .name = BITMEM_MCGRP_EVENTS },
	[BM_GROUP_OWNERS] = { .name = BITMEM_MCGRP_OWNERS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

/* All commands are younger than strict validation: resv_start_op is 0. */
struct genl_family bm_family __ro_after_init = {
	.name		= BITMEM_FAMILY_NAME,
	.version	= BITMEM_FAMILY_VERSION,
	.module		= THIS_MODULE,
	.parallel_ops	= true,
	.ops		= bm_nl_ops,
	.n_ops		= ARRAY_SIZE(bm_nl_ops),
	.mcgrps		= bm_nl_groups,
	.n_mcgrps	= ARRAY_SIZE(bm_nl_groups),
};

/* The pools are there. Undone by bm_netlink_exit(). */
int bm_netlink_init(void)
{
	int ret;

	ret = bm_event_init();
	if (ret)
		return ret;
	ret = genl_register_family(&bm_family);
	if (ret) {
		bm_event_exit();
		return ret;
	}
	bm_event_start();
	return 0;
}

void bm_netlink_exit(void)
{
	bm_event_stop();
	genl_unregister_family(&bm_family);
	bm_event_exit();
}
