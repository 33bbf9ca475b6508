// SPDX-License-Identifier: GPL-2.0
/* The helpers of bitmem_genl.h. */
#include "bitmem_genl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bitmem_test.h"

#define BN_ROOM	65536

static const void *payload(const struct nlattr *attr)
{
	return (const char *)attr + NLA_HDRLEN;
}

static unsigned int length(const struct nlattr *attr)
{
	return attr->nla_len - NLA_HDRLEN;
}

/* Calls @fn for each attribute in @bytes at @at. */
static void each(const void *at, size_t bytes, void (*fn)(const struct nlattr *, void *),
		 void *data)
{
	const struct nlattr *attr = at;

	while (bytes >= NLA_HDRLEN && attr->nla_len >= NLA_HDRLEN && attr->nla_len <= bytes) {
		size_t step = NLA_ALIGN(attr->nla_len);

		fn(attr, data);
		if (step >= bytes)
			break;
		bytes -= step;
		attr = (const struct nlattr *)((const char *)attr + step);
	}
}

static void note(const struct nlattr *attr, void *data)
{
	const struct nlattr **attrs = data;
	unsigned int type = attr->nla_type & NLA_TYPE_MASK;

	if (type < BN_ATTRS)
		attrs[type] = attr;
}

void bn_nested(const struct nlattr *attr, const struct nlattr **attrs)
{
	memset(attrs, 0, BN_ATTRS * sizeof(*attrs));
	each(payload(attr), length(attr), note, attrs);
}

uint32_t bn_u32(const struct bn_reply *reply, uint16_t attr)
{
	uint32_t value = 0;

	if (reply->attrs[attr])
		memcpy(&value, payload(reply->attrs[attr]), sizeof(value));
	return value;
}

uint64_t bn_u64(const struct bn_reply *reply, uint16_t attr)
{
	uint64_t value = 0;

	if (reply->attrs[attr])
		memcpy(&value, payload(reply->attrs[attr]), sizeof(value));
	return value;
}

const char *bn_text(const struct bn_reply *reply, uint16_t attr)
{
	return reply->attrs[attr] ? payload(reply->attrs[attr]) : "";
}

/* --- requests --- */

void bn_request(const struct bn *bn, struct bn_request *request, uint8_t cmd, uint16_t flags)
{
	memset(request, 0, sizeof(*request));
	request->nl.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	request->nl.nlmsg_type = bn->family;
	request->nl.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->genl.cmd = cmd;
	request->genl.version = BITMEM_FAMILY_VERSION;
}

void bn_put(struct bn_request *request, uint16_t attr, const void *data, uint16_t bytes)
{
	struct nlattr header = { .nla_len = NLA_HDRLEN + bytes, .nla_type = attr };
	char *at = (char *)request + NLMSG_ALIGN(request->nl.nlmsg_len);

	memcpy(at, &header, sizeof(header));
	if (bytes)
		memcpy(at + NLA_HDRLEN, data, bytes);
	request->nl.nlmsg_len = NLMSG_ALIGN(request->nl.nlmsg_len) + NLA_ALIGN(header.nla_len);
}

void bn_put_u32(struct bn_request *request, uint16_t attr, uint32_t value)
{
	bn_put(request, attr, &value, sizeof(value));
}

void bn_put_u64(struct bn_request *request, uint16_t attr, uint64_t value)
{
	bn_put(request, attr, &value, sizeof(value));
}

