/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Settings: a request that changes something, and the kernel's words if it refuses. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <bitmem/events.h>
#include <linux/bitmem_netlink.h>
#include <linux/netlink.h>
#include <netlink/genl/genl.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/socket.h>

#include "genl.h"

#define SETTING(_attr, _member) \
	{ BITMEM_A_POOL_##_attr, offsetof(struct bitmem_nl_settings, _member) }

static const struct {
	uint16_t attr;
	size_t offset;
} settings_attrs[] = {
	SETTING(TARGET, target), SETTING(MAX_BYTES, max), SETTING(RESERVE, reserve),
	SETTING(LOW, low),	 SETTING(HIGH, high),	  SETTING(EMERGENCY, emergency),
};

/* The first version's size. */
#define SETTINGS_SIZE_1 (offsetof(struct bitmem_nl_settings, emergency) + sizeof(uint64_t))

void bitmem_nl_settings_init_sized(struct bitmem_nl_settings *settings, size_t size)
{
	/* Every byte of BITMEM_NL_KEEP is the same: what is not known here is kept, too. */
	memset(settings, 0xff, size);
	memcpy(settings, &size, size < sizeof(size) ? size : sizeof(size));
}

/* Copies the caller's settings; what it does not know is kept. */
static int read_settings(const struct bitmem_nl_settings *from, struct bitmem_nl_settings *settings)
{
	const unsigned char *bytes = (const unsigned char *)from;

	bitmem_nl_settings_init(settings);
	if (from->size < SETTINGS_SIZE_1)
		return -EINVAL;
	for (size_t i = sizeof(*settings); i < from->size; i++) {
		if (bytes[i] != 0xff)
			return -EINVAL;
	}
	memcpy(settings, from, from->size < sizeof(*settings) ? from->size : sizeof(*settings));
	return 0;
}

static int put_settings(struct nl_msg *message, const struct bitmem_nl_settings *settings)
{
	for (size_t i = 0; i < sizeof(settings_attrs) / sizeof(settings_attrs[0]); i++) {
		uint64_t value;

		memcpy(&value, (const char *)settings + settings_attrs[i].offset, sizeof(value));
		if (value != BITMEM_NL_KEEP && nla_put_u64(message, settings_attrs[i].attr, value))
			return -ENOMEM;
	}
	return 0;
}

/* The attributes behind an error: after the request, of which the header alone may be there. */
static void read_reason(struct nlmsgerr *error, char *reason)
{
	struct nlmsghdr *header = (struct nlmsghdr *)((char *)error - NLMSG_HDRLEN);
	size_t skip = sizeof(*error);
	uint32_t request = error->msg.nlmsg_len;
	struct nlattr *attr;

	if (!(header->nlmsg_flags & NLM_F_CAPPED)) {
		/* A request that is there is no longer than the message it is in. */
		if (request < NLMSG_HDRLEN || request > header->nlmsg_len)
			return;
		skip += NLMSG_ALIGN(request) - NLMSG_HDRLEN;
	}
	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS) || nlmsg_datalen(header) <= (int)skip)
		return;
	attr = nla_find((struct nlattr *)((char *)error + skip),
			nlmsg_datalen(header) - (int)skip, NLMSGERR_ATTR_MSG);
	if (attr)
		nla_strlcpy(reason, attr, BITMEM_NL_REASON_LEN);
}

/* The kernel's own errno, which libnl's errors are coarser than. */
struct refusal {
	int err;
	char *reason;
};

static int take_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *data)
{
	struct refusal *refusal = data;

	(void)from;
	refusal->err = error->error;
	read_reason(error, refusal->reason);
	return NL_STOP;
}

/* Sends a request and waits for the kernel's answer. Takes over nothing. */
static int request(struct nl_sock *socket, struct nl_msg *message, char *reason)
{
	struct refusal refusal = {.reason = reason};
	int yes = 1;
	int err;

	/* Without it the kernel refuses without words. */
	setsockopt(nl_socket_get_fd(socket), SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof(yes));
	err = nl_socket_modify_err_cb(socket, NL_CB_CUSTOM, take_error, &refusal);
	if (!err)
		err = nl_send_auto(socket, message);
	if (err >= 0)
		err = nl_wait_for_ack(socket);
	if (refusal.err)
		return refusal.err;
	return err < 0 ? genl_errno(err) : 0;
}

/* A command, and what is to be put into its request. */
struct command {
	uint8_t cmd;
	int (*fill)(struct nl_msg *message, const struct command *command);
	uint32_t which;		/* a pool or a user */
	uint64_t limit;
	const struct bitmem_nl_settings *settings;
};

static int run(const struct command *command, char *reason)
{
	struct nl_msg *message;
	struct nl_sock *socket;
	int family;
	int err;

	*reason = '\0';
	err = genl_open(&socket, &family);
	if (err)
		return err;
	message = nlmsg_alloc();
	if (!message || !genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0,
				     command->cmd, BITMEM_FAMILY_VERSION))
		err = -ENOMEM;
	if (!err)
		err = command->fill(message, command);
	if (!err)
		err = request(socket, message, reason);
	nlmsg_free(message);
	nl_socket_free(socket);
	return err;
}

static int fill_pool(struct nl_msg *message, const struct command *command)
{
	if (nla_put_u32(message, BITMEM_A_POOL_INDEX, command->which))
		return -ENOMEM;
	return put_settings(message, command->settings);
}

int bitmem_nl_pool_set(uint32_t index, const struct bitmem_nl_settings *settings,
		       char reason[BITMEM_NL_REASON_LEN])
{
	struct bitmem_nl_settings known;
	const struct command command = {
		.cmd = BITMEM_NL_CMD_POOL_SET, .fill = fill_pool, .which = index,
		.settings = &known,
	};
	int err = read_settings(settings, &known);

	if (err) {
		snprintf(reason, BITMEM_NL_REASON_LEN, "settings.size: %zu", settings->size);
		return err;
	}
	return run(&command, reason);
}

static int fill_quota(struct nl_msg *message, const struct command *command)
{
	if (nla_put_u32(message, BITMEM_A_QUOTA_UID, command->which) ||
	    nla_put_u64(message, BITMEM_A_QUOTA_LIMIT, command->limit))
		return -ENOMEM;
	return 0;
}

int bitmem_nl_quota_set(uint32_t uid, uint64_t limit, char reason[BITMEM_NL_REASON_LEN])
{
	const struct command command = {
		.cmd = BITMEM_NL_CMD_QUOTA_SET, .fill = fill_quota, .which = uid, .limit = limit,
	};

	return run(&command, reason);
}
