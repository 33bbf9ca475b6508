/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "options.h"

bool bm_tail_is_zero(const void *from, size_t known, size_t size)
{
	const unsigned char *bytes = from;

	while (known < size) {
		if (bytes[known++])
			return false;
	}
	return true;
}

int bm_read_sized(void *to, size_t known, const void *from, size_t first, const char *name,
		  struct bitmem_error **error)
{
	size_t size;

	if (!from)
		return 0;
	memcpy(&size, from, sizeof(size));
	/* Where its error would be is not known. */
	if (size < first)
		return bm_error(NULL, -EINVAL, "%s.size: %zu", name, size);
	memcpy(to, from, size < known ? size : known);
	if (*error)
		memset(*error, 0, sizeof(**error));
	if (bm_tail_is_zero(from, known, size))
		return 0;
	return bm_error(*error, -EINVAL,
			"%s.size: %zu, and the members unknown here are not zero", name, size);
}

void bm_write_sized(void *to, size_t size, const void *from, size_t known)
{
	memset(to, 0, size);
	memcpy(to, from, size < known ? size : known);
}
