// SPDX-License-Identifier: GPL-2.0
/*
 * dma-bufs: buffers for other drivers' devices, and for other files of this one.
 *
 * A dma-buf holds its buffer, so that the memory outlives the id and the file it
 * came from, and nothing of it can be decommitted: an importer may map it at any
 * time, and some take a failure for a bug. Nothing is moved while a device or the
 * kernel has the buffer mapped: bm_buffer_fix() is held from map_dma_buf to
 * unmap_dma_buf and from vmap to vunmap, and between these the table of pages is
 * read without a lock. In between mappings pages may move, which is why the table
 * for a device is made anew whenever it maps. User mappings, on the other hand, are
 * in the device's common offset space, and follow.
 *
 * Who gets a read-only dma-buf gets memory that neither its processor nor its
 * devices write: user mappings cannot be made writable, devices may only map it
 * DMA_TO_DEVICE (importers that always ask for DMA_BIDIRECTIONAL are out of luck),
 * and there is no vmap, for the callers of which cannot say that they only read.
 *
 * Locks: dma_resv -> buf->change; export->lock is a leaf.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "bitmem.h"
#include "compat.h"
#include "trace.h"

/**
 * struct bm_export - a dma-buf
 * @buf: the buffer, with a reference
 * @readonly: nobody may write to it by way of this dma-buf
 * @lock: guards @maps
 * @maps: devices' mappings that are there now
 */
struct bm_export {
	struct bm_buffer *buf;
	bool readonly;
	struct mutex lock;	/* @maps */
	struct list_head maps;
};

/**
 * struct bm_dma_map - a device's mapping of the whole buffer
 * @table: what the importer sees
 * @link: in the export's list
 * @dev: the device
 * @dir: who may write
 */
struct bm_dma_map {
	struct sg_table table;
	struct list_head link;
	struct device *dev;
	enum dma_data_direction dir;
};

/* --- segments --- */

/* The most pages in a segment for @dev that starts at the page frame @pfn. */
static unsigned long bm_segment_room(struct device *dev, unsigned long pfn)
{
	unsigned long boundary = dma_get_seg_boundary_nr_pages(dev, PAGE_SHIFT);
	size_t max = min_t(size_t, dma_get_max_seg_size(dev), dma_max_mapping_size(dev));

	return min(max(max >> PAGE_SHIFT, 1ul), boundary - (pfn & (boundary - 1)));
}

/* Pages from @index on that are known to be in one piece. */
static unsigned long bm_piece(const struct bm_buffer *buf, unsigned long index)
{
	unsigned long i = index >> BM_SB_ORDER;

	return buf->slots[i].head ? bm_slot_pages(buf, i) - (index & (BM_SB_PAGES - 1)) : 1;
}

/* The length in pages of the segment for @dev that starts at @index. */
static unsigned long bm_segment(const struct bm_buffer *buf, struct device *dev,
				unsigned long index)
{
	unsigned long pfn = page_to_pfn(bm_buffer_page(buf, index));
	unsigned long room = min(bm_segment_room(dev, pfn), buf->npages - index);
	unsigned long n = bm_piece(buf, index);

	while (n < room && page_to_pfn(bm_buffer_page(buf, index + n)) == pfn + n)
		n += bm_piece(buf, index + n);
	return min(n, room);
}

/* Makes the table of the buffer's pages as they are now, for @dev. The buffer is fixed. */
static int bm_segments_fill(const struct bm_buffer *buf, struct device *dev,
			    struct sg_table *table)
{
	unsigned long index, n, count = 0;
	struct scatterlist *sg;
	int ret;

