/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: a socket that is in the module's multicast groups, and messages turned
 * into structures.
 *
 * With BITMEM_EVENTS_OWNERS the socket is in both groups, and hears of each closed
 * file twice; the telling without a process is passed over.
 */
#include <errno.h>
#include <stdlib.h>

#include <bitmem/events.h>
#include <linux/bitmem_netlink.h>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/socket.h>

#include "genl.h"

/* What the kernel holds for a reader who is late. */
#define ROOM (256 << 10)

struct bitmem_events {
	struct nl_sock *socket;
	bool owners;
	/* The read under way. */
	bitmem_event_fn fn;
	void *data;
	int result;
};

#define FIELD(_attr, _kind, _member) \
	GENL_FIELD(BITMEM_A_EVENT_##_attr, GENL_##_kind, bitmem_event, _member)

static const struct genl_field fields[] = {
	FIELD(POOL, U32, pool),	      FIELD(NODE, U32, node),	    FIELD(LEVEL, U32, level),
	FIELD(FREE, U64, free),	      FIELD(CAPACITY, U64, capacity), FIELD(BYTES, U64, bytes),
	FIELD(COUNT, U64, count),     FIELD(MOVED, U64, moved),	    FIELD(FREED, U64, freed),
	FIELD(SKIPPED, U64, skipped), FIELD(FILE, U64, file),	    FIELD(BUFFERS, U64, buffers),
	FIELD(PID, U32, pid),	      FIELD(UID, U32, uid),	    FIELD(COMM, TEXT, comm),
};

/* 0 for what this library does not know: a later module may tell more. */
static int event_type(uint8_t cmd)
{
	switch (cmd) {
	case BITMEM_NL_CMD_PRESSURE:
		return BITMEM_EVENT_PRESSURE;
	case BITMEM_NL_CMD_EXHAUSTED:
		return BITMEM_EVENT_EXHAUSTED;
	case BITMEM_NL_CMD_QUARANTINE:
		return BITMEM_EVENT_QUARANTINE;
	case BITMEM_NL_CMD_COMPACTED:
		return BITMEM_EVENT_COMPACTED;
	case BITMEM_NL_CMD_RETIRED:
		return BITMEM_EVENT_RETIRED;
	case BITMEM_NL_CMD_SHRUNK:
		return BITMEM_EVENT_SHRUNK;
	case BITMEM_NL_CMD_RECLAIMED:
		return BITMEM_EVENT_RECLAIMED;
	default:
		return 0;
	}
}

static int take_message(struct nl_msg *message, void *data)
{
	struct bitmem_event event = {.pid = BITMEM_EVENT_NOBODY, .uid = BITMEM_EVENT_NOBODY};
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct bitmem_events *events = data;
	int type = event_type(genlmsg_hdr(header)->cmd);

	if (!type)
		return NL_OK;
	event.type = (enum bitmem_event_type)type;
	events->result =
		genl_decode(header, fields, sizeof(fields) / sizeof(fields[0]), &event);
	if (!events->result && type == BITMEM_EVENT_RECLAIMED && events->owners &&
	    event.pid == BITMEM_EVENT_NOBODY)
		return NL_OK;
	if (!events->result)
		events->result = events->fn(&event, events->data);
	return events->result ? NL_STOP : NL_OK;
}

static int join(struct bitmem_events *events, const char *name)
{
	int group = genl_ctrl_resolve_grp(events->socket, BITMEM_FAMILY_NAME, name);

	if (group < 0)
		return genl_errno(group);
	return genl_errno(nl_socket_add_membership(events->socket, group));
}

static int set_up(struct bitmem_events *events)
{
	int err = join(events, BITMEM_MCGRP_EVENTS);

	if (!err && events->owners)
		err = join(events, BITMEM_MCGRP_OWNERS);
	if (!err)
		err = genl_errno(nl_socket_set_buffer_size(events->socket, ROOM, 0));
	if (!err)
		err = genl_errno(nl_socket_set_nonblocking(events->socket));
	if (!err)
		err = genl_errno(nl_socket_modify_cb(events->socket, NL_CB_VALID,
							  NL_CB_CUSTOM, take_message, events));
	nl_socket_disable_seq_check(events->socket);
	return err;
}

struct bitmem_events *bitmem_events_open(unsigned int flags)
{
	struct bitmem_events *events;
	int family;
	int err;

	if (flags & ~BITMEM_EVENTS_OWNERS) {
		errno = EINVAL;
		return NULL;
	}
	events = calloc(1, sizeof(*events));
	if (!events)
		return NULL;
	events->owners = flags & BITMEM_EVENTS_OWNERS;
	err = genl_open(&events->socket, &family);
	if (!err)
		err = set_up(events);
	if (!err)
		return events;
	bitmem_events_close(events);
	errno = -err;
	return NULL;
}

void bitmem_events_close(struct bitmem_events *events)
{
	if (!events)
		return;
	nl_socket_free(events->socket);
	free(events);
}

int bitmem_events_fd(const struct bitmem_events *events)
{
	return nl_socket_get_fd(events->socket);
}

/* libnl has one error for ENOBUFS and for ENOMEM: either way a message is lost. */
static int tell_lost(struct bitmem_events *events)
{
	const struct bitmem_event event = {
		.type = BITMEM_EVENT_LOST,
		.pid = BITMEM_EVENT_NOBODY,
		.uid = BITMEM_EVENT_NOBODY,
	};

	return events->fn(&event, events->data);
}

int bitmem_events_read(struct bitmem_events *events, bitmem_event_fn fn, void *data)
{
	int err;

	events->fn = fn;
	events->data = data;
	events->result = 0;
	do {
		err = nl_recvmsgs_default(events->socket);
		if (err == -NLE_NOMEM) {
			events->result = tell_lost(events);
			err = 0;
		}
	} while (err >= 0 && !events->result);
	if (events->result)
		return events->result;
	return err == -NLE_AGAIN ? 0 : genl_errno(err);
}
