// SPDX-License-Identifier: GPL-2.0
/*
 * What users have and may have, over netlink.
 */
#include <linux/sched.h>
#include <linux/uidgid.h>
#include <net/sock.h>
#include <uapi/linux/bitmem_netlink.h>

#include "compat.h"
#include "netlink.h"

/**
 * struct bm_quota_dump - a dump of quotas under way
 * @viewer: for whom
 * @uid: the user shown last
 * @started: there is one
 */
struct bm_quota_dump {
	struct bm_viewer viewer;
	kuid_t uid;
	bool started;
};

int bm_nl_quota_start(struct netlink_callback *cb)
{
	struct bm_quota_dump *dump = (struct bm_quota_dump *)cb->ctx;

	BUILD_BUG_ON(sizeof(*dump) > sizeof(cb->ctx));
	return bm_viewer_init(&dump->viewer, cb);
}

static int bm_put_quota(struct sk_buff *skb, struct netlink_callback *cb, kuid_t uid, u64 bytes,
			u64 limit)
{
	struct user_namespace *ns = sk_user_ns(NETLINK_CB(cb->skb).sk);
	void *hdr = bm_dump_put(skb, cb, BITMEM_NL_CMD_QUOTA_GET);
	int err;

	if (!hdr)
		return -EMSGSIZE;
	err = nla_put_u32(skb, BITMEM_A_QUOTA_UID, from_kuid_munged(ns, uid)) ?:
	      nla_put_u64_64bit(skb, BITMEM_A_QUOTA_LIMIT, limit, BITMEM_A_QUOTA_PAD) ?:
	      nla_put_u64_64bit(skb, BITMEM_A_QUOTA_BYTES, bytes, BITMEM_A_QUOTA_PAD);
	if (err) {
		genlmsg_cancel(skb, hdr);
		return err;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

int bm_nl_quota_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct bm_quota_dump *dump = (struct bm_quota_dump *)cb->ctx;
	kuid_t uid = dump->uid;
	u64 bytes, limit;
	int err = 0;

	while (!bm_quota_next(&uid, !dump->started, &bytes, &limit)) {
		if (bm_viewer_sees(&dump->viewer, uid))
			err = bm_put_quota(skb, cb, uid, bytes, limit);
		if (err)
			break;
		dump->uid = uid;
		dump->started = true;
		cond_resched();
	}
	return err && !skb->len ? err : skb->len;
}

int bm_nl_quota_set(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attr = info->attrs[BITMEM_A_QUOTA_UID];
	kuid_t uid;
	int ret;

	ret = bm_nl_admin(skb, info->extack);
	if (ret)
		return ret;
	if (GENL_REQ_ATTR_CHECK(info, BITMEM_A_QUOTA_UID)) {
		NL_SET_ERR_MSG(info->extack, "uid is missing");
		return -EINVAL;
	}
	if (GENL_REQ_ATTR_CHECK(info, BITMEM_A_QUOTA_LIMIT)) {
		NL_SET_ERR_MSG(info->extack, "limit is missing");
		return -EINVAL;
	}
	uid = make_kuid(sk_user_ns(NETLINK_CB(skb).sk), nla_get_u32(attr));
	if (!uid_valid(uid)) {
		bm_refuse(info->extack, attr, "uid: no such user here", nla_get_u32(attr));
		return -EINVAL;
	}
	ret = bm_quota_set(uid, nla_get_u64(info->attrs[BITMEM_A_QUOTA_LIMIT]));
	if (ret)
		bm_refuse(info->extack, attr, "uid: no memory to note a quota", nla_get_u32(attr));
	return ret;
}

const struct nla_policy bm_quota_set_policy[BITMEM_A_QUOTA_LIMIT + 1] = {
	[BITMEM_A_QUOTA_UID]		= { .type = NLA_U32 },
	[BITMEM_A_QUOTA_LIMIT]		= { .type = NLA_U64 },
};
