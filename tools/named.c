// SPDX-License-Identifier: GPL-2.0
/*
 * BITMEM_ATTACH, and what it says when there is nothing to attach.
 */
#include "named.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "output.h"

int named_check(const char *option, const char *name)
{
	size_t length = strlen(name);

	if (length && length < BITMEM_NAME_LEN)
		return 0;
	output_error("%s: %s: %s", option,
		     length ? "longer than 63 bytes" : "a name has one byte at least", name);
	return -1;
}

static const char *why(int err)
{
	switch (err) {
	case ENOENT:
		return "nothing is published under this name";
	case EACCES:
		return "its publisher does not let this user have it";
	default:
		return strerror(err);
	}
}

int named_attach(const struct device *device, const char *name, uint32_t uid, bool readonly,
		 struct bitmem_query *buffer)
{
	struct bitmem_attach arg = {
		.size = sizeof(arg),
		.flags = readonly ? BITMEM_ATTACH_READONLY : 0,
		.uid = uid,
	};

	memcpy(arg.name, name, strnlen(name, sizeof(arg.name) - 1));
	if (ioctl(device->fd, BITMEM_ATTACH, &arg)) {
		output_error("%s: %s", name, why(errno));
		return -1;
	}
	*buffer = (struct bitmem_query){.size = sizeof(*buffer), .id = arg.out_id};
	if (ioctl(device->fd, BITMEM_QUERY, buffer)) {
		output_error("%s: QUERY: %s", name, strerror(errno));
		return -1;
	}
	return 0;
}