	for (index = 0; index < buf->npages; index += bm_segment(buf, dev, index)) {
		count++;
		cond_resched();
	}
	if (count > UINT_MAX)
		return -EOVERFLOW;
	ret = sg_alloc_table(table, count, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	sg = table->sgl;
	for (index = 0; index < buf->npages; index += n) {
		n = bm_segment(buf, dev, index);
		sg_set_page(sg, bm_buffer_page(buf, index), n << PAGE_SHIFT, 0);
		sg = sg_next(sg);
		cond_resched();
	}
	return 0;
}

/* --- devices --- */

static struct bm_dma_map *bm_dma_map_new(const struct bm_buffer *buf, struct device *dev,
					 enum dma_data_direction dir)
{
	struct bm_dma_map *map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!map)
		return ERR_PTR(-ENOMEM);
	map->dev = dev;
	map->dir = dir;
	ret = bm_segments_fill(buf, dev, &map->table);
	if (ret)
		goto err_free;
	ret = dma_map_sgtable(dev, &map->table, dir, 0);
	if (ret)
		goto err_table;
	return map;

err_table:
	sg_free_table(&map->table);
err_free:
	kfree(map);
	return ERR_PTR(ret);
}

static struct sg_table *bm_dmabuf_map(struct dma_buf_attachment *attach,
				      enum dma_data_direction dir)
{
	struct bm_export *export = attach->dmabuf->priv;
	struct bm_dma_map *map;
	int ret;

	if (export->readonly && dir != DMA_TO_DEVICE)
		return ERR_PTR(-EACCES);
	ret = bm_buffer_fix(export->buf, true);
	if (ret)
		return ERR_PTR(ret);
	map = bm_dma_map_new(export->buf, attach->dev, dir);
	if (IS_ERR(map)) {
		bm_buffer_unfix(export->buf);
		return ERR_CAST(map);
	}
	mutex_lock(&export->lock);
	list_add(&map->link, &export->maps);
	mutex_unlock(&export->lock);
	trace_bitmem_dma_map(export->buf, map->dev, dir, &map->table);
	return &map->table;
}

static void bm_dmabuf_unmap(struct dma_buf_attachment *attach, struct sg_table *table,
			    enum dma_data_direction dir)
{
	struct bm_dma_map *map = container_of(table, struct bm_dma_map, table);
	struct bm_export *export = attach->dmabuf->priv;

	mutex_lock(&export->lock);
	list_del(&map->link);
	mutex_unlock(&export->lock);
	dma_unmap_sgtable(map->dev, table, map->dir, 0);
	sg_free_table(table);
	kfree(map);
	bm_buffer_unfix(export->buf);
}

static int bm_dmabuf_begin(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct bm_export *export = dmabuf->priv;
	struct bm_dma_map *map;

	mutex_lock(&export->lock);
	list_for_each_entry(map, &export->maps, link)
		dma_sync_sgtable_for_cpu(map->dev, &map->table, map->dir);
	mutex_unlock(&export->lock);
	return 0;
}

static int bm_dmabuf_end(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct bm_export *export = dmabuf->priv;
	struct bm_dma_map *map;

	mutex_lock(&export->lock);
	list_for_each_entry(map, &export->maps, link)
		dma_sync_sgtable_for_device(map->dev, &map->table, map->dir);
	mutex_unlock(&export->lock);
	return 0;
}

/* --- processors --- */

static int bm_dmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct bm_export *export = dmabuf->priv;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	return bm_map_vma(export->buf, vma, vma->vm_pgoff, export->readonly);
}

/* All of a fixed buffer in the kernel's address space, or NULL. */
static void *bm_vmap(const struct bm_buffer *buf)
{
	struct page **pages = kvmalloc_array(buf->npages, sizeof(*pages), GFP_KERNEL);
	unsigned long index;
	void *vaddr;

	if (!pages)
		return NULL;
	for (index = 0; index < buf->npages; index++)
		pages[index] = bm_buffer_page(buf, index);
	vaddr = vmap(pages, buf->npages, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	return vaddr;
}

/* Called for the first of its users only: the core counts them. */
static int bm_dmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct bm_export *export = dmabuf->priv;
	void *vaddr;
	int ret;

	/* The core warns of any error from here. */
	ret = bm_buffer_fix(export->buf, false);
	if (ret)
		return ret;
	vaddr = bm_vmap(export->buf);
	if (!vaddr) {
		bm_buffer_unfix(export->buf);
		return -ENOMEM;
	}
	iosys_map_set_vaddr(map, vaddr);
	return 0;
}

static void bm_dmabuf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct bm_export *export = dmabuf->priv;

	vunmap(map->vaddr);
	bm_buffer_unfix(export->buf);
}

