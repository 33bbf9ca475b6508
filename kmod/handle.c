// SPDX-License-Identifier: GPL-2.0
/*
 * Handles: the ids by which a file knows buffers. Several files may each have an
 * id for one buffer, and a file several for the same.
 *
 * A handle is made in two steps: bm_handle_new() does everything that can fail
 * and reserves the id, under which nobody finds the buffer yet; then
 * bm_handle_publish() makes it visible, or bm_handle_abort() undoes it. A handle
 * that was found in the file's table may go at any moment; the buffer is what
 * one gets a reference on.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "bitmem.h"
#include "trace.h"

/* Counts an id more or less. False if there are as many as may be. */
static bool bm_handles_add(struct bm_buffer *buf, int n)
{
	bool room;

	spin_lock(&buf->handles_lock);
	room = n < 0 || buf->nr_handles < BITMEM_MAX_IDS;
	if (room)
		buf->nr_handles += n;
	spin_unlock(&buf->handles_lock);
	return room;
}

/* An id of @file for @buf that nobody can find yet, or an ERR_PTR. */
struct bm_handle *bm_handle_new(struct bm_file *file, struct bm_buffer *buf, bool readonly)
{
	struct bm_handle *handle = kmalloc(sizeof(*handle), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!handle)
		return ERR_PTR(-ENOMEM);
	if (!bm_handles_add(buf, 1)) {
		kfree(handle);
		return ERR_PTR(-EMFILE);
	}
	handle->file = file;
	handle->readonly = readonly;
	/* The id is taken, but leads to nothing until bm_handle_publish(). */
	ret = xa_alloc_cyclic(&file->buffers, &handle->id, NULL, xa_limit_31b, &file->next_id,
			      GFP_KERNEL_ACCOUNT);
	if (ret < 0) {
		bm_handles_add(buf, -1);
		kfree(handle);
		return ERR_PTR(ret == -EBUSY ? -ENOMEM : ret);
	}
	bm_buffer_get(buf);
	handle->buf = buf;
	return handle;
}

/* Makes the id lead to its buffer. The handle is no longer the caller's. */
void bm_handle_publish(struct bm_handle *handle)
{
	struct bm_buffer *buf = handle->buf;

	spin_lock(&buf->handles_lock);
	list_add_tail(&handle->link, &buf->handles);
	spin_unlock(&buf->handles_lock);
	/* The id is reserved, so that this needs no memory. */
	xa_store(&handle->file->buffers, handle->id, handle, GFP_KERNEL_ACCOUNT);
}

/* Undoes bm_handle_new(). */
void bm_handle_abort(struct bm_handle *handle)
{
	xa_erase(&handle->file->buffers, handle->id);
	bm_handles_add(handle->buf, -1);
	bm_buffer_put(handle->buf);
	kfree(handle);
}

/* Takes an id away; unless @only is NULL, only if it leads there. NULL if there is none. */
static struct bm_handle *bm_handle_take(struct bm_file *file, u32 id, const struct bm_buffer *only)
{
	struct bm_handle *handle;

	xa_lock(&file->buffers);
	handle = xa_load(&file->buffers, id);
	/* A reserved id is somebody's who is about to publish or abort. */
	if (handle && only && handle->buf != only)
		handle = NULL;
	if (handle)
		__xa_erase(&file->buffers, id);
	xa_unlock(&file->buffers);
	return handle;
}

/* Drops what an id that was taken away held. */
static void bm_handle_put(struct bm_handle *handle)
{
	struct bm_buffer *buf = handle->buf;

	spin_lock(&buf->handles_lock);
	list_del(&handle->link);
	buf->nr_handles--;
	spin_unlock(&buf->handles_lock);
	kfree(handle);
	bm_buffer_put(buf);
}

/*
 * Takes an id and its reference away; unless @only is NULL, only if it leads there.
 * False if there is no such id.
 */
bool bm_handle_drop(struct bm_file *file, u32 id, const struct bm_buffer *only)
{
	struct bm_handle *handle = bm_handle_take(file, id, only);

	if (handle)
		bm_handle_put(handle);
	return handle;
}

/*
 * Takes all ids of a closed file away; says what it still held. Another file's
 * last munmap() of an anonymous buffer may take one away at the same time.
 */
void bm_handle_drop_all(struct bm_file *file, unsigned long *n, u64 *bytes)
{
	struct bm_handle *handle;
	unsigned long id;

	*n = 0;
	*bytes = 0;
	xa_for_each(&file->buffers, id, handle) {
		handle = bm_handle_take(file, id, NULL);
		if (!handle)
			continue;
		(*n)++;
		*bytes += (u64)READ_ONCE(handle->buf->resident) << PAGE_SHIFT;
		bm_handle_put(handle);
		cond_resched();
	}
	xa_destroy(&file->buffers);
}

/**
 * bm_handle_find() - the buffer of an id
 * @file: whose id
 * @id: the id; with @next the id found is left here
 * @next: find the smallest id above @id instead
 * @readonly: where to say whether the file may only read it, or NULL
 *
 * Return: the buffer with a reference, or NULL.
 */
struct bm_buffer *bm_handle_find(struct bm_file *file, u32 *id, bool next, bool *readonly)
{
	struct bm_buffer *buf = NULL;
	struct bm_handle *handle;
	unsigned long index = *id;

	xa_lock(&file->buffers);
	if (next)
		handle = xa_find_after(&file->buffers, &index, ULONG_MAX, XA_PRESENT);
	else
		handle = xa_load(&file->buffers, index);
	if (handle) {
		buf = handle->buf;
		bm_buffer_get(buf);
		if (readonly)
			*readonly = handle->readonly;
		*id = index;
	}
	xa_unlock(&file->buffers);
	return buf;
}

/* Has @file an id for @buf? @readonly unless one of its ids lets it write. */
bool bm_handle_held(struct bm_file *file, struct bm_buffer *buf, bool *readonly)
{
	struct bm_handle *handle;
	bool held = false;

	*readonly = true;
	spin_lock(&buf->handles_lock);
	list_for_each_entry(handle, &buf->handles, link) {
		if (handle->file != file)
			continue;
		held = true;
		*readonly &= handle->readonly;
	}
	spin_unlock(&buf->handles_lock);
	return held;
}
