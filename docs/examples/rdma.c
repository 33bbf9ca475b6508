/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RDMA with libibverbs: what it takes to write from one piece of registered memory to another.
 * The peer is the same queue pair, so that one machine is enough; between two the numbers in
 * connect() (queue pair, address) and the target's address and key go over a socket first.
 */
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <infiniband/verbs.h>

#include "rdma.h"

/* Which of the port's addresses. Of soft RoCE 0 is the link-local one, 1 the device's first IP. */
#define GID 1

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *device = NULL;

	for (size_t i = 0; list && list[i]; i++) {
		if (!strcmp(ibv_get_device_name(list[i]), name))
			device = ibv_open_device(list[i]);
	}
	if (list)
		ibv_free_device_list(list);
	if (!device)
		errx(1, "DEVICE: no RDMA device %s that can be opened", name);
	return device;
}

static void change(struct ibv_qp *qp, struct ibv_qp_attr attr, int mask, const char *what)
{
	errno = ibv_modify_qp(qp, &attr, mask | IBV_QP_STATE);
	if (errno)
		err(1, "queue pair: %s", what);
}

/* The three steps that a queue pair has to go: initialised, ready to receive, ready to send. */
static void connect(struct ibv_context *device, struct ibv_qp *qp, uint32_t peer)
{
	struct ibv_ah_attr to = { .is_global = 1, .port_num = 1,
				  .grh = { .sgid_index = GID, .hop_limit = 1 } };

	if (ibv_query_gid(device, 1, GID, &to.grh.dgid))
		err(1, "address %d of the port", GID);
	change(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_INIT, .port_num = 1,
					 .qp_access_flags = IBV_ACCESS_REMOTE_WRITE },
	       IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, "initialised");
	change(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTR, .path_mtu = IBV_MTU_1024,
					 .dest_qp_num = peer, .max_dest_rd_atomic = 1,
					 .min_rnr_timer = 12, .ah_attr = to },
	       IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
	       IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER, "ready to receive");
	/* 18 is about a second until a packet is sent again, 7 times at most. */
	change(qp, (struct ibv_qp_attr){ .qp_state = IBV_QPS_RTS, .timeout = 18, .retry_cnt = 7,
					 .rnr_retry = 7, .max_rd_atomic = 1 },
	       IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
	       IBV_QP_MAX_QP_RD_ATOMIC, "ready to send");
}

void rdma_open(struct rdma *rdma, const char *device)
{
	struct ibv_qp_init_attr init = { .qp_type = IBV_QPT_RC,
					 .cap = { .max_send_wr = 1, .max_recv_wr = 1,
						  .max_send_sge = 1, .max_recv_sge = 1 } };

	rdma->device = open_device(device);
	rdma->domain = ibv_alloc_pd(rdma->device);
	rdma->done = ibv_create_cq(rdma->device, 1, NULL, NULL, 0);
	init.send_cq = init.recv_cq = rdma->done;
	rdma->qp = rdma->domain && rdma->done ? ibv_create_qp(rdma->domain, &init) : NULL;
	if (!rdma->qp)
		err(1, "queue pair on %s", device);
	connect(rdma->device, rdma->qp, rdma->qp->qp_num);
}

/* A long-term pin. A pool's pages may be pinned where they are: none has to be moved for it. */
static struct ibv_mr *pin(struct rdma *rdma, void *memory, size_t length, int access)
{
	struct ibv_mr *region = ibv_reg_mr(rdma->domain, memory, length, access);

	if (!region)
		err(1, "registering %zu bytes", length);
	return region;
}

void rdma_register(struct rdma *rdma, void *source, void *target, size_t length)
{
	rdma->source = pin(rdma, source, length, 0);
	rdma->target = pin(rdma, target, length, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
}

void rdma_write(struct rdma *rdma)
{
	struct ibv_sge from = { .addr = (uintptr_t)rdma->source->addr,
				.length = rdma->source->length, .lkey = rdma->source->lkey };
	struct ibv_send_wr *bad, wr = { .sg_list = &from, .num_sge = 1,
					.opcode = IBV_WR_RDMA_WRITE,
					.send_flags = IBV_SEND_SIGNALED };
	struct ibv_wc wc;
	int n;

	wr.wr.rdma.remote_addr = (uintptr_t)rdma->target->addr;
	wr.wr.rdma.rkey = rdma->target->rkey;
	errno = ibv_post_send(rdma->qp, &wr, &bad);
	if (errno)
		err(1, "RDMA write");
	do
		n = ibv_poll_cq(rdma->done, 1, &wc);
	while (!n);
	if (n < 0 || wc.status != IBV_WC_SUCCESS)
		errx(1, "RDMA write: %s", n < 0 ? "no completion" : ibv_wc_status_str(wc.status));
}

void rdma_close(struct rdma *rdma)
{
	if (ibv_destroy_qp(rdma->qp) || ibv_dereg_mr(rdma->source) || ibv_dereg_mr(rdma->target) ||
	    ibv_destroy_cq(rdma->done) || ibv_dealloc_pd(rdma->domain) ||
	    ibv_close_device(rdma->device))
		err(1, "closing the RDMA device");
}