/* --- life --- */

static void bm_export_free(struct bm_export *export)
{
	atomic_dec(&export->buf->exports);
	bm_buffer_put(export->buf);
	mutex_destroy(&export->lock);
	kfree(export);
}

static void bm_dmabuf_release(struct dma_buf *dmabuf)
{
	bm_export_free(dmabuf->priv);
}

static const struct dma_buf_ops bm_dmabuf_ops = {
	.map_dma_buf		= bm_dmabuf_map,
	.unmap_dma_buf		= bm_dmabuf_unmap,
	.begin_cpu_access	= bm_dmabuf_begin,
	.end_cpu_access		= bm_dmabuf_end,
	.mmap			= bm_dmabuf_mmap,
	.vmap			= bm_dmabuf_vmap,
	.vunmap			= bm_dmabuf_vunmap,
	.release		= bm_dmabuf_release,
};

static const struct dma_buf_ops bm_dmabuf_readonly_ops = {
	.map_dma_buf		= bm_dmabuf_map,
	.unmap_dma_buf		= bm_dmabuf_unmap,
	.begin_cpu_access	= bm_dmabuf_begin,
	.end_cpu_access		= bm_dmabuf_end,
	.mmap			= bm_dmabuf_mmap,
	.release		= bm_dmabuf_release,
};

static struct bm_export *bm_export_new(struct bm_buffer *buf, bool readonly)
{
	struct bm_export *export = kzalloc(sizeof(*export), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!export)
		return ERR_PTR(-ENOMEM);
	ret = bm_buffer_expose(buf);
	if (ret) {
		kfree(export);
		return ERR_PTR(ret);
	}
	bm_buffer_get(buf);
	export->buf = buf;
	export->readonly = readonly;
	mutex_init(&export->lock);
	INIT_LIST_HEAD(&export->maps);
	return export;
}

/**
 * bm_dmabuf_export() - make a dma-buf of a buffer
 * @buf: the buffer; the dma-buf takes a reference of its own
 * @readonly: nobody who has the dma-buf may write, devices neither
 * @mode: O_RDONLY, O_WRONLY or O_RDWR: what its file descriptors allow; O_RDONLY if @readonly
 *
 * Return: the dma-buf, whose file is to be installed, or an ERR_PTR: -ENXIO if some of
 * the buffer is not committed.
 */
struct dma_buf *bm_dmabuf_export(struct bm_buffer *buf, bool readonly, unsigned int mode)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct bm_export *export;
	struct dma_buf *dmabuf;

	export = bm_export_new(buf, readonly);
	if (IS_ERR(export))
		return ERR_CAST(export);
	info.exp_name = KBUILD_MODNAME;
	info.ops = readonly ? &bm_dmabuf_readonly_ops : &bm_dmabuf_ops;
	info.size = (size_t)buf->npages << PAGE_SHIFT;
	info.flags = readonly ? O_RDONLY : mode & O_ACCMODE;
	info.priv = export;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		bm_export_free(export);
		return dmabuf;
	}
	bm_map_open(dmabuf->file);
	trace_bitmem_export(buf, readonly);
	return dmabuf;
}

/**
 * bm_dmabuf_import() - find the buffer behind a dma-buf of ours
 * @fd: the dma-buf
 * @readonly: set to whether the descriptor allows only to read
 *
 * Return: the buffer, with a reference; or an ERR_PTR: -EBADF if @fd is no file,
 * -EINVAL if it is none of our dma-bufs.
 */
struct bm_buffer *bm_dmabuf_import(int fd, bool *readonly)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct bm_buffer *buf = ERR_PTR(-EINVAL);

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	if (dmabuf->ops == &bm_dmabuf_ops || dmabuf->ops == &bm_dmabuf_readonly_ops) {
		buf = ((struct bm_export *)dmabuf->priv)->buf;
		bm_buffer_get(buf);
		*readonly = !(dmabuf->file->f_mode & FMODE_WRITE);
	}
	dma_buf_put(dmabuf);
	return buf;
}

BM_IMPORT_NS_DMA_BUF;
