// SPDX-License-Identifier: GPL-2.0
/*
 * What the sequences of failnth begin with and end with, those that are ioctls, and
 * whole lives of buffers.
 */
#include "bitmem_dmabuf.h"
#include "failnth.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define MANY	5

void scene_begin(struct scene *scene, const struct bt *t)
{
	memset(scene, 0, sizeof(*scene));
	scene->t = t;
	scene->fd = scene->other = scene->dmabuf = -1;
	scene->pipe[0] = scene->pipe[1] = -1;
	/* Two superblocks that are whole and a tail that is not. */
	scene->length = 2 * t->superblock + 5 * t->page;
}

void scene_end(struct scene *scene)
{
	const int fds[] = {
		scene->fd, scene->other, scene->dmabuf, scene->pipe[0], scene->pipe[1],
	};
	size_t i;

	if (scene->child > 0)
		bt_reap(scene->child);
	if (scene->has_ring)
		io_uring_queue_exit(&scene->ring);
	if (scene->has_nl)
		bn_close(&scene->nl);
	if (scene->memory)
		munmap(scene->memory, scene->length);
	for (i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

int with_nothing(struct scene *scene)
{
	return scene->fd < 0 ? 0 : -EINVAL;
}

int with_file(struct scene *scene)
{
	scene->fd = bt_open();
	return scene->fd < 0 ? -errno : 0;
}

int with_buffer(struct scene *scene)
{
	return with_file(scene) ?: bt_alloc(scene->fd, scene->length, &scene->alloc);
}

int scene_map(struct scene *scene)
{
	scene->memory = bt_map(scene->fd, scene->length, scene->alloc.out_offset);
	return scene->memory ? 0 : -errno;
}

int with_mapping(struct scene *scene)
{
	int err = with_buffer(scene) ?: scene_map(scene);

	if (!err)
		bt_touch(scene->memory, scene->length, scene->t->page);
	return err;
}

static int commit(struct scene *scene, uint64_t offset, uint64_t length)
{
	struct bitmem_range range;

	return bt_range(scene->fd, BITMEM_COMMIT, scene->alloc.out_id, offset, length, &range);
}

static int decommit(struct scene *scene, uint64_t offset, uint64_t length)
{
	struct bitmem_range range;

	return bt_range(scene->fd, BITMEM_DECOMMIT, scene->alloc.out_id, offset, length, &range);
}

/* The second half of the first superblock and all of the second are gone. */
int with_holes(struct scene *scene)
{
	const uint64_t half = scene->t->superblock / 2;

	return with_mapping(scene) ?: decommit(scene, half, 3 * half);
}

int scene_export(struct scene *scene)
{
	scene->dmabuf = bt_export(scene->fd, scene->alloc.out_id, 0);
	return scene->dmabuf < 0 ? scene->dmabuf : 0;
}

int with_dmabuf(struct scene *scene)
{
	return with_buffer(scene) ?: scene_export(scene);
}

static int run_open(struct scene *scene)
{
	return with_file(scene);
}

static int run_info(struct scene *scene)
{
	struct bitmem_info info;

	return bt_info(scene->fd, &info);
}

static int run_pool_info(struct scene *scene)
{
	struct bitmem_pool_info info;

	return bt_pool(scene->fd, 0, &info);
}

static int run_poll(struct scene *scene)
{
	struct pollfd fd = { .fd = scene->fd, .events = POLLPRI };

	return poll(&fd, 1, 0) < 0 ? -errno : 0;
}

static int run_fdinfo(struct scene *scene)
{
	char path[64], text[4096];
	int err = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", scene->fd);
	scene->other = open(path, O_RDONLY | O_CLOEXEC);
	if (scene->other < 0 || read(scene->other, text, sizeof(text)) < 0)
		err = -errno;
	return err;
}

static int run_alloc_page(struct scene *scene)
{
	return bt_alloc(scene->fd, scene->t->page, &scene->alloc);
}

static int run_alloc_superblocks(struct scene *scene)
{
	return bt_alloc(scene->fd, scene->length, &scene->alloc);
}

static int alloc_as(struct scene *scene, size_t length, int node, uint32_t flags)
{
	return bt_alloc_on(scene->fd, length, node, flags, &scene->alloc);
}

static int run_alloc_contiguous(struct scene *scene)
{
	return alloc_as(scene, 3 * scene->t->page, BITMEM_NODE_ANY, BITMEM_ALLOC_CONTIG);
}

static int run_alloc_bound(struct scene *scene)
{
	return alloc_as(scene, scene->length, 0, BITMEM_ALLOC_BIND);
}

static int run_alloc_nowait(struct scene *scene)
{
	return alloc_as(scene, scene->length, BITMEM_NODE_ANY, BITMEM_ALLOC_NOWAIT);
}

static int run_free(struct scene *scene)
{
	return bt_free(scene->fd, scene->alloc.out_id);
}

static int run_query(struct scene *scene)
{
	uint64_t nodes[4];
	struct bitmem_query query = {
		.size = sizeof(query), .flags = BITMEM_QUERY_NEXT,
		.node_count = ARRAY_LEN(nodes), .node_bytes = (uintptr_t)nodes,
	};

	return bt_ioctl(scene->fd, BITMEM_QUERY, &query);
}

static int alloc_many(struct scene *scene, struct bitmem_alloc *entries)
{
	struct bitmem_alloc_many arg = {
		.size = sizeof(arg), .count = MANY, .entries = (uintptr_t)entries,
		.entry_size = sizeof(*entries),
	};
	int i;

	memset(entries, 0, MANY * sizeof(*entries));
	for (i = 0; i < MANY; i++) {
		entries[i].size = sizeof(entries[i]);
		entries[i].length = i & 1 ? scene->t->superblock : scene->t->page;
		entries[i].node = BITMEM_NODE_ANY;
	}
	return bt_ioctl(scene->fd, BITMEM_ALLOC_MANY, &arg);
}

static int run_alloc_many(struct scene *scene)
{
	struct bitmem_alloc entries[MANY];

	return alloc_many(scene, entries);
}

/* The ids of a new file's first buffers are the smallest there are. */
static int with_many(struct scene *scene)
{
	struct bitmem_alloc entries[MANY];

	return with_file(scene) ?: alloc_many(scene, entries);
}

static int run_free_many(struct scene *scene)
{
	uint32_t ids[MANY];
	struct bitmem_free_many arg = {
		.size = sizeof(arg), .count = MANY, .ids = (uintptr_t)ids,
	};
	struct bitmem_query query = {};
	int i, err;

	for (i = 0; i < MANY; i++) {
		err = bt_query(scene->fd, query.out_id, BITMEM_QUERY_NEXT, &query);
		if (err)
			return err;
		ids[i] = query.out_id;
	}
	return bt_ioctl(scene->fd, BITMEM_FREE_MANY, &arg);
}

static int run_decommit_part(struct scene *scene)
{
	return decommit(scene, scene->t->page, scene->t->superblock / 2);
}

static int run_decommit_all(struct scene *scene)
{
	return decommit(scene, 0, scene->length);
}

/* A part of what is gone, so that the first superblock stays split. */
static int run_commit(struct scene *scene)
{
	return commit(scene, scene->t->superblock / 2, scene->t->page);
}

static int run_promote(struct scene *scene)
{
	return commit(scene, 0, scene->length);
}

static int run_migrate(struct scene *scene)
{
	const struct bitmem_pool_info *pools = scene->t->before;
	struct bitmem_migrate out;

	return bt_migrate(scene->fd, scene->alloc.out_id, pools[0].out_node, &out) ?:
	       bt_migrate(scene->fd, scene->alloc.out_id,
			  pools[scene->t->pools - 1].out_node, &out);
}

static int each_pool(struct scene *scene, unsigned long cmd)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < scene->t->pools && !err; i++) {
		struct bitmem_compact arg = { .size = sizeof(arg), .index = i };

		err = bt_ioctl(scene->fd, cmd, &arg);
	}
	return err;
}

