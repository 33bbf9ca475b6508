/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What events and dumps share: the socket, the kernel's errors, and attributes
 * written into structures by a table.
 */
#ifndef BITMEM_EVENTS_GENL_H
#define BITMEM_EVENTS_GENL_H

#include <netlink/netlink.h>
#include <stddef.h>
#include <stdint.h>

/* How an attribute is written into a structure. */
enum genl_kind {
	GENL_U32,
	GENL_U64,
	/* A string: at most @size bytes with its NUL. */
	GENL_TEXT,
	/* A bool: whether the attribute is there. */
	GENL_FLAG,
};

struct genl_field {
	uint16_t attr;
	enum genl_kind kind;
	size_t offset;
	size_t size;
};

#define GENL_FIELD(_attr, _kind, _struct, _member) \
	{ _attr, _kind, offsetof(struct _struct, _member), sizeof(((struct _struct *)0)->_member) }

/* Ours are fewer. */
#define GENL_MAX_ATTR 63

/*
 * Writes the attributes of @header's message that are among the @n @fields into
 * @out. 0, or -EBADMSG for one that is not what it should be.
 */
int genl_decode(struct nlmsghdr *header, const struct genl_field *fields, size_t n, void *out);

/* The same for the attributes inside of @attr. */
int genl_decode_nested(struct nlattr *attr, const struct genl_field *fields, size_t n, void *out);

/* The negative errno for an error of libnl's; 0 for 0. */
int genl_errno(int nl_error);

/* A socket connected to generic netlink with the family's id in @family; or -errno. */
int genl_open(struct nl_sock **socket, int *family);

#endif /* BITMEM_EVENTS_GENL_H */
