// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings.
 *
 * .fault returns the page with a reference, and the core does the rest: it maps
 * a whole superblock by one PMD when the page is part of a compound page of that
 * order, the VMA is aligned with its offset, and i_size covers the range. For
 * i_size, every opened file's f_mapping is that of one private inode, the device
 * node's own having size 0.
 *
 * The VMAs are ordinary ones: not VM_PFNMAP, VM_IO or VM_MIXEDMAP, and without
 * page_mkwrite. So get_user_pages() works on them, of any duration, and with it
 * O_DIRECT, io_uring's fixed buffers and RDMA.
 *
 * A buffer's table of pages does not change while it lives, so faults take no
 * lock.
 */
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "bitmem.h"
#include "compat.h"

#define BM_FS_MAGIC	0x6269746d	/* "bitm" */

static struct vfsmount *bm_mnt;
static int bm_mnt_count;
static struct inode *bm_inode;

static int bm_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, BM_FS_MAGIC) ? 0 : -ENOMEM;
}

/* No .owner: the mount lives as long as the module, and must not keep it. */
static struct file_system_type bm_fs_type = {
	.name		 = "bitmem",
	.init_fs_context = bm_fs_init_context,
	.kill_sb	 = kill_anon_super,
};

int bm_map_init(void)
{
	int ret = simple_pin_fs(&bm_fs_type, &bm_mnt, &bm_mnt_count);

	if (ret)
		return ret;
	bm_inode = alloc_anon_inode(bm_mnt->mnt_sb);
	if (IS_ERR(bm_inode)) {
		simple_release_fs(&bm_mnt, &bm_mnt_count);
		return PTR_ERR(bm_inode);
	}
	i_size_write(bm_inode, MAX_LFS_FILESIZE);
	return 0;
}

void bm_map_exit(void)
{
	iput(bm_inode);
	simple_release_fs(&bm_mnt, &bm_mnt_count);
}

/* Puts an opened file's mappings into the common offset space. */
void bm_map_open(struct file *filp)
{
	filp->f_mapping = bm_inode->i_mapping;
}

static void bm_vm_open(struct vm_area_struct *vma)
{
	struct bm_buffer *buf = vma->vm_private_data;

	kref_get(&buf->kref);
	atomic_inc(&buf->mappings);
}

static void bm_vm_close(struct vm_area_struct *vma)
{
	struct bm_buffer *buf = vma->vm_private_data;

	if (atomic_dec_and_test(&buf->mappings) && buf->anon)
		bm_buffer_drop_id(buf);
	bm_buffer_put(buf);
}

static vm_fault_t bm_vm_fault(struct vm_fault *vmf)
{
	struct bm_buffer *buf = vmf->vma->vm_private_data;
	unsigned long index = vmf->pgoff - (buf->offset >> PAGE_SHIFT);

	if (index >= buf->npages)
		return VM_FAULT_SIGBUS;
	vmf->page = bm_buffer_page(buf, index);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct bm_vm_ops = {
	.open	= bm_vm_open,
	.close	= bm_vm_close,
	.fault	= bm_vm_fault,
};

/* A new buffer for a mapping at offset 0, with the mapping's reference, or an ERR_PTR. */
static struct bm_buffer *bm_map_anon(struct bm_file *file, unsigned long npages)
{
	struct bm_request req = {
		.npages	= npages,
		.node	= BITMEM_NODE_ANY,
		.anon	= true,
	};
	struct bm_buffer *buf = bm_buffer_create(file, &req);

	if (IS_ERR(buf))
		return buf;
	/* The mapping's; the reference of the creation becomes the id's. */
	kref_get(&buf->kref);
	atomic_inc(&buf->mappings);
	bm_buffer_publish(buf);
	return buf;
}

/*
 * The buffer at @pgoff that covers @npages from there, with a mapping's reference,
 * or an ERR_PTR.
 */
static struct bm_buffer *bm_map_find(struct bm_file *file, pgoff_t pgoff, unsigned long npages)
{
	struct bm_buffer *buf;
	unsigned long index;

	if (pgoff > MAX_LFS_FILESIZE >> PAGE_SHIFT)
		return ERR_PTR(-ENXIO);
	buf = bm_offset_find(file, (u64)pgoff << PAGE_SHIFT);
	if (!buf)
		return ERR_PTR(-ENXIO);
	index = pgoff - (buf->offset >> PAGE_SHIFT);
	if (index >= buf->npages || npages > buf->npages - index) {
		bm_buffer_put(buf);
		return ERR_PTR(-ENXIO);
	}
	atomic_inc(&buf->mappings);
	return buf;
}

int bm_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct bm_file *file = filp->private_data;
	struct bm_buffer *buf;

	/* Not VM_SHARED: the core clears that for files opened read-only. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff)
		buf = bm_map_find(file, vma->vm_pgoff, vma_pages(vma));
	else
		buf = bm_map_anon(file, vma_pages(vma));
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	if (!vma->vm_pgoff)
		vma->vm_pgoff = buf->offset >> PAGE_SHIFT;
	vma->vm_private_data = buf;
	vma->vm_ops = &bm_vm_ops;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}
