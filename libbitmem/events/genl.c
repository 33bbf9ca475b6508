/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket, errors and attributes, for events and dumps. */
#include "genl.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <linux/bitmem_netlink.h>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

int genl_errno(int nl_error)
{
	static const struct {
		int nl;
		int err;
	} errors[] = {
		{NLE_NOMEM, ENOMEM},	     {NLE_OBJ_NOTFOUND, ENOENT}, {NLE_PERM, EPERM},
		{NLE_NOACCESS, EACCES},	     {NLE_INVAL, EINVAL},	 {NLE_AGAIN, EAGAIN},
		{NLE_OPNOTSUPP, EOPNOTSUPP}, {NLE_INTR, EINTR},		 {NLE_RANGE, ERANGE},
		{NLE_BUSY, EBUSY},	     {NLE_AF_NOSUPPORT, EAFNOSUPPORT},
	};

	if (!nl_error)
		return 0;
	if (nl_error < 0)
		nl_error = -nl_error;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].nl == nl_error)
			return -errors[i].err;
	}
	return -EIO;
}

int genl_open(struct nl_sock **socket, int *family)
{
	struct nl_sock *sock = nl_socket_alloc();
	int err;

	if (!sock)
		return -ENOMEM;
	err = genl_connect(sock);
	if (!err) {
		*family = genl_ctrl_resolve(sock, BITMEM_FAMILY_NAME);
		err = *family < 0 ? *family : 0;
	}
	if (err) {
		nl_socket_free(sock);
		return genl_errno(err);
	}
	*socket = sock;
	return 0;
}

/* False if @attr is too short for what it should be. */
static bool store(const struct genl_field *field, struct nlattr *attr, void *out)
{
	char *at = (char *)out + field->offset;
	size_t length = (size_t)nla_len(attr);

	switch (field->kind) {
	case GENL_U32:
	case GENL_U64:
		if (length < field->size)
			return false;
		memcpy(at, nla_data(attr), field->size);
		return true;
	case GENL_TEXT:
		length = strnlen(nla_data(attr), length);
		if (length >= field->size)
			length = field->size - 1;
		memcpy(at, nla_data(attr), length);
		at[length] = '\0';
		return true;
	case GENL_FLAG:
		*(bool *)at = true;
		return true;
	}
	return false;
}

static int store_all(struct nlattr **attrs, const struct genl_field *fields, size_t n, void *out)
{
	for (size_t i = 0; i < n; i++) {
		struct nlattr *attr = attrs[fields[i].attr];

		if (attr && !store(&fields[i], attr, out))
			return -EBADMSG;
	}
	return 0;
}

int genl_decode(struct nlmsghdr *header, const struct genl_field *fields, size_t n, void *out)
{
	struct nlattr *attrs[GENL_MAX_ATTR + 1];

	if (genlmsg_parse(header, 0, attrs, GENL_MAX_ATTR, NULL))
		return -EBADMSG;
	return store_all(attrs, fields, n, out);
}

int genl_decode_nested(struct nlattr *attr, const struct genl_field *fields, size_t n, void *out)
{
	struct nlattr *attrs[GENL_MAX_ATTR + 1];

	if (nla_parse_nested(attrs, GENL_MAX_ATTR, attr, NULL))
		return -EBADMSG;
	return store_all(attrs, fields, n, out);
}
