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
#include <unistd.h>

#include "backend.h"
#include "util.h"

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

static void *reserve(const struct bm_range *range, int flags)
{
	return mmap(range->addr, range->length, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/* Whether all of the range is mapped. */
static bool is_mapped(const struct bm_range *range, size_t page_size)
{
	unsigned char *pages = malloc(range->length / page_size);
	bool mapped = pages && !mincore(range->addr, range->length, pages);

	free(pages);
	return mapped;
}

/*
 * The arena keeps its addresses reserved without access; what is mapped goes over the
 * reservation, and a new reservation over what is taken away.
 *
 * Where mapping fails, the kernel may or may not have taken away the reservation first,
 * and somebody else may be there already. Nothing of anybody else's is ever replaced: those
 * addresses are given up then, which costs no memory.
 */
int bm_map_at(int fd, uint64_t offset, struct bm_range *range)
{
	void *addr = mmap(range->addr, range->length, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
	int err = errno;

	if (addr != MAP_FAILED)
		return 0;
	addr = reserve(range, MAP_FIXED_NOREPLACE);
	if (addr == range->addr)
		return -err;
	/* A kernel that does not know the flag puts it elsewhere. */
	if (addr != MAP_FAILED)
		munmap(addr, range->length);
	if (!is_mapped(range, (size_t)sysconf(_SC_PAGESIZE)))
		range->addr = NULL;
	return -err;
}

void bm_unmap_at(struct bm_range *range)
{
	if (range->outside) {
		munmap(range->addr, range->length);
		return;
	}
	/* Without memory for a reservation the addresses may be anybody's. */
	if (reserve(range, MAP_FIXED) == MAP_FAILED) {
		munmap(range->addr, range->length);
		range->addr = NULL;
	}
}
