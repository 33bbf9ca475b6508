/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What failnth makes fail: calls of the device, each with what it needs to work on.
 */
#ifndef BITMEM_FAILNTH_H
#define BITMEM_FAILNTH_H

#include "bitmem_genl.h"
#include "bitmem_test.h"

#include <liburing.h>

/**
 * struct scene - all that a sequence may hold, and scene_end() gives back
 * @fd: a file of the device
 * @other: another one, or some other file
 * @dmabuf: an exported buffer
 * @pipe: where pages may be pinned
 * @alloc: a buffer of @fd
 * @memory: its mapping
 * @child: to be waited for
 */
struct scene {
	const struct bt *t;
	int fd;
	int other;
	int dmabuf;
	int pipe[2];
	struct bn nl;
	bool has_nl;
	struct io_uring ring;
	bool has_ring;
	struct bitmem_alloc alloc;
	char *memory;
	size_t length;
	pid_t child;
};

void scene_begin(struct scene *scene, const struct bt *t);
void scene_end(struct scene *scene);

/**
 * struct sequence - one thing to do
 * @prepare: what it needs; nothing fails there. -ENOENT if the kernel has no such thing
 * @run: the thing; returns the first error, and goes no further then
 */
struct sequence {
	int (*prepare)(struct scene *scene);
	int (*run)(struct scene *scene);
};

#define DEFINE(name, with)	\
	const struct sequence sequence_ ## name = { with, run_ ## name }

#define FAILNTH_SEQUENCES(X)						\
	X(open) X(info) X(pool_info) X(poll) X(fdinfo) X(alloc_page)	\
	X(alloc_superblocks) X(alloc_contiguous) X(alloc_bound)		\
	X(alloc_nowait) X(free) X(query) X(alloc_many) X(free_many)	\
	X(decommit_part) X(decommit_all) X(commit) X(promote)		\
	X(migrate) X(compact) X(trim) X(limit) X(segments)		\
	X(publish) X(attach) X(mmap) X(mmap_anonymous) X(fault)		\
	X(fault_split) X(munmap_part) X(fork) X(export) X(import)	\
	X(dmabuf_mmap) X(dmabuf_sync) X(heap) X(netlink_info)		\
	X(netlink_pool_get) X(netlink_pool_dump) X(netlink_pool_set)	\
	X(netlink_buffer_dump) X(netlink_quota_dump)			\
	X(netlink_superblock_dump)					\
	X(netlink_quota_set) X(uring_alloc) X(uring_free)		\
	X(uring_commit) X(uring_decommit) X(life) X(life_shared)	\
	X(life_pinned)

#define DECLARE_SEQUENCE(name)	extern const struct sequence sequence_ ## name;
FAILNTH_SEQUENCES(DECLARE_SEQUENCE)

extern const struct sequence *const sequences[];
extern const size_t nr_sequences;

/* failnth_scene.c, for the others: what a sequence begins with, and steps of it */
int scene_map(struct scene *scene);
int scene_export(struct scene *scene);
int with_nothing(struct scene *scene);
int with_file(struct scene *scene);
int with_buffer(struct scene *scene);
int with_mapping(struct scene *scene);
int with_holes(struct scene *scene);
int with_dmabuf(struct scene *scene);

#endif /* BITMEM_FAILNTH_H */
