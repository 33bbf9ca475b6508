// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring: some ioctls as commands of a ring.
 *
 * A command is tried once where it is submitted, which must not take long: what
 * would wait gives -EAGAIN there, and io_uring calls again from a worker, which
 * may. FREE never waits, ALLOC does not if zeroed pages are at hand. COMMIT and
 * DECOMMIT wait for whoever else changes the buffer (compaction, say), so they
 * are the workers' from the start. No command is ever left pending here: there
 * is nothing to cancel when a ring goes.
 */
#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/uaccess.h>

#include "bitmem.h"
#include "compat.h"

static_assert(sizeof(struct bitmem_uring) ==
	      sizeof(struct io_uring_sqe) - offsetof(struct io_uring_sqe, cmd));

/* Read once: the SQE is in memory that the caller may be writing to. */
static int bm_uring_arg(const struct bitmem_uring *payload, void __user **uarg)
{
	if (READ_ONCE(payload->__reserved))
		return -EOPNOTSUPP;
	*uarg = u64_to_user_ptr(READ_ONCE(payload->arg));
	return 0;
}

/**
 * bm_uring_cmd() - the device file's .uring_cmd
 * @cmd: the command
 * @issue_flags: IO_URING_F_NONBLOCK where waiting is not welcome
 *
 * Return: what the ioctl of the same number would, or -EOPNOTSUPP where io_uring
 * does not take it.
 */
int bm_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	bool nowait = issue_flags & IO_URING_F_NONBLOCK;
	void __user *uarg;
	int ret;

	if (cmd->flags & IORING_URING_CMD_MASK)
		return -EOPNOTSUPP;
	switch (cmd->cmd_op) {
	case BITMEM_ALLOC:
	case BITMEM_FREE:
		break;
	case BITMEM_COMMIT:
	case BITMEM_DECOMMIT:
		if (nowait)
			return -EAGAIN;
		break;
	default:
		return -EOPNOTSUPP;
	}
	ret = bm_uring_arg(bm_uring_payload(cmd), &uarg);
	if (ret)
		return ret;
	return bm_execute(cmd->file->private_data, cmd->cmd_op, uarg, nowait);
}
