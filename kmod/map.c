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
 * A fault takes the buffer's lock for reading, so that it never finds a page that
 * is just being replaced. What it returns has a reference from then on, which is
 * what keeps others from claiming the page until it is mapped.
 */
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "bitmem.h"
#include "compat.h"
#include "trace.h"

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
		bm_handle_drop(buf->file, buf->anon_id, buf);
	bm_buffer_put(buf);
}

static vm_fault_t bm_vm_fault(struct vm_fault *vmf)
{
	struct bm_buffer *buf = vmf->vma->vm_private_data;
	unsigned long index = vmf->pgoff - (buf->offset >> PAGE_SHIFT);
	struct page *page;

	if (index >= buf->npages)
		return VM_FAULT_SIGBUS;
	down_read(&buf->lock);
	page = bm_buffer_page(buf, index);
	if (page)
		get_page(page);
	up_read(&buf->lock);
	if (!page)
		return VM_FAULT_SIGBUS;
	trace_bitmem_fault(buf, index, PageCompound(page));
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct bm_vm_ops = {
	.open	= bm_vm_open,
	.close	= bm_vm_close,
	.fault	= bm_vm_fault,
};

/* Takes pages of a buffer out of all page tables, whosever they are. */
void bm_unmap(struct bm_buffer *buf, unsigned long first, unsigned long npages)
{
	unmap_mapping_range(bm_inode->i_mapping, buf->offset + ((loff_t)first << PAGE_SHIFT),
			    (loff_t)npages << PAGE_SHIFT, 1);
}

/**
 * bm_map_vma() - make a memory area show a buffer
 * @buf: the buffer
 * @vma: the area
 * @index: the buffer's page that comes first
 * @readonly: it must not be written to
 *
 * The area gets a reference of its own.
 *
 * Return: 0; -ENXIO if the buffer does not cover the area, -EACCES.
 */
int bm_map_vma(struct bm_buffer *buf, struct vm_area_struct *vma, unsigned long index,
	       bool readonly)
{
	if (index >= buf->npages || vma_pages(vma) > buf->npages - index)
		return -ENXIO;
	if (readonly) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	bm_buffer_get(buf);
	atomic_inc(&buf->mappings);
	vma->vm_pgoff = (buf->offset >> PAGE_SHIFT) + index;
	vma->vm_private_data = buf;
	vma->vm_ops = &bm_vm_ops;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}

/* Maps a new buffer, which goes with its last mapping. */
static int bm_map_anon(struct bm_file *file, struct vm_area_struct *vma)
{
	struct bm_request req = {
		.npages	= vma_pages(vma),
		.node	= BITMEM_NODE_ANY,
		.width	= 64,
		.anon	= true,
	};
	struct bm_buffer *buf = bm_buffer_create(file, &req);
	struct bm_handle *handle;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	handle = bm_handle_new(file, buf, false);
	if (IS_ERR(handle)) {
		bm_buffer_put(buf);
		return PTR_ERR(handle);
	}
	buf->anon_id = handle->id;
	/* It covers the area, and may be written to: this cannot fail. */
	bm_map_vma(buf, vma, 0, false);
	bm_handle_publish(handle);
	bm_buffer_put(buf);
	return 0;
}

/* Maps the buffer that is found at the area's offset. */
static int bm_map_found(struct bm_file *file, struct vm_area_struct *vma)
{
	struct bm_buffer *buf = NULL;
	int ret = -ENXIO;
	bool readonly;

	if (vma->vm_pgoff <= MAX_LFS_FILESIZE >> PAGE_SHIFT)
		buf = bm_offset_find((u64)vma->vm_pgoff << PAGE_SHIFT);
	if (!buf)
		return ret;
	if (bm_handle_held(file, buf, &readonly))
		ret = bm_map_vma(buf, vma, vma->vm_pgoff - (buf->offset >> PAGE_SHIFT), readonly);
	bm_buffer_put(buf);
	return ret;
}

int bm_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct bm_file *file = filp->private_data;

	/* Not VM_SHARED: the core clears that for files opened read-only. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	return vma->vm_pgoff ? bm_map_found(file, vma) : bm_map_anon(file, vma);
}
