/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Places and addresses in words. */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <bitmem/track.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

size_t bitmem_symbol(const void *address, char *text, size_t size)
{
	const uintptr_t at = (uintptr_t)address;
	Dl_info info;
	int length;

	if (!dladdr(address, &info) || !info.dli_fname)
		length = snprintf(text, size, "%#" PRIxPTR, at);
	else if (info.dli_sname)
		length = snprintf(text, size, "%s+%#" PRIxPTR " (%s)", info.dli_sname,
				  at - (uintptr_t)info.dli_saddr, base_name(info.dli_fname));
	else
		length = snprintf(text, size, "%s+%#" PRIxPTR, base_name(info.dli_fname),
				  at - (uintptr_t)info.dli_fbase);
	return (size_t)length;
}

size_t bitmem_place_text(const struct bitmem_place *place, char *text, size_t size)
{
	if (place->file)
		return (size_t)snprintf(text, size, "%s:%u %s", place->file, place->line,
					place->function);
	if (place->address)
		return bitmem_symbol(place->address, text, size);
	return (size_t)snprintf(text, size, "unknown");
}
