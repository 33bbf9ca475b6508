/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dumps: a request, and a callback for each message of the answer. */
#include <errno.h>
#include <stdlib.h>

#include <bitmem/events.h>
#include <linux/bitmem_netlink.h>
#include <netlink/genl/genl.h>
#include <netlink/socket.h>

#include "genl.h"

/* A dump under way. */
struct dump {
	const struct genl_field *fields;
	size_t n_fields;
	/* Calls the caller's function for a message's structure. */
	int (*tell)(struct nlmsghdr *header, struct dump *dump);
	bitmem_nl_pool_fn pool_fn;
	bitmem_nl_buffer_fn buffer_fn;
	bitmem_nl_quota_fn quota_fn;
	bitmem_nl_superblock_fn superblock_fn;
	void *data;
	int result;
	/* Of the buffer at hand. */
	struct bitmem_nl_spread *spread;
	size_t n_spread;
};

#define POOL(_attr, _kind, _member) \
	GENL_FIELD(BITMEM_A_POOL_##_attr, GENL_##_kind, bitmem_nl_pool, _member)

static const struct genl_field pool_fields[] = {
	POOL(INDEX, U32, index),
	POOL(NODE, U32, node),
	POOL(WIDTH, U32, width),
	POOL(STATE, U32, state),
	POOL(LEVEL, U32, level),
	POOL(TARGET, U64, target),
	POOL(MAX_BYTES, U64, max),
	POOL(RESERVE, U64, reserve),
	POOL(LOW, U64, low),
	POOL(HIGH, U64, high),
	POOL(EMERGENCY, U64, emergency),
	POOL(CAPACITY, U64, capacity),
	POOL(ZEROED, U64, zeroed),
	POOL(DIRTY, U64, dirty),
	POOL(ALLOCATED, U64, allocated),
	POOL(QUARANTINED, U64, quarantined),
	POOL(RETIRED, U64, retired),
	POOL(LARGEST, U64, largest),
	POOL(SPLIT, U64, split),
	POOL(BUFFERS, U64, buffers),
	POOL(ALLOCS, U64, allocs),
	POOL(FALLBACKS, U64, fallbacks),
	POOL(FAILURES, U64, failures),
	POOL(GATHERED, U64, gathered),
	POOL(RECLAIMABLE, U64, reclaimable),
	POOL(RETURNED, U64, returned),
	POOL(MOVED, U64, moved),
};

#define BUFFER(_attr, _kind, _member) \
	GENL_FIELD(BITMEM_A_BUFFER_##_attr, GENL_##_kind, bitmem_nl_buffer, _member)

static const struct genl_field buffer_fields[] = {
	BUFFER(FILE, U64, file),
	BUFFER(OFFSET, U64, offset),
	BUFFER(LENGTH, U64, length),
	BUFFER(RESIDENT, U64, resident),
	BUFFER(AGE_NS, U64, age_ns),
	BUFFER(UID, U32, uid),
	BUFFER(PID, U32, pid),
	BUFFER(ID, U32, id),
	BUFFER(HANDLES, U32, handles),
	BUFFER(MAPPINGS, U32, mappings),
	BUFFER(EXPORTS, U32, exports),
	BUFFER(ANON, FLAG, anon),
	BUFFER(FIXED, FLAG, fixed),
	BUFFER(CLOSED, FLAG, closed),
	BUFFER(COMM, TEXT, comm),
	BUFFER(TAG, TEXT, tag),
	BUFFER(NAME, TEXT, name),
};

static int tell_pool(struct nlmsghdr *header, struct dump *dump)
{
	struct bitmem_nl_pool pool = {0};
	int err = genl_decode(header, dump->fields, dump->n_fields, &pool);

	return err ? err : dump->pool_fn(&pool, dump->data);
}

#define QUOTA(_attr, _kind, _member) \
	GENL_FIELD(BITMEM_A_QUOTA_##_attr, GENL_##_kind, bitmem_nl_quota, _member)

static const struct genl_field quota_fields[] = {
	QUOTA(UID, U32, uid),
	QUOTA(LIMIT, U64, limit),
	QUOTA(BYTES, U64, bytes),
};

static int tell_quota(struct nlmsghdr *header, struct dump *dump)
{
	struct bitmem_nl_quota quota = {0};
	int err = genl_decode(header, dump->fields, dump->n_fields, &quota);

	return err ? err : dump->quota_fn(&quota, dump->data);
}

#define SPREAD(_attr, _kind, _member) \
	GENL_FIELD(BITMEM_A_SPREAD_##_attr, GENL_##_kind, bitmem_nl_spread, _member)

static const struct genl_field spread_fields[] = {
	SPREAD(NODE, U32, node),
	SPREAD(BYTES, U64, bytes),
};

static int add_spread(struct nlattr *attr, struct dump *dump)
{
	struct bitmem_nl_spread one = {0};
	struct bitmem_nl_spread *list;
	int err = genl_decode_nested(attr, spread_fields,
				     sizeof(spread_fields) / sizeof(spread_fields[0]), &one);

	if (err)
		return err;
	list = reallocarray(dump->spread, dump->n_spread + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	list[dump->n_spread++] = one;
	dump->spread = list;
	return 0;
}

static int read_spread(struct nlmsghdr *header, struct dump *dump)
{
	struct nlattr *attr;
	int left;

	dump->n_spread = 0;
	nlmsg_for_each_attr(attr, header, GENL_HDRLEN, left) {
		int err = nla_type(attr) == BITMEM_A_BUFFER_SPREAD ? add_spread(attr, dump) : 0;

		if (err)
			return err;
	}
	return 0;
}

static int tell_buffer(struct nlmsghdr *header, struct dump *dump)
{
	struct bitmem_nl_buffer buffer = {0};
	int err = genl_decode(header, dump->fields, dump->n_fields, &buffer);

	if (!err)
		err = read_spread(header, dump);
	if (err)
		return err;
	buffer.spread = dump->spread;
	buffer.n_spread = dump->n_spread;
	return dump->buffer_fn(&buffer, dump->data);
}

#define SUPERBLOCK(_attr, _kind, _member) \
	GENL_FIELD(BITMEM_A_SUPERBLOCK_##_attr, GENL_##_kind, bitmem_nl_superblock, _member)

static const struct genl_field superblock_fields[] = {
	SUPERBLOCK(POOL, U32, pool),
	SUPERBLOCK(NODE, U32, node),
	SUPERBLOCK(INDEX, U64, index),
	SUPERBLOCK(COUNT, U64, count),
	SUPERBLOCK(ZEROED, U64, zeroed),
	SUPERBLOCK(DIRTY, U64, dirty),
	SUPERBLOCK(ALLOCATED, U64, allocated),
	SUPERBLOCK(QUARANTINED, U64, quarantined),
	SUPERBLOCK(RETIRED, U64, retired),
	SUPERBLOCK(BUSY, U64, busy),
	SUPERBLOCK(SPLIT, FLAG, split),
	SUPERBLOCK(GATHERED, FLAG, gathered),
};

#define OWNER(_attr, _kind, _member) \
	GENL_FIELD(BITMEM_A_BUFFER_##_attr, GENL_##_kind, bitmem_nl_superblock, _member)

static const struct genl_field owner_fields[] = {
	OWNER(FILE, U64, file),
	OWNER(OFFSET, U64, offset),
	OWNER(UID, U32, uid),
	OWNER(PID, U32, pid),
	OWNER(CLOSED, FLAG, closed),
	OWNER(COMM, TEXT, comm),
	OWNER(TAG, TEXT, tag),
};

static int tell_superblock(struct nlmsghdr *header, struct dump *dump)
{
	struct bitmem_nl_superblock superblock = {0};
	struct nlattr *owner = nlmsg_find_attr(header, GENL_HDRLEN, BITMEM_A_SUPERBLOCK_OWNER);
	int err = genl_decode(header, dump->fields, dump->n_fields, &superblock);

	if (!err && owner)
		err = genl_decode_nested(owner, owner_fields,
					 sizeof(owner_fields) / sizeof(owner_fields[0]),
					 &superblock);
	return err ? err : dump->superblock_fn(&superblock, dump->data);
}

static int take_message(struct nl_msg *message, void *data)
{
	struct dump *dump = data;

	dump->result = dump->tell(nlmsg_hdr(message), dump);
	return dump->result ? NL_STOP : NL_OK;
}

static int run(struct dump *dump, uint8_t cmd)
{
	struct nl_sock *socket;
	int family;
	int err = genl_open(&socket, &family);

	if (err)
		return err;
	err = nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, take_message, dump);
	if (!err)
		err = genl_send_simple(socket, family, cmd, BITMEM_FAMILY_VERSION, NLM_F_DUMP);
	if (err >= 0)
		err = nl_recvmsgs_default(socket);
	nl_socket_free(socket);
	free(dump->spread);
	if (dump->result)
		return dump->result;
	return err < 0 ? genl_errno(err) : 0;
}

int bitmem_nl_pools(bitmem_nl_pool_fn fn, void *data)
{
	struct dump dump = {
		.fields = pool_fields,
		.n_fields = sizeof(pool_fields) / sizeof(pool_fields[0]),
		.tell = tell_pool,
		.pool_fn = fn,
		.data = data,
	};

	return run(&dump, BITMEM_NL_CMD_POOL_GET);
}

int bitmem_nl_buffers(bitmem_nl_buffer_fn fn, void *data)
{
	struct dump dump = {
		.fields = buffer_fields,
		.n_fields = sizeof(buffer_fields) / sizeof(buffer_fields[0]),
		.tell = tell_buffer,
		.buffer_fn = fn,
		.data = data,
	};

	return run(&dump, BITMEM_NL_CMD_BUFFER_GET);
}

int bitmem_nl_quotas(bitmem_nl_quota_fn fn, void *data)
{
	struct dump dump = {
		.fields = quota_fields,
		.n_fields = sizeof(quota_fields) / sizeof(quota_fields[0]),
		.tell = tell_quota,
		.quota_fn = fn,
		.data = data,
	};

	return run(&dump, BITMEM_NL_CMD_QUOTA_GET);
}

int bitmem_nl_superblocks(bitmem_nl_superblock_fn fn, void *data)
{
	struct dump dump = {
		.fields = superblock_fields,
		.n_fields = sizeof(superblock_fields) / sizeof(superblock_fields[0]),
		.tell = tell_superblock,
		.superblock_fn = fn,
		.data = data,
	};

	return run(&dump, BITMEM_NL_CMD_SUPERBLOCK_GET);
}
