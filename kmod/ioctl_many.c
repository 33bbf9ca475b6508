// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctls that do the same many times in one call: ALLOC_MANY, FREE_MANY.
 *
 * Each entry is a call of its own, done to its end before the next begins: what
 * was done when one fails stays, and @out_done says how much that is. It is
 * written once before anything is done, so that a caller who cannot be told is
 * refused while there is nothing to tell.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "ioctl.h"

/* The least that a caller passes of a struct bitmem_alloc. */
#define BM_ENTRY_MIN	offsetofend(struct bitmem_alloc, out_length)

/* Between two entries: others want the CPU, or somebody wants us gone. */
static int bm_many_pause(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* Whether the array is one that can be: @count entries of @size bytes at @address. */
static int bm_many_check(u64 address, u32 count, u32 size)
{
	u64 end;

	if (!count || count > BITMEM_MANY_MAX)
		return -EINVAL;
	if (check_add_overflow(address, (u64)count * size, &end))
		return -EOVERFLOW;
	return 0;
}

/* One entry, by the rules of ioctls: its first member is its size. */
static int bm_alloc_entry(struct bm_file *file, void __user *uentry, u32 room)
{
	struct bm_handle *handle;
	struct bitmem_alloc arg;
	u32 size;
	int ret;

	if (get_user(size, (u32 __user *)uentry))
		return -EFAULT;
	if (size < BM_ENTRY_MIN || size > room)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&arg, sizeof(arg), uentry, size);
	if (ret)
		return ret;
	/* Another thread may have changed it since it was read first. */
	arg.size = size;
	handle = bm_alloc_one(file, &arg, false);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	if (copy_to_user(uentry, &arg, min_t(size_t, size, sizeof(arg)))) {
		bm_handle_abort(handle);
		return -EFAULT;
	}
	bm_handle_publish(handle);
	return 0;
}

int bm_ioctl_alloc_many(struct bm_call *call)
{
	struct bitmem_alloc_many *arg = &call->args.alloc_many;
	int ret;

	arg->out_done = 0;
	if (bm_respond(call))
		return -EFAULT;
	if (arg->flags || arg->__reserved)
		return -EOPNOTSUPP;
	if (arg->entry_size < BM_ENTRY_MIN || arg->entry_size % sizeof(u64))
		return -EINVAL;
	ret = bm_many_check(arg->entries, arg->count, arg->entry_size);
	while (!ret && arg->out_done < arg->count) {
		u64 at = arg->entries + (u64)arg->out_done * arg->entry_size;

		ret = bm_many_pause() ?:
		      bm_alloc_entry(call->file, u64_to_user_ptr(at), arg->entry_size);
		arg->out_done += !ret;
	}
	/* That nobody can be told of an error does not make it another one. */
	return bm_respond(call) ? ret ?: -EFAULT : ret;
}

int bm_ioctl_free_many(struct bm_call *call)
{
	struct bitmem_free_many *arg = &call->args.free_many;
	u32 __user *ids = u64_to_user_ptr(arg->ids);
	u32 id;
	int ret;

	arg->out_done = 0;
	if (bm_respond(call))
		return -EFAULT;
	if (arg->flags)
		return -EOPNOTSUPP;
	ret = bm_many_check(arg->ids, arg->count, sizeof(id));
	while (!ret && arg->out_done < arg->count) {
		ret = bm_many_pause();
		if (!ret && get_user(id, &ids[arg->out_done]))
			ret = -EFAULT;
		if (!ret && !bm_handle_drop(call->file, id, NULL))
			ret = -ENOENT;
		arg->out_done += !ret;
	}
	return bm_respond(call) ? ret ?: -EFAULT : ret;
}
