/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The generic netlink family, as its parts know it: pools in netlink.c, the dumps of
 * buffers and superblocks and users' quotas in files of their own, events in event.c.
 */
#ifndef BITMEM_NETLINK_H
#define BITMEM_NETLINK_H

#include <linux/uidgid.h>
#include <net/genetlink.h>
#include <uapi/linux/bitmem_netlink.h>

#include "bitmem.h"

/* The multicast groups, in the family's order. */
enum bm_group {
	BM_GROUP_EVENTS,
	BM_GROUP_OWNERS,
};

/**
 * struct bm_viewer - for whom a dump is, settled when it starts
 * @all: shown everything; else only what is @uid's
 * @uid: the user
 */
struct bm_viewer {
	bool all;
	kuid_t uid;
};

static inline bool bm_viewer_sees(const struct bm_viewer *viewer, kuid_t uid)
{
	return viewer->all || uid_eq(viewer->uid, uid);
}

extern struct genl_family bm_family;

/* netlink.c */
int bm_nl_admin(struct sk_buff *skb, struct netlink_ext_ack *extack);
int bm_viewer_init(struct bm_viewer *viewer, struct netlink_callback *cb);
void *bm_dump_put(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd);

/* netlink_buffer.c */
int bm_nl_buffer_start(struct netlink_callback *cb);
int bm_nl_buffer_dump(struct sk_buff *skb, struct netlink_callback *cb);
int bm_nl_put_file(struct sk_buff *skb, struct netlink_callback *cb, const struct bm_file *file);
int bm_nl_put_which(struct sk_buff *skb, const struct bm_buffer *buf);

/* netlink_superblock.c */
extern const struct nla_policy bm_superblock_policy[BITMEM_A_SUPERBLOCK_POOL + 1];
int bm_nl_superblock_start(struct netlink_callback *cb);
int bm_nl_superblock_dump(struct sk_buff *skb, struct netlink_callback *cb);

/* netlink_quota.c */
extern const struct nla_policy bm_quota_set_policy[BITMEM_A_QUOTA_LIMIT + 1];
int bm_nl_quota_start(struct netlink_callback *cb);
int bm_nl_quota_dump(struct sk_buff *skb, struct netlink_callback *cb);
int bm_nl_quota_set(struct sk_buff *skb, struct genl_info *info);

/* event.c */
int bm_event_init(void);
void bm_event_start(void);
void bm_event_stop(void);
void bm_event_exit(void);

#endif /* BITMEM_NETLINK_H */