static int run_compact(struct scene *scene)
{
	return each_pool(scene, BITMEM_COMPACT);
}

/* Nothing is above the reserve, or the pool would not be the same afterwards. */
static int with_reserve(struct scene *scene)
{
	uint32_t i;

	for (i = 0; i < scene->t->pools; i++) {
		if (scene->t->before[i].out_reserve < scene->t->before[i].out_capacity)
			return -ENOENT;
	}
	return with_file(scene);
}

static int run_trim(struct scene *scene)
{
	return each_pool(scene, BITMEM_TRIM);
}

static int run_limit(struct scene *scene)
{
	struct bitmem_limit arg = { .size = sizeof(arg), .limit = scene->length };

	return bt_ioctl(scene->fd, BITMEM_LIMIT, &arg);
}

static int run_segments(struct scene *scene)
{
	struct bitmem_segment entries[8];
	struct bitmem_segments arg = {
		.size = sizeof(arg), .id = scene->alloc.out_id,
		.count = ARRAY_LEN(entries), .entries = (uintptr_t)entries,
	};

	return bt_ioctl(scene->fd, BITMEM_SEGMENTS, &arg);
}

/* One name a thread. */
static void own_name(char name[BITMEM_NAME_LEN])
{
	memset(name, 0, BITMEM_NAME_LEN);
	snprintf(name, BITMEM_NAME_LEN, "failnth-%d", gettid());
}

