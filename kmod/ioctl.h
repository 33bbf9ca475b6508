/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ioctls: one function a command, called with its arguments copied in. Each
 * checks them, does its work, and copies them back with bm_respond().
 */
#ifndef BITMEM_IOCTL_H
#define BITMEM_IOCTL_H

#include "bitmem.h"

union bm_args {
	__u32 size;
	struct bitmem_info info;
	struct bitmem_pool_info pool_info;
	struct bitmem_alloc alloc;
	struct bitmem_free free;
	struct bitmem_query query;
	struct bitmem_alloc_many alloc_many;
	struct bitmem_free_many free_many;
	struct bitmem_range range;
	struct bitmem_export export;
	struct bitmem_import import;
	struct bitmem_publish publish;
	struct bitmem_attach attach;
	struct bitmem_migrate migrate;
	struct bitmem_compact compact;
	struct bitmem_limit limit;
	struct bitmem_segments segments;
};

/**
 * struct bm_call - one ioctl under way
 * @file: on whose behalf
 * @uarg: the caller's structure
 * @user_size: its size
 * @known_size: the size that this kernel knows
 * @nowait: the caller (io_uring) would rather have -EAGAIN than wait
 * @args: the arguments
 */
struct bm_call {
	struct bm_file *file;
	void __user *uarg;
	__u32 user_size;
	__u32 known_size;
	bool nowait;
	union bm_args args;
};

int bm_respond(struct bm_call *call);

/* ioctl_buffer.c */
struct bm_handle *bm_alloc_one(struct bm_file *file, struct bitmem_alloc *arg, bool nowait);
int bm_ioctl_alloc(struct bm_call *call);
int bm_ioctl_free(struct bm_call *call);
int bm_ioctl_query(struct bm_call *call);

/* ioctl_many.c */
int bm_ioctl_alloc_many(struct bm_call *call);
int bm_ioctl_free_many(struct bm_call *call);

/* ioctl_range.c */
int bm_ioctl_commit(struct bm_call *call);
int bm_ioctl_decommit(struct bm_call *call);
int bm_ioctl_migrate(struct bm_call *call);
int bm_ioctl_segments(struct bm_call *call);

/* ioctl_share.c */
int bm_ioctl_export(struct bm_call *call);
int bm_ioctl_import(struct bm_call *call);
int bm_ioctl_publish(struct bm_call *call);
int bm_ioctl_attach(struct bm_call *call);

/* ioctl_pool.c */
int bm_ioctl_info(struct bm_call *call);
int bm_ioctl_pool_info(struct bm_call *call);
int bm_ioctl_compact(struct bm_call *call);
int bm_ioctl_trim(struct bm_call *call);
int bm_ioctl_limit(struct bm_call *call);

#endif /* BITMEM_IOCTL_H */
