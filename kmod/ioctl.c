// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctls: looking the command up and copying its arguments in, by the same rules
 * for all (see the uAPI header). What the commands do is in ioctl_*.c.
 */
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "ioctl.h"

/* A command: what it does, its structure's size, and the least that a caller must pass. */
struct bm_command {
	int (*execute)(struct bm_call *call);
	__u32 size;
	__u32 min_size;
};

#define BM_COMMAND(_cmd, _fn, _struct, _last)						\
	[_IOC_NR(_cmd) - BITMEM_CMD_BASE] = {						\
		.execute = _fn,								\
		.size = sizeof(_struct) +						\
			BUILD_BUG_ON_ZERO(sizeof(union bm_args) < sizeof(_struct)),	\
		.min_size = offsetofend(_struct, _last),				\
	}

static const struct bm_command bm_commands[] = {
	BM_COMMAND(BITMEM_INFO, bm_ioctl_info, struct bitmem_info, __out_reserved),
	BM_COMMAND(BITMEM_POOL_INFO, bm_ioctl_pool_info, struct bitmem_pool_info, out_moved),
	BM_COMMAND(BITMEM_ALLOC, bm_ioctl_alloc, struct bitmem_alloc, out_length),
	BM_COMMAND(BITMEM_FREE, bm_ioctl_free, struct bitmem_free, __reserved),
	BM_COMMAND(BITMEM_QUERY, bm_ioctl_query, struct bitmem_query, out_tag),
	BM_COMMAND(BITMEM_ALLOC_MANY, bm_ioctl_alloc_many, struct bitmem_alloc_many, __reserved),
	BM_COMMAND(BITMEM_FREE_MANY, bm_ioctl_free_many, struct bitmem_free_many, ids),
	BM_COMMAND(BITMEM_COMMIT, bm_ioctl_commit, struct bitmem_range, out_promoted),
	BM_COMMAND(BITMEM_DECOMMIT, bm_ioctl_decommit, struct bitmem_range, out_promoted),
	BM_COMMAND(BITMEM_EXPORT, bm_ioctl_export, struct bitmem_export, out_fd),
	BM_COMMAND(BITMEM_IMPORT, bm_ioctl_import, struct bitmem_import, out_length),
	BM_COMMAND(BITMEM_PUBLISH, bm_ioctl_publish, struct bitmem_publish, name),
	BM_COMMAND(BITMEM_ATTACH, bm_ioctl_attach, struct bitmem_attach, out_length),
	BM_COMMAND(BITMEM_MIGRATE, bm_ioctl_migrate, struct bitmem_migrate, out_skipped),
	BM_COMMAND(BITMEM_COMPACT, bm_ioctl_compact, struct bitmem_compact, out_skipped),
	BM_COMMAND(BITMEM_TRIM, bm_ioctl_trim, struct bitmem_compact, out_skipped),
	BM_COMMAND(BITMEM_LIMIT, bm_ioctl_limit, struct bitmem_limit, out_used),
	BM_COMMAND(BITMEM_SEGMENTS, bm_ioctl_segments, struct bitmem_segments, out_next),
};

/* Copies the arguments back, outputs and all, as far as the caller has room. */
int bm_respond(struct bm_call *call)
{
	if (copy_to_user(call->uarg, &call->args, min(call->user_size, call->known_size)))
		return -EFAULT;
	return 0;
}

/**
 * bm_execute() - carry a command out
 * @file: on whose behalf
 * @cmd: the ioctl's number
 * @uarg: the address of its structure
 * @nowait: -EAGAIN rather than wait
 *
 * Return: 0 or -errno, as the uAPI header has it.
 */
int bm_execute(struct bm_file *file, unsigned int cmd, void __user *uarg, bool nowait)
{
	struct bm_call call = { .file = file, .uarg = uarg, .nowait = nowait };
	unsigned int nr = _IOC_NR(cmd) - BITMEM_CMD_BASE;
	int ret;

	if (nr >= ARRAY_SIZE(bm_commands) || cmd != _IO(BITMEM_TYPE, _IOC_NR(cmd)))
		return -ENOTTY;
	if (get_user(call.user_size, (u32 __user *)call.uarg))
		return -EFAULT;
	nr = array_index_nospec(nr, ARRAY_SIZE(bm_commands));
	if (call.user_size < bm_commands[nr].min_size)
		return -EINVAL;
	/* No structure will ever be longer; looking for zeros in gigabytes takes long. */
	if (call.user_size > PAGE_SIZE)
		return -E2BIG;
	call.known_size = bm_commands[nr].size;
	ret = copy_struct_from_user(&call.args, call.known_size, call.uarg, call.user_size);
	if (ret)
		return ret;
	/* Another thread may have changed it since it was read first. */
	call.args.size = call.user_size;
	return bm_commands[nr].execute(&call);
}

long bm_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	return bm_execute(filp->private_data, cmd, (void __user *)arg, false);
}