static int publish(struct scene *scene)
{
	char name[BITMEM_NAME_LEN];

	own_name(name);
	return bt_publish(scene->fd, scene->alloc.out_id, name, 0600);
}

static int run_publish(struct scene *scene)
{
	return publish(scene) ?: bt_unpublish(scene->fd, scene->alloc.out_id);
}

static int with_name(struct scene *scene)
{
	int err = with_buffer(scene) ?: publish(scene);

	if (!err) {
		scene->other = bt_open();
		err = scene->other < 0 ? -errno : 0;
	}
	return err;
}

static int run_attach(struct scene *scene)
{
	struct bitmem_attach attach;
	char name[BITMEM_NAME_LEN];

	own_name(name);
	return bt_attach(scene->other, BITMEM_UID_SELF, name, 0, &attach);
}

static int run_life(struct scene *scene)
{
	const uint64_t half = scene->t->superblock / 2;
	struct bitmem_import import;
	int err;

	err = with_mapping(scene) ?:
	      decommit(scene, half, half) ?:
	      commit(scene, half, half / 2) ?:
	      each_pool(scene, BITMEM_COMPACT) ?:
	      commit(scene, 0, scene->length) ?:
	      run_migrate(scene) ?:
	      scene_export(scene) ?:
	      bt_import(scene->fd, scene->dmabuf, &import) ?:
	      bt_free(scene->fd, scene->alloc.out_id);
	return err;
}

/* A buffer that outlives its file by a mapping of another one. */
static int run_life_shared(struct scene *scene)
{
	struct bitmem_attach attach;
	char name[BITMEM_NAME_LEN];
	struct bitmem_range range;
	int err = with_name(scene);

	if (err)
		return err;
	own_name(name);
	err = bt_attach(scene->other, BITMEM_UID_SELF, name, 0, &attach);
	if (err)
		return err;
	scene->memory = bt_map(scene->other, scene->length, attach.out_offset);
	if (!scene->memory)
		return -errno;
	close(scene->fd);
	scene->fd = -1;
	bt_touch(scene->memory, scene->length, scene->t->page);
	return bt_range(scene->other, BITMEM_DECOMMIT, attach.out_id, 0, scene->t->page,
			&range) ?:
	       bt_free(scene->other, attach.out_id);
}

static int with_pipe(struct scene *scene)
{
	return pipe2(scene->pipe, O_CLOEXEC) ? -errno : 0;
}

/* With a page in a pipe, nothing can be done to its superblock; the rest may move. */
static int run_life_pinned(struct scene *scene)
{
	int err = with_mapping(scene);
	struct iovec iov;

	if (err)
		return err;
	iov = (struct iovec){ scene->memory + scene->t->page, scene->t->page };
	if (vmsplice(scene->pipe[1], &iov, 1, 0) < 0)
		return -errno;
	err = decommit(scene, 0, scene->length) ?: commit(scene, 0, scene->length) ?:
	      each_pool(scene, BITMEM_COMPACT);
	return err ?: bt_free(scene->fd, scene->alloc.out_id);
}

DEFINE(open, with_nothing);
DEFINE(info, with_file);
DEFINE(pool_info, with_file);
DEFINE(poll, with_file);
DEFINE(fdinfo, with_buffer);
DEFINE(alloc_page, with_file);
DEFINE(alloc_superblocks, with_file);
DEFINE(alloc_contiguous, with_file);
DEFINE(alloc_bound, with_file);
DEFINE(alloc_nowait, with_file);
DEFINE(free, with_mapping);
DEFINE(query, with_buffer);
DEFINE(alloc_many, with_file);
DEFINE(free_many, with_many);
DEFINE(decommit_part, with_mapping);
DEFINE(decommit_all, with_mapping);
DEFINE(commit, with_holes);
DEFINE(promote, with_holes);
DEFINE(migrate, with_mapping);
DEFINE(compact, with_holes);
DEFINE(trim, with_reserve);
DEFINE(limit, with_file);
DEFINE(segments, with_buffer);
DEFINE(publish, with_buffer);
DEFINE(attach, with_name);
DEFINE(life, with_nothing);
DEFINE(life_shared, with_nothing);
DEFINE(life_pinned, with_pipe);

#define ADDRESS(name)	&sequence_ ## name,
const struct sequence *const sequences[] = {
	FAILNTH_SEQUENCES(ADDRESS)
};
const size_t nr_sequences = ARRAY_LEN(sequences);
