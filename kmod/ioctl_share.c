// SPDX-License-Identifier: GPL-2.0
/*
 * Ioctls that bring buffers to other files: EXPORT and IMPORT by descriptor,
 * PUBLISH and ATTACH by name.
 *
 * What a call makes is seen by nobody, the other threads of its own process
 * included, before its outputs are with the caller: until then it can be undone.
 */
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/string.h>

#include "ioctl.h"

/* A descriptor of a new dma-buf for @buf, told to the caller before it is installed. */
static int bm_export(struct bm_call *call, struct bm_buffer *buf, bool readonly)
{
	struct dma_buf *dmabuf;
	int fd, ret;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	dmabuf = bm_dmabuf_export(buf, readonly, O_RDWR);
	if (IS_ERR(dmabuf)) {
		put_unused_fd(fd);
		return PTR_ERR(dmabuf);
	}
	call->args.export.out_fd = fd;
	ret = bm_respond(call);
	if (ret) {
		dma_buf_put(dmabuf);
		put_unused_fd(fd);
		return ret;
	}
	fd_install(fd, dmabuf->file);
	return 0;
}

int bm_ioctl_export(struct bm_call *call)
{
	struct bitmem_export *arg = &call->args.export;
	bool readonly_asked = arg->flags & BITMEM_EXPORT_READONLY;
	struct bm_buffer *buf;
	u32 id = arg->id;
	bool readonly;
	int ret;

	if (arg->flags & ~BITMEM_EXPORT_READONLY)
		return -EOPNOTSUPP;
	buf = bm_handle_find(call->file, &id, false, &readonly);
	if (!buf)
		return -ENOENT;
	if (readonly && !readonly_asked)
		ret = -EACCES;
	else
		ret = bm_export(call, buf, readonly_asked);
	bm_buffer_put(buf);
	return ret;
}

/* Publishes the handle if the caller has been told of it. */
static int bm_hand_over(struct bm_call *call, struct bm_handle *handle)
{
	int ret = bm_respond(call);

	if (ret)
		bm_handle_abort(handle);
	else
		bm_handle_publish(handle);
	return ret;
}

int bm_ioctl_import(struct bm_call *call)
{
	struct bitmem_import *arg = &call->args.import;
	struct bm_handle *handle;
	struct bm_buffer *buf;
	bool readonly;

	if (arg->flags)
		return -EOPNOTSUPP;
	buf = bm_dmabuf_import(arg->fd, &readonly);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	handle = bm_handle_new(call->file, buf, readonly);
	/* The handle has a reference of its own. */
	bm_buffer_put(buf);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	arg->out_id = handle->id;
	arg->out_offset = handle->buf->offset;
	arg->out_length = (u64)handle->buf->npages << PAGE_SHIFT;
	return bm_hand_over(call, handle);
}

int bm_ioctl_publish(struct bm_call *call)
{
	struct bitmem_publish *arg = &call->args.publish;
	bool remove = arg->flags & BITMEM_PUBLISH_REMOVE;
	struct bm_buffer *buf;
	u32 id = arg->id;
	int ret;

	if (arg->flags & ~BITMEM_PUBLISH_REMOVE)
		return -EOPNOTSUPP;
	if (remove && (arg->mode || memchr_inv(arg->name, 0, sizeof(arg->name))))
		return -EINVAL;
	buf = bm_handle_find(call->file, &id, false, NULL);
	if (!buf)
		return -ENOENT;
	if (buf->file != call->file)
		ret = -EACCES;
	else
		ret = remove ? bm_name_remove(buf) : bm_name_publish(buf, arg);
	bm_buffer_put(buf);
	return ret;
}

int bm_ioctl_attach(struct bm_call *call)
{
	struct bitmem_attach *arg = &call->args.attach;
	struct bm_handle *handle;
	struct bm_buffer *buf;
	bool readonly;

	if ((arg->flags & ~BITMEM_ATTACH_READONLY) || arg->__reserved)
		return -EOPNOTSUPP;
	buf = bm_name_find(arg, &readonly);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	handle = bm_handle_new(call->file, buf, readonly);
	/* The handle has a reference of its own. */
	bm_buffer_put(buf);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	arg->out_id = handle->id;
	arg->__out_reserved = 0;
	arg->out_offset = handle->buf->offset;
	arg->out_length = (u64)handle->buf->npages << PAGE_SHIFT;
	return bm_hand_over(call, handle);
}