int bn_send(struct bn *bn, struct bn_request *request)
{
	request->nl.nlmsg_seq = ++bn->seq;
	return send(bn->fd, request, request->nl.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* --- replies --- */

static void note_error(const struct nlattr *attr, void *data)
{
	struct bn *bn = data;

	switch (attr->nla_type & NLA_TYPE_MASK) {
	case NLMSGERR_ATTR_MSG:
		strncpy(bn->text, payload(attr), sizeof(bn->text) - 1);
		break;
	case NLMSGERR_ATTR_OFFS:
	case NLMSGERR_ATTR_MISS_TYPE:
		bn->bad = *(const uint32_t *)payload(attr);
		break;
	}
}

/* The error in an ACK or at the end of a dump, with what the kernel says of it. */
static int take_error(struct bn *bn, const struct nlmsghdr *nl)
{
	const int *error = NLMSG_DATA(nl);
	size_t skip = sizeof(*error);

	bn->text[0] = '\0';
	bn->bad = -1;
	if (nl->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *message = NLMSG_DATA(nl);

		skip = sizeof(*message);
		if (!(nl->nlmsg_flags & NLM_F_CAPPED))
			skip += message->msg.nlmsg_len - sizeof(message->msg);
	}
	if (nl->nlmsg_flags & NLM_F_ACK_TLVS)
		each((const char *)error + NLMSG_ALIGN(skip),
		     nl->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(skip), note_error, bn);
	return *error;
}

static int take(const struct nlmsghdr *nl, bn_fn fn, void *data)
{
	const struct genlmsghdr *genl = NLMSG_DATA(nl);
	struct bn_reply reply = { .cmd = genl->cmd };

	each((const char *)genl + GENL_HDRLEN, nl->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), note,
	     reply.attrs);
	return fn ? fn(&reply, data) : 0;
}

int bn_receive(struct bn *bn, bn_fn fn, void *data)
{
	static _Thread_local char room[BN_ROOM] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t got = recv(bn->fd, room, sizeof(room), 0);
	const struct nlmsghdr *nl = (const void *)room;
	int err;

	if (got < 0)
		return -errno;
	for (; NLMSG_OK(nl, got); nl = NLMSG_NEXT(nl, got)) {
		if (nl->nlmsg_type == NLMSG_ERROR || nl->nlmsg_type == NLMSG_DONE)
			return take_error(bn, nl);
		err = take(nl, fn, data);
		if (err)
			return err;
	}
	return 1;
}

int bn_call(struct bn *bn, struct bn_request *request, bn_fn fn, void *data)
{
	int err = bn_send(bn, request);

	if (err)
		return err;
	do {
		err = bn_receive(bn, fn, data);
	} while (err == 1);
	return err;
}

int bn_do(struct bn *bn, uint8_t cmd, bn_fn fn, void *data)
{
	struct bn_request request;

	bn_request(bn, &request, cmd, 0);
	return bn_call(bn, &request, fn, data);
}

int bn_dump(struct bn *bn, uint8_t cmd, bn_fn fn, void *data)
{
	struct bn_request request;

	bn_request(bn, &request, cmd, NLM_F_DUMP);
	return bn_call(bn, &request, fn, data);
}

/* --- the socket --- */

static void note_group(const struct nlattr *attr, void *data)
{
	const struct nlattr *attrs[BN_ATTRS];
	struct bn *bn = data;
	const char *name;
	uint32_t id;

	bn_nested(attr, attrs);
	if (!attrs[CTRL_ATTR_MCAST_GRP_NAME] || !attrs[CTRL_ATTR_MCAST_GRP_ID])
		return;
	name = payload(attrs[CTRL_ATTR_MCAST_GRP_NAME]);
	memcpy(&id, payload(attrs[CTRL_ATTR_MCAST_GRP_ID]), sizeof(id));
	if (!strcmp(name, BITMEM_MCGRP_EVENTS))
		bn->group[0] = id;
	if (!strcmp(name, BITMEM_MCGRP_OWNERS))
		bn->group[1] = id;
}

static int note_family(const struct bn_reply *reply, void *data)
{
	const struct nlattr *groups = reply->attrs[CTRL_ATTR_MCAST_GROUPS];
	struct bn *bn = data;

	memcpy(&bn->family, payload(reply->attrs[CTRL_ATTR_FAMILY_ID]), sizeof(bn->family));
	if (groups)
		each(payload(groups), length(groups), note_group, bn);
	return 0;
}

int bn_open(struct bn *bn)
{
	struct bn_request request;
	int err, on = 1;

	memset(bn, 0, sizeof(*bn));
	bn->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (bn->fd < 0)
		return -errno;
	setsockopt(bn->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(bn->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	bn->family = GENL_ID_CTRL;
	bn_request(bn, &request, CTRL_CMD_GETFAMILY, 0);
	bn_put(&request, CTRL_ATTR_FAMILY_NAME, BITMEM_FAMILY_NAME, sizeof(BITMEM_FAMILY_NAME));
	err = bn_call(bn, &request, note_family, bn);
	if (err)
		bn_close(bn);
	return err;
}

void bn_close(struct bn *bn)
{
	close(bn->fd);
	bn->fd = -1;
}

int bn_join(struct bn *bn, unsigned int group)
{
	return setsockopt(bn->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &bn->group[group],
			  sizeof(bn->group[group])) ? -errno : 0;
}

int bn_rcvbuf(struct bn *bn, int bytes)
{
	return setsockopt(bn->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) ? -errno : 0;
}

/* --- events --- */

static int take_event(const struct bn_reply *reply, void *data)
{
	struct bn_event *event = data;
	unsigned int i;

	memset(event, 0, sizeof(*event));
	event->cmd = reply->cmd;
	for (i = 0; i < BN_ATTRS; i++) {
		if (!reply->attrs[i])
			continue;
		event->has[i] = true;
		if (i == BITMEM_A_EVENT_COMM)
			strncpy(event->comm, bn_text(reply, i), sizeof(event->comm) - 1);
		else
			event->value[i] = length(reply->attrs[i]) == sizeof(uint32_t) ?
					  bn_u32(reply, i) : bn_u64(reply, i);
	}
	return 0;
}

int bn_event(struct bn *bn, uint8_t cmd, unsigned int ms, struct bn_event *event)
{
	uint64_t end = bt_now_ns() + ms * 1000000ull;

	for (;;) {
		uint64_t now = bt_now_ns();
		struct pollfd pfd = { .fd = bn->fd, .events = POLLIN };
		int err;

		if (poll(&pfd, 1, now < end ? (end - now) / 1000000 + 1 : 0) <= 0)
			return -ETIMEDOUT;
		err = bn_receive(bn, take_event, event);
		if (err < 0)
			return err;
		if (!cmd || event->cmd == cmd)
			return 0;
	}
}
