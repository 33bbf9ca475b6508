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
 * Reserves more than is needed and maps over the aligned part of it, so that no
 * other thread can come in between, then gives back what lies around.
 *
 * Where mapping fails, the kernel may or may not have taken away the reservation
 * first, and somebody else may be there already: then that part is left alone,
 * which costs addresses but no memory. Nothing of anybody else's is ever unmapped.
 */
void *bm_map_aligned(int fd, uint64_t offset, size_t length, size_t align)
{
	char *hole, *start, *addr;
	size_t room, head;
	int err;

	if (__builtin_add_overflow(length, align, &room)) {
		errno = ENOMEM;
		return NULL;
	}
	hole = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hole == MAP_FAILED)
		return NULL;
	start = (char *)bm_round_up((uintptr_t)hole, align);
	head = (size_t)(start - hole);
	addr = mmap(start, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		    (off_t)offset);
	err = errno;
	if (head)
		munmap(hole, head);
	if (room - head > length)
		munmap(start + length, room - head - length);
	errno = err;
	return addr == MAP_FAILED ? NULL : addr;
}
