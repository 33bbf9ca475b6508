// SPDX-License-Identifier: GPL-2.0
/*
 * Tries what programs will: a page is allocated, mapped and written to, and given to io_uring.
 */
#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "doctor.h"
#include "owners.h"

static void not_allocated(struct doctor *doctor, int err)
{
	switch (err) {
	case EAGAIN:
		doctor_add(doctor, "memory", DOCTOR_NOTE,
			   "no page is ready: pools are being filled");
		doctor_remedy(doctor, "bitmem info --wait");
		return;
	case ENOMEM:
		doctor_add(doctor, "memory", DOCTOR_PROBLEM, "not a page is free in the pools");
		doctor_remedy(doctor, "see who holds them (bitmem ps), or make them larger "
				      "(bitmem pools)");
		return;
	case EDQUOT:
		doctor_add(doctor, "memory", DOCTOR_PROBLEM, "the user's quota is used up");
		doctor_remedy(doctor, "free some (bitmem ps), or have the quota raised");
		return;
	default:
		doctor_add(doctor, "memory", DOCTOR_PROBLEM, "a page cannot be allocated: %s",
			   strerror(err));
	}
}

static void not_registered(struct doctor *doctor, int err)
{
	switch (err) {
	case EOPNOTSUPP:
		doctor_add(doctor, "io_uring", DOCTOR_NOTE,
			   "this kernel takes no device memory as fixed buffers; files are read "
			   "into it all the same");
		doctor_remedy(doctor, "Linux 6.5 or newer takes them");
		return;
	case ENOMEM:
		doctor_add(doctor, "io_uring", DOCTOR_WARNING,
			   "fixed buffers are refused: the limit of locked memory is reached");
		doctor_remedy(doctor, "raise RLIMIT_MEMLOCK: LimitMEMLOCK=infinity in a unit, or "
				      "a line in /etc/security/limits.d");
		return;
	default:
		doctor_add(doctor, "io_uring", DOCTOR_WARNING, "fixed buffers are refused: %s",
			   strerror(err));
	}
}

static void try_ring(struct doctor *doctor, void *page, size_t size)
{
	struct iovec buffer = {.iov_base = page, .iov_len = size};
	struct io_uring ring;
	int err = io_uring_queue_init(1, &ring, 0);

	if (err) {
		doctor_add(doctor, "io_uring", DOCTOR_WARNING,
			   "not to be had, so that models load more slowly: %s", strerror(-err));
		doctor_remedy(doctor,
			      err == -EPERM
				      ? "sysctl kernel.io_uring_disabled=0; in a container its "
					"seccomp profile may forbid it"
				      : "allow io_uring_setup in the container's seccomp profile");
		return;
	}
	err = io_uring_register_buffers(&ring, &buffer, 1);
	if (err)
		not_registered(doctor, -err);
	else
		doctor_add(doctor, "io_uring", DOCTOR_OK, "takes device memory as fixed buffers");
	io_uring_queue_exit(&ring);
}

static void try_mapping(struct doctor *doctor, const struct bitmem_alloc *buffer)
{
	size_t size = buffer->out_length;
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, doctor->device.fd,
			  (off_t)buffer->out_offset);
	int err;

	if (page == MAP_FAILED) {
		err = errno;
		doctor_add(doctor, "memory", DOCTOR_PROBLEM, "a page cannot be mapped: %s",
			   strerror(err));
		if (err == ENOMEM)
			doctor_remedy(doctor, "raise the limit of address space (ulimit -v)");
		return;
	}
	memset(page, 1, size);
	doctor_add(doctor, "memory", DOCTOR_OK, "a page was allocated, mapped and written to");
	try_ring(doctor, page, size);
	munmap(page, size);
}

static void try_buffer(struct doctor *doctor)
{
	struct bitmem_alloc alloc = {
		.size = sizeof(alloc),
		/* For what is to be filled first it can take long. */
		.flags = doctor->filling ? BITMEM_ALLOC_NOWAIT : 0,
		.length = doctor->device.info.out_page_size,
		.node = BITMEM_NODE_ANY,
		.tag = "bitmem doctor",
	};
	struct bitmem_free free = {.size = sizeof(free)};

	if (ioctl(doctor->device.fd, BITMEM_ALLOC, &alloc)) {
		not_allocated(doctor, errno);
		return;
	}
	try_mapping(doctor, &alloc);
	free.id = alloc.out_id;
	ioctl(doctor->device.fd, BITMEM_FREE, &free);
}

static void try_netlink(struct doctor *doctor)
{
	struct owners owners;
	int err = owners_read(&owners, doctor->device.info.out_nodes);

	if (!err) {
		owners_free(&owners);
		doctor_add(doctor, "netlink", DOCTOR_OK, "tells of buffers, settings and events");
		return;
	}
	doctor_add(doctor, "netlink", DOCTOR_NOTE, "does not tell of buffers and events: %s",
		   err == -ENOENT ? "no family bitmem in this network namespace" : strerror(-err));
	if (err == -ENOENT)
		doctor_remedy(doctor, "run what monitors in the initial network namespace "
				      "(containers: --network host)");
}

void doctor_use(struct doctor *doctor)
{
	if (!doctor->has_device)
		return;
	try_buffer(doctor);
	try_netlink(doctor);
}
