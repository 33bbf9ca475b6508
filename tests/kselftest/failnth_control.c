// SPDX-License-Identifier: GPL-2.0
/*
 * The sequences of failnth that go by netlink and by io_uring.
 */
#include "bitmem_fail.h"
#include "failnth.h"

#include <errno.h>
#include <string.h>

static int with_netlink(struct scene *scene)
{
	int err = with_buffer(scene) ?: bn_open(&scene->nl);

	scene->has_nl = !err;
	return err;
}

static int ignore(const struct bn_reply *reply __attribute__((unused)),
		  void *data __attribute__((unused)))
{
	return 0;
}

static int run_netlink_info(struct scene *scene)
{
	return bn_do(&scene->nl, BITMEM_NL_CMD_INFO, ignore, NULL);
}

static int run_netlink_pool_get(struct scene *scene)
{
	struct bn_request request;

	bn_request(&scene->nl, &request, BITMEM_NL_CMD_POOL_GET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, 0);
	return bn_call(&scene->nl, &request, ignore, NULL);
}

static int run_netlink_pool_dump(struct scene *scene)
{
	return bn_dump(&scene->nl, BITMEM_NL_CMD_POOL_GET, ignore, NULL);
}

/* As it is: so that it is the same afterwards. */
static int run_netlink_pool_set(struct scene *scene)
{
	struct bn_request request;

	bn_request(&scene->nl, &request, BITMEM_NL_CMD_POOL_SET, 0);
	bn_put_u32(&request, BITMEM_A_POOL_INDEX, 0);
	bn_put_u64(&request, BITMEM_A_POOL_MAX_BYTES, scene->t->before[0].out_max);
	bn_put_u64(&request, BITMEM_A_POOL_LOW, scene->t->before[0].out_low);
	return bn_call(&scene->nl, &request, ignore, NULL);
}

static int run_netlink_buffer_dump(struct scene *scene)
{
	return bn_dump(&scene->nl, BITMEM_NL_CMD_BUFFER_GET, ignore, NULL);
}

static int run_netlink_quota_dump(struct scene *scene)
{
	return bn_dump(&scene->nl, BITMEM_NL_CMD_QUOTA_GET, ignore, NULL);
}

static int run_netlink_superblock_dump(struct scene *scene)
{
	return bn_dump(&scene->nl, BITMEM_NL_CMD_SUPERBLOCK_GET, ignore, NULL);
}

/* Of a user that nobody is. */
static int set_quota(struct scene *scene, uint64_t limit)
{
	struct bn_request request;

	bn_request(&scene->nl, &request, BITMEM_NL_CMD_QUOTA_SET, 0);
	bn_put_u32(&request, BITMEM_A_QUOTA_UID, 54321);
	bn_put_u64(&request, BITMEM_A_QUOTA_LIMIT, limit);
	return bn_call(&scene->nl, &request, ignore, NULL);
}

static int run_netlink_quota_set(struct scene *scene)
{
	return set_quota(scene, 1024 * BT_MIB) ?: set_quota(scene, BITMEM_NO_LIMIT);
}

/*
 * Where making a ring fails at the wrong place, kernels before 6.13 lose a node of an xarray
 * (7eb75ce75271, "io_uring/tctx: work around xa_store() allocation error issue"): not ours.
 */
static int add_ring(struct scene *scene)
{
	struct bitmem_info info;
	int err = bt_info(scene->fd, &info);
	bool fails;

	if (!err && !(info.out_features & BITMEM_FEATURE_URING))
		return -ENOENT;
	fails = bt_fail_self(false);
	err = err ?: io_uring_queue_init(4, &scene->ring, 0);
	bt_fail_self(fails);
	scene->has_ring = !err;
	return err;
}

static int with_file_and_ring(struct scene *scene)
{
	return with_file(scene) ?: add_ring(scene);
}

static int with_mapping_and_ring(struct scene *scene)
{
	return with_mapping(scene) ?: add_ring(scene);
}

static int with_holes_and_ring(struct scene *scene)
{
	return with_holes(scene) ?: add_ring(scene);
}

/* One command from beginning to end. */
static int command(struct scene *scene, uint32_t cmd, void *arg)
{
	struct bitmem_uring payload = { .arg = (uintptr_t)arg };
	struct io_uring_sqe *sqe = io_uring_get_sqe(&scene->ring);
	struct io_uring_cqe *cqe;
	int err;

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, scene->fd, NULL, 0, 0);
	sqe->cmd_op = cmd;
	memcpy(sqe->cmd, &payload, sizeof(payload));
	err = io_uring_submit(&scene->ring);
	if (err < 0)
		return err;
	err = io_uring_wait_cqe(&scene->ring, &cqe);
	if (err)
		return err;
	err = cqe->res;
	io_uring_cqe_seen(&scene->ring, cqe);
	return err;
}

static int run_uring_alloc(struct scene *scene)
{
	scene->alloc = (struct bitmem_alloc){
		.size = sizeof(scene->alloc), .length = scene->length,
		.node = BITMEM_NODE_ANY,
	};
	return command(scene, BITMEM_ALLOC, &scene->alloc);
}

static int run_uring_free(struct scene *scene)
{
	struct bitmem_free arg = { .size = sizeof(arg), .id = scene->alloc.out_id };

	return command(scene, BITMEM_FREE, &arg);
}

static int range(struct scene *scene, uint32_t cmd)
{
	struct bitmem_range arg = {
		.size = sizeof(arg), .id = scene->alloc.out_id, .length = scene->length,
	};

	return command(scene, cmd, &arg);
}

static int run_uring_commit(struct scene *scene)
{
	return range(scene, BITMEM_COMMIT);
}

static int run_uring_decommit(struct scene *scene)
{
	return range(scene, BITMEM_DECOMMIT);
}

DEFINE(netlink_info, with_netlink);
DEFINE(netlink_pool_get, with_netlink);
DEFINE(netlink_pool_dump, with_netlink);
DEFINE(netlink_pool_set, with_netlink);
DEFINE(netlink_buffer_dump, with_netlink);
DEFINE(netlink_quota_dump, with_netlink);
DEFINE(netlink_superblock_dump, with_netlink);
DEFINE(netlink_quota_set, with_netlink);
DEFINE(uring_alloc, with_file_and_ring);
DEFINE(uring_free, with_mapping_and_ring);
DEFINE(uring_commit, with_holes_and_ring);
DEFINE(uring_decommit, with_mapping_and_ring);
