/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which backend a context gets, and what the backends share.
 *
 * The environment is read with secure_getenv(): a privileged program must not
 * be made to open a file of its user's choice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend.h"
#include "context.h"

static const char *const names[] = {
	[BITMEM_BACKEND_AUTO] = "auto",
	[BITMEM_BACKEND_DEVICE] = "device",
	[BITMEM_BACKEND_MEMFD] = "memfd",
};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

const char *bitmem_backend_name(enum bitmem_backend backend)
{
	return (unsigned int)backend < N_NAMES ? names[backend] : NULL;
}

/* What BITMEM_BACKEND says; unset and empty mean auto. -EINVAL if it is no backend. */
static int backend_from_environment(struct bitmem_error *error)
{
	const char *value = secure_getenv("BITMEM_BACKEND");

	if (!value || !*value)
		return BITMEM_BACKEND_AUTO;
	for (size_t i = 0; i < N_NAMES; i++) {
		if (!strcmp(value, names[i]))
			return (int)i;
	}
	return bm_error(error, -EINVAL, "BITMEM_BACKEND: \"%s\" is not device, memfd or auto",
			value);
}

/* The device, unless open(2) refuses it; a module of another ABI is an error, not a reason. */
static struct bm_backend *open_auto(const struct bitmem_options *options)
{
	struct bm_backend *backend = bm_backend_device.open(options);

	if (backend || errno == EPROTO || errno == EINVAL || errno == ENOMEM)
		return backend;
	if (options->error)
		memset(options->error, 0, sizeof(*options->error));
	return bm_backend_memfd.open(options);
}

struct bm_backend *bm_backend_open(const struct bitmem_options *options)
{
	int kind = options->backend;

	if (kind == BITMEM_BACKEND_AUTO)
		kind = backend_from_environment(options->error);
	switch (kind) {
	case BITMEM_BACKEND_AUTO:
		return open_auto(options);
	case BITMEM_BACKEND_DEVICE:
		return bm_backend_device.open(options);
	case BITMEM_BACKEND_MEMFD:
		return bm_backend_memfd.open(options);
	default:
		return NULL;
	}
}

/*
 * Each try looks for a hole in the address space and maps at the aligned place
 * in it, unless another thread was faster. Nothing of anybody else's is ever
 * unmapped, as MAP_FIXED could do.
 */
void *bm_map_aligned(int fd, uint64_t offset, size_t length, size_t align)
{
	size_t room;

	if (__builtin_add_overflow(length, align, &room)) {
		errno = ENOMEM;
		return NULL;
	}
	for (int tries = 0; tries < 64; tries++) {
		void *hole, *addr;

		hole = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);
		if (hole == MAP_FAILED)
			return NULL;
		munmap(hole, room);
		addr = (void *)bm_round_up((uintptr_t)hole, align);
		addr = mmap(addr, length, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED_NOREPLACE, fd, (off_t)offset);
		if (addr != MAP_FAILED)
			return addr;
		if (errno != EEXIST)
			return NULL;
	}
	errno = ENOMEM;
	return NULL;
}
