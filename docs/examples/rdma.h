/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An RDMA write from one piece of memory to another, for nvme-rdma.c. Errors end the program. */
#ifndef RDMA_H
#define RDMA_H

#include <stddef.h>

/** What one RDMA write can take at most. */
#define RDMA_MAX (1u << 30)

struct rdma {
	struct ibv_context *device;
	struct ibv_pd *domain;
	struct ibv_cq *done;
	struct ibv_qp *qp;
	struct ibv_mr *source, *target;
};

/** A reliable connection from a queue pair of the device to itself. */
void rdma_open(struct rdma *rdma, const char *device);

/** Pins both for the device. */
void rdma_register(struct rdma *rdma, void *source, void *target, size_t length);

/** Writes all of the source to the target, and waits for it. */
void rdma_write(struct rdma *rdma);

void rdma_close(struct rdma *rdma);

#endif /* RDMA_H */
