// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/dma_heap/bitmem: the pools for clients that only know the kernel's dma-buf
 * heaps. The ioctl's number, structure, checks and errors are those of the kernel's
 * own heaps.
 *
 * A buffer from here has no id: only its dma-buf holds it. It is charged to the
 * opened file, and so to the user who opened it.
 *
 * The device is one of ours, and not made with dma_heap_add(), which is for code
 * that is never unloaded.
 */
#include <linux/compat.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/uaccess.h>
#include <uapi/linux/dma-heap.h>

#include "bitmem.h"

static int bm_heap_open(struct inode *inode, struct file *filp)
{
	struct bm_file *file;

	/* What is opened keeps the module only once it is there to stay: see bm_init(). */
	if (!smp_load_acquire(&bm_live))
		return -ENODEV;
	file = bm_file_new();
	if (IS_ERR(file))
		return PTR_ERR(file);
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int bm_heap_release(struct inode *inode, struct file *filp)
{
	struct bm_file *file = filp->private_data;

	WRITE_ONCE(file->closed, true);
	bm_file_put(file);
	return 0;
}

static struct dma_buf *bm_heap_allocate(struct bm_file *file, u64 length, unsigned int mode)
{
	static const char tag[BITMEM_TAG_LEN] = "dma-heap";
	struct bm_request req = {
		.npages	= length >> PAGE_SHIFT,
		.node	= BITMEM_NODE_ANY,
		.width	= 64,
		.tag	= tag,
	};
	struct bm_buffer *buf = bm_buffer_create(file, &req);
	struct dma_buf *dmabuf;

	if (IS_ERR(buf))
		return ERR_CAST(buf);
	dmabuf = bm_dmabuf_export(buf, false, mode);
	/* The dma-buf has a reference of its own. */
	bm_buffer_put(buf);
	return dmabuf;
}

/* Puts the dma-buf's descriptor into @arg, which the caller's @size bytes at @uarg get back. */
static int bm_heap_alloc(struct bm_file *file, struct dma_heap_allocation_data *arg,
			 void __user *uarg, size_t size)
{
	struct dma_buf *dmabuf;
	u64 length;
	int fd;

	if (arg->fd || (arg->fd_flags & ~DMA_HEAP_VALID_FD_FLAGS) ||
	    (arg->heap_flags & ~DMA_HEAP_VALID_HEAP_FLAGS))
		return -EINVAL;
	length = PAGE_ALIGN(arg->len);
	if (!length)
		return -EINVAL;
	fd = get_unused_fd_flags(arg->fd_flags);
	if (fd < 0)
		return fd;
	dmabuf = bm_heap_allocate(file, length, arg->fd_flags & O_ACCMODE);
	if (IS_ERR(dmabuf)) {
		put_unused_fd(fd);
		return PTR_ERR(dmabuf);
	}
	arg->fd = fd;
	if (copy_to_user(uarg, arg, size)) {
		dma_buf_put(dmabuf);
		put_unused_fd(fd);
		return -EFAULT;
	}
	fd_install(fd, dmabuf->file);
	return 0;
}

/*
 * The structure may grow: a shorter one than ours is taken as if zeros followed, and
 * of a longer one the end is left alone. That the numbers are told apart by _IOC_NR()
 * alone, and unknown ones are EINVAL, is what the kernel's heaps do.
 */
static long bm_heap_ioctl(struct file *filp, unsigned int cmd, unsigned long uarg)
{
	size_t size = min_t(size_t, _IOC_SIZE(cmd), sizeof(struct dma_heap_allocation_data));
	size_t in = _IOC_DIR(cmd) & _IOC_WRITE ? size : 0;
	size_t out = _IOC_DIR(cmd) & _IOC_READ ? size : 0;
	struct dma_heap_allocation_data arg = { 0 };

	if (_IOC_NR(cmd) != _IOC_NR(DMA_HEAP_IOCTL_ALLOC))
		return -EINVAL;
	if (copy_from_user(&arg, (void __user *)uarg, in))
		return -EFAULT;
	return bm_heap_alloc(filp->private_data, &arg, (void __user *)uarg, out);
}

static const struct file_operations bm_heap_fops = {
	.owner		= THIS_MODULE,
	.open		= bm_heap_open,
	.release	= bm_heap_release,
	.unlocked_ioctl	= bm_heap_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice bm_heap = {
	.minor		= MISC_DYNAMIC_MINOR,
	.name		= "bitmem-heap",
	.nodename	= "dma_heap/bitmem",
	.fops		= &bm_heap_fops,
	.mode		= 0660,
};

int bm_heap_init(void)
{
	return misc_register(&bm_heap);
}

void bm_heap_exit(void)
{
	misc_deregister(&bm_heap);
}
